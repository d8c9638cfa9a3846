/**
 * Which sessions of this node subscribe to what: filter → subscriptions, and session → subscriptions.
 *
 * Only the router changes it; the publish path reads it. There may be millions of filters with one subscriber and there may
 * be one filter with a hundred thousand, so a filter holds its only subscription itself and a list from the second one
 * on; a session's subscriptions are linked through the subscriptions, which costs two pointers and no table. Every change
 * takes constant time, whatever the numbers.
 *
 * A filter is known here by its key (`ParsedFilter.key`), so `a`, `$local/a` and `$share/g/a` are three filters.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Matched, Run } from '../message.ts'
import type { SubscriptionRow } from '../tables.ts'
import type { Receipt } from './receipt.ts'

/** Whether a session can take messages of a shared subscription; `down` from the moment at which the router sees it die. */
export type Availability = 'online' | 'congested' | 'offline' | 'down'

/** A session that has subscribed, for as long as it lives. */
export class Subscriber {
  readonly pid: Pid
  readonly clientId: string
  /** The session outlives its connection. */
  durable: boolean
  availability: Availability = 'online'
  /** Head of the list of its subscriptions. */
  first: Subscription | undefined = undefined
  count = 0
  /** Of one that has come from another node: when, as a place in the order of the ids that this node makes. Said by the session. */
  arrivedAt: string | undefined = undefined
  // Back-pressure (back-pressure.ts); changed by the session itself and by whoever publishes to it.
  /** QoS 1 and 2 messages that are on their way to the session or wait in its queue. */
  backlog = 0
  backlogBytes = 0
  /** The client is there and reads. Said by the session. */
  isTaking = false
  /** Whoever publishes QoS 1 and 2 messages to it is to wait. */
  isPressing = false
  /** It has pressed and taken nothing for too long. */
  isStalled = false
  /** Grows with each acknowledgement of the client. */
  progress = 0
  /** Publishers that wait, in order. */
  waiters: Pid[] | undefined = undefined
  /** It keeps its QoS 1 and 2 messages on disc, so that publishers wait until it has them there. Said by the session. */
  stores = false
  /** Deliveries that it has not taken over yet, in order, with the receipts of their publishers. */
  owed: { readonly message: object; readonly receipt: Receipt }[] | undefined = undefined
  /** Scratch of `PubSub` within one call: what is gathered for this session. */
  pending: Run[] | undefined = undefined
  /** Scratch of `PubSub` within one call: the matching subscriptions so far. */
  folded: Matched | undefined = undefined

  constructor(pid: Pid, clientId: string, durable: boolean) {
    this.pid = pid
    this.clientId = clientId
    this.durable = durable
  }

  /** A delivery has been sent that the session is to take over. */
  owe(message: object, receipt: Receipt): void {
    receipt.expect()
    if (this.owed === undefined) this.owed = [{ message, receipt }]
    else this.owed.push({ message, receipt })
  }

  /** The session has the content of a delivery on disc; without effect when nobody waits for it. */
  taken(message: object): void {
    this.#settle(message)?.taken()
  }

  /** The session has a delivery in memory, and its disc refuses it; without effect when nobody waits for it. */
  refused(message: object): void {
    this.#settle(message)?.failed()
  }

  /** Whoever waits for a delivery waits for others as well, who have got it in place of the session. */
  waitFor(message: object, others: Receipt): void {
    this.owed?.find((each) => each.message === message)?.receipt.join(others)
  }

  #settle(message: object): Receipt | undefined {
    if (this.owed?.[0]?.message !== message) return undefined
    const { receipt } = this.owed.shift()!
    if (this.owed.length === 0) this.owed = undefined
    return receipt
  }

  /** The session is no more, and nobody waits for it. */
  release(): void {
    const owed = this.owed
    this.owed = undefined
    if (owed !== undefined) for (const { receipt } of owed) receipt.taken()
  }
}

/** One subscription of one session. */
export class Subscription {
  readonly subscriber: Subscriber
  readonly key: string
  /** Its options, in the form in which they reach the session with a message; replaced when the session subscribes again. */
  matched: Matched
  previous: Subscription | undefined = undefined
  next: Subscription | undefined = undefined
  /** Place in the list of its filter. */
  index = 0

  constructor(subscriber: Subscriber, key: string, matched: Matched) {
    this.subscriber = subscriber
    this.key = key
    this.matched = matched
  }
}

/** The subscriptions of a filter that has had more than one. */
export class SubscriptionList {
  readonly items: Subscription[] = []
  /** By subscriber, once there are too many to look through. */
  #bySubscriber: Map<Subscriber, Subscription> | undefined
  /** How many of the subscribers are durable. */
  durable = 0

