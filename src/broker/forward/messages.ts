/**
 * What forwarders of two nodes say to each other. Each sends to the other by its name, `forwarder`.
 *
 *     n1 ─ forward, forward_to (stream, seq) ─▶ n2 ─ its sessions
 *     n1 ◀─ forwarded (stream, taken, refused) ─ n2
 *     n1 ◀─ node_ready ─ n2, when they are linked and its sessions are there
 *     n1 ─ hints ─▶ n2 ─ hinted ─▶ n1 …                 what n1 has kept for n2; said also when it is nothing
 *
 * A stream lasts no longer than the connection of the two nodes; its numbers go on in the next. Messages of one stream may overtake each other
 * when one of them is very large, so numbers are confirmed one by one, in ranges.
 */

import type { Pid } from '../../actors/pid.ts'
import type { PlainBatch, Run } from '../message.ts'
import type { Reach } from '../routing/pubsub.ts'
import type { Hint } from './hints.ts'

/** Registered name of the process. */
export const FORWARDER = 'forwarder'

/** To the forwarder of the own node: a session has given way for which others may have something. */
export const ASK_MEMBERS = { tag: 'ask_members' } as const

/** Batches for all sessions of a node that subscribe to their topics. */
export interface Forward {
  readonly tag: 'forward'
  /** The node that sends. */
  readonly node: string
  readonly stream: number
  readonly seq: number
  readonly batches: readonly PlainBatch[]
  /** Sessions that outlive their connection may get them in another way. @default all */
  readonly reach?: Reach
}

/** The sessions of the node are there. */
export interface NodeReady {
  readonly tag: 'node_ready'
  readonly node: string
  /** Key of the process that says it. Another one than before has not got what was sent to that. */
  readonly forwarder: string
  /** It has just begun to listen, and may have missed what others said when they were linked. */
  readonly asks: boolean
  /** It gives what it has kept, be it nothing, when it hears the same of the other node. Nodes of earlier versions do not say it. */
  readonly gives?: boolean
}

/** What has been kept for a node, in order. */
export interface Hints {
  readonly tag: 'hints'
  readonly node: string
  readonly hints: readonly Hint[]
  /** Number of the last of them; -1 when there are none. */
  readonly last: number
  /** Incarnation of the node that sends: what it had not on disc when it ended is lost, and its successor gives the numbers again. */
  readonly creation?: number | undefined
  /** Others follow when these have been taken over. */
  readonly more: boolean
}

/** They have been taken over. */
export interface Hinted {
  readonly tag: 'hinted'
  readonly node: string
  readonly last: number
  /** As in `Hints`: the answer to an earlier incarnation says nothing to this one. Nodes of earlier versions do not say it. */
  readonly creation?: number | undefined
}

/** What one session gets as the member of a group. */
export interface ForwardTo {
  readonly tag: 'forward_to'
  readonly node: string
  readonly stream: number
  readonly seq: number
  readonly to: Pid
  readonly run: Run
}

/** Numbers of a stream: first and last of a range, first and last of the next, … */
export type Ranges = readonly number[]

/** What became of forwarded messages. */
export interface Forwarded {
  readonly tag: 'forwarded'
  /** The node that had them. */
  readonly node: string
  readonly stream: number
  /** All who get them have taken them over. */
  readonly taken: Ranges
  /** Of those, what a session has in memory only, since its disc refuses. @default none */
  readonly unsafe?: readonly number[]
  /** There is no such session any more. */
  readonly refused: readonly number[]
}

/** Returns ascending or unordered numbers as ranges. */
export function rangesOf(numbers: number[]): Ranges {
  numbers.sort((a, b) => a - b)
  const ranges: number[] = []
  for (const number of numbers) {
    if (ranges.length > 0 && ranges[ranges.length - 1] === number - 1) ranges[ranges.length - 1] = number
    else ranges.push(number, number)
  }
  return ranges
}
