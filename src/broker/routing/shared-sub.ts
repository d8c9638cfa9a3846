/**
 * Shared subscriptions: which member of a group gets a message.
 *
 * Each message matching `$share/g/T` is delivered once per group and filter, in total: the node of the publisher chooses
 * the member. The groups are built from the events of a member table, so members of other nodes are members like ours as
 * soon as their rows arrive.
 *
 * A strategy says where to begin in the list of members; from there the first member that is online and keeps up is taken.
 * When there is none, a congested one is, and else one that is offline: that is a persistent session, whose queue keeps the
 * message. A message that a leaving member has not acknowledged goes to another one through `PubSub.redispatch`; it is
 * dropped only when the group has no other member at all.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Table, TableEvent } from '../../mnesia/table.ts'
import type { Matched, Message } from '../message.ts'
import type { Share } from '../session/delivery.ts'
import type { SharedMemberRow } from '../tables.ts'
import type { Availability, Subscriber, Subscribers } from './subscribers.ts'

export type SharedStrategy =
  | 'random'
  | 'round_robin'
  /** Always the same member, until it is not available. */
  | 'sticky'
  /** All messages of a publisher to one member. */
  | 'hash_clientid'
  /** All messages of a topic to one member. */
  | 'hash_topic'

/** A session as a member of one group. */
export class Member {
  readonly pid: Pid
  readonly matched: Matched
  /** The session, when it lives on this node. */
  readonly subscriber: Subscriber | undefined
  readonly #isOnline: boolean
  /** Place in the list of its group. */
  index: number

  constructor(row: SharedMemberRow, share: Share, subscriber: Subscriber | undefined, index: number) {
    const { qos, rap, id } = row
    this.pid = row.pid
    this.matched = { qos, noLocal: false, rap, ids: id === undefined ? undefined : [id], share }
    this.subscriber = subscriber
    // A node of an earlier version does not say it.
    this.#isOnline = row.online !== false
    this.index = index
  }

  /**
   * Whether it can take messages: one that is behind gets them as one that does not read does, when there is no better one. Of a session of another node it is
   * known here whether its client is there.
   */
  get availability(): Availability {
    if (this.subscriber === undefined) return this.#isOnline ? 'online' : 'offline'
    const { availability, isPressing, isStalled } = this.subscriber
    return availability === 'online' && (isPressing || isStalled) ? 'congested' : availability
  }
}

/** The members of one group of one filter. */
export class ShareGroup {
  readonly share: Share
  readonly members: Member[] = []
  readonly #byPid = new Map<string, Member>()
  /** Where the next choice begins: round_robin moves it on, sticky keeps it. */
  #position = 0

  constructor(share: Share) {
    this.share = share
  }

  put(row: SharedMemberRow, subscriber: Subscriber | undefined): void {
    const known = this.#byPid.get(row.pid.key)
    const member = new Member(row, this.share, subscriber, known === undefined ? this.members.length : known.index)
    this.members[member.index] = member
    this.#byPid.set(row.pid.key, member)
  }

  remove(pid: Pid): void {
    const member = this.#byPid.get(pid.key)
    if (member === undefined) return
    this.#byPid.delete(pid.key)
    const last = this.members.pop()!
    if (last === member) return
    this.members[member.index] = last
    last.index = member.index
  }

  /**
   * The member that gets a message, never `exclude`, and with `onlineOnly` none that is offline; undefined when there is
   * no such member. `random` is in [0, 1).
   */
  pick(
    strategy: SharedStrategy,
    message: Message,
    random: () => number,
    exclude?: Pid,
    onlineOnly = false,
  ): Member | undefined {
    const { members } = this
    const count = members.length
    if (count === 0) return undefined
    let congested: Member | undefined
    let offline: Member | undefined
    const begin = this.#begin(strategy, message, random)
    for (let i = 0; i < count; i++) {
      const member = members[(begin + i) % count]!
      if (exclude?.equals(member.pid)) continue
      const { availability } = member
      if (availability === 'online') return this.#choose(strategy, member)
      if (availability === 'congested') congested ??= member
      else if (availability === 'offline') offline ??= member
    }
    const second = congested ?? (onlineOnly ? undefined : offline)
    return second === undefined ? undefined : this.#choose(strategy, second)
  }

