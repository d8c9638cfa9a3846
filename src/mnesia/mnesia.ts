/**
 * The tables of a node: starts them, and is the handle by which a program uses and ends them [OTP mnesia].
 *
 * `startMnesia` reads what the disc holds, begins an epoch, dials the other members, and resolves when those that answer have told
 * what they have, or `startWaitMs` is over. Tables can be read and written from then on, whether or not another member is
 * there. Everything that a member may still hold back merges when it appears.
 */
import * as application from '../actors/application.ts'
import { Exit } from '../actors/errors.ts'
import type { Caller } from '../actors/gen.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { Alarms } from './alarms.ts'
import type { Copies, TableDefinition } from './definition.ts'
import { DiscReports } from './disc-reports.ts'
import { type SystemInfo, systemInfo, type TableInfo, tableInfo } from './info.ts'
import type { ClusterStatus, JoinResult, LeaveResult, RemoveResult } from './membership.ts'
import { emptyTables, replicationsOf } from './replications.ts'
import { reportsOf } from './reports.ts'
import { Cluster, MNESIA } from './schema/cluster.ts'
import { Loading, type WaitResult } from './schema/loading.ts'
import { type JoinOptions, MNESIA_SCHEMA, membership } from './schema/membership-process.ts'
import { openNode } from './schema/open-node.ts'
import { type Change, mastersOperation, readMasters } from './schema/own-record.ts'
import type { Store } from './store/store.ts'
import { mnesiaApplication } from './sup.ts'
import { type SystemEvent, SystemEvents } from './system-events.ts'
import type { Table, TableReader, Tables } from './table.ts'
import { TableSet } from './table-set.ts'
import { transactionHost } from './transaction/host.ts'
import { runningView } from './transaction/locks.ts'
import type { Transaction, TransactionResult } from './transaction/transaction.ts'
import { type TransactionHost, type TransactionOptions, Transactions } from './transaction/transactions.ts'

export interface MnesiaOptions {
  /** Where disc tables and the node's own records are; `MemoryStore` for a node that keeps nothing. Closed by `stop`. */
  readonly store: Store
  /** Tables to open before other members are dialled. */
  // biome-ignore lint/suspicious/noExplicitAny: of tables of any rows
  readonly tables?: readonly TableDefinition<any>[]
  /** Members of the cluster that a new node joins by itself, as soon as one is there. */
  readonly seeds?: readonly string[]
  /** Joins a seed even when rows of this node are replaced by it; they are saved first. @default false */
  readonly confirmSeeds?: boolean
  /** What becomes of a partition that is over: links come up and rows merge, or wait for `heal`. @default autoheal */
  readonly partitionPolicy?: 'autoheal' | 'manual'
  /** How long the start waits for members that answer. @default 10000 */
  readonly startWaitMs?: number
  /** Takes over the data of a node that had another name. @default false */
  readonly rename?: boolean
  /** Saves the shared tables before this node gives them up; resolves with the file, rejects when it cannot. See `backupTo`. */
  readonly backup: (why: Change, tables: readonly Table<unknown>[]) => Promise<string>
  readonly alarms?: Alarms
}

/** Tables that run, or the sentence that says why they do not. */
export type StartMnesiaResult =
  | { readonly ok: true; readonly mnesia: Mnesia }
  | { readonly ok: false; readonly reason: 'other_node' | 'bad_format' | 'disc'; readonly problem: string }

const START_WAIT_MS = 10_000
const MOVE_TIMEOUT_MS = 60_000

/** Starts the tables of a node, as the application `mnesia` of its runtime. Rejects with `Exit` when they run already. */
export async function startMnesia(runtime: Runtime, options: MnesiaOptions): Promise<StartMnesiaResult> {
  const { store, partitionPolicy: policy = 'autoheal', rename = false } = options
  const node = runtime.node.name
  const opened = await openNode({ store, node, system: runtime.system, rename, emptyTables })
  if (!opened.ok) return opened
  const events = new SystemEvents((error) => runtime.logger.error({ err: error }, 'a listener of table events failed'))
  const cluster = new Cluster({ runtime, store, own: opened.own, linked: opened.linked, policy, events })
  const mnesia = new Mnesia(cluster, options, opened.isLost)
  await mnesia.start()
  return { ok: true, mnesia }
}

export class Mnesia implements Tables {
  readonly runtime: Runtime
  readonly #cluster: Cluster
  readonly #tables: TableSet
  readonly #loading: Loading
  readonly #disc: DiscReports
  readonly #options: MnesiaOptions
  readonly #host: TransactionHost
  readonly #transactions: Transactions

