/**
 * Publishing: from messages to the processes that get them, in the process that publishes.
 *
 *     publish(messages) ─ runs of one topic ─▶ destinations (cached) ─▶ { tag: 'deliver', runs } to each session
 *                                                                  └─▶ forward(node, batches) to each node
 *
 * No process stands between publisher and subscriber: the publisher reads the routing state itself. What it finds for a
 * topic is kept until a subscription that concerns the topic changes: for an exact filter that entry goes, for a
 * wildcard all entries are looked up anew. Sessions that subscribe alike form one group and get the very same message
 * object, so a batch to a thousand of them costs a thousand sends and nothing else. Nobody may change what is sent.
 *
 * Each destination gets one message per call, with its runs in the publisher's order; of its matching subscriptions to a
 * topic all are folded into one (`Matched`). Members of shared subscriptions are chosen per message.
 */
import type { Pid } from '../../actors/pid.ts'
import { Batch, type Matched, type Message, type Run } from '../message.ts'
import type { ToSession } from '../process-messages.ts'
import type { BackPressure } from '../session/back-pressure.ts'
import type { Share } from '../session/delivery.ts'
import { MatchCache, type MatchCacheLimits, type Weighed } from './match-cache.ts'
import { fold, Interning } from './matched.ts'
import { Receipt } from './receipt.ts'
import type { Routing } from './routing.ts'
import type { Member, SharedStrategy, ShareGroup } from './shared-sub.ts'
import { type Subscriber, Subscription } from './subscribers.ts'
import { isWildcard } from './topic.ts'

/** What a session gets. */
export type Deliver = Extract<ToSession, { tag: 'deliver' }>

export interface PubSubOptions {
  readonly routing: Routing
  /** Sends to a process: the runtime's `send`. */
  readonly send: (to: Pid, message: Deliver) => void
  /** In [0, 1). */
  readonly random: () => number
  readonly sharedStrategy?: SharedStrategy
  /** Keeps or removes the retained message of a message that was published with RETAIN. */
  readonly retain?: (message: Message) => void
  /** Hands batches to another node, one call per node and publish; the receipt is told when the node has taken them over. */
  readonly forward?: (to: Destination, batches: readonly Batch[], receipt: Receipt | undefined) => void
  /** Keeps batches for a member that is away; with `share` for some member of that group, unless the node has had them. */
  readonly park?: (node: string, batches: readonly Batch[], receipt: Receipt, share?: Share) => void
  /** Keeps messages for a group until a member of it is there. */
  readonly keep?: (share: Share, messages: readonly Message[], receipt: Receipt) => void
  /** Hands a run to a session of another node, as the member of a group. @default sends it */
  readonly forwardTo?: (to: Pid, run: Run, receipt: Receipt | undefined) => void
  readonly cache?: MatchCacheLimits
}

/** A node that gets messages. */
export interface Destination {
  readonly node: string
  /** A session there outlives its connection. */
  readonly durable: boolean
}

/** The sessions of a node that batches are for: all, or those that do, or do not, outlive their connection. */
export type Reach = 'all' | 'durable' | 'volatile'

/** A message of QoS 2 that this node has had, since `arrival` (`SessionEnvironment.arrivalOf`); a session that has come here later has not. */
export interface Repeated {
  readonly message: Message
  readonly arrival: string
}

/** Sessions that get a topic's messages in the same way. */
interface Audience {
  readonly matched: Matched
  readonly subscribers: readonly Subscriber[]
}

/** Where a topic's messages go. */
interface Destinations extends Weighed {
  /** Count of wildcard changes when it was made; it is good as long as there are no others. */
  readonly wildcardChanges: number
  readonly audiences: readonly Audience[]
  /** Without `$local/` subscriptions: what a message from another node reaches. */
  readonly audiencesFromAfar: readonly Audience[]
  readonly nodes: readonly Destination[]
  /** Members that are away. */
  readonly parked: readonly string[]
  readonly shares: readonly ShareGroup[]
  /** Groups whose members are all on nodes that are away. */
  readonly parkedShares: readonly Share[]
}

