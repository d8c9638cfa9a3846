/**
 * What happens to a session that is stored, as the store is to learn it: the session machine notes each change here when it makes it, and
 * the session process hands what one event has brought about to the store, as one commit, before it performs the event's effects.
 *
 * A change costs one or two small operations, however much the session holds. A message is put down once; what becomes of it
 * later names its number. This is data and no input or output: the machine stays a function of state, time and event.
 */
import type { StoreOperation } from '../../../mnesia/store/store.ts'
import { keeping, releasing } from '../../group/rows.ts'
import type { Message } from '../../message.ts'
import type { OutPublish } from '../../process-messages.ts'
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
  SUBSCRIPTIONS,
  sessionBytes,
  subscriptionBytes,
} from './forms.ts'

export class Journal {
  readonly clientId: string
  /** The session's name in the store. */
  readonly name: string
  readonly #space: string
  #operations: StoreOperation[] = []
  /** What keeps messages for groups, of a session that is over as well. */
  #left: StoreOperation[] = []
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

  /** Returns the operations since the last call, in order; of a session that is over, the removals of its subscriptions and what it leaves to its groups. */
  drain(): readonly StoreOperation[] {
    const operations = this.#left.length === 0 ? this.#operations : [...this.#operations, ...this.#left]
    if (operations.length > 0) this.#operations = []
    if (this.#left.length > 0) this.#left = []
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
    this.#operations = this.#operations.filter(({ value }) => value === undefined)
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
    this.#put(this.#space, contentKey(delivery.number), deliveryBytes(delivery, 0))
  }

  /** A message was sent without having waited. */
  sent(number: number, { message, qos, retain, ids, messageId }: OutPublish, share: Share | undefined): void {
    const delivery = { number, message, qos, retain, ids, share }
    this.#put(this.#space, contentKey(number), deliveryBytes(delivery, messageId))
  }

  /** A message of the queue was sent. */
  dequeued(messageId: number, number: number, order: number): void {
    this.#put(this.#space, identifierKey(messageId), identifierBytes({ phase: 'publish', order, number }))
  }

  /** A message of the queue will not be sent. */
  dropped(number: number): void {
    this.#remove(this.#space, contentKey(number))
  }

  /** The flow of a message that was in flight is over. */
  acknowledged(messageId: number, { number, order }: InFlight): void {
    this.#remove(this.#space, contentKey(number))
    if (order !== number) this.#remove(this.#space, identifierKey(messageId))
  }

  /** The client has received a QoS 2 message: PUBREL is due, with a new order. */
  received(messageId: number, number: number, order: number, id: string): void {
    this.#remove(this.#space, contentKey(number))
    this.#put(this.#space, identifierKey(messageId), identifierBytes({ phase: 'pubrel', order, messageId: id }))
  }

  /** The exchange of a QoS 2 message is complete; its id is kept. */
  completed(messageId: number, order: number, id: string): void {
    this.#put(this.#space, identifierKey(messageId), identifierBytes({ phase: 'done', order, messageId: id }))
  }

  /** The id of a message that was completed is not kept any longer. */
  forgotten(messageId: number): void {
    this.#remove(this.#space, identifierKey(messageId))
  }

  // Groups

  /** A message is for other members of a group from now on. */
  left(share: Share, message: Message, atMs: number): void {
    this.#left.push(keeping(share, { message, keptAtMs: atMs }))
  }

  /** What was kept for a group has come to the session. */
  taken(share: Share, id: string): void {
    this.#operations.push(releasing(share, id))
  }

  // From the client

  /** A QoS 2 message of the client with this id is about to be published. */
  publishing(messageId: number, id: string): void {
    this.#put(this.#space, receivedKey(messageId), receivedBytes(id))
  }

  /** It is taken over by all who get it, or is not to be published. */
  published(messageId: number): void {
    this.#put(this.#space, receivedKey(messageId), receivedBytes(undefined))
  }

  /** Its identifier is free again. */
  released(messageId: number): void {
    this.#remove(this.#space, receivedKey(messageId))
  }

  #subscriptionKey(filterKey: string): string {
    return `${this.name}/${filterKey}`
  }

  #put(space: string, key: string, value: Uint8Array): void {
    if (!this.#isOver) this.#operations.push({ space, key, value })
  }

  #remove(space: string, key: string): void {
    if (!this.#isOver) this.#operations.push({ space, key, value: undefined })
  }
}

const NOTHING = new Uint8Array(0)

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
