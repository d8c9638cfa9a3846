/**
 * How a subscriber slows those who publish to it, before its queue must drop QoS 1 and 2 messages.
 *
 * Whoever publishes reads the subscribers' records (subscribers.ts), so these carry what is needed here. `backlog` is what waits
 * for the client: the publish path adds what it puts into the session's mailbox, the session corrects it when it has taken that
 * and when its queue changes. Past the high mark the subscriber presses, below the low mark it no longer does. A publisher that
 * finds one that presses among its destinations publishes nothing more for the time being (publish-gate.ts): it stands in line
 * at the subscriber's record and gets `relieved` when it may go on, one after the other.
 *
 * Only a client that takes messages can press: one that is away, that does not read, or that has acknowledged nothing for
 * `holdTimeoutMs` holds nobody up; nor does one that is itself so far behind with publishing that its socket is not read, since
 * its acknowledgements may be stuck there. So two that publish to each other cannot wait for each other for good.
 *
 * As long as nobody on the node presses, all of this costs a publisher one comparison.
 */
import type { Pid } from '../actors/pid.ts'
import type { Subscriber } from './subscribers.ts'

export interface BackPressureLimits {
  /** Of the queue of a session; Infinity for no limit. */
  readonly maxLength: number
  /** Of the queue of a session; Infinity for no limit. */
  readonly maxBytes: number
  /** A subscriber that acknowledges nothing for so long holds nobody up any more; 0: none ever does. */
  readonly holdTimeoutMs: number
}

/** Nobody is held up. */
export const NO_BACK_PRESSURE: BackPressureLimits = { maxLength: Infinity, maxBytes: Infinity, holdTimeoutMs: 0 }

/** The message with which a publisher that stands in line learns that it may look again. */
export const RELIEVED = { tag: 'relieved' } as const

/** Bytes that one event of a client is about at most: with larger portions than that nobody has to count them. */
const CHUNK_BYTES = 262_144

/** Who presses, on one node. */
export class BackPressure {
  readonly holdTimeoutMs: number
  /** Messages that are published at a time before a publisher looks again. */
  readonly portionLength: number
  /** The same in bytes; a single message may be larger. */
  readonly portionBytes: number
  readonly #highLength: number
  readonly #highBytes: number
  readonly #lowLength: number
  readonly #lowBytes: number
  /** Subscribers that press. */
  #pressing = 0

  constructor({ maxLength, maxBytes, holdTimeoutMs }: BackPressureLimits) {
    const isOn = holdTimeoutMs > 0
    const length = isOn ? maxLength : Number.POSITIVE_INFINITY
    const bytes = isOn ? maxBytes : Number.POSITIVE_INFINITY
    this.holdTimeoutMs = holdTimeoutMs
    this.#highLength = length / 2
    this.#lowLength = length / 4
    this.portionLength = Math.max(1, Math.floor(length / 8))
    this.#highBytes = bytes / 2
    this.#lowBytes = bytes / 4
    this.portionBytes = bytes / 8
  }

  /** Whether anybody presses. */
  get isAny(): boolean {
    return this.#pressing > 0
  }

  /** Whether so many messages of one client must go through its gate. */
  mustLook(length: number): boolean {
    return this.#pressing > 0 || length > this.portionLength || (length > 1 && this.portionBytes < CHUNK_BYTES)
  }

  /** QoS 1 and 2 messages have been put into the mailbox of a subscriber. */
  add(subscriber: Subscriber, length: number, bytes: number): void {
    subscriber.backlog += length
    subscriber.backlogBytes += bytes
    if (subscriber.backlog > this.#highLength || subscriber.backlogBytes > this.#highBytes) this.#press(subscriber)
  }

  /** The session has brought its record up to date. */
  settle(subscriber: Subscriber): void {
    const { backlog, backlogBytes } = subscriber
    if (backlog <= this.#lowLength && backlogBytes <= this.#lowBytes) {
      subscriber.isStalled = false
      if (subscriber.isPressing) this.#release(subscriber)
    } else if (subscriber.isPressing) {
      if (!subscriber.isTaking) this.#release(subscriber)
    } else if (backlog > this.#highLength || backlogBytes > this.#highBytes) this.#press(subscriber)
  }

  /** A subscriber has taken nothing for too long; it holds nobody up before its backlog is small again. */
  stall(subscriber: Subscriber): void {
    subscriber.isStalled = true
    if (subscriber.isPressing) this.#release(subscriber)
  }

  /** A subscriber is no more. */
  forget(subscriber: Subscriber): void {
    subscriber.isTaking = false
    if (subscriber.isPressing) this.#release(subscriber)
  }

  /** Puts a publisher in line, in front when it has just been called and could publish nothing. */
  wait(subscriber: Subscriber, publisher: Pid, inFront: boolean): void {
    if (subscriber.waiters === undefined) subscriber.waiters = [publisher]
    else if (inFront) subscriber.waiters.unshift(publisher)
    else subscriber.waiters.push(publisher)
  }

  /** Takes a publisher out of the line. */
  leave(subscriber: Subscriber, publisher: Pid): void {
    const rest = subscriber.waiters?.filter((each) => !each.equals(publisher))
    subscriber.waiters = rest?.length === 0 ? undefined : rest
  }

  /** Takes the next publisher out of the line, who is to be sent `RELIEVED`; undefined while the subscriber presses. */
  next(subscriber: Subscriber): Pid | undefined {
    const { waiters } = subscriber
    if (waiters === undefined || subscriber.isPressing) return undefined
    const publisher = waiters.shift()
    if (waiters.length === 0) subscriber.waiters = undefined
    return publisher
  }

  #press(subscriber: Subscriber): void {
    if (subscriber.isPressing || subscriber.isStalled || !subscriber.isTaking) return
    subscriber.isPressing = true
    this.#pressing += 1
  }

  #release(subscriber: Subscriber): void {
    subscriber.isPressing = false
    this.#pressing -= 1
  }
}
