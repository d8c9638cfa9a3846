/**
 * net_adm: is a node there, and which nodes has a host [OTP net_adm].
 */
import { call } from '../actors/gen.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { EpmdClient, NamesResult } from './epmd-client.ts'
import { atom, atomName } from './term.ts'

const PING_TIMEOUT_MS = 10_000

/** `pong` when a node of that name answers, which connects to it; else `pang` [OTP net_adm:ping/1]. Never rejects. */
export async function ping(runtime: Runtime, node: string): Promise<'pong' | 'pang'> {
  if (node === runtime.node.name) return 'pong'
  try {
    const request = ['is_auth', atom(runtime.node.name)] as const
    const answer = await call(runtime, { name: 'net_kernel', node }, request, PING_TIMEOUT_MS)
    return atomName(answer) === 'yes' ? 'pong' : 'pang'
  } catch {
    return 'pang'
  }
}

/** A node on a host, as epmd knows it. */
export interface NameAndPort {
  /** Before the `@`. */
  readonly name: string
  readonly port: number
}

/** The nodes of a host, of this machine unless told, oldest first [OTP net_adm:names/1]. */
export async function names(
  epmd: EpmdClient,
  host?: string,
): Promise<{ readonly ok: true; readonly names: readonly NameAndPort[] } | Extract<NamesResult, { ok: false }>> {
  const result = await epmd.names(host)
  if (!result.ok) return result
  return { ok: true, names: result.nodes.map(({ name, port }) => ({ name, port })).reverse() }
}
