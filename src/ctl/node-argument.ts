/** The names of nodes as they are typed in commands. */
import type { Runtime } from '../actors/runtime.ts'
import { parseNodeName } from '../dist/node-name.ts'

/** A name without a host is that of a node on this one's [emqttd_ctl]. */
export function fullName(runtime: Runtime, name: string): string {
  return name.includes('@') ? name : `${name}@${parseNodeName(runtime.node.name)?.host}`
}