  /** The members who are there and read, if all of them are behind: they hold up who publishes QoS 1 and 2 messages. */
  blockers(from: string): readonly Subscriber[] {
    const pressing: Subscriber[] = []
    for (const { subscriber, matched } of this.members) {
      if (subscriber === undefined) return NONE
      if (subscriber.availability !== 'online' || subscriber.isStalled) continue
      if (!subscriber.isPressing || matched.qos === 0 || subscriber.clientId === from) return NONE
      pressing.push(subscriber)
    }
    return pressing
  }

  #begin(strategy: SharedStrategy, message: Message, random: () => number): number {
    switch (strategy) {
      case 'random':
        return Math.floor(random() * this.members.length)
      case 'hash_clientid':
        return hash(message.from)
      case 'hash_topic':
        return hash(message.topic)
      default:
        return this.#position
    }
  }

  #choose(strategy: SharedStrategy, member: Member): Member {
    if (strategy === 'round_robin') this.#position = member.index + 1
    else if (strategy === 'sticky') this.#position = member.index
    return member
  }
}

const NONE: readonly never[] = []

const NO_GROUPS: ReadonlyMap<string, ShareGroup> = new Map()

/** The groups of a member table, kept up to date by its events. */
export class SharedGroups {
  readonly #table: Table<SharedMemberRow>
  readonly #subscribers: Subscribers
  readonly #onChange: (filter: string) => void
  readonly #isLocal: boolean
  readonly #groups = new Map<string, Map<string, ShareGroup>>()
  readonly #unsubscribe: () => void

  /** `onChange` is called when a filter gets a group or loses one; `isLocal`: of `$local/…` subscriptions. */
  constructor(
    table: Table<SharedMemberRow>,
    subscribers: Subscribers,
    onChange: (filter: string) => void,
    isLocal = false,
  ) {
    this.#table = table
    this.#isLocal = isLocal
    this.#subscribers = subscribers
    this.#onChange = onChange
    for (const row of table.rows()) this.#put(row)
    this.#unsubscribe = table.subscribe((event) => this.#follow(event))
  }

  /** Number of groups. */
  get size(): number {
    let size = 0
    for (const groups of this.#groups.values()) size += groups.size
    return size
  }

  /** The groups of a filter, by name. */
  of(filter: string): ReadonlyMap<string, ShareGroup> {
    return this.#groups.get(filter) ?? NO_GROUPS
  }

  /** Stops following the table. */
  close(): void {
    this.#unsubscribe()
  }

  #follow(event: TableEvent<SharedMemberRow>): void {
    switch (event.type) {
      case 'write':
        this.#put(event.row)
        break
      case 'delete':
        this.#remove(event.row)
        break
      case 'shown':
        for (const row of this.#table.rowsOf(event.owner)) this.#put(row)
        break
      case 'hidden':
        for (const row of this.#table.rowsOf(event.owner)) this.#remove(row)
        break
    }
  }

  #put(row: SharedMemberRow): void {
    let groups = this.#groups.get(row.filter)
    if (groups === undefined) {
      groups = new Map()
      this.#groups.set(row.filter, groups)
    }
    let group = groups.get(row.group)
    if (group === undefined) {
      const share = { group: row.group, filter: row.filter }
      group = new ShareGroup(this.#isLocal ? { ...share, local: true } : share)
      groups.set(row.group, group)
      this.#onChange(row.filter)
    }
    group.put(row, this.#subscribers.subscriber(row.pid))
  }

  #remove(row: SharedMemberRow): void {
    const groups = this.#groups.get(row.filter)
    const group = groups?.get(row.group)
    if (groups === undefined || group === undefined) return
    group.remove(row.pid)
    if (group.members.length > 0) return
    groups.delete(row.group)
    if (groups.size === 0) this.#groups.delete(row.filter)
    this.#onChange(row.filter)
  }
}

/** FNV-1a, as a number that is not negative. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}
