/**
 * What happens to a session that is stored, as the store is to learn it: the session machine notes each change here when it makes it, and the store
 * takes what has been noted when it is about to write (session-store.ts).
 *
 * A change costs one or two small operations, however much the session holds. A message is put down once; what becomes of it
 * later names its number. What is over before it was taken is never written: a message that the client acknowledges meanwhile leaves no trace, and
 * rows are made into bytes when they are taken. This is data and no input or output: the machine stays a function of state, time and event.
 */
import type { StoreOperation } from '../../../mnesia/store/store.ts'
import type { Delivery } from '../delivery.ts'
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

export class Journal {
  readonly clientId: string
  /** The session's name in the store. */
  readonly name: string
  readonly #space: string
  /** Rows of the session itself, in order. */
  #operations: StoreOperation[] | undefined
  // Made when they are needed: there are many sessions of which nothing is under way.
  /** Messages that the store has not taken, by number, in order; undefined for one whose place an identifier has taken. */
  #contents: Map<number, StoredDelivery | undefined> | undefined
  /** Messages that the store took last, and that are not over, by number, in order. */
  #taken: Map<number, unknown> | undefined
  /** The commit with which it took them. */
  #takenWith = 0
  /** Numbers of messages that the store has taken and that are over. */
  #over: number[] | undefined
  /** What has become of identifiers; undefined for one that is free. */
  #identifiers: Map<number, StoredIdentifier | undefined> | undefined
  #received: Map<number, Received | undefined> | undefined
  /** Something has been noted since the last `hasNews`. */
  #hasNews = false
  #passedOn: number[] | undefined
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
   * The number of the first message that is neither over nor on disc, as far as messages of QoS 1 go; Infinity when there is none. `flushed`: the last commit
   * that is on disc.
   */
  firstUnsafe(flushed: number): number {
    const first = this.#takenWith > flushed ? firstOf(this.#taken) : undefined
    return first ?? firstOf(this.#contents) ?? Number.POSITIVE_INFINITY
  }

  /** The store has taken nothing of this message, so a crash leaves nothing of it. */
  isUntaken(number: number): boolean {
    return this.#contents?.has(number) === true
  }

  /**
   * Returns what the store is to write, as one commit, which has the number `commit` or a lower one; of a session that is over, the removals of its
   * subscriptions.
   */
  drain(commit: number): readonly StoreOperation[] {
    const space = this.#space
    const operations = this.#operations ?? []
    this.#operations = undefined
    for (const [number, content] of this.#contents ?? NONE) {
      if (content === undefined) continue
      operations.push({ space, key: contentKey(number), value: deliveryBytes(content.delivery, content.sentAs) })
    }
    for (const number of this.#over ?? NONE) operations.push({ space, key: contentKey(number), value: undefined })
    for (const [messageId, identifier] of this.#identifiers ?? NONE) {
      const value = identifier === undefined ? undefined : identifierBytes(identifier)
      operations.push({ space, key: identifierKey(messageId), value })
    }
    for (const [messageId, received] of this.#received ?? NONE) {
      const value = received === undefined ? undefined : receivedBytes(received.id)
      operations.push({ space, key: receivedKey(messageId), value })
    }
    this.#taken = this.#contents
    this.#takenWith = commit
    this.#forget()
    return operations
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
    this.#hasNews = true
  }

  /** A message of the queue was sent. */
  dequeued(messageId: number, number: number, order: number): void {
    this.#identify(messageId, { phase: 'publish', order, number })
  }

  /** A message of the queue will not be sent. */
  dropped(number: number): void {
    if (this.#contents?.delete(number) === true) return
    this.#taken?.delete(number)
    this.#end(number)
  }

  /** The flow of a message that was in flight is over. */
  acknowledged(messageId: number, { number, order }: InFlight): void {
    this.dropped(number)
    if (order !== number) this.#identify(messageId, undefined)
  }

  /** The client has received a QoS 2 message: PUBREL is due, with a new order. */
  received(messageId: number, number: number, order: number, id: string): void {
    // Whoever published it waits until the identifier is on disc.
    if (this.#contents?.has(number) === true) this.#contents.set(number, undefined)
    else this.#end(number)
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

  /** A message has been given to somebody else, who may not have stored it yet; `messageId` is that with which it was sent out of the queue. */
  passedOn(number: number, messageId: number): void {
    if (messageId > 0) this.#identify(messageId, undefined)
    if (this.#passedOn === undefined) this.#passedOn = [number]
    else this.#passedOn.push(number)
  }

  /** Returns the numbers of the messages that were passed on since the last call; they are `dropped` when others have them. */
  takePassedOn(): readonly number[] {
    const numbers = this.#passedOn
    this.#passedOn = undefined
    return numbers ?? NONE
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
