/**
 * What waits in a session that gives way to another one of its client id, as after a partition, is handed to that one.
 *
 *     manager ─ give_way ─▶ loser ─ handed_over ─▶ winner ─ hand_over_taken ─▶ loser, part by part; then the loser ends
 *
 * The loser keeps everything, on its disc too, until the winner has all of it, so a link that is lost in between loses nothing. The winner takes what
 * its own subscriptions match, as if it were published now. It leaves out what it has already: a message of QoS 2 is known by its id. Order across the
 * hand-over is not kept, and of a message of QoS 2 that had been sent and was not answered nobody knows whether the client has it: it comes again.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import { Batch, batchOf, type Matched, type Message, type Run } from '../message.ts'
import { fold, matchedOf } from '../routing/matched.ts'
import { matches } from '../routing/topic.ts'
import type { SessionState } from './session-state.ts'

/** A part of what waits, from the loser to the winner. */
export interface HandedOver {
  readonly tag: 'handed_over'
  readonly from: Pid
  readonly part: number
  /** When the loser was made: a client that has begun anew since wants nothing of it. */
  readonly createdAtMs: number
  readonly messages: readonly Message[]
}

/** The winner has this part, on its disc if it has one. */
export interface HandOverTaken {
  readonly tag: 'hand_over_taken'
  readonly from: Pid
  readonly part: number
}

/** A part is closed when its payloads and topics have so many bytes, or with so many messages. */
const PART_BYTES = 262_144
const PART_MESSAGES = 500

/** The loser's side: what is still to be handed over. */
export class HandOver {
  readonly to: Pid
  /** Watches the winner. */
  readonly monitor: Ref
  readonly #self: ProcessContext
  readonly #waiting: Message[]
  #part = 0
  /** Messages that the winner has confirmed. */
  count = 0
  readonly #createdAtMs: number
  #underWay = 0

  constructor(self: ProcessContext, to: Pid, state: SessionState) {
    this.#self = self
    this.to = to
    this.#createdAtMs = state.createdAtMs
    this.#waiting = waitingIn(state)
    this.monitor = self.monitor(to)
  }

  /** Something has come while the winner was taking the rest. */
  add(messages: readonly Message[]): void {
    for (const message of messages) if (message.qos > 0) this.#waiting.push(message)
  }

  /** Sends the next part; returns false when there is none. */
  next(): boolean {
    if (this.#waiting.length === 0) return false
    let bytes = 0
    let length = 0
    for (const { topic, payload } of this.#waiting) {
      if (length === PART_MESSAGES || bytes >= PART_BYTES) break
      bytes += topic.length + payload.length
      length += 1
    }
    this.#part += 1
    this.#underWay = length
    const messages = this.#waiting.splice(0, length)
    const from = this.#self.pid
    const createdAtMs = this.#createdAtMs
    this.#self.send(this.to, { tag: 'handed_over', from, part: this.#part, createdAtMs, messages } satisfies HandedOver)
    return true
  }

  /** Takes the winner's answer; returns whether it is the one that is waited for. */
  taken({ from, part }: HandOverTaken): boolean {
    if (!from.equals(this.to) || part !== this.#part) return false
    this.count += this.#underWay
    this.#underWay = 0
    return true
  }

  /** The winner is watched no more. */
  close(): void {
    this.#self.demonitor(this.monitor, { flush: true })
  }
}

/** Messages of QoS 1 and 2 that the client has not got, or not surely, but for those that other members of a group can have. */
function waitingIn({ inflight, queue }: SessionState): Message[] {
  const shared = new Set(inflight.shared().map(({ message }) => message))
  return [
    ...inflight
      .publishes()
      .map(({ message }) => message)
      .filter((message) => !shared.has(message)),
    ...(queue?.select(({ qos, share }) => qos > 0 && share === undefined) ?? []).map(({ message }) => message),
  ].filter(({ qos }) => qos > 0)
}

/**
 * The winner's side: the runs of what it takes of a part. `cameAtMs` tells when a QoS 2 message came to this node, be it from a client or from
 * another node; undefined when it has not since the node started.
 */
export function runsOf(
  state: SessionState,
  { messages, createdAtMs }: Pick<HandedOver, 'messages' | 'createdAtMs'>,
  cameAtMs: (message: Message) => number | undefined,
): Run[] {
  const runs: Run[] = []
  if (state.beganClean && state.createdAtMs > createdAtMs) return runs
  const had = idsIn(state)
  for (const message of batchOf({ messages }).messages) {
    const matched = matchedBy(state, message)
    if (matched === undefined || had.has(message.id)) continue
    if (message.qos === 2) {
      // What came before this session was there has not come to it.
      const atMs = cameAtMs(message)
      if (atMs !== undefined && atMs >= state.createdAtMs) continue
      had.add(message.id)
    }
    runs.push({ batch: new Batch([message]), matched })
  }
  return runs
}

/** Ids of QoS 2 messages that have been handed over are known from then on: they may come once more, from a node that had kept them. */
export function remember(state: SessionState, runs: readonly Run[]): void {
  for (const { batch } of runs) {
    for (const { id, qos } of batch.messages) {
      if (qos !== 2) continue
      state.known ??= new Set()
      state.known.add(id)
    }
  }
}

function idsIn({ inflight, queue, known }: SessionState): Set<string> {
  const ids = new Set(known)
  for (const { message } of inflight.publishes()) ids.add(message.id)
  for (const { message } of queue?.select(() => true) ?? []) ids.add(message.id)
  return ids
}

function matchedBy({ subscriptions }: SessionState, { topic }: Message): Matched | undefined {
  let matched: Matched | undefined
  for (const { filter, qos, noLocal, rap, id } of subscriptions.values()) {
    if (filter.group !== undefined || filter.local || !matches(topic, filter.filter)) continue
    const own = matchedOf(qos, noLocal, rap, id)
    matched = matched === undefined ? own : fold(matched, own)
  }
  return matched
}
