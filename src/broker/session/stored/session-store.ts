/**
 * The sessions of a node on disc: which there are, and what their rows say. What becomes of a session is noted in its journal (journal.ts) and comes to the
 * disc by the writer of all of them (session-writer.ts).
 */
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
import { Journal } from './journal.ts'
import { SessionWriter, type SessionWriterOptions } from './session-writer.ts'

/** Space and key of the first session number that has not been reserved. */
const NUMBERS = { space: 'number', key: 'next' }
/** Numbers that are reserved with one operation. */
const RESERVED_AT_A_TIME = 1000

export interface SessionStoreOptions extends SessionWriterOptions {
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
  /** By which it comes to the disc. */
  readonly writer: SessionWriter
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

  constructor(store: Store, options: SessionStoreOptions) {
    this.#store = store
    this.#options = options
    this.writer = new SessionWriter(store, options)
    const reserved = store.get(NUMBERS.space, NUMBERS.key)
    this.#nextNumber = reserved === undefined ? 1 : Number(Buffer.from(reserved).toString())
    this.#reservedTo = this.#nextNumber
  }

  /** Number of sessions that are stored. */
  get count(): number {
    return this.#journals.size
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
      this.writer.note(journal)
      return
    }
    if (this.#journals.get(journal.clientId) !== journal) return
    this.#journals.delete(journal.clientId)
    this.#removeSession(journal.key, this.writer.end(journal))
    for (const [clientId, commit] of this.#removed) {
      if (!this.writer.isFlushed(commit)) break
      this.#removed.delete(clientId)
    }
    // Behind those that were removed before.
    this.#removed.delete(journal.clientId)
    this.#removed.set(journal.clientId, this.writer.committed)
  }

  /** The commit that has removed an earlier session of a client, as long as that may come back after a crash; else 0. */
  removalOf(clientId: string): number {
    const commit = this.#removed.get(clientId) ?? 0
    return this.writer.isFlushed(commit) ? 0 : commit
  }

  /** The rows of the messages of a session: keys and bytes, which are good until the next step. */
  messages(journal: Journal): IterableIterator<readonly [key: string, value: Uint8Array]> {
    this.writer.press(journal)
    this.writer.write(false)
    return this.#store.entries(messageSpace(journal.name))
  }

  /** Whether the session of a client is stored. */
  has(clientId: string): boolean {
    return this.#journals.has(clientId)
  }

  /** What the row of a stored session says. */
  rowOf(clientId: string): StoredSession | undefined {
    this.writer.write(false)
    const journal = this.#journals.get(clientId)
    const bytes = journal === undefined ? undefined : this.#store.get(SESSIONS, journal.key)
    return bytes === undefined ? undefined : this.#readSession(journal!.key, bytes)
  }

  /** Gives a session up until the node is started again, since nothing can be done with it. Its rows stay until its client begins another. */
  setAside(clientId: string, reason: unknown): void {
    const journal = this.#journals.get(clientId)
    if (journal === undefined) return
    this.#journals.delete(clientId)
    // So that all of it is there to be removed.
    this.writer.press(journal)
    this.writer.write(false)
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
      this.writer.commit(orphans)
      if (session === undefined) {
        this.#putAside(clientId, key)
        continue
      }
      this.#journals.set(clientId, journal)
      yield { journal, session, subscriptions }
    }
    for (; next.done !== true; next = rest.next()) {
      this.writer.commit([{ space: SUBSCRIPTIONS, key: next.value[0], value: undefined }])
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
      this.writer.commit([{ ...NUMBERS, value: Buffer.from(String(this.#reservedTo)) }])
    }
    return number
  }

  /** Removes a session, and with it whatever else is to be removed, as one commit. */
  #removeSession(key: string, others: readonly StoreOperation[]): void {
    const operations: StoreOperation[] = [...others, { space: SESSIONS, key, value: undefined }]
    const space = messageSpace(parseKey(key).name)
    for (const [each] of this.#store.entries(space)) operations.push({ space, key: each, value: undefined })
    this.writer.commit(operations)
  }
}
