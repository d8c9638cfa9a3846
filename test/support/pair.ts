/** A node of ours and a real Erlang node that know one epmd, and a process that notes what it gets. */
import type { Pid } from '../../src/actors/pid.ts'
import type { Process } from '../../src/actors/process.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { StartNodeOptions } from '../../src/dist/start-node.ts'
import { type Erl, startErl } from './erl.ts'
import { eventually } from './eventually.ts'
import { type TestNode, testEpmd, testNode } from './node.ts'

export const OURS = 'ours@127.0.0.1'
export const ERL = 'erl@127.0.0.1'

export interface Pair {
  readonly ours: TestNode
  readonly erl: Erl
  readonly runtime: Runtime
  readonly epmdPort: number
}

export interface PairOptions {
  readonly epmdPort?: number
  readonly ours?: Partial<StartNodeOptions>
  readonly cookie?: string
  /** Of `erl`. */
  readonly flags?: readonly string[]
}

/** Neither is connected yet. */
export async function erlPair(options: PairOptions = {}): Promise<Pair> {
  const epmdPort = options.epmdPort ?? (await testEpmd())
  const { cookie = 'secret', flags = [] } = options
  const [ours, erl] = await Promise.all([
    testNode(OURS, epmdPort, options.ours),
    startErl({ name: ERL, epmdPort, cookie, flags }),
  ])
  return { ours, erl, epmdPort, runtime: ours.runtime }
}

/** A process that traps exits and notes all messages. */
export function notes(runtime: Runtime, name?: string): { pid: Pid; process: Process; messages: unknown[] } {
  const messages: unknown[] = []
  const pid = runtime.spawn(
    { receive: (message) => void messages.push(message) },
    { trapExit: true, ...(name === undefined ? {} : { name }) },
  )
  return { pid, process: runtime.process(pid)!, messages }
}

/** The pid of a process of Erlang that `expression` is the value of. */
export async function pidOf({ ours, erl }: Pick<Pair, 'ours' | 'erl'>, expression: string): Promise<Pid> {
  const name = `pid_of_${Math.random().toString(36).slice(2)}`
  const { pid, process, messages } = notes(ours.runtime, name)
  await erl.eval(`{${name}, '${ours.name}'} ! ${expression}`)
  await eventually(() => messages.length === 1)
  process.unregister(name)
  ours.runtime.exit(pid, 'kill')
  return messages[0] as Pid
}
