/**
 * A node as a member of a cluster: its record on disc, the schema, the links to other members, and how it becomes a member of another
 * cluster.
 *
 * It outlives the processes that work on it. `mnesia` (link-process.ts) opens it with the network, and `mnesia_schema`
 * (membership-process.ts) changes it. Tables hang on it as `ClusterTables`.
 */
import type { Runtime } from '../../actors/runtime.ts'
import { NOCONNECT } from '../../dist/noconnect.ts'
import type { NodeNetwork } from '../../dist/node-network.ts'
import { StoreError } from '../errors.ts'
import type { ConnectedMember } from '../link.ts'
import type { Store } from '../store/store.ts'
import type { SystemEvents } from '../system-events.ts'
import { Dialer } from './dialer.ts'
import type { CloseReason } from './greeting.ts'
import { type Identity, type LinkDownReason, type LinkOutside, MemberLinks } from './member-links.ts'
import { memberKey, statusIn } from './members.ts'
import {
  type Becoming,
  becomeOperations,
  type Linked,
  linkedOperation,
  type OwnRecord,
  ownOperation,
  readRegistry,
} from './own-record.ts'
import type { Registry, RegistryRow } from './registry.ts'

/** Registered name of the process that greets. */
export const MNESIA = 'mnesia'

/** What the cluster needs of the tables. */
export interface ClusterTables {
  /** The schema has changed: tables may have come and gone. */
  schemaChanged(rows: readonly RegistryRow[]): void
  /** Forgets all that came from the cluster, in memory and on disc; rows that this node owns stay, as those of a new epoch. */
  reset(): void
  /** The clock of shared tables: see `ClockedReplication`. */
  clock(): number
  sawClock(clock: number): void
}

export interface ClusterOptions {
  readonly runtime: Runtime
  readonly store: Store
  readonly own: OwnRecord
  readonly linked: Linked
  readonly policy: 'autoheal' | 'manual'
  readonly events: SystemEvents
}

export type BecomeResult = { readonly ok: true } | { readonly ok: false; readonly problem: string }

export class Cluster {
  readonly runtime: Runtime
  readonly store: Store
  readonly registry: Registry
  readonly links: MemberLinks
  readonly events: SystemEvents
  readonly dialer: Dialer
  /** Whether the node is becoming something else, or has promised to stay as it is for a while. */
  isChanging = false
  promisedUntilMs = Number.NEGATIVE_INFINITY
  tables: ClusterTables | undefined
  /** Told of attempts to reach a member that failed. */
  onUnreached: ((node: string) => void) | undefined
  /** Whether a node may be linked now. */
  admits: ((node: string) => boolean) | undefined
  /** Told when a node is not connected any more, member or not. */
  onNodeDown: (() => void) | undefined
  /** Told when the schema says that this node is no member any more. */
  onRemoved: (() => void) | undefined
  #own: OwnRecord
  #network: NodeNetwork | undefined
  #isStopping = false
  /** Members that are up, as is noted on disc; those of the last start that have not been heard are among them. */
  readonly #up: Set<string>
  /** Members that may have rows that are newer than this node's. */
  readonly #awaited: Set<string>
  readonly #timers = new Set<() => void>()

  constructor({ runtime, store, own, linked, policy, events }: ClusterOptions) {
    this.runtime = runtime
    this.store = store
    this.events = events
    this.#own = own
    this.registry = readRegistry(store, () => {})
    const { node, cluster, epoch, departures } = own
    const outside = this.#outside()
    const { seen } = linked
    this.links = new MemberLinks({
      node,
      identity: { cluster, epoch, departures },
      registry: this.registry,
      outside,
      policy,
      seen,
    })
    const others = this.others()
    this.#up = new Set(linked.up.filter((name) => others.includes(name)))
    this.#awaited = new Set(this.#up)
    this.dialer = new Dialer({
      connect: (name) => this.#network?.connect(name) ?? Promise.resolve(false),
      isConnected: (name) => this.#network?.isConnected(name) === true,
      setTimer: outside.setTimer,
      random: outside.random,
      failed: (name) => this.onUnreached?.(name),
    })
  }

