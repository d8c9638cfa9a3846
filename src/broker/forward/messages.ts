/**
 * What forwarders of two nodes say to each other. Each sends to the other by its name, `forwarder`.
 *
 *     n1 ─ forward, forward_to (stream, seq) ─▶ n2 ─ its sessions
 *     n1 ◀─ forwarded (stream, taken, refused) ─ n2
 *
 * A stream lasts as long as the link between the two members; its numbers begin anew with each. Messages of one stream may overtake each other
 * when one of them is very large, so numbers are confirmed one by one, in ranges.
 */

import type { Pid } from '../../actors/pid.ts'
import type { PlainBatch, Run } from '../message.ts'

/** Registered name of the process. */
export const FORWARDER = 'forwarder'

/** Batches for all sessions of a node that subscribe to their topics. */
export interface Forward {
  readonly tag: 'forward'
  /** The node that sends. */
  readonly node: string
  readonly stream: number
  readonly seq: number
  readonly batches: readonly PlainBatch[]
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