/** What becomes of messages for a group in which no other member is there for them. */
export type Otherwise =
  /** The member that has them keeps them: they go to others only who are online. */
  | 'kept'
  /** They are kept for the group, if one of its members on other nodes outlives its connection. */
  | 'parked'
  | 'given_up'

/** A weight of 1 is about a pointer, so each generation takes 8 MB at most, whatever topics publishers think of. */
const DEFAULT_CACHE: MatchCacheLimits = { maxTopics: 20_000, maxWeight: 1_000_000 }
/** Of a topic without destinations, apart from the bytes of its name. */
const LEAST_WEIGHT = 24
const NONE: readonly never[] = []

export class PubSub {
  /** Which subscribers hold up who publishes to them. */
  readonly pressure: BackPressure
  readonly #routing: Routing
  readonly #send: (to: Pid, message: Deliver) => void
  readonly #random: () => number
  readonly #strategy: SharedStrategy
  readonly #retain: ((message: Message) => void) | undefined
  readonly #forward: PubSubOptions['forward']
  readonly #park: PubSubOptions['park']
  readonly #keep: PubSubOptions['keep']
  readonly #forwardTo: NonNullable<PubSubOptions['forwardTo']>
  readonly #cache: MatchCache<Destinations>
  #wildcardChanges = 0
  /** Sessions with `pending` runs, within one call. */
  readonly #touched: Subscriber[] = []
  /** Of the last call, when somebody has to take its messages over. */
  #receipt: Receipt | undefined

  constructor(options: PubSubOptions) {
    this.#routing = options.routing
    this.pressure = options.routing.pressure
    this.#send = options.send
    this.#random = options.random
    this.#strategy = options.sharedStrategy ?? 'round_robin'
    this.#retain = options.retain
    this.#forward = options.forward
    this.#park = options.park
    this.#keep = options.keep
    this.#forwardTo = options.forwardTo ?? ((to, run) => options.send(to, { tag: 'deliver', runs: [run] }))
    this.#cache = new MatchCache(options.cache ?? DEFAULT_CACHE)
    options.routing.onChange((filter) => {
      if (isWildcard(filter)) this.#wildcardChanges++
      else this.#cache.delete(filter)
    })
  }

  /**
   * Publishes messages in order, all of one publisher. The list must not be changed afterwards. When `counts` is given,
   * `counts[i]` becomes the number of sessions, groups and nodes that message i went to: 0 is MQTT's "no matching
   * subscribers" (0x10). Returns the sum.
   */
  publish(messages: readonly Message[], counts?: number[]): number {
    this.#receipt = undefined
    const length = messages.length
    if (length === 0) return 0
    const topic = messages[0]!.topic
    let isSingle = true
    for (let i = 0; i < length; i++) {
      const message = messages[i]!
      if (message.topic !== topic) isSingle = false
      if (message.retain) this.#retain?.(message)
    }
    if (!isSingle) return this.#publishRuns(messages, counts)
    const batch = new Batch(messages)
    const found = this.#destinations(topic)
    // Gathered rather than sent at once only where a session might otherwise get two messages.
    if (found.shares.length > 0) return this.#publishRuns(messages, counts)
    const count =
      this.#sendAll(batch, found.audiences) + this.#forwardAll(found.nodes, batch) + this.#parkAll(found, batch)
    if (counts !== undefined) for (let i = 0; i < length; i++) counts[i] = count
    return count * length
  }

  /** Who has yet to take over what the last `publish`, `dispatch` or `redispatch` sent; undefined when nobody has to. To be asked at once. */
  takeReceipt(): Receipt | undefined {
    const receipt = this.#receipt
    this.#receipt = undefined
    return receipt
  }

  /** Whether a message of this topic would go anywhere. Unlike `publish` it leaves nothing in the cache. */
  reaches(topic: string): boolean {
    const cached = this.#cache.get(topic)
    const isFresh = cached?.wildcardChanges === this.#wildcardChanges
    const { audiences, nodes, parked, shares, parkedShares } = isFresh ? cached : this.#find(topic)
    return audiences.length + nodes.length + parked.length + shares.length + parkedShares.length > 0
  }

