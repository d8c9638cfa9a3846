/**
 * Where the publishes of one client wait while a subscriber of theirs presses (back-pressure.ts). The session makes a gate when
 * it has something to keep back and drops it when that is gone.
 *
 * They wait in order, all of them, and are published in portions. Nothing is acknowledged before it is published, so the client
 * is slowed by its own window; when more waits here than the gate holds, its socket is not read either. What is published
 * already is not touched: the other subscribers have it.
 */
import type { ProcessContext } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import { RELIEVED } from './back-pressure.ts'
import type { Message } from './message.ts'
import type { PubSub } from './pubsub.ts'
import type { Effect } from './session-state.ts'
import type { Subscriber } from './subscribers.ts'

/** The gate's timer, sent to the session that has it; `timeout` is to be called. */
export const GATE_TIMEOUT = { tag: 'gate_timeout' } as const

/** Messages, and bytes of them, above which the client is not read on. */
const MAX_MESSAGES = 1024
const MAX_BYTES = 262_144

const NONE: readonly never[] = []

type PublishEffect = Extract<Effect, { tag: 'publish' }>

/** The session, as its gate sees it. Neither function may call the gate. */
export interface GateOwner {
  /** Publishes; returns the reason codes, undefined when all are 0. */
  publish(messages: readonly Message[]): readonly number[] | undefined
  /** All messages of a ticket are published. */
  accept(ticket: number, codes: readonly number[] | undefined): void
}

export class PublishGate {
  readonly #self: ProcessContext
  readonly #pubsub: PubSub
  readonly #owner: GateOwner
  readonly #waiting: PublishEffect[] = []
  #messages = 0
  #bytes = 0
  /** Messages of the first effect that are published, and their codes. */
  #published = 0
  #codes: number[] | undefined
  /** Those who must be better before it goes on, one of them at least; empty when nothing waits. */
  #blockers: readonly Subscriber[] = NONE
  /** What each of them had taken when the timer was started. */
  #progress: readonly number[] = NONE
  #timer: Ref | undefined

  constructor(self: ProcessContext, pubsub: PubSub, owner: GateOwner) {
    this.#self = self
    this.#pubsub = pubsub
    this.#owner = owner
  }

  /** Nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** So much waits that no more is to be read. */
  get isFull(): boolean {
    return this.#messages > MAX_MESSAGES || this.#bytes > MAX_BYTES
  }

  /** Publishes what an effect asks for, now or when it is its turn. */
  add(effect: PublishEffect): void {
    this.#waiting.push(effect)
    this.#messages += effect.messages.length
    for (const message of effect.messages) this.#bytes += bytesOf(message)
    if (this.#blockers.length === 0) this.#run(false, false)
  }

  /** Takes `RELIEVED`. */
  relieved(): void {
    // Whoever called it has taken it out of the line.
    if (this.#blockers.length > 1) this.#leave()
    this.#goOn(false)
  }

  /** Takes `GATE_TIMEOUT`. */
  timeout(): void {
    this.#timer = undefined
    const { pressure } = this.#pubsub
    let isFree = false
    for (const [i, blocker] of this.#blockers.entries()) {
      if (blocker.isPressing && blocker.progress === this.#progress[i]) pressure.stall(blocker)
      if (!blocker.isPressing) isFree = true
    }
    if (!isFree) {
      if (this.#blockers.length > 0) this.#startTimer()
      return
    }
    this.#leave()
    this.#goOn(false)
  }

  /** Publishes all that waits at once: its session ends. */
  flush(): void {
    this.#leave()
    this.#goOn(true)
  }

  #leave(): void {
    for (const blocker of this.#blockers) this.#pubsub.pressure.leave(blocker, this.#self.pid)
  }

  #goOn(force: boolean): void {
    const blockers = this.#blockers
    this.#blockers = NONE
    if (this.#timer !== undefined) this.#self.cancelTimer(this.#timer)
    this.#timer = undefined
    this.#run(force, true)
    for (const blocker of blockers) {
      // One at a time, so that those who wait cannot fill the queue together.
      const next = this.#pubsub.pressure.next(blocker)
      if (next !== undefined) this.#self.send(next, RELIEVED)
    }
  }

  #run(force: boolean, wasCalled: boolean): void {
    let isFirst = wasCalled
    for (let effect = this.#waiting[0]; effect !== undefined; effect = this.#waiting[0]) {
      const { messages, ticket } = effect
      while (this.#published < messages.length) {
        const begin = this.#published
        const end = force ? messages.length : this.#portionEnd(messages, begin)
        const blockers = force ? NONE : this.#pubsub.blockers(messages, begin, end)
        if (blockers.length > 0) {
          this.#wait(blockers, isFirst)
          return
        }
        isFirst = false
        this.#publish(messages, begin, end)
      }
      this.#waiting.shift()
      const codes = this.#codes
      this.#published = 0
      this.#codes = undefined
      if (ticket !== 0) this.#owner.accept(ticket, codes)
    }
  }

  #publish(messages: readonly Message[], begin: number, end: number): void {
    const part = begin === 0 && end === messages.length ? messages : messages.slice(begin, end)
    const codes = this.#owner.publish(part)
    this.#published = end
    this.#messages -= part.length
    for (const message of part) this.#bytes -= bytesOf(message)
    if (codes === undefined) return
    this.#codes ??= new Array<number>(messages.length).fill(0)
    for (let i = 0; i < codes.length; i += 1) this.#codes[begin + i] = codes[i]!
  }

  #portionEnd(messages: readonly Message[], begin: number): number {
    const { portionLength, portionBytes } = this.#pubsub.pressure
    const limit = Math.min(messages.length, begin + portionLength)
    let bytes = bytesOf(messages[begin]!)
    let end = begin + 1
    for (; end < limit; end += 1) {
      bytes += bytesOf(messages[end]!)
      if (bytes > portionBytes) break
    }
    return end
  }

  #wait(blockers: readonly Subscriber[], inFront: boolean): void {
    this.#blockers = blockers
    for (const blocker of blockers) this.#pubsub.pressure.wait(blocker, this.#self.pid, inFront)
    this.#startTimer()
  }

  #startTimer(): void {
    this.#progress = this.#blockers.map(({ progress }) => progress)
    this.#timer = this.#self.sendAfter(this.#pubsub.pressure.holdTimeoutMs, this.#self.pid, GATE_TIMEOUT)
  }
}

function bytesOf({ topic, payload }: Message): number {
  return topic.length + payload.length
}
