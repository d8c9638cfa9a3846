/**
 * What happens to a session that is stored, as the store is to learn it: the session machine notes each change here when it makes it, and the store
 * takes what has been noted when it is about to write (session-store.ts).
 *
 * A change costs one or two small operations, however much the session holds. A message is put down once; what becomes of it
 * later names its number. What is over before it was taken is never written: a message that the client acknowledges meanwhile leaves no trace, and
 * rows are made into bytes when they are taken. This is data and no input or output: the machine stays a function of state, time and event.
 */
import type { StoreOperation } from '../../../mnesia/store/store.ts'
import { keeping, releasing } from '../../group/rows.ts'
import type { Message } from '../../message.ts'
import type { Delivery, Share } from '../delivery.ts'
import type { InFlight } from '../inflight.ts'
import type { SessionState, Subscription } from '../session-state.ts'
import {
  ARRIVING,
  deliveryBytes,
  identifierBytes,
  messageSpace,
  numberName,
  receivedBytes,
  SESSIONS,
  type StoredDelivery,
  type StoredIdentifier,
  SUBSCRIPTIONS,
  sessionBytes,
  subscriptionBytes,
} from './forms.ts'

/** A QoS 2 message of the client, with its id if that is to be kept. */
interface Received {
  readonly id: string | undefined
}

/** A write of the store. */
export interface Write {
  readonly number: number
  /** Number of the last one that is on disc. */
  readonly written: number
  /** On a clock that never goes back, ms. */
  readonly nowMs: number
  /** Nothing is left out. */
  readonly all: boolean
}

/** A client that has acknowledged nothing for so long, ms, is not expected to. */
export const MOVING_MS = 5
/** Messages are left out for at least so long, ms, before they are written although the client acknowledges others, and for twice as long at most. */
const MARK_MS = 20

export class Journal {
  readonly clientId: string
  /** The session's name in the store. */
  readonly name: string
  readonly #space: string
  /** Rows of the session itself, in order. */
  #operations: StoreOperation[] | undefined
  /** What keeps messages for groups, and what ends that, in order; of a session that is over as well. */
  #grouped: StoreOperation[] | undefined
  /** The write with which the store took the last message that was left to a group; Infinity while it has not taken it. */
  #leftWith = 0
  // Made when they are needed: there are many sessions of which nothing is under way.
  /** Messages that the store has not taken, by number, in order. */
  #contents: Map<number, StoredDelivery> | undefined
  /** Messages that the store has taken since the write before the last that is on disc, and that are not over, by number, in order. */
  #taken: Map<number, unknown> | undefined
  /** The write with which it took the last of them. */
  #takenWith = 0
  /** The client has acknowledged something since the last write. */
  #hasMoved = false
  #movedAtMs = Number.NEGATIVE_INFINITY
  /** The last message, as of now, of the last mark, and of the one before. */
  #latest = 0
  #mark = 0
  #formerMark = 0
  #markedAtMs = Number.NEGATIVE_INFINITY
  /** Nothing may be left out of the next write. */
  #isPressing = false
  /** Numbers of messages that the store has taken and that are over. */
  #over: number[] | undefined
  /** What has become of identifiers; undefined for one that is free. */
  #identifiers: Map<number, StoredIdentifier | undefined> | undefined
  /** Identifiers of which the store has a row. */
  #identified: Set<number> | undefined
  #received: Map<number, Received | undefined> | undefined
  /** Something has been noted since the last `hasNews`. */
  #hasNews = false
  #isOver = false

  constructor(number: number, clientId: string) {
    this.clientId = clientId
    this.name = numberName(number)
    this.#space = messageSpace(this.name)
  }

  /** The session is over, or is not to be stored any more: nothing of it is to stay. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Key of the row in `SESSIONS`. */
  get key(): string {
    return `${this.name}/${this.clientId}`
  }

  /** Whether anything has been noted since the last call that the store has to write. */
  hasNews(): boolean {
    const had = this.#hasNews
    this.#hasNews = false
    return had
  }

