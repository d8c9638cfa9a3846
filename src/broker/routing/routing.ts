/**
 * The routing state of a node: its route tables with their indexes, and the local subscribers behind them.
 *
 * The router processes are its only writers (`subscribe`, `unsubscribe`, `drop`, `flush`), the publish path and the
 * lookups its readers. A change of a subscriber acts at once; what it means for the route tables is noted and written by
 * `flush` as one list, so a filter that comes and goes between two flushes costs other nodes nothing. Only the first
 * and the last subscriber of a filter on this node make a difference there, and whether any of them is durable.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Table, TableOperation, Tables, WriteOptions, WriteOutcome } from '../../mnesia/table.ts'
import type { Matched } from '../message.ts'
import type { QoS } from '../packet.ts'
import { BackPressure, type BackPressureLimits, NO_BACK_PRESSURE } from '../session/back-pressure.ts'
import type { Share } from '../session/delivery.ts'
import {
  DURABLE_ROUTE,
  type DurableRouteRow,
  LOCAL_ROUTE,
  LOCAL_SHARED_SUBSCRIPTION,
  ROUTE,
  type RouteRow,
  SHARED_SUBSCRIPTION,
  type SharedMemberRow,
} from '../tables.ts'
import { matchedOf } from './matched.ts'
import { ParkedRoutes } from './parked-routes.ts'
import { RouteIndex } from './route-index.ts'
import { type Availability, type Presence, type Subscriber, Subscribers, type Subscription } from './subscribers.ts'
import { SubscriptionTable } from './subscription-table.ts'
import { filterKey, type ParsedFilter, partsOf } from './topic.ts'

/** One subscription that a session asks for. */
export interface SubscribeRequest {
  readonly filter: ParsedFilter
  readonly qos: QoS
  readonly noLocal: boolean
  /** Retain as published. */
  readonly rap: boolean
  /** Subscription identifier. */
  readonly id: number | undefined
}

/** A number and the greatest that it has been. */
export interface Gauge {
  readonly count: number
  readonly max: number
}

/** What features.md calls stats, as far as routing knows them. */
export interface RoutingStats {
  /** Distinct filters that are routed, of all nodes. */
  readonly topics: Gauge
  /** Routes: pairs of filter and node. */
  readonly routes: Gauge
  /** Sessions of this node that have a subscription. */
  readonly subscribers: Gauge
  /** Subscriptions of this node. */
  readonly subscriptions: Gauge
}

/** A filter and the nodes that subscribe it. */
export interface RouteListing {
  readonly filter: string
  /** Sorted, each once. */
  readonly nodes: readonly string[]
}

/** What must be written of an index: plain routes and routes of groups, by filter, and member rows in order. */
class Unwritten {
  readonly plain = new Set<string>()
  readonly group = new Set<string>()
  /** Those of either kind, in the spelling of the table of durable routes. */
  readonly durable = new Set<string>()
  members: TableOperation<SharedMemberRow>[] = []
}

/** Rows that are removed in one batch. */
const FORGET_SIZE = 1000

const STAT_NAMES = ['topics', 'routes', 'subscribers', 'subscriptions'] as const

export class Routing {
  /** Name of this node, as it stands in route rows. */
  readonly node: string
  readonly subscribers = new Subscribers()
  /** Which subscribers hold up who publishes to them. */
  readonly pressure: BackPressure
  /** Client id → subscriptions on this node: `subscriptions list` and `show` of ctl. */
  readonly subscriptions = new SubscriptionTable(this.subscribers)
  /** Routes of all nodes. */
  readonly global: RouteIndex
  /** Routes of `$local/…` subscriptions. */
  readonly local: RouteIndex
  /** Routes of members that are away. */
  readonly parked: ParkedRoutes
  readonly #durable: Table<DurableRouteRow>
  readonly #unwritten = { global: new Unwritten(), local: new Unwritten() }
  #isFrozen = false
  readonly #listeners: ((filter: string) => void)[] = []
  readonly #max = { topics: 0, routes: 0, subscribers: 0, subscriptions: 0 }