  add(subscription: Subscription): void {
    subscription.index = this.items.push(subscription) - 1
    if (subscription.subscriber.durable) this.durable++
    if (this.#bySubscriber !== undefined) this.#bySubscriber.set(subscription.subscriber, subscription)
    else if (this.items.length > SCANNED) {
      this.#bySubscriber = new Map(this.items.map((each) => [each.subscriber, each]))
    }
  }

  remove(subscription: Subscription): void {
    const last = this.items.pop()!
    if (last !== subscription) {
      this.items[subscription.index] = last
      last.index = subscription.index
    }
    if (subscription.subscriber.durable) this.durable--
    this.#bySubscriber?.delete(subscription.subscriber)
    if (this.items.length * 2 < SCANNED) this.#bySubscriber = undefined
  }

  find(subscriber: Subscriber): Subscription | undefined {
    if (this.#bySubscriber !== undefined) return this.#bySubscriber.get(subscriber)
    for (const item of this.items) if (item.subscriber === subscriber) return item
    return undefined
  }
}

/** A list up to this length is looked through. */
const SCANNED = 16

/** What a filter's route has to say: no subscriber, some, or some that are durable. */
export type Presence = 'none' | 'present' | 'durable'

export class Subscribers {
  /** Those that outlive their connection are on disc, also when they have not said so yet. */
  areStored = false
  readonly #byKey = new Map<string, Subscription | SubscriptionList>()
  readonly #byPid = new Map<string, Subscriber>()
  /** The latest session of each client id. */
  readonly #byClient = new Map<string, Subscriber>()
  #subscriptionCount = 0
  #activeCount = 0
  #version = 0

  /** Grows with every change of a subscription. */
  get version(): number {
    return this.#version
  }

  /** Number of subscriptions. */
  get subscriptionCount(): number {
    return this.#subscriptionCount
  }

  /** Number of sessions that have a subscription. */
  get subscriberCount(): number {
    return this.#activeCount
  }

  /** Number of distinct filters. */
  get filterCount(): number {
    return this.#byKey.size
  }

  /** Number of sessions that are known, those without a subscription included. */
  get knownCount(): number {
    return this.#byPid.size
  }

  /** The subscriptions of a filter: none, the only one, or a list. */
  get(key: string): Subscription | SubscriptionList | undefined {
    return this.#byKey.get(key)
  }

  presence(key: string): Presence {
    const held = this.#byKey.get(key)
    if (held === undefined) return 'none'
    const durable = held instanceof SubscriptionList ? held.durable > 0 : held.subscriber.durable
    return durable ? 'durable' : 'present'
  }

  subscriber(pid: Pid): Subscriber | undefined {
    return this.#byPid.get(pid.key)
  }

  /** The latest session of a client id that has subscribed on this node and is alive. */
  client(clientId: string): Subscriber | undefined {
    return this.#byClient.get(clientId)
  }

  /** Every session that is known. */
  all(): IterableIterator<Subscriber> {
    return this.#byPid.values()
  }

  clients(): IterableIterator<string> {
    return this.#byClient.keys()
  }

  /** Makes a session known that is not yet. */
  admit(pid: Pid, clientId: string, durable: boolean): Subscriber {
    const subscriber = new Subscriber(pid, clientId, durable)
    subscriber.stores = durable && this.areStored
    this.#byPid.set(pid.key, subscriber)
    this.#byClient.set(clientId, subscriber)
    return subscriber
  }

  /** Forgets a session that has no subscriptions left. */
  dismiss(subscriber: Subscriber): void {
    this.#byPid.delete(subscriber.pid.key)
    if (this.#byClient.get(subscriber.clientId) === subscriber) this.#byClient.delete(subscriber.clientId)
  }

  find(subscriber: Subscriber, key: string): Subscription | undefined {
    const held = this.#byKey.get(key)
    if (held instanceof SubscriptionList) return held.find(subscriber)
    return held?.subscriber === subscriber ? held : undefined
  }

  /** Adds a subscription, or gives the one that exists new options [MQTT5-3.8.4-3]. */
  add(subscriber: Subscriber, key: string, matched: Matched): void {
    this.#version++
    const existing = this.find(subscriber, key)
    if (existing !== undefined) {
      existing.matched = matched
      return
    }
    const subscription = new Subscription(subscriber, key, matched)
    this.#attach(subscription)
    const head = subscriber.first
    if (head !== undefined) {
      head.previous = subscription
      subscription.next = head
    }
    subscriber.first = subscription
    if (subscriber.count++ === 0) this.#activeCount++
    this.#subscriptionCount++
  }

  remove(subscription: Subscription): void {
    this.#version++
    this.#detach(subscription)
    const { subscriber, previous, next } = subscription
    if (previous === undefined) subscriber.first = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    if (--subscriber.count === 0) this.#activeCount--
    this.#subscriptionCount--
  }

  /** Changes whether a session outlives its connection; takes time in the number of its subscriptions. */
  setDurable(subscriber: Subscriber, durable: boolean): void {
    if (subscriber.durable === durable) return
    subscriber.durable = durable
    for (let each = subscriber.first; each !== undefined; each = each.next) {
      const held = this.#byKey.get(each.key)
      if (held instanceof SubscriptionList) held.durable += durable ? 1 : -1
    }
  }

  #attach(subscription: Subscription): void {
    const { key } = subscription
    const held = this.#byKey.get(key)
    if (held === undefined) this.#byKey.set(key, subscription)
    else if (held instanceof SubscriptionList) held.add(subscription)
    else {
      const list = new SubscriptionList()
      list.add(held)
      list.add(subscription)
      this.#byKey.set(key, list)
    }
  }

  #detach(subscription: Subscription): void {
    const { key } = subscription
    const held = this.#byKey.get(key)
    if (held instanceof SubscriptionList) {
      held.remove(subscription)
      if (held.items.length === 1) this.#byKey.set(key, held.items[0]!)
    } else this.#byKey.delete(key)
  }
}

/** The subscriptions of a session, as people want to see them, oldest first. */
export function subscriptionRows(subscriber: Subscriber): SubscriptionRow[] {
  const rows: SubscriptionRow[] = []
  for (let each = subscriber.first; each !== undefined; each = each.next) {
    const { qos, noLocal, rap, ids } = each.matched
    rows.push({ clientId: subscriber.clientId, filter: each.key, qos, noLocal, rap, id: ids?.[0] })
  }
  return rows.reverse()
}