  /**
   * The number of the first message that is neither over nor on disc, as far as messages of QoS 1 go; Infinity when there is none. `written`: the last write
   * that is on disc. 0 as long as what was left to a group is not on disc.
   */
  firstUnsafe(written: number): number {
    if (this.#leftWith > written) return 0
    const first = this.#takenWith > written ? firstOf(this.#taken) : undefined
    return first ?? firstOf(this.#contents) ?? Number.POSITIVE_INFINITY
  }

  /** The store has taken nothing of this message, so a crash leaves nothing of it. */
  isUntaken(number: number): boolean {
    return this.#contents?.has(number) === true
  }

  /** Something is left that the store has not taken. */
  get hasMore(): boolean {
    return this.#contents !== undefined
  }

  /** These identifiers have rows in the store. */
  found(identifiers: Iterable<number>): void {
    for (const messageId of identifiers) this.#hasRow(messageId)
  }

  /** Has the next write leave nothing out. */
  press(): void {
    this.#isPressing = true
  }

  /**
   * Adds what the store is to write; of a session that is over, the removals of its subscriptions and what it leaves to its groups. Messages of QoS 1 are left out as long
   * as the client acknowledges others, up to 40 ms.
   */
  drain(write: Write, operations: StoreOperation[]): void {
    for (const operation of this.#operations ?? NONE) operations.push(operation)
    this.#operations = undefined
    for (const operation of this.#grouped ?? NONE) operations.push(operation)
    this.#grouped = undefined
    if (this.#leftWith === Number.POSITIVE_INFINITY) this.#leftWith = write.number
    if (this.#takenWith <= write.written) this.#taken = undefined
    if (this.#contents !== undefined) this.#drainContents(this.#contents, write, operations)
    const space = this.#space
    for (const number of this.#over ?? NONE) operations.push({ space, key: contentKey(number), value: undefined })
    this.#over = undefined
    this.#drainIdentifiers(operations)
    for (const [messageId, received] of this.#received ?? NONE) {
      const value = received === undefined ? undefined : receivedBytes(received.id)
      operations.push({ space, key: receivedKey(messageId), value })
    }
    this.#received = undefined
  }

  #drainContents(contents: Map<number, StoredDelivery>, write: Write, operations: StoreOperation[]): void {
    const upTo = this.#mayBeLeftOut(write) ? this.#formerMark : Number.POSITIVE_INFINITY
    for (const [number, content] of contents) {
      if (number > upTo) break
      this.#taken ??= new Map()
      this.#taken.set(number, content)
      this.#takenWith = write.number
      contents.delete(number)
      const value = deliveryBytes(content.delivery, content.sentAs)
      operations.push({ space: this.#space, key: contentKey(number), value })
    }
    if (contents.size === 0) this.#contents = undefined
  }

  #mayBeLeftOut({ nowMs, all }: Write): boolean {
    const isPressing = this.#isPressing
    this.#isPressing = false
    if (this.#hasMoved) this.#movedAtMs = nowMs
    this.#hasMoved = false
    if (nowMs - this.#markedAtMs >= MARK_MS) {
      this.#formerMark = this.#mark
      this.#mark = this.#latest
      this.#markedAtMs = nowMs
    }
    return !all && !isPressing && nowMs - this.#movedAtMs < MOVING_MS
  }

  /** But for those of messages that have been left out. */
  #drainIdentifiers(operations: StoreOperation[]): void {
    const identifiers = this.#identifiers
    if (identifiers === undefined) return
    for (const [messageId, identifier] of identifiers) {
      if (identifier?.phase === 'publish' && this.isUntaken(identifier.number)) continue
      identifiers.delete(messageId)
      let value: Buffer | undefined
      if (identifier === undefined) this.#identified?.delete(messageId)
      else {
        this.#hasRow(messageId)
        value = identifierBytes(identifier)
      }
      operations.push({ space: this.#space, key: identifierKey(messageId), value })
    }
    if (identifiers.size === 0) this.#identifiers = undefined
    if (this.#identified?.size === 0) this.#identified = undefined
  }

  #hasRow(messageId: number): void {
    this.#identified ??= new Set()
    this.#identified.add(messageId)
  }

  /** Expiry, will, connection: the row of the session itself. */
  session({ client, createdAtMs, detachedAtMs, expirySec, will, moved }: SessionState): void {
    this.#put(SESSIONS, this.key, sessionBytes({ client, createdAtMs, detachedAtMs, expirySec, will, moved }))
  }

  /** The session is on its way to this node, and is no session here until it has `arrived`. */
  arriving(): void {
    this.#put(ARRIVING, this.key, NOTHING)
  }

  /** It is one, or never will be. */
  arrived(): void {
    this.#remove(ARRIVING, this.key)
  }

  /** A row of the messages that the session had where it comes from. */
  copied(key: string, value: Uint8Array): void {
    this.#put(this.#space, key, value)
    if (key.startsWith(IDENTIFIER)) this.#hasRow(Number(key.slice(IDENTIFIER.length)))
  }

  /** The session is over, or not to be stored any more; `filterKeys` are those of its subscriptions. */
  ended(filterKeys: Iterable<string>): void {
    this.#operations = this.#operations?.filter(({ value }) => value === undefined)
    this.#forget()
    this.#taken = undefined
    for (const filterKey of filterKeys) this.unsubscribed(filterKey)
    this.#isOver = true
  }

  subscribed(subscription: Subscription): void {
    this.#put(SUBSCRIPTIONS, this.#subscriptionKey(subscription.filter.key), subscriptionBytes(subscription))
  }

  unsubscribed(filterKey: string): void {
    this.#remove(SUBSCRIPTIONS, this.#subscriptionKey(filterKey))
  }

  // To the client

  /** A message waits in the queue. */
  queued(delivery: Delivery): void {
    this.sent(delivery, 0)
  }

  /** A message was sent without having waited. */
  sent(delivery: Delivery, messageId: number): void {
    if (this.#isOver) return
    this.#contents ??= new Map()
    this.#contents.set(delivery.number, { delivery, sentAs: messageId })
    this.#latest = delivery.number
    // Its client gets it when it is on disc.
    if (delivery.qos === 2 || delivery.message.qos === 2) this.#isPressing = true
    this.#hasNews = true
  }

  /** A message of the queue was sent. */
  dequeued(messageId: number, number: number, order: number): void {
    this.#identify(messageId, { phase: 'publish', order, number })
  }

  /** A message of the queue will not be sent. */
  dropped(number: number): void {
    if (this.#contents?.delete(number) === true) {
      if (this.#contents.size === 0) this.#contents = undefined
      return
    }
    this.#taken?.delete(number)
    this.#end(number)
  }

  /** The flow of a message that was in flight is over. */
  acknowledged(messageId: number, { number, order }: InFlight): void {
    this.#hasMoved = true
    this.dropped(number)
    if (order !== number) this.#identify(messageId, undefined)
  }

  /** The client has received a QoS 2 message: PUBREL is due, with a new order. */
  received(messageId: number, number: number, order: number, id: string): void {
    this.dropped(number)
    this.#identify(messageId, { phase: 'pubrel', order, messageId: id })
  }

  /** The exchange of a QoS 2 message is complete; its id is kept. */
  completed(messageId: number, order: number, id: string): void {
    this.#identify(messageId, { phase: 'done', order, messageId: id })
  }

  /** The id of a message that was completed is not kept any longer. */
  forgotten(messageId: number): void {
    this.#identify(messageId, undefined)
  }

  // Groups

  /** A message is for other members of a group from now on. */
  left(share: Share, message: Message, atMs: number): void {
    this.#noteGrouped(keeping(share, { message, keptAtMs: atMs }))
    this.#leftWith = Number.POSITIVE_INFINITY
  }

  /** What was kept for a group has come to the session. */
  taken(share: Share, id: string): void {
    this.#noteGrouped(releasing(share, id))
    // It goes with the commit by which the session has the message.
    this.#isPressing = true
  }

  #noteGrouped(operation: StoreOperation): void {
    if (this.#grouped === undefined) this.#grouped = [operation]
    else this.#grouped.push(operation)
    this.#hasNews = true
  }

  // From the client

  /** A QoS 2 message of the client with this id is about to be published. */
  publishing(messageId: number, id: string): void {
    this.#receive(messageId, { id })
  }

  /** It is taken over by all who get it, or is not to be published. */
  published(messageId: number): void {
    this.#receive(messageId, { id: undefined })
  }

  /** Its identifier is free again. */
  released(messageId: number): void {
    this.#receive(messageId, undefined)
  }

  /** What is on disc of a message is to go. */
  #end(number: number): void {
    if (this.#isOver) return
    if (this.#over === undefined) this.#over = [number]
    else this.#over.push(number)
    this.#hasNews = true
  }

  #identify(messageId: number, identifier: StoredIdentifier | undefined): void {
    if (this.#isOver) return
    if (identifier === undefined && this.#identified?.has(messageId) !== true) {
      // It leaves no trace.
      this.#identifiers?.delete(messageId)
      return
    }
    this.#identifiers ??= new Map()
    this.#identifiers.set(messageId, identifier)
    this.#hasNews = true
  }

  #receive(messageId: number, received: Received | undefined): void {
    if (this.#isOver) return
    this.#received ??= new Map()
    this.#received.set(messageId, received)
    this.#hasNews = true
  }

  #subscriptionKey(filterKey: string): string {
    return `${this.name}/${filterKey}`
  }

  #put(space: string, key: string, value: Uint8Array): void {
    this.#note({ space, key, value })
  }

  #remove(space: string, key: string): void {
    this.#note({ space, key, value: undefined })
  }

  #forget(): void {
    this.#contents = undefined
    this.#over = undefined
    this.#identifiers = undefined
    this.#received = undefined
  }

  #note(operation: StoreOperation): void {
    if (this.#isOver) return
    if (this.#operations === undefined) this.#operations = [operation]
    else this.#operations.push(operation)
    this.#hasNews = true
  }
}

const NOTHING = new Uint8Array(0)
const NONE: readonly never[] = []

function firstOf(contents: ReadonlyMap<number, unknown> | undefined): number | undefined {
  return contents?.keys().next().value
}

/** Keys in the space of a session's messages; contents.ts reads them. */
export const CONTENT = 'm'
export const IDENTIFIER = 'i'
export const RECEIVED = 'r'

function contentKey(number: number): string {
  return CONTENT + number
}

function identifierKey(messageId: number): string {
  return IDENTIFIER + messageId
}

function receivedKey(messageId: number): string {
  return RECEIVED + messageId
}