  constructor(node: string, tables: Tables, pressure: BackPressureLimits = NO_BACK_PRESSURE) {
    this.node = node
    this.pressure = new BackPressure(pressure)
    const changed = (filter: string) => this.#changed(filter)
    this.global = new RouteIndex(tables.open(ROUTE), tables.open(SHARED_SUBSCRIPTION), this.subscribers, changed)
    this.#durable = tables.open(DURABLE_ROUTE)
    this.parked = new ParkedRoutes(this.#durable, () => changed('#'))
    this.local = new RouteIndex(
      tables.open(LOCAL_ROUTE),
      tables.open(LOCAL_SHARED_SUBSCRIPTION),
      this.subscribers,
      changed,
      true,
    )
  }

  /** Calls `listener` with each filter (without prefixes) whose destinations have changed. */
  onChange(listener: (filter: string) => void): void {
    this.#listeners.push(listener)
  }

  /** True when `flush` has something to write. */
  get isDirty(): boolean {
    return isDirty(this.#unwritten.global) || isDirty(this.#unwritten.local)
  }

  /** The record of a session, made when it is not known yet; tells through `isNew` whether it was. */
  admit(pid: Pid, clientId: string, durable: boolean): { subscriber: Subscriber; isNew: boolean } {
    const known = this.subscribers.subscriber(pid)
    if (known === undefined) return { subscriber: this.subscribers.admit(pid, clientId, durable), isNew: true }
    this.setDurable(known, durable)
    return { subscriber: known, isNew: false }
  }

  /** Adds a subscription, or gives an existing one new options. */
  subscribe(subscriber: Subscriber, request: SubscribeRequest): void {
    const { key, filter, group, local } = request.filter
    const before = this.subscribers.presence(key)
    this.subscribers.add(subscriber, key, matchedOf(request.qos, request.noLocal, request.rap, request.id))
    const unwritten = local ? this.#unwritten.local : this.#unwritten.global
    if (group !== undefined) {
      const { qos, rap, id } = request
      const options = { qos, rap, ids: id === undefined ? undefined : [id] }
      unwritten.members.push({ op: 'write', row: memberRow(subscriber, filter, group, options) })
    }
    this.#note(request.filter, before)
  }

  /** Removes a subscription. Returns false when there was none. */
  unsubscribe(subscriber: Subscriber, filter: ParsedFilter): boolean {
    const subscription = this.subscribers.find(subscriber, filter.key)
    if (subscription === undefined) return false
    this.#remove(subscription, filter)
    return true
  }

  /**
   * Removes up to `max` subscriptions of a session that has died, and its record with the last of them.
   * Returns true when that is done.
   */
  drop(subscriber: Subscriber, max: number): boolean {
    subscriber.availability = 'down'
    subscriber.release()
    this.pressure.forget(subscriber)
    for (let i = 0; i < max && subscriber.first !== undefined; i++) {
      this.#remove(subscriber.first, partsOf(subscriber.first.key))
    }
    if (subscriber.first !== undefined) return false
    this.subscribers.dismiss(subscriber)
    return true
  }

  /** Notes that a session does or does not outlive its connection any more. Takes time in the number of its subscriptions. */
  setDurable(subscriber: Subscriber, durable: boolean): void {
    if (subscriber.durable === durable) return
    const before = new Map<Subscription, Presence>()
    for (let each = subscriber.first; each !== undefined; each = each.next) {
      before.set(each, this.subscribers.presence(each.key))
    }
    this.subscribers.setDurable(subscriber, durable)
    for (const [{ key, matched }, presence] of before) {
      const parsed = partsOf(key)
      this.#writeMember(subscriber, parsed, matched)
      this.#note(parsed, presence)
    }
  }

  /** Notes whether a session can take messages of its groups: what other nodes know of that is whether its client is there. */
  setAvailability(subscriber: Subscriber, availability: Exclude<Availability, 'down'>): void {
    const wasOnline = isOnline(subscriber)
    subscriber.availability = availability
    if (isOnline(subscriber) === wasOnline) return
    for (let each = subscriber.first; each !== undefined; each = each.next) {
      this.#writeMember(subscriber, partsOf(each.key), each.matched)
    }
  }

  /**
   * Leaves the routes as they are from now on: the node stops, its lasting sessions are on its disc, and what is published to them is to be kept by
   * the other members until it is back.
   */
  freeze(): void {
    this.#isFrozen = true
  }

  /**
   * Removes the durable routes that an earlier run of this node has left on the disc and no session has any more. To be called when all
   * sessions that are stored here have subscribed again.
   */
  forgetFormer(): void {
    const operations: TableOperation<DurableRouteRow>[] = []
    for (const row of this.#durable.rowsOf(this.node)) {
      if (this.subscribers.presence(row.filter) !== 'durable') operations.push({ op: 'delete_object', row })
    }
    for (let i = 0; i < operations.length; i += FORGET_SIZE) {
      void this.#durable.batch(operations.slice(i, i + FORGET_SIZE), {})
    }
  }

  /** Writes to the tables what has changed. Returns undefined when that is complete, else what to wait for. */
  flush(options: WriteOptions): Promise<readonly WriteOutcome[]> | undefined {
    if (this.#isFrozen) return undefined
    const waits: Promise<WriteOutcome>[] = []
    this.#flushIndex(this.#unwritten.global, this.global, false, options, waits)
    this.#flushIndex(this.#unwritten.local, this.local, true, options, waits)
    // What was written before may not have reached a member that has just been linked.
    const earlier = waits.length === 0 ? this.global.routes.batch([], options) : undefined
    if (earlier !== undefined) waits.push(earlier)
    this.#updateMax()
    return waits.length === 0 ? undefined : Promise.all(waits)
  }

  /** The routes by filter, in no order: `routes list` of ctl. */
  *routes(): IterableIterator<RouteListing> {
    for (const filter of this.global.routes.keys()) yield this.#listing(filter)
  }

  /** The route of one filter, exactly as it is written; undefined when nobody subscribes it: `routes show` of ctl. */
  route(filter: string): RouteListing | undefined {
    return this.global.routes.has(filter) ? this.#listing(filter) : undefined
  }

  stats(): RoutingStats {
    const counts = this.#updateMax()
    const gauge = (name: (typeof STAT_NAMES)[number]): Gauge => ({ count: counts[name], max: this.#max[name] })
    return {
      topics: gauge('topics'),
      routes: gauge('routes'),
      subscribers: gauge('subscribers'),
      subscriptions: gauge('subscriptions'),
    }
  }

  /** The other nodes, be they here or away, on which a member of a group outlives its connection. */
  awaitedOn({ group, filter }: Share): string[] {
    const key = filterKey(filter, group, false)
    const rows = [...this.#durable.read(key), ...this.#durable.readParked(key)]
    return rows.map(({ node }) => node).filter((node) => node !== this.node)
  }

  /** Calls `listener` when a group may have another member, or none any more who outlives its connection; returns what ends that. */
  onMembers(listener: () => void): () => void {
    const tables = [this.global.members, this.local.members, this.#durable]
    const ends = tables.map((table) => (table as Table<SharedMemberRow | DurableRouteRow>).subscribe(listener))
    return () => {
      for (const end of ends) end()
    }
  }

  /** Stops following the tables. */
  close(): void {
    this.global.close()
    this.parked.close()
    this.local.close()
  }

  #changed(filter: string): void {
    for (const listener of this.#listeners) listener(filter)
  }

  /** Writes the row of a subscription anew if it is shared. */
  #writeMember(subscriber: Subscriber, filter: ParsedFilter, matched: MemberOptions): void {
    if (filter.group === undefined) return
    const row = memberRow(subscriber, filter.filter, filter.group, matched)
    this.#unwrittenOf(filter).members.push({ op: 'write', row })
  }

  #unwrittenOf({ local }: ParsedFilter): Unwritten {
    return local ? this.#unwritten.local : this.#unwritten.global
  }

  #remove(subscription: Subscription, filter: ParsedFilter): void {
    const before = this.subscribers.presence(filter.key)
    this.subscribers.remove(subscription)
    if (filter.group !== undefined) {
      const row = memberRow(subscription.subscriber, filter.filter, filter.group, subscription.matched)
      this.#unwrittenOf(filter).members.push({ op: 'delete_object', row })
    }
    this.#note(filter, before)
  }

  /** After a change of a filter's subscribers: the publish path must look again, and maybe the route must be written. */
  #note(filter: ParsedFilter, before: Presence): void {
    if (filter.group === undefined) this.#changed(filter.filter)
    if (this.subscribers.presence(filter.key) === before) return
    const unwritten = this.#unwrittenOf(filter)
    if (filter.group === undefined) unwritten.plain.add(filter.filter)
    else unwritten.group.add(filter.filter)
    if (!filter.local) unwritten.durable.add(filter.key)
  }

  #flushIndex(
    unwritten: Unwritten,
    index: RouteIndex,
    local: boolean,
    options: WriteOptions,
    waits: Promise<WriteOutcome>[],
  ): void {
    if (unwritten.members.length > 0) {
      const wait = index.members.batch(unwritten.members, options)
      if (wait !== undefined) waits.push(wait)
      unwritten.members = []
    }
    if (unwritten.plain.size + unwritten.group.size === 0) return
    const operations: TableOperation<RouteRow>[] = []
    const durable: TableOperation<DurableRouteRow>[] = []
    for (const filter of unwritten.plain) {
      const presence = this.subscribers.presence(filterKey(filter, undefined, local))
      this.#align(index, filter, false, presence, operations)
    }
    for (const filter of unwritten.group) {
      this.#align(index, filter, true, this.#groupPresence(index, filter, local), operations)
    }
    for (const key of unwritten.durable) {
      this.#alignDurable(key, this.subscribers.presence(key) === 'durable', durable)
    }
    unwritten.plain.clear()
    unwritten.group.clear()
    unwritten.durable.clear()
    const written = [
      durable.length > 0 ? this.#durable.batch(durable, options) : undefined,
      operations.length > 0 ? index.routes.batch(operations, options) : undefined,
    ]
    for (const wait of written) if (wait !== undefined) waits.push(wait)
  }

  #groupPresence(index: RouteIndex, filter: string, local: boolean): Presence {
    let presence: Presence = 'none'
    for (const group of index.groups.of(filter).keys()) {
      const own = this.subscribers.presence(filterKey(filter, group, local))
      if (own === 'durable') return own
      if (own === 'present') presence = own
    }
    return presence
  }

  /** Adds the operations that make this node's route of a filter what it should be. */
  #align(
    index: RouteIndex,
    filter: string,
    group: boolean,
    presence: Presence,
    operations: TableOperation<RouteRow>[],
  ): void {
    const durable = presence === 'durable'
    let present = false
    for (const row of index.routes.read(filter)) {
      if (row.node !== this.node || row.group !== group) continue
      if (presence !== 'none' && row.durable === durable) present = true
      else operations.push({ op: 'delete_object', row })
    }
    if (presence === 'none' || present) return
    // Before the row that it replaces goes, so that no reader finds the filter without a route.
    const row: RouteRow = { filter, node: this.node, durable, group }
    const replaced = operations[operations.length - 1]
    if (replaced?.op === 'delete_object' && replaced.row.filter === filter && replaced.row.group === group) {
      operations.splice(operations.length - 1, 0, { op: 'write', row })
    } else operations.push({ op: 'write', row })
  }

