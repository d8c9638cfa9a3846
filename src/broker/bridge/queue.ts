/**
 * The messages of one bridge that its peer has not confirmed: those that are under way, and those that wait, in order.
 *
 * It is bounded by number and by bytes. What is under way is never given up for room; of what waits the oldest goes first, as in
 * emqttd's queue: whoever reads a sensor wants its last value.
 */
import { Queue } from '../../actors/queue.ts'
import type { Message } from '../message.ts'

export interface BridgeQueueLimits {
  readonly maxLength: number
  /** Of topics and payloads. */
  readonly maxBytes: number
}

/** How much of it is under way at a time; a single message may be larger. */
const BATCH_LENGTH = 500
const BATCH_BYTES = 262_144

export class BridgeQueue {
  readonly #limits: BridgeQueueLimits
  readonly #waiting = new Queue<Message>()
  #underWay: readonly Message[] = []
  #underWayBytes = 0
  /** Of those that wait, too. */
  #bytes = 0

  constructor(limits: BridgeQueueLimits) {
    this.#limits = limits
  }

  /** Messages that are not confirmed. */
  get length(): number {
    return this.#underWay.length + this.#waiting.length
  }

  /** Messages that have been taken and are not confirmed. */
  get underWay(): readonly Message[] {
    return this.#underWay
  }

  /** Adds a message. Returns how many were given up for it; it may be one of them. */
  push(message: Message): number {
    this.#waiting.push(message)
    this.#bytes += bytesOf(message)
    let dropped = 0
    const { maxLength, maxBytes } = this.#limits
    while (this.#waiting.length > 0 && (this.length > maxLength || this.#bytes > maxBytes)) {
      this.#bytes -= bytesOf(this.#waiting.shift()!)
      dropped += 1
    }
    return dropped
  }

  /** Whether messages wait. */
  get hasMore(): boolean {
    return this.#waiting.length > 0
  }

  /** Takes what is to be sent next, as `prepare` makes it; leaves out what that gives up. Only when nothing is under way. */
  take(prepare: (message: Message) => Message | undefined): readonly Message[] {
    const batch: Message[] = []
    let bytes = 0
    let spent = 0
    while (this.#waiting.length > 0 && spent < BATCH_LENGTH && bytes < BATCH_BYTES) {
      const message = this.#waiting.shift()!
      spent += 1
      const prepared = prepare(message)
      if (prepared === undefined) {
        this.#bytes -= bytesOf(message)
        continue
      }
      bytes += bytesOf(message)
      batch.push(prepared)
    }
    this.#underWay = batch
    this.#underWayBytes = bytes
    return batch
  }

  /** What was under way has arrived. */
  confirm(): void {
    this.#bytes -= this.#underWayBytes
    this.#underWay = []
    this.#underWayBytes = 0
  }

  /** Gives up everything; returns how many messages that were. */
  clear(): number {
    const { length } = this
    this.#waiting.clear()
    this.#underWay = []
    this.#underWayBytes = 0
    this.#bytes = 0
    return length
  }
}

function bytesOf({ topic, payload }: Message): number {
  return topic.length + payload.length
}