  get node(): string {
    return this.#own.node
  }

  get own(): OwnRecord {
    return this.#own
  }

  /** Members without this node. */
  others(): string[] {
    return this.links.members().filter((name) => name !== this.node)
  }

  /** Members that may have newer rows and have not been heard, sorted. */
  get awaited(): readonly string[] {
    return [...this.#awaited].sort()
  }

  /** The part of the process: the network is there. */
  open(network: NodeNetwork): void {
    this.#network = network
    this.links.open(network.nodes())
    // Connections that were lost while there was no process have been told to nobody.
    for (const node of this.others()) {
      if (network.isConnected(node)) continue
      if (!this.#awaited.has(node)) this.#up.delete(node)
      this.dialer.lost(node)
    }
    this.dialer.setNodes(this.others())
  }

  close(): void {
    this.links.close()
    this.#network = undefined
  }

  nodeDown(node: string): void {
    this.links.nodeDown(node)
    this.dialer.lost(node)
    this.onNodeDown?.()
  }

  /** Says farewell and ends all timers; nothing is noted any more. */
  stop(): void {
    this.#isStopping = true
    this.dialer.stop()
    this.links.farewell()
    for (const cancel of [...this.#timers]) cancel()
    this.#timers.clear()
  }

  /** All that a member had when it was linked is here. */
  heard(node: string): void {
    if (!this.#awaited.delete(node)) return
    this.events.emit({ tag: 'stale', nodes: this.awaited })
  }

  /** No member is taken for one that has newer rows any more. */
  hearNoMore(): void {
    if (this.#awaited.size === 0) return
    this.#awaited.clear()
    this.events.emit({ tag: 'stale', nodes: [] })
  }

  /** Changes rows of the schema, here and on all members that are linked. */
  write(key: string, value: RegistryRow['value']): void {
    const before = this.registry.version
    this.registry.write(key, value)
    if (this.registry.version !== before) this.links.changed([this.registry.row(key)!])
  }

  setOwn(change: Partial<Pick<OwnRecord, 'mayAutoJoin'>>): void {
    this.#own = { ...this.#own, ...change }
    this.store.commit([ownOperation(this.#own)])
  }

  /**
   * Becomes a member of another cluster, or alone. Nothing has changed when it fails. A crash at any time leaves the node as it was, or
   * one that finishes the change at its next start.
   */
  async become(becoming: Becoming): Promise<BecomeResult> {
    const before = this.#own
    this.links.suspend()
    this.#own = { ...before, becoming }
    this.store.commit([ownOperation(this.#own)])
    try {
      await this.store.flushed()
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#own = before
      this.store.commit([ownOperation(before)])
      this.links.resume(before)
      return { ok: false, problem: error.message }
    }
    this.#finish(becoming)
    await this.#flushed()
    return { ok: true }
  }

  #finish(becoming: Becoming): void {
    const [after, operations] = becomeOperations(this.store, this.#own, becoming)
    this.#own = after
    this.links.assume(identityOf(after))
    this.tables?.reset()
    this.store.commit(operations)
    this.registry.replace(becoming.rows)
    this.#up.clear()
    this.#awaited.clear()
    this.tables?.schemaChanged(becoming.rows)
    this.#membersChanged()
    this.links.resume(identityOf(after))
  }

  /** The disc may refuse for a while; it is told of by the store, and takes what waits once it can. */
  async #flushed(): Promise<void> {
    try {
      await this.store.flushed()
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
    }
  }

  #membersChanged(): void {
    const others = this.others()
    for (const name of [...this.#up]) if (!others.includes(name)) this.#up.delete(name)
    for (const name of this.awaited) if (!others.includes(name)) this.heard(name)
    this.#note()
    if (this.#network !== undefined) this.dialer.setNodes(others)
    this.events.emit({ tag: 'members', members: this.links.members() })
  }

  #note(): void {
    if (this.#isStopping) return
    this.store.commit([linkedOperation({ up: [...this.#up].sort(), seen: this.links.seen })])
  }

  #linked(member: ConnectedMember): void {
    this.#up.add(member.node)
    this.#note()
    // Whoever was let join has done so.
    this.promisedUntilMs = Number.NEGATIVE_INFINITY
    this.runtime.logger.info({ peer: member.node, epoch: member.epoch }, `${member.node} is linked`)
    this.events.emit({ tag: 'mnesia_up', node: member.node })
  }

  #down(member: ConnectedMember, reason: LinkDownReason): void {
    if (GONE.has(reason)) {
      this.#up.delete(member.node)
      this.#note()
    }
    this.runtime.logger.info({ peer: member.node, reason }, `${member.node} is not linked any more: ${reason}`)
    this.events.emit({ tag: 'mnesia_down', node: member.node, reason })
  }

  #refused(node: string, reason: CloseReason, text: string): void {
    const level = reason === 'busy' || reason === 'stopped' ? 'debug' : reason === 'other_cluster' ? 'info' : 'warn'
    this.runtime.logger[level]({ peer: node, reason }, text)
    this.events.emit({ tag: 'refused', node, reason, text })
  }

  #outside(): LinkOutside {
    const { runtime, events } = this
    return {
      send: (node, message) => {
        const process = runtime.registry.find(MNESIA)
        if (process !== undefined) runtime.sendFrom(process.pid, { name: MNESIA, node }, message, NOCONNECT)
      },
      random: () => runtime.random(),
      now: () => runtime.clock.now(),
      setTimer: (ms, callback) => this.#setTimer(ms, callback),
      atTurnEnd: (flushable) => runtime.scheduler.atTurnEnd(flushable),
      up: (member) => this.#linked(member),
      down: (member, reason) => this.#down(member, reason),
      refused: (node, reason, text) => this.#refused(node, reason, text),
      partitioned: (node, held) => {
        const context = 'running_partitioned_network'
        const what = held ? 'stays apart until heal() is called' : 'is linked again, and rows merge'
        runtime.logger.error(
          { peer: node, context },
          `inconsistent_database: ${node} ran on while it was out of reach; it ${what}`,
        )
        events.emit({ tag: 'inconsistent_database', context, node, held })
      },
      learned: (rows) => {
        this.tables?.schemaChanged(rows)
        if (!rows.some(({ key }) => key.startsWith(memberKey('')))) return
        this.#membersChanged()
        if (statusIn(this.registry, this.node) !== 'member') this.onRemoved?.()
      },
      setBack: () => this.#note(),
      admits: (node) => this.admits?.(node) ?? true,
      failed: (part, node, error) => {
        runtime.logger.error({ part, node, err: error }, `the part '${part}' failed on what ${node} sent`)
        events.emit({ tag: 'part_failed', part, node })
      },
    }
  }

  #setTimer(ms: number, callback: () => void): () => void {
    const { timers, logger } = this.runtime
    if (this.#isStopping) return () => {}
    const cancel = (): void => {
      timers.clear(handle)
      this.#timers.delete(cancel)
    }
    const handle = timers.set(ms, () => {
      this.#timers.delete(cancel)
      try {
        callback()
      } catch (error) {
        logger.error({ err: error }, 'a timer of the tables failed')
      }
    })
    this.#timers.add(cancel)
    return cancel
  }
}

/** The member is gone, and this node goes on without it. */
const GONE: ReadonlySet<LinkDownReason> = new Set<LinkDownReason>(['nodedown', 'stopped', 'removed', 'other_cluster'])

function identityOf({ cluster, epoch, departures }: OwnRecord): Identity {
  return { cluster, epoch, departures }
}