  #alignDurable(filter: string, wanted: boolean, operations: TableOperation<DurableRouteRow>[]): void {
    const row = this.#durable.read(filter).find(({ node }) => node === this.node)
    if (wanted && row === undefined) operations.push({ op: 'write', row: { filter, node: this.node } })
    else if (!wanted && row !== undefined) operations.push({ op: 'delete_object', row })
  }

  #listing(filter: string): RouteListing {
    const nodes = new Set(this.global.routes.read(filter).map((row) => row.node))
    return { filter, nodes: [...nodes].sort() }
  }

  #updateMax() {
    const counts = {
      topics: this.global.routes.keyCount,
      routes: this.global.routes.size,
      subscribers: this.subscribers.subscriberCount,
      subscriptions: this.subscribers.subscriptionCount,
    }
    for (const name of STAT_NAMES) if (counts[name] > this.#max[name]) this.#max[name] = counts[name]
    return counts
  }
}

type MemberOptions = Pick<Matched, 'qos' | 'rap' | 'ids'>

function memberRow(subscriber: Subscriber, filter: string, group: string, options: MemberOptions): SharedMemberRow {
  const { pid, clientId, durable } = subscriber
  const { qos, rap, ids } = options
  return { filter, group, pid, clientId, qos, rap, id: ids?.[0], durable, online: isOnline(subscriber) }
}

function isOnline({ availability }: Subscriber): boolean {
  return availability !== 'offline'
}

function isDirty(unwritten: Unwritten): boolean {
  return unwritten.plain.size > 0 || unwritten.group.size > 0 || unwritten.members.length > 0
}