  /**
   * Delivers batches that another node has forwarded, in order, to the sessions of this node, and before them what is `repeated` to those that have come from
   * another node since it was here. Returns how many took a batch.
   */
  dispatch(batches: readonly Batch[], reach: Reach = 'all', repeated: readonly Repeated[] = NONE): number {
    this.#receipt = undefined
    if (batches.length === 1 && reach === 'all' && repeated.length === 0)
      return this.#sendAll(batches[0]!, this.#destinations(batches[0]!.topic).audiencesFromAfar)
    for (const each of repeated) this.#gatherRepeated(each)
    let count = 0
    for (const batch of batches)
      count += this.#gatherAll(batch, this.#destinations(batch.topic).audiencesFromAfar, reach)
    this.#sendGathered()
    return count
  }

  /** Delivers a run that another node has forwarded to one session, as the member of a group. Returns false when it is not there. */
  dispatchTo(to: Pid, run: Run): boolean {
    this.#receipt = undefined
    const subscriber = this.#routing.subscribers.subscriber(to)
    if (subscriber === undefined || subscriber.availability === 'down') return false
    this.#gather(subscriber, run.batch as Batch, run)
    this.#sendGathered()
    return true
  }

  /**
   * Gives messages to members of a group, in order, but to `exclude`, which has not acknowledged them.
   * Returns those that no member is there for; they are lost unless the caller keeps them.
   */
  redispatch(messages: readonly Message[], share: Share, exclude: Pid | undefined, otherwise: Otherwise): Message[] {
    this.#receipt = undefined
    const lost: Message[] = []
    const runs = new Map<Member, Run[]>()
    for (const message of messages) {
      const member = this.memberFor(message, share, exclude, otherwise === 'kept')
      if (member === undefined) lost.push(message)
      else {
        const run = this.#runFor(member, message)
        const held = runs.get(member)
        if (held === undefined) runs.set(member, [run])
        else held.push(run)
      }
    }
    for (const [{ pid, subscriber }, list] of runs) {
      if (subscriber === undefined) {
        for (const run of list) this.#forwardTo(pid, run, this.#expected())
        continue
      }
      this.#deliverTo(subscriber, list)
    }
    return otherwise === 'parked' ? this.#parkShare(lost, share, exclude?.node) : lost
  }

