/**
 * The way of what sessions note to the disc, for all sessions of a node.
 *
 *     session ─ note(journal) ─▶ one commit with all that others have noted ─▶ disc ─ SETTLED ─▶ sessions that wait for it
 *
 * Who must not say something before it is on disc asks for `SETTLED`, the message that comes when the disc has taken, or refused, all that
 * had been committed when it was asked for. One flush is under way at a time and all that is committed meanwhile goes with the next, so a message
 * more costs no flush more. What nobody is waiting for, or may be acknowledged by its client first, is given a moment (`soon`): what is over
 * before the store takes it is never written.
 *
 * A disc that refuses: the store keeps what it could not write, in memory, and tries again; the sessions go on (`isFailing`), whoever
 * is in charge is told, and publishers are told the truth by the sessions. When the disc has taken all that waited, that is told too.
 */
import type { Pid } from '../../../actors/pid.ts'
import type { System, TimerHandle } from '../../../actors/system.ts'
import type { Store, StoreOperation } from '../../../mnesia/store/store.ts'
import { type Journal, MOVING_MS, type Write } from './journal.ts'

/** The message to a session that has asked for it: look at `isSettled` again. */
export const SETTLED = { tag: 'settled' } as const

/**
 * What waits for the disc `soon` waits this long, ms, since the client may acknowledge it first. A flush takes as long or longer, and whatever is
 * acknowledged before it begins is never written.
 */
const SOON_MS = 2

/** Journals that have noted something, above which the store takes it at once: one commit of all of them would be very large. */
const MOST_NOTED = 1000

/** How urgent it is that something is on disc. */
export type Haste = 'now' | 'soon'

export interface SessionWriterOptions {
  readonly clock: Pick<System['clock'], 'monotonic'>
  readonly timers: System['timers']
  readonly send: (to: Pid, message: typeof SETTLED) => void
  /** The disc refuses; it is tried again. Not called again before `onRecovery`. */
  readonly onFailure: (error: Error) => void
  /** All that waited is on disc. */
  readonly onRecovery: () => void
}

export class SessionWriter {
  readonly #store: Store
  readonly #options: SessionWriterOptions
  #committed = 0
  #flushed = 0
  /** Journals that have noted something which the store has not taken. */
  readonly #noted = new Set<Journal>()
  /** Those of which the last write has left something out; they are looked at again after `MOVING_MS`. */
  readonly #leftOut = new Set<Journal>()
  #lookedAtMs = 0
  /** The store has been given something since the last flush began. */
  #isFlushDue = false
  /** Times that journals were drained, and those up to which all is on disc. */
  #writes = 0
  #written = 0
  #isFlushing = false
  /** Who waits for the next flush does not want to. */
  #isUrgent = false
  #timer: TimerHandle | undefined
  #waiting = new Set<Pid>()
  #failure: Error | undefined

  constructor(store: Store, options: SessionWriterOptions) {
    this.#store = store
    this.#options = options
  }

  /** The disc refuses: nothing is kept from anybody for its sake, and nothing that is said may rely on it. */
  get isFailing(): boolean {
    return this.#failure !== undefined
  }

  /** The number of the last commit. */
  get committed(): number {
    return this.#committed
  }

  /** The last write that is on disc, as journals count them. */
  get written(): number {
    return this.#written
  }

  /** Whether all commits up to this number are on disc, but for messages of QoS 1 that were left out: of these the journal knows. */
  isFlushed(commit: number): boolean {
    return commit <= this.#flushed
  }

  /** Whether nobody has to wait for this commit any more. */
  isSettled(commit: number): boolean {
    return commit <= this.#flushed || this.#failure !== undefined
  }

  /** Sees to what a journal has noted since the last time; the store takes it when it is about to write. */
  note(journal: Journal): void {
    if (!journal.hasNews()) return
    this.#committed += 1
    this.#noted.add(journal)
    if (this.#noted.size > MOST_NOTED) this.write(false)
    this.#startFlush('soon')
  }

  /** Commits operations at once, behind all that has been noted. */
  commit(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) return
    this.write(false)
    this.#committed += 1
    this.#store.commit(operations)
    this.#isFlushDue = true
  }

