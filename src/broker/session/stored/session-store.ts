/**
 * The sessions of a node on disc: what the processes of stored sessions share.
 *
 *     session ─ commit(journal) ─▶ group with all other sessions' commits ─▶ disc ─ SETTLED ─▶ sessions that wait for it
 *
 * A commit is in memory at once; who must not say something before it is on disc asks for `SETTLED`, the message that comes when
 * the disc has taken, or refused, all that had been committed when it was asked for. One flush is under way at a time and all that
 * is committed meanwhile goes with the next, so a message more costs no flush more.
 *
 * A disc that refuses: the store keeps what it could not write, in memory, and tries again; the sessions go on (`isFailing`), whoever
 * is in charge is told, and publishers are told the truth by the sessions. When the disc has taken all that waited, that is told too.
 */
import type { Pid } from '../../../actors/pid.ts'
import type { System, TimerHandle } from '../../../actors/system.ts'
import { Damaged } from '../../../mnesia/binary.ts'
import type { Store, StoreOperation } from '../../../mnesia/store/store.ts'
import type { Subscription } from '../session-state.ts'
import {
  ARRIVING,
  messageSpace,
  parseKey,
  readSession,
  readSubscription,
  SESSIONS,
  type StoredSession,
  SUBSCRIPTIONS,
} from './forms.ts'
import { Journal, MOVING_MS, type Write } from './journal.ts'

/** The message to a session that has asked for it: look at `isSettled` again. */
export const SETTLED = { tag: 'settled' } as const

/** Space and key of the first session number that has not been reserved. */
const NUMBERS = { space: 'number', key: 'next' }
/** Numbers that are reserved with one operation. */
const RESERVED_AT_A_TIME = 1000

/**
 * What waits for the disc `soon` waits this long, ms, since the client may acknowledge it first. A flush takes as long or longer, and whatever is
 * acknowledged before it begins is never written.
 */
const SOON_MS = 2

/** Journals that have noted something, above which the store takes it at once: one commit of all of them would be very large. */
const MOST_NOTED = 1000

/** How urgent it is that something is on disc. */
export type Haste = 'now' | 'soon'

export interface SessionStoreOptions {
  readonly clock: Pick<System['clock'], 'monotonic'>
  readonly timers: System['timers']
  readonly send: (to: Pid, message: typeof SETTLED) => void
  /** The disc refuses; it is tried again. Not called again before `onRecovery`. */
  readonly onFailure: (error: Error) => void
  /** All that waited is on disc. */
  readonly onRecovery: () => void
  /** A row cannot be read and is left where it is. */
  readonly onUnreadable: (unreadable: UnreadableRow) => void
}

/** A row that this version cannot read, and is left as it is. */
export interface UnreadableRow {
  /** Of the session that it belongs to. */
  readonly clientId: string
  readonly space: string
  readonly key: string
  readonly reason: string
}

/** A session as it was found: its messages are read later, when they are needed. */
export interface FoundSession {
  readonly journal: Journal
  readonly session: StoredSession
  readonly subscriptions: readonly Subscription[]
}

export class SessionStore {
  readonly #store: Store
  readonly #options: SessionStoreOptions
  /** Of the sessions that are stored, by client id. */
  readonly #journals = new Map<string, Journal>()
  /** Keys in `SESSIONS` of sessions that this version cannot read, by client id. */
  readonly #setAside = new Map<string, string[]>()
  /** Client ids whose session has been removed by a commit of this number, which may not be on disc yet; in the order of numbers. */
  readonly #removed = new Map<string, number>()
  #nextNumber: number
  #reservedTo: number
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