  /** For `startMnesia`. */
  constructor(cluster: Cluster, options: MnesiaOptions, isIdentityLost: boolean) {
    this.runtime = cluster.runtime
    this.#cluster = cluster
    this.#options = options
    const { events, runtime } = cluster
    const replications = replicationsOf(cluster, reportsOf(runtime, events, options.alarms))
    this.#tables = new TableSet(cluster, replications)
    for (const definition of options.tables ?? []) this.#tables.open(definition)
    this.#loading = new Loading({
      cluster,
      tables: this.#tables,
      startWaitMs: options.startWaitMs ?? START_WAIT_MS,
      alarms: options.alarms,
      masters: readMasters(cluster.store),
      adopt: () => membership.callWithin(cluster.runtime, 'infinity', MNESIA_SCHEMA, 'adopt'),
    })
    const { replication: shared } = replications.shared
    this.#disc = new DiscReports({
      cluster,
      alarms: options.alarms,
      isIdentityLost,
      lacking: () => [...shared.lacking, ...replications.owned.replication.lacking],
      sole: () => this.#tables.sole(),
    })
    for (const replication of Object.values(replications)) {
      replication.onCaughtUp = () => {
        this.#loading.look()
        this.#disc.look()
      }
    }
    this.#host = transactionHost(cluster, shared, () => this.status().running)
    this.#transactions = new Transactions(this.#host)
  }

  /** For `startMnesia`. */
  async start(): Promise<void> {
    const { store } = this.#cluster
    const arg = {
      cluster: this.#cluster,
      seeds: this.#options.seeds ?? [],
      confirmSeeds: this.#options.confirmSeeds ?? false,
      tables: {
        rowsToLose: () => this.#tables.rowsToLose(),
        backup: (why: Change) => this.#backup(why),
        inSync: (node: string, timeoutMs: number) => this.#loading.waitForMember(node, timeoutMs),
      },
    }
    const locks = { view: () => runningView(this.#host) }
    const started = await application.start(
      this.runtime,
      mnesiaApplication({ membership: arg, locks }, () => store.close()),
    )
    if (!started.ok) throw new Exit(started.reason)
    await this.#loading.started()
    this.#disc.look()
  }

  /** Tells members that this node stops, brings everything to the disc and closes it. The runtime goes on. */
  async stop(): Promise<void> {
    if (this.runtime.stopped) return
    await application.stop(this.runtime, MNESIA)
    await application.unload(this.runtime, MNESIA)
  }

  // Tables

  /**
   * The table of a definition; it is created in the cluster when there is none of its name. Throws a `TableError` that names the
   * difference when there is one that is defined in another way.
   */
  open<Row>(definition: TableDefinition<Row>): Table<Row> {
    return this.#tables.open(definition)
  }

  all(): readonly TableReader<unknown>[] {
    return this.#tables.all()
  }

  /** An open table by its name [OTP: tables have no other handle]. */
  table(name: string): Table<unknown> | undefined {
    return this.#tables.get(name)
  }

  /** Ends a table on all members, with its rows [OTP mnesia:delete_table/1]. Throws a `TableError` when there is none. */
  deleteTable(name: string): void {
    this.#tables.delete(name)
  }

  /**
   * Removes all rows of a table that there are now: of a shared table those of the cluster, of the others those of this node [OTP
   * mnesia:clear_table/1]. Throws a `TableError` when there is no such table.
   */
  clearTable(name: string): void {
    this.#tables.clear(name)
  }

  /**
   * Adds an index on a field, on all members and for good; each fills its own before anything else happens there, at some
   * microseconds a row [OTP mnesia:add_table_index/2]. Throws a `TableError`: `no_exists`, `already_exists`.
   */
  addTableIndex(name: string, field: string): void {
    this.#tables.addIndex(name, field)
  }

  /** Deletes an index, also one of the definition, on all members [OTP mnesia:del_table_index/2]. Throws a `TableError`: `no_exists`. */
  delTableIndex(name: string, field: string): void {
    this.#tables.deleteIndex(name, field)
  }

  /**
   * Gives a member a copy of a table [OTP mnesia:add_table_copy/3]. Throws a `TableError`: `no_exists` when there is no such table or
   * member, `already_exists` when it has a copy of the other kind.
   */
  addTableCopy(name: string, node: string, copies: Copies): void {
    this.#tables.addCopy(name, node, copies)
  }

  /**
   * Takes a member's copy away; it still passes on what others write. The table ends with its last copy [OTP mnesia:del_table_copy/2]. Throws
   * a `TableError`: `no_exists` when there is no such table or member, `not_loaded` when no other running member has all of a shared table.
   */
  delTableCopy(name: string, node: string): void {
    this.#tables.deleteCopy(name, node)
  }

  /**
   * Moves a member's copy to another one [OTP mnesia:move_table_copy/3]. Throws as `addTableCopy` and `delTableCopy` do. Resolves when that is done,
   * or when the new copy is not complete in time: both are there then.
   */
  async moveTableCopy(name: string, from: string, to: string, timeoutMs = MOVE_TIMEOUT_MS): Promise<WaitResult> {
    const copies = this.#tables.kindOf(name, from)
    this.#tables.addCopy(name, to, copies)
    const isComplete = () => this.#tables.hasWholeCopy(name, to)
    if (!(await this.#loading.waitUntil(isComplete, timeoutMs))) return { ok: false, reason: 'timeout', tables: [name] }
    this.#tables.deleteCopy(name, from)
    return { ok: true }
  }

  /** Moves a member's copy to the disc, or off it [OTP mnesia:change_table_copy_type/3]. Throws a `TableError`: `no_exists`. */
  changeTableCopyType(name: string, node: string, copies: Copies): void {
    this.#tables.changeCopy(name, node, copies)
  }

  /** Resolves when the tables are loaded, or the time is over [OTP mnesia:wait_for_tables/2]. */
  waitForTables(names: readonly string[], timeoutMs: number): Promise<WaitResult> {
    return this.#loading.waitForTables(names, timeoutMs)
  }

  /** Takes a table for loaded whatever others may have [OTP mnesia:force_load_table/1]. */
  forceLoadTable(name: string): void {
    this.#loading.forceLoad(name)
  }

  /**
   * Says whose rows this node takes in place of its own at each start from now on, before it links with anybody; none by an
   * empty list [OTP mnesia:set_master_nodes/1]. Its own rows are saved first.
   */
  async setMasterNodes(nodes: readonly string[]): Promise<void> {
    const { store } = this.#cluster
    store.commit([mastersOperation(nodes.length === 0 ? undefined : nodes)])
    await store.flushed()
  }

  // Transactions

  /**
   * Runs a function as a transaction over shared tables, in the name of a process [OTP mnesia:transaction/1]. It may run more than
   * once, and must have no effect but what it writes. Never rejects: a failure is a result, and has changed nothing.
   *
   * @example mnesia.transaction(self, async (tx) => tx.write(account, { ...(await tx.read(account, 'a'))[0]!, balance: 0 }))
   */
  transaction<T>(
    caller: Caller,
    body: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions = {},
  ): Promise<TransactionResult<T>> {
    return this.#transactions.run(caller, body, options)
  }

  // Members

  /** Joins the cluster of a node. Everything is checked before anything is replaced. */
  join(node: string, options: JoinOptions = {}): Promise<JoinResult> {
    return membership.callWithin(this.runtime, 'infinity', MNESIA_SCHEMA, 'join', node, options)
  }

  /** Leaves the cluster: shared tables are saved and emptied, and the node runs alone. */
  leave(): Promise<LeaveResult> {
    return membership.callWithin(this.runtime, 'infinity', MNESIA_SCHEMA, 'leave')
  }

  /** Removes a member, which may be down: it is told when it returns, saves and empties its shared tables, and runs alone. */
  remove(node: string): Promise<RemoveResult> {
    return membership.callWithin(this.runtime, 'infinity', MNESIA_SCHEMA, 'remove', node)
  }

  /** Links with a member that is held apart after a partition, or with all; returns their names. */
  heal(node?: string): string[] {
    return this.#cluster.links.heal(node)
  }

  status(): ClusterStatus {
    const { node, own, links, awaited } = this.#cluster
    const running = [node, ...links.connected().map((member) => member.node)].sort()
    const stopped = links.members().filter((member) => !running.includes(member))
    return { node, cluster: own.cluster, epoch: own.epoch, running, stopped, partitioned: links.held, stale: awaited }
  }

  /** Calls `listener` for what happens to the cluster; returns what ends that. It must not throw. */
  subscribe(listener: (event: SystemEvent) => void): () => void {
    return this.#cluster.events.subscribe(listener)
  }

  // Information

  /** Throws a `TableError` when there is no such table. */
  tableInfo(name: string): TableInfo {
    return tableInfo(this.#cluster, this.#tables, this.#loading, name)
  }

  systemInfo(): SystemInfo {
    return systemInfo(this.#cluster, this.#tables, this.#loading)
  }

  /**
   * Forgets what the disc has lost: somebody knows of it, and it will not be told again at the next start. Rejects with a `StoreError`
   * when the disc refuses.
   */
  forgetDamage(): Promise<void> {
    return this.#disc.forget()
  }

  async #backup(why: Change): Promise<string | undefined> {
    if (this.#tables.rowsToLose().length === 0) return undefined
    return this.#options.backup(why, this.#tables.shared())
  }
}
