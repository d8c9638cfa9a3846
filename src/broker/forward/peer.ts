/** What is on its way to one node, and what is known of that node. */
import type { Pid } from '../../actors/pid.ts'
import type { Batch, Run } from '../message.ts'
import type { Receipt } from '../routing/receipt.ts'

/** `refused`: the session is not there; `lost`: its node is, and may have it. */
export type Told = (outcome: 'taken' | 'refused' | 'lost') => void

/** What is on its way. */
export interface Unconfirmed {
  /** Undefined when nobody waits, or not any more. */
  receipt: Receipt | undefined
  readonly bytes: number
  /** Of the monotonic clock: the other one may be set back. */
  readonly sentAtMs: number
  /** To be kept when the node is lost, or stands still. */
  readonly batches: readonly Batch[]
  /** For a session as the member of a group. */
  readonly to: Pid | undefined
  readonly run: Run | undefined
  /** Told what becomes of it, in place of the receipt and of others in its group: whoever has sent it keeps it until then. */
  readonly keeper?: Told | undefined
  /** Numbers of the first and the last hint, when it is kept although it is on its way. */
  kept?: readonly [from: number, upTo: number] | undefined
}

/** What is known of a node that is forwarded to. */
export class Peer {
  readonly node: string
  stream: number
  seq = 0
  /** It has said that its sessions are there. */
  isReady = false
  /** Its forwarder, as it was when it said so. */
  forwarder: string | undefined
  /** By number, the oldest first. */
  readonly unconfirmed = new Map<number, Unconfirmed>()
  /** Number of those that are kept as well: what else is kept is behind them. */
  keptUnderWay = 0
  bytes = 0
  /** Messages that were ever sent. */
  messages = 0
  /** What was on its way when the connection ended, until somebody has seen to it. */
  failed: Unconfirmed[] = []
  /** It has been waited for in vain: as long as it confirms nothing, as when it stands still, it holds up nobody. */
  isLate = false
  /** It has been given some of what is kept for it, and has not taken that over yet. */
  isGiven = false
  /** It is to be told when it has been given everything. */
  isOwedWord = false

  constructor(node: string, stream: number) {
    this.node = node
    this.stream = stream
  }

  /** Whether so much may be on its way as well. */
  hasRoom(bytes: number, maxBytes: number): boolean {
    return this.bytes === 0 || this.bytes + bytes <= maxBytes
  }

  /** Takes off what has been confirmed or refused. */
  settle(seq: number): Unconfirmed | undefined {
    const entry = this.unconfirmed.get(seq)
    if (entry === undefined) return undefined
    this.unconfirmed.delete(seq)
    this.bytes -= entry.bytes
    if (entry.kept !== undefined) this.keptUnderWay -= 1
    return entry
  }

  /** Begins another stream, after the connection has ended; returns what was on its way, by number. */
  beginStream(): readonly (readonly [seq: number, Unconfirmed])[] {
    const entries = [...this.unconfirmed]
    this.unconfirmed.clear()
    this.keptUnderWay = 0
    this.bytes = 0
    this.stream += 1
    this.isLate = false
    this.isReady = false
    this.isGiven = false
    return entries
  }
}

/** Topics and payloads of some batches, and their messages. */
export function weightOf(batches: readonly Batch[]): { readonly bytes: number; readonly messages: number } {
  let bytes = 0
  let messages = 0
  for (const batch of batches) {
    bytes += batch.bytes
    messages += batch.messages.length
  }
  return { bytes, messages }
}

/** The batches that are to be kept of what is on its way. */
export function keptOf({ batches, keeper, run }: Unconfirmed): readonly Batch[] {
  if (run === undefined) return batches
  if (keeper !== undefined) return []
  return run.matched.qos > 0 ? [run.batch as Batch] : []
}