  /** The member of a group that is to get a message, never `exclude`, and with `onlineOnly` none that is offline; undefined when there is none. */
  memberFor(message: Message, share: Share, exclude?: Pid, onlineOnly = false): Member | undefined {
    const { global, local } = this.#routing
    const { groups } = share.local === true ? local : global
    return groups.of(share.filter).get(share.group)?.pick(this.#strategy, message, this.#random, exclude, onlineOnly)
  }

  /** Gives a message that is kept for a group to a member of this node. Returns what to wait for; undefined: a session that is not stored has it. */
  give(message: Message, { matched, pid, subscriber }: Member): Receipt | undefined {
    this.#receipt = undefined
    const run: Run = { ...this.#runFor({ matched, subscriber }, message), isKept: true }
    if (subscriber === undefined) this.#send(pid, { tag: 'deliver', runs: [run] })
    else this.#deliverTo(subscriber, [run])
    return this.takeReceipt()
  }

  #runFor({ matched, subscriber }: Pick<Member, 'matched' | 'subscriber'>, message: Message): Run {
    const batch = new Batch([message])
    if (subscriber !== undefined && isWeighed(batch, matched)) this.pressure.add(subscriber, 1, batch.bytes)
    return { batch, matched }
  }

  #deliverTo(subscriber: Subscriber, runs: readonly Run[]): void {
    const message: Deliver = { tag: 'deliver', runs }
    if (subscriber.stores) subscriber.owe(message, this.#expected())
    this.#send(subscriber.pid, message)
  }

  /** The record of a session of this node that has subscribed. */
  subscriber(pid: Pid): Subscriber | undefined {
    return this.#routing.subscribers.subscriber(pid)
  }

  /**
   * Subscribers, other than the publisher itself, one of which must be better before the QoS 1 and 2 messages among those from
   * `begin` up to `end` should be published; none when nobody is in the way. Subscribers on other nodes are not asked.
   */
  blockers(messages: readonly Message[], begin: number, end: number): readonly Subscriber[] {
    if (!this.pressure.isAny) return NONE
    let topic: string | undefined
    for (let i = begin; i < end; i++) {
      const message = messages[i]!
      if (message.qos === 0 || message.topic === topic) continue
      topic = message.topic
      const { audiences, shares } = this.#destinations(topic)
      for (const { matched, subscribers } of audiences) {
        if (matched.qos === 0) continue
        for (const subscriber of subscribers) {
          if (subscriber.isPressing && subscriber.clientId !== message.from) return [subscriber]
        }
      }
      for (const share of shares) {
        const members = share.blockers(message.from)
        if (members.length > 0) return members
      }
    }
    return NONE
  }

  /** Number of topics whose destinations are cached. */
  get cachedTopics(): number {
    return this.#cache.size
  }

  #publishRuns(messages: readonly Message[], counts: number[] | undefined): number {
    const { length } = messages
    let total = 0
    let forwards: Map<string, { durable: boolean; readonly batches: Batch[] }> | undefined
    for (let begin = 0; begin < length; ) {
      const topic = messages[begin]!.topic
      let end = begin + 1
      while (end < length && messages[end]!.topic === topic) end++
      const batch = new Batch(begin === 0 && end === length ? messages : messages.slice(begin, end))
      const found = this.#destinations(topic)
      let count = this.#gatherAll(batch, found.audiences)
      if (this.#forward !== undefined) {
        for (const { node, durable } of found.nodes) {
          forwards ??= new Map()
          const held = forwards.get(node)
          if (held === undefined) forwards.set(node, { durable, batches: [batch] })
          else {
            held.batches.push(batch)
            if (durable) held.durable = true
          }
          count++
        }
      }
      count += this.#parkAll(found, batch)
      total += count * (end - begin)
      if (counts !== undefined) for (let i = begin; i < end; i++) counts[i] = count
      for (const share of found.shares) total += this.#share(batch, share, counts, begin)
      begin = end
    }
    this.#sendGathered()
    if (forwards !== undefined) {
      for (const [node, { durable, batches }] of forwards) {
        this.#forward!({ node, durable }, batches, this.#expectedOf(batches))
      }
    }
    return total
  }