  constructor(store: Store, options: SessionStoreOptions) {
    this.#store = store
    this.#options = options
    const reserved = store.get(NUMBERS.space, NUMBERS.key)
    this.#nextNumber = reserved === undefined ? 1 : Number(Buffer.from(reserved).toString())
    this.#reservedTo = this.#nextNumber
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

  /** Number of sessions that are stored. */
  get count(): number {
    return this.#journals.size
  }

  /** Whether all commits up to this number are on disc, but for messages of QoS 1 that were left out: of these the journal knows. */
  isFlushed(commit: number): boolean {
    return commit <= this.#flushed
  }

  /** Whether nobody has to wait for this commit any more. */
  isSettled(commit: number): boolean {
    return commit <= this.#flushed || this.#failure !== undefined
  }

  /** Begins to store the session of a client, of which none is stored. */
  begin(clientId: string): Journal {
    for (const key of this.#setAside.get(clientId) ?? []) this.#removeSession(key, [])
    this.#setAside.delete(clientId)
    const journal = new Journal(this.#number(), clientId)
    this.#journals.set(clientId, journal)
    return journal
  }

  /** Sees to what a journal has noted since the last time; the store takes it when it is about to write. */
  commit(journal: Journal): void {
    if (!journal.isOver) {
      if (!journal.hasNews()) return
      this.#committed += 1
      this.#noted.add(journal)
      if (this.#noted.size > MOST_NOTED) this.write(false)
      this.#startFlush('soon')
      return
    }
    if (this.#journals.get(journal.clientId) !== journal) return
    this.#journals.delete(journal.clientId)
    this.#noted.delete(journal)
    this.#leftOut.delete(journal)
    // In their order.
    this.write(false)
    const operations: StoreOperation[] = []
    journal.drain(this.#nextWrite(true), operations)
    this.#removeSession(journal.key, operations)
    // Behind those that were removed before.
    this.#removed.delete(journal.clientId)
    this.#removed.set(journal.clientId, this.#committed)
  }

  /** The commit that has removed an earlier session of a client, as long as that may come back after a crash; else 0. */
  removalOf(clientId: string): number {
    return this.#removed.get(clientId) ?? 0
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

  /** The rows of the messages of a session: keys and bytes, which are good until the next step. */
  messages(journal: Journal): IterableIterator<readonly [key: string, value: Uint8Array]> {
    this.press(journal)
    this.write(false)
    return this.#store.entries(messageSpace(journal.name))
  }

  /** Whether the session of a client is stored. */
  has(clientId: string): boolean {
    return this.#journals.has(clientId)
  }

  /** What the row of a stored session says. */
  rowOf(clientId: string): StoredSession | undefined {
    this.write(false)
    const journal = this.#journals.get(clientId)
    const bytes = journal === undefined ? undefined : this.#store.get(SESSIONS, journal.key)
    return bytes === undefined ? undefined : this.#readSession(journal!.key, bytes)
  }

  /** Gives a session up until the node is started again, since nothing can be done with it. Its rows stay until its client begins another. */
  setAside(clientId: string, reason: unknown): void {
    const journal = this.#journals.get(clientId)
    if (journal === undefined) return
    this.#journals.delete(clientId)
    this.#putAside(clientId, journal.key)
    this.#options.onUnreadable({
      clientId,
      space: SESSIONS,
      key: journal.key,
      reason: `its process crashed: ${reason}`,
    })
  }

  #putAside(clientId: string, key: string): void {
    const keys = this.#setAside.get(clientId)
    if (keys === undefined) this.#setAside.set(clientId, [key])
    else keys.push(key)
  }

  /** The session of a client whose process has ended without ending the session. */
  find(clientId: string): FoundSession | undefined {
    const journal = this.#journals.get(clientId)
    if (journal === undefined) return undefined
    const session = this.rowOf(clientId)
    if (session === undefined) {
      this.#journals.delete(clientId)
      return undefined
    }
    const subscriptions: Subscription[] = []
    for (const [key, value] of this.#store.entries(SUBSCRIPTIONS)) {
      if (parseKey(key).name === journal.name) this.#readSubscription(journal, key, value, subscriptions)
    }
    return { journal, session, subscriptions }
  }

  /**
   * All stored sessions, for a start. Those that cannot be read are told to `onUnreadable` and stay as they are until their
   * client begins another session.
   */
  *sessions(): IterableIterator<FoundSession> {
    this.#removeArriving()
    const rest = this.#store.entries(SUBSCRIPTIONS)
    let next = rest.next()
    for (const [key, value] of this.#store.entries(SESSIONS)) {
      const { name, number, rest: clientId } = parseKey(key)
      const session = this.#readSession(key, value)
      const journal = new Journal(number, clientId)
      const subscriptions: Subscription[] = []
      const orphans: StoreOperation[] = []
      for (; next.done !== true && parseKey(next.value[0]).name <= name; next = rest.next()) {
        const [filterKey, options] = next.value
        if (parseKey(filterKey).name < name) orphans.push({ space: SUBSCRIPTIONS, key: filterKey, value: undefined })
        else if (session !== undefined) this.#readSubscription(journal, filterKey, options, subscriptions)
      }
      this.#commit(orphans)
      if (session === undefined) {
        this.#putAside(clientId, key)
        continue
      }
      this.#journals.set(clientId, journal)
      yield { journal, session, subscriptions }
    }
    for (; next.done !== true; next = rest.next()) {
      this.#commit([{ space: SUBSCRIPTIONS, key: next.value[0], value: undefined }])
    }
  }

  /** What a former run of the node has of sessions that had not come to it yet is theirs still where they were. */
  #removeArriving(): void {
    for (const key of [...this.#store.entries(ARRIVING)].map(([key]) => key)) {
      this.#removeSession(key, [{ space: ARRIVING, key, value: undefined }])
    }
  }

  #readSession(key: string, bytes: Uint8Array): StoredSession | undefined {
    const { rest: clientId } = parseKey(key)
    try {
      return readSession(clientId, bytes)
    } catch (error) {
      this.unreadable(clientId, SESSIONS, key, error)
      return undefined
    }
  }

  #readSubscription(journal: Journal, key: string, bytes: Uint8Array, into: Subscription[]): void {
    try {
      into.push(readSubscription(parseKey(key).rest, bytes))
    } catch (error) {
      this.unreadable(journal.clientId, SUBSCRIPTIONS, key, error)
    }
  }

  /** A row of a session could not be read. Throws what is no fault of the bytes. */
  unreadable(clientId: string, space: string, key: string, error: unknown): void {
    if (!(error instanceof Damaged)) throw error
    this.#options.onUnreadable({ clientId, space, key, reason: error.reason })
  }

  #number(): number {
    const number = this.#nextNumber
    this.#nextNumber += 1
    if (number >= this.#reservedTo) {
      this.#reservedTo = number + RESERVED_AT_A_TIME
      this.#commit([{ ...NUMBERS, value: Buffer.from(String(this.#reservedTo)) }])
    }
    return number
  }

  /** Removes a session, and with it whatever else is to be removed, as one commit. */
  #removeSession(key: string, others: readonly StoreOperation[]): void {
    const operations: StoreOperation[] = [...others, { space: SESSIONS, key, value: undefined }]
    const space = messageSpace(parseKey(key).name)
    for (const [each] of this.#store.entries(space)) operations.push({ space, key: each, value: undefined })
    this.#commit(operations)
  }

  #commit(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) return
    this.#committed += 1
    this.#store.commit(operations)
    this.#isFlushDue = true
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
        for (const [clientId, commit] of this.#removed) {
          if (commit > committed) break
          this.#removed.delete(clientId)
        }
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