  /** Forgets the journal of a session that is over; returns what is left of it to be committed. */
  end(journal: Journal): StoreOperation[] {
    this.#noted.delete(journal)
    this.#leftOut.delete(journal)
    const operations: StoreOperation[] = []
    journal.drain(this.#nextWrite(true), operations)
    return operations
  }

  /** Has `SETTLED` sent to a process when all that has been committed is settled. */
  notify(pid: Pid, haste: Haste): void {
    this.#waiting.add(pid)
    this.#startFlush(haste)
  }

  /** Has nothing of a journal left out; returns the number of the commit with which all of it is on disc. */
  press(journal: Journal): number {
    journal.press()
    this.#committed += 1
    this.#noted.add(journal)
    return this.#committed
  }

  /**
   * Gives the store what has been committed. Unless it is `all`, messages of clients that acknowledge others may be left out.
   */
  write(all: boolean): void {
    if (this.#noted.size + this.#leftOut.size === 0) return
    const write = this.#nextWrite(all)
    if (all || write.nowMs - this.#lookedAtMs >= MOVING_MS) {
      this.#lookedAtMs = write.nowMs
      for (const journal of this.#leftOut) this.#noted.add(journal)
      this.#leftOut.clear()
    }
    const operations: StoreOperation[] = []
    for (const journal of this.#noted) {
      journal.drain(write, operations)
      if (journal.hasMore) this.#leftOut.add(journal)
    }
    this.#noted.clear()
    if (operations.length === 0) return
    // One commit: what a session notes may have come of what another one has noted.
    this.#store.commit(operations)
    this.#isFlushDue = true
  }

  #nextWrite(all: boolean): Write {
    this.#writes += 1
    return { number: this.#writes, written: this.#written, nowMs: this.#options.clock.monotonic(), all }
  }

  #startFlush(haste: Haste): void {
    if (this.#isFlushing) {
      if (haste === 'now') this.#isUrgent = true
      return
    }
    const { timers } = this.#options
    if (haste === 'soon') {
      this.#timer ??= timers.set(SOON_MS, () => {
        this.#timer = undefined
        this.write(false)
        if (!this.#isFlushDue && this.#leftOut.size > 0) this.#startFlush('soon')
        else {
          this.#isFlushing = true
          this.#flush()
        }
      })
      return
    }
    if (this.#timer !== undefined) timers.clear(this.#timer)
    this.#timer = undefined
    this.#isFlushing = true
    // After what runs now, which may commit more.
    queueMicrotask(() => {
      this.write(false)
      this.#flush()
    })
  }

  #flush(): void {
    this.#isUrgent = false
    this.#isFlushDue = false
    const committed = this.#committed
    const writes = this.#writes
    const waiting = this.#waiting
    this.#waiting = new Set()
    this.#store.flushed().then(
      () => {
        this.#flushed = committed
        this.#written = writes
        const hasRecovered = this.#failure !== undefined
        this.#failure = undefined
        if (hasRecovered) this.#options.onRecovery()
        this.#settled(waiting)
      },
      (error: Error) => {
        const isNews = this.#failure === undefined
        this.#failure = error
        if (isNews) this.#options.onFailure(error)
        this.#settled(waiting)
      },
    )
  }

  #settled(waiting: ReadonlySet<Pid>): void {
    for (const pid of waiting) this.#options.send(pid, SETTLED)
    this.#isFlushing = false
    // As long as the disc refuses it is asked again: that is how its recovery is noticed.
    if (this.#isUrgent || this.#failure !== undefined) this.#startFlush('now')
    else if (this.#waiting.size + this.#noted.size + this.#leftOut.size > 0) this.#startFlush('soon')
  }
}