  /** Sends a batch to all, at once. */
  #sendAll(batch: Batch, audiences: readonly Audience[]): number {
    const send = this.#send
    let count = 0
    for (const { matched, subscribers } of audiences) {
      const message: Deliver = { tag: 'deliver', runs: [{ batch, matched }] }
      if (isWeighed(batch, matched)) this.#weighAll(subscribers, batch, message)
      if (matched.noLocal) count += this.#sendOthers(message, subscribers, batch)
      else {
        for (let i = 0; i < subscribers.length; i++) send(subscribers[i]!.pid, message)
        count += subscribers.length
      }
    }
    return count
  }

  #weighAll(subscribers: readonly Subscriber[], { messages, bytes, from }: Batch, message: Deliver): void {
    const { pressure } = this
    const { length } = messages
    const { noLocal } = message.runs[0]!.matched
    for (let i = 0; i < subscribers.length; i++) {
      const subscriber = subscribers[i]!
      if (noLocal && subscriber.clientId === from) continue
      pressure.add(subscriber, length, bytes)
      if (subscriber.stores) subscriber.owe(message, this.#expected())
    }
  }

  /** QoS 0 is taken over by nobody. */
  #expectedOf(batches: readonly Batch[]): Receipt | undefined {
    return batches.some(({ maxQoS }) => maxQoS > 0) ? this.#expected() : undefined
  }

  #expected(): Receipt {
    this.#receipt ??= new Receipt()
    return this.#receipt
  }

  /** To those who do not want their own messages [MQTT5-3.8.3-3]. */
  #sendOthers(message: Deliver, subscribers: readonly Subscriber[], batch: Batch): number {
    const { from } = batch.messages[0]!
    let count = 0
    for (const subscriber of subscribers) {
      if (subscriber.clientId === from) continue
      this.#send(subscriber.pid, message)
      count++
    }
    return count
  }

  #forwardAll(nodes: readonly Destination[], batch: Batch): number {
    if (this.#forward === undefined || nodes.length === 0) return 0
    const batches = [batch]
    for (const node of nodes) this.#forward(node, batches, this.#expectedOf(batches))
    return nodes.length
  }

  /** QoS 0 is for those who are there. */
  #parkAll({ parked, parkedShares }: Destinations, batch: Batch): number {
    const count = parked.length + parkedShares.length
    if (this.#park === undefined || count === 0 || batch.maxQoS === 0) return 0
    for (const node of parked) this.#park(node, [batch], this.#expected())
    const kept = parkedShares.length === 0 ? NONE : batch.messages.filter(({ qos }) => qos > 0)
    for (const share of parkedShares) this.#keep?.(share, kept, this.#expected())
    return count
  }

  /**
   * Keeps messages for a group whose members are away; returns those that are not kept. What a member of `node` may have got at QoS 2 is kept for that
   * node, which knows.
   */
  #parkShare(messages: readonly Message[], share: Share, node: string | undefined): Message[] {
    const awaited: readonly string[] =
      share.local === true || this.#keep === undefined ? NONE : this.#routing.awaitedOn(share)
    if (awaited.length === 0) return [...messages]
    const isForNode = ({ qos }: Message): boolean => qos === 2 && node !== undefined && awaited.includes(node)
    const forNode = messages.filter(isForNode)
    if (forNode.length > 0) this.#park?.(node!, [new Batch(forNode)], this.#expected(), share)
    const kept = messages.filter((message) => message.qos > 0 && !isForNode(message))
    if (kept.length > 0) this.#keep!(share, kept, this.#expected())
    return messages.filter(({ qos }) => qos === 0)
  }

  /** Adds a batch to what each session gets when `sendGathered` is called. */
  #gatherAll(batch: Batch, audiences: readonly Audience[], reach: Reach = 'all'): number {
    const { from } = batch.messages[0]!
    let count = 0
    for (const { matched, subscribers } of audiences) {
      // What is kept for lasting sessions is what has to reach them.
      if (reach === 'durable' && matched.qos === 0) continue
      const run: Run = { batch, matched }
      for (const subscriber of subscribers) {
        if (matched.noLocal && subscriber.clientId === from) continue
        if (reach !== 'all' && subscriber.durable !== (reach === 'durable')) continue
        this.#gather(subscriber, batch, run)
        count++
      }
    }
    return count
  }

  #gatherRepeated({ message, arrival }: Repeated): void {
    for (const { matched, subscribers } of this.#destinations(message.topic).audiencesFromAfar) {
      for (const subscriber of subscribers) {
        const isLater = subscriber.arrivedAt !== undefined && subscriber.arrivedAt > arrival
        if (!isLater || (matched.noLocal && subscriber.clientId === message.from)) continue
        const batch = new Batch([message])
        this.#gather(subscriber, batch, { batch, matched })
      }
    }
  }

  #gather(subscriber: Subscriber, batch: Batch, run: Run): void {
    if (isWeighed(batch, run.matched)) this.pressure.add(subscriber, batch.messages.length, batch.bytes)
    if (subscriber.pending === undefined) {
      subscriber.pending = [run]
      this.#touched.push(subscriber)
    } else subscriber.pending.push(run)
  }

  #sendGathered(): void {
    const touched = this.#touched
    for (const subscriber of touched) {
      const runs = subscriber.pending!
      subscriber.pending = undefined
      const message: Deliver = { tag: 'deliver', runs }
      if (subscriber.stores && runs.some(({ batch, matched }) => isWeighed(batch as Batch, matched))) {
        subscriber.owe(message, this.#expected())
      }
      this.#send(subscriber.pid, message)
    }
    touched.length = 0
  }

  /** Gives each message of a batch to one member of a group. Returns how many found one, and adds them to `counts`. */
  #share(batch: Batch, share: ShareGroup, counts: number[] | undefined, begin: number): number {
    const { messages } = batch
    const chosen = new Map<Member, Message[]>()
    let count = 0
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!
      const member = share.pick(this.#strategy, message, this.#random)
      if (member === undefined) continue
      const held = chosen.get(member)
      if (held === undefined) chosen.set(member, [message])
      else held.push(message)
      if (counts !== undefined) counts[begin + i] = counts[begin + i]! + 1
      count++
    }
    for (const [member, list] of chosen) {
      const part = list.length === messages.length ? batch : new Batch(list)
      const run: Run = { batch: part, matched: member.matched }
      if (member.subscriber !== undefined) this.#gather(member.subscriber, part, run)
      else this.#forwardTo(member.pid, run, isWeighed(part, member.matched) ? this.#expected() : undefined)
    }
    return count
  }

  #destinations(topic: string): Destinations {
    const cached = this.#cache.get(topic)
    if (cached !== undefined && cached.wildcardChanges === this.#wildcardChanges) return cached
    const found = this.#find(topic)
    this.#cache.set(topic, found)
    return found
  }

  #find(topic: string): Destinations {
    const { global, local, node, parked, subscribers } = this.#routing
    const nodes = new Map<string, boolean>()
    const shares: ShareGroup[] = []
    const plain: Subscription[] = []
    for (const filter of global.match(topic)) {
      for (const row of global.routes.read(filter)) {
        if (row.node !== node && !row.group && nodes.get(row.node) !== true) nodes.set(row.node, row.durable)
      }
      for (const share of global.groups.of(filter).values()) shares.push(share)
      append(plain, subscribers.get(filter))
    }
    const audiencesFromAfar = audiencesOf(plain)
    let audiences = audiencesFromAfar
    if (local.routes.size > 0) {
      const before = plain.length
      for (const filter of local.match(topic)) {
        for (const share of local.groups.of(filter).values()) shares.push(share)
        append(plain, subscribers.get(`$local/${filter}`))
      }
      if (plain.length > before) audiences = audiencesOf(plain)
    }
    const weight = LEAST_WEIGHT + (topic.length >> 3) + plain.length
    return {
      weight,
      wildcardChanges: this.#wildcardChanges,
      audiences,
      audiencesFromAfar,
      // Many topics that are published have no destination at all.
      nodes: nodes.size === 0 ? NONE : [...nodes].map(([name, durable]) => ({ node: name, durable })),
      parked: parked.match(topic).filter((name) => !nodes.has(name)),
      shares: shares.length === 0 ? NONE : shares,
      parkedShares: this.#parkedShares(topic),
    }
  }

  #parkedShares(topic: string): readonly Share[] {
    const { global, parked } = this.#routing
    const away = this.#keep === undefined ? NONE : parked.shares(topic)
    if (away.length === 0) return NONE
    return away.filter(({ filter, group }) => !global.groups.of(filter).has(group))
  }
}

