/**
 * What waits in a session that gives way to another one of its client id, as after a partition, is handed to that one.
 *
 *     manager ─ give_way ─▶ loser ─ handed_over ─▶ winner ─ hand_over_taken ─▶ loser, part by part; then the loser ends
 *
 * The loser keeps everything, on its disc too, until the winner has all of it, so a link that is lost in between loses nothing. The winner takes what
 * its own subscriptions match, as if it were published now. It leaves out what it has already: a message of QoS 2 is known by its id. What it does not want it
 * says, and the loser reports that as dropped when all is over. When its disc refuses it says that too, and gets the part again after a while. Order across the hand-over is not kept, and of a message of QoS 2 that had been sent and was
 * not answered nobody knows whether the client has it: it comes again.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import { Batch, batchOf, type Matched, type Message, type Run } from '../message.ts'
import { fold, matchedOf } from '../routing/matched.ts'
import { matches } from '../routing/topic.ts'
import type { DropReason } from './delivery.ts'
import type { SessionState } from './session-state.ts'

/** A part of what waits, from the loser to the winner. */
export interface HandedOver {
  readonly tag: 'handed_over'
  readonly from: Pid
  readonly part: number
  /** When the loser was last opened, as its row says: a client that has begun anew since wants nothing of it. */
  readonly connectedAtMs: number
  readonly messages: readonly Message[]
  /** When the loser was created, of one that has been given to another node (moving/departure.ts): that has all of it. */
  readonly copyOf?: number | undefined
}

/** Messages of a part that the winner does not want. */
export interface Unwanted {
  /** `session_ended`: its client has parted from the loser by a clean start. */
  readonly reason: Extract<DropReason, 'not_subscribed' | 'session_ended'>
  /** Their places in the part. */
  readonly places: readonly number[]
}

/** The winner has this part, on its disc if it has one. What is neither taken nor unwanted it had already. */
export interface HandOverTaken {
  readonly tag: 'hand_over_taken'
  readonly from: Pid
  readonly part: number
  /** Number of messages. */
  readonly taken: number
  readonly unwanted: Unwanted
  /** The winner is the loser, moved: it needs none of it. */
  readonly hasAll?: boolean
  /** The disc of the winner refuses: it has the part in memory only, and is to be given it again. */
  readonly isRefused?: boolean
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
  /** The part that the winner has not confirmed. */
  #underWay: Message[] = []
  readonly #connectedAtMs: number
  readonly #copyOf: number | undefined
  /** The winner has had all of it. */
  hasAll = false
  /** Number of messages that the winner has taken. */
  count = 0
  /** What it did not want, by reason. */
  readonly dropped = new Map<Unwanted['reason'], Message[]>()

  constructor(self: ProcessContext, to: Pid, state: SessionState) {
    this.#self = self
    this.to = to
    this.#connectedAtMs = state.client.connectedAtMs
    this.#copyOf = state.moved === undefined ? undefined : state.createdAtMs
    this.#waiting = waitingIn(state)
    this.monitor = self.monitor(to)
  }

  /** The winner has a part that it has not confirmed. */
  get isUnderWay(): boolean {
    return this.#underWay.length > 0
  }

  /** Something has come while the winner was taking the rest. What the loser gets at QoS 0 is not repeated. */
  add(runs: readonly Run[]): void {
    for (const { batch, matched } of runs) {
      if (matched.share !== undefined || matched.qos === 0) continue
      for (const message of batch.messages) if (message.qos > 0) this.#waiting.push(message)
    }
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
    const messages = this.#waiting.splice(0, length)
    this.#underWay = messages
    const from = this.#self.pid
    const connectedAtMs = this.#connectedAtMs
    const common = { from, part: this.#part, connectedAtMs, messages }
    const message: HandedOver = { tag: 'handed_over', ...common, copyOf: this.#copyOf }
    this.#self.send(this.to, message)
    return true
  }

  /** Takes the winner's answer; returns whether it is the one that is waited for. */
  taken({ from, part, taken, unwanted, hasAll, isRefused }: HandOverTaken): boolean {
    if (!from.equals(this.to) || part !== this.#part) return false
    if (isRefused === true) {
      this.#waiting.unshift(...this.#underWay)
      this.#underWay = []
      return true
    }
    if (hasAll === true) {
      this.hasAll = true
      this.#waiting.length = 0
      return true
    }
    this.count += taken
    const dropped = this.dropped.get(unwanted.reason) ?? []
    for (const place of unwanted.places) dropped.push(this.#underWay[place]!)
    this.dropped.set(unwanted.reason, dropped)
    this.#underWay = []
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

/** What the winner does with a part: a run for each message that it takes, and what it does not want. */
export interface Taking {
  readonly runs: readonly Run[]
  readonly unwanted: Unwanted
}

/**
 * The winner's side. `arrivalOf` tells when a QoS 2 message came to this node, be it from a client or from another node, in the order of the node's own
 * message ids; undefined when it has not since the node started.
 */
export function takingOf(
  state: SessionState,
  { messages, connectedAtMs }: Pick<HandedOver, 'messages' | 'connectedAtMs'>,
  arrivalOf: (message: Message) => string | undefined,
): Taking {
  if (state.beganCleanAtMs !== undefined && state.beganCleanAtMs > connectedAtMs) {
    return { runs: [], unwanted: { reason: 'session_ended', places: [...messages.keys()] } }
  }
  const runs: Run[] = []
  const places: number[] = []
  const had = idsIn(state)
  for (const [place, message] of batchOf({ messages }).messages.entries()) {
    if (had.has(message.id)) continue
    const matched = matchedBy(state, message)
    if (matched === undefined) {
      places.push(place)
      continue
    }
    if (message.qos === 2) {
      // What came before this session subscribed has not come to it.
      const arrival = arrivalOf(message)
      if (arrival !== undefined && state.subscribedAfter !== undefined && arrival > state.subscribedAfter) continue
      had.add(message.id)
    }
    runs.push({ batch: new Batch([message]), matched })
  }
  return { runs, unwanted: { reason: 'not_subscribed', places } }
}

/** Ids of QoS 2 messages that have been handed over, or have come while the session was moving in, are known from then on: they may come once more. */
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
