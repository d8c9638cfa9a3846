/**
 * A session's side of back-pressure (back-pressure.ts): it keeps its record among the subscribers up to date and calls the
 * publishers that stand in line there.
 */
import type { ProcessContext } from '../../actors/process.ts'
import { Batch, type Run } from '../message.ts'
import { isWeighed, type PubSub } from '../routing/pubsub.ts'
import type { Subscriber } from '../routing/subscribers.ts'
import { RELIEVED } from './back-pressure.ts'
import type { SessionState } from './session-state.ts'

export class SessionBacklog {
  readonly #self: ProcessContext
  readonly #pubsub: PubSub
  /** Undefined until the session has subscribed. */
  #subscriber: Subscriber | undefined
  /** What of the backlog is the queue. */
  #queued = 0
  #queuedBytes = 0

  constructor(self: ProcessContext, pubsub: PubSub) {
    this.#self = self
    this.#pubsub = pubsub
  }

  /** The router may know the session from now on. */
  find(): void {
    this.#subscriber ??= this.#pubsub.subscriber(this.#self.pid)
  }

  /** A delivery is on disc, or need not be. */
  taken(message: object): void {
    this.#subscriber?.taken(message)
  }

  /** A delivery is in memory, and the disc refuses it. */
  refused(message: object): void {
    this.#subscriber?.refused(message)
  }

  /** Runs have been taken from the mailbox; `settle` counts what of them is queued. */
  takeOff(runs: readonly Run[]): void {
    this.find()
    const subscriber = this.#subscriber
    if (subscriber === undefined) return
    for (const { batch, matched } of runs) {
      // Plain ones were sent by another node, which has no record of this session.
      if (!(batch instanceof Batch) || !isWeighed(batch, matched)) continue
      subscriber.backlog -= batch.messages.length
      subscriber.backlogBytes -= batch.bytes
    }
  }

  /** An event has been handled. `isRead`: what the client sends is read, its acknowledgements among it. */
  settle({ queue, connection, congested, closing, ended, progress, journal }: SessionState, isRead: boolean): void {
    const subscriber = this.#subscriber
    if (subscriber === undefined) return
    subscriber.stores = journal !== undefined
    const queued = queue === undefined ? 0 : queue.ackedLength
    const queuedBytes = queue === undefined ? 0 : queue.bytes
    subscriber.backlog += queued - this.#queued
    subscriber.backlogBytes += queuedBytes - this.#queuedBytes
    this.#queued = queued
    this.#queuedBytes = queuedBytes
    subscriber.progress = progress
    subscriber.isTaking = isRead && connection !== undefined && !congested && !closing && !ended
    const { pressure } = this.#pubsub
    pressure.settle(subscriber)
    if (subscriber.waiters === undefined) return
    const publisher = pressure.next(subscriber)
    if (publisher !== undefined) this.#self.send(publisher, RELIEVED)
  }
}