/** Whether a run counts in the backlog of a session. The session, which takes it off again, asks the same. */
export function isWeighed(batch: Batch, matched: Matched): boolean {
  return batch.maxQoS > 0 && matched.qos > 0
}

function append(found: Subscription[], held: ReturnType<Routing['subscribers']['get']>): void {
  if (held === undefined) return
  if (held instanceof Subscription) found.push(held)
  else for (const item of held.items) found.push(item)
}

/** Folds the subscriptions of each session and puts sessions with equal results together. */
function audiencesOf(subscriptions: readonly Subscription[]): readonly Audience[] {
  if (subscriptions.length === 0) return NONE
  if (subscriptions.length === 1) {
    return subscriptions.map(({ subscriber, matched }) => ({ matched, subscribers: [subscriber] }))
  }
  const sessions: Subscriber[] = []
  for (const { subscriber, matched } of subscriptions) {
    if (subscriber.folded === undefined) {
      subscriber.folded = matched
      sessions.push(subscriber)
    } else subscriber.folded = fold(subscriber.folded, matched)
  }
  const interning = new Interning()
  const audiences = new Map<Matched, Subscriber[]>()
  /** The audience of the session before: most often the next one's too. */
  let matched: Matched | undefined
  let audience: Subscriber[] | undefined
  for (const subscriber of sessions) {
    const folded = interning.intern(subscriber.folded!)
    subscriber.folded = undefined
    if (folded !== matched) {
      matched = folded
      audience = audiences.get(folded)
      if (audience === undefined) {
        audience = []
        audiences.set(folded, audience)
      }
    }
    audience!.push(subscriber)
  }
  return [...audiences].map(([each, subscribers]) => ({ matched: each, subscribers }))
}
