/**
 * How far the tables of a node are: the wait at the start, which tables may be stale, and who waits for what.
 *
 * A table is *loaded* when the start is over and every linked member has told what it has. It is *stale* as long as a member that was up when
 * this node went down has not been heard. Both are told, neither keeps anybody from reading or writing: whatever a member has that is newer
 * takes its place when it comes.
 */
import type { Alarms } from '../alarms.ts'
import type { Cluster } from './cluster.ts'
import { StartWait } from './start-wait.ts'

/** Name of the alarm that tells of stale tables. */
const STALE_TABLES = 'stale_tables'
/** Name of the alarm that tells of a partition that is held. */
const PARTITION = 'partition'

export type WaitResult =
  | { readonly ok: true }
  /** The time is over; these are not loaded. */
  | { readonly ok: false; readonly reason: 'timeout'; readonly tables: readonly string[] }

/** What loading needs of the tables. */
export interface LoadingTables {
  names(): readonly string[]
  isCaughtUp(node: string): boolean
}

export interface LoadingOptions {
  readonly cluster: Cluster
  readonly tables: LoadingTables
  readonly startWaitMs: number
  readonly alarms: Alarms | undefined
  /** Members whose rows this node takes in place of its own at this start [OTP mnesia:set_master_nodes/1]. */
  readonly masters: readonly string[]
  /** Takes them. */
  readonly adopt: () => Promise<unknown>
}

interface Waiter {
  readonly isOver: () => boolean
  readonly done: () => void
}

export class Loading {
  readonly #options: LoadingOptions
  readonly #wait: StartWait
  readonly #forced = new Set<string>()
  readonly #waiters = new Set<Waiter>()
  #masters: ReadonlySet<string>

  constructor(options: LoadingOptions) {
    this.#options = options
    const { cluster, startWaitMs, masters } = options
    const { links } = cluster
    const others = cluster.others()
    this.#masters = new Set(masters.filter((node) => others.includes(node)))
    if (masters.includes(cluster.node)) this.#masters = new Set()
    const awaited = [...cluster.awaited, ...this.#masters]
    this.#wait = new StartWait(others, awaited, startWaitMs, (ms, callback) => links.setTimer(ms, callback))
    cluster.onUnreached = (node) => this.#wait.unreached(node)
    cluster.admits = (node) => this.#admits(node)
    cluster.onNodeDown = () => this.#partition()
    cluster.events.subscribe((event) => {
      if (event.tag === 'mnesia_up') this.#wait.linked(event.node)
      else if (event.tag === 'mnesia_down') this.#wait.lost(event.node)
      else if (event.tag === 'refused' && event.reason !== 'busy') this.#wait.settled(event.node)
      else if (event.tag === 'stale') this.#stale()
      if (event.tag === 'inconsistent_database' || event.tag === 'mnesia_up') this.#partition()
      this.look()
    })
  }

  /** Resolves when the start is over. */
  async started(): Promise<void> {
    await this.#wait.over
    if (this.#masters.size > 0) {
      const names = [...this.#masters].sort().join(', ')
      this.#options.cluster.runtime.logger.error(
        `no master node is there (${names}): this node goes on with its own rows`,
      )
      this.#masters = new Set()
      this.#options.cluster.links.greetAgain()
    }
    this.#stale()
    this.look()
  }

  isLoaded(table: string): boolean {
    if (!this.#options.tables.names().includes(table)) return false
    if (this.#forced.has(table)) return true
    const { cluster, tables } = this.#options
    return this.#wait.isOver && cluster.links.connected().every(({ node }) => tables.isCaughtUp(node))
  }

  /** Resolves when the tables are loaded, or the time is over [OTP mnesia:wait_for_tables/2]. */
  async waitForTables(names: readonly string[], timeoutMs: number): Promise<WaitResult> {
    const missing = () => names.filter((name) => !this.isLoaded(name))
    if (await this.waitUntil(() => missing().length === 0, timeoutMs)) return { ok: true }
    return { ok: false, reason: 'timeout', tables: missing() }
  }

  /** Resolves with whether a member is linked and has told what it has, after `timeoutMs` at most. */
  waitForMember(node: string, timeoutMs: number): Promise<boolean> {
    const { cluster, tables } = this.#options
    const isLinked = () => cluster.links.connected().some((member) => member.node === node)
    return this.waitUntil(() => isLinked() && tables.isCaughtUp(node), timeoutMs)
  }

  /** Resolves with whether something is so, which is looked at again when something may have been loaded; after `timeoutMs` at most. */
  waitUntil(isOver: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isOver()) return Promise.resolve(true)
    return new Promise((resolve) => {
      const cancel = this.#options.cluster.links.setTimer(timeoutMs, () => {
        this.#waiters.delete(waiter)
        resolve(isOver())
      })
      const done = () => {
        cancel()
        resolve(true)
      }
      const waiter: Waiter = { isOver, done }
      this.#waiters.add(waiter)
    })
  }

  /** Takes a table for loaded whatever others may have [OTP mnesia:force_load_table/1]. */
  forceLoad(table: string): void {
    this.#forced.add(table)
    const { cluster, tables } = this.#options
    if (tables.names().every((name) => this.#forced.has(name))) cluster.hearNoMore()
    this.look()
  }

  /** Something may have been loaded. */
  look(): void {
    const { cluster, tables } = this.#options
    for (const { node } of cluster.links.connected()) {
      if (!tables.isCaughtUp(node)) continue
      this.#wait.settled(node)
      cluster.heard(node)
    }
    for (const waiter of [...this.#waiters]) {
      if (!waiter.isOver()) continue
      this.#waiters.delete(waiter)
      waiter.done()
    }
  }

  /** Nobody is linked before this node's rows are those of a master. */
  #admits(node: string): boolean {
    if (this.#masters.size === 0) return true
    if (!this.#masters.has(node)) return false
    this.#masters = new Set()
    this.#options.cluster.runtime.logger.warn(
      { peer: node },
      `the rows of ${node}, a master node, take the place of this node's`,
    )
    void this.#options.adopt()
    return false
  }

  #stale(): void {
    const { cluster, alarms } = this.#options
    const { awaited } = cluster
    if (awaited.length === 0) {
      alarms?.clear(STALE_TABLES)
    } else if (this.#wait.isOver) {
      const text = `tables may be stale: ${awaited.join(', ')} may have newer rows and has not been heard`
      cluster.runtime.logger.warn({ nodes: awaited }, text)
      alarms?.raise(STALE_TABLES, text)
    }
  }

  #partition(): void {
    const { cluster, alarms } = this.#options
    const { held } = cluster.links
    if (held.length === 0) alarms?.clear(PARTITION)
    else alarms?.raise(PARTITION, `${held.join(', ')} ran apart from this node; heal() joins them`)
  }
}
