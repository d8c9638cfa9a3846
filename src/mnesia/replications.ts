/** The ways to replicate as the tables of a node use them: each part's own words behind `Replication`. */
import type { Copies, CopyKind, TableDefinition } from './definition.ts'
import { LocalTables } from './local/local-tables.ts'
import { OwnedReplication } from './owned/owned-replication.ts'
import { emptyOwned } from './owned/owner-disc.ts'
import type { OwnedEvents } from './owned/settings.ts'
import type { ClockedReplication, KeptTable, Replication, TableOrigin } from './replication.ts'
import type { Cluster } from './schema/cluster.ts'
import { tableKey } from './schema/definitions.ts'
import { emptyShared } from './shared/disc.ts'
import { SharedReplication } from './shared/replication.ts'
import type { SharedEvents } from './shared/settings.ts'
import type { Store } from './store/store.ts'
import type { Replications } from './table-set.ts'

/** The parts that replicate the tables of a node. */
export function replicationsOf(cluster: Cluster, events: ReplicationEvents): NodeReplications {
  return {
    owned: new OwnedTables(cluster, events.owned),
    shared: new SharedTables(cluster, events.shared),
    local_content: new LocalContent(cluster),
  }
}

/** The ways to replicate, as what they are. */
export interface NodeReplications extends Replications {
  readonly owned: OwnedTables
  readonly shared: SharedTables
}

/** What they tell. */
export interface ReplicationEvents {
  readonly owned: OwnedEvents
  readonly shared: Omit<SharedEvents, 'caughtUp' | 'copies'>
}

/** Removes from a disc all that came from a cluster; what the node owns stays. */
export function emptyTables(store: Store, node: string): void {
  emptyShared(store)
  emptyOwned(store, node)
}

/** Tables that every node has for itself. */
class LocalContent implements Replication {
  onCaughtUp: (() => void) | undefined = undefined
  readonly #tables: LocalTables

  constructor({ links, store, runtime }: Cluster) {
    this.#tables = new LocalTables({ links, store, logger: runtime.logger })
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind): KeptTable<Row> {
    return this.#tables.open(definition, copy)
  }

  drop(name: string): void {
    this.#tables.drop(name)
  }

  setCopy(name: string, copy: CopyKind): void {
    this.#tables.setCopy(name, copy)
  }

  isCaughtUp(): boolean {
    return true
  }

  reset(): void {}

  stop(): void {
    this.#tables.stop()
  }
}

/** Owned tables. */
class OwnedTables implements Replication {
  readonly replication: OwnedReplication

  constructor({ links, store, runtime }: Cluster, events: OwnedEvents) {
    this.replication = new OwnedReplication({ links, store, logger: runtime.logger, events })
    links.handle('owned', this.replication)
  }

  set onCaughtUp(listener: (() => void) | undefined) {
    this.replication.onCaughtUp = listener
  }

  get onCaughtUp(): (() => void) | undefined {
    return this.replication.onCaughtUp
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind): KeptTable<Row> {
    return this.replication.open(definition, copy)
  }

  drop(name: string): void {
    this.replication.drop(name)
  }

  setCopy(name: string, copy: CopyKind): void {
    this.replication.setCopy(name, copy)
  }

  isCaughtUp(node: string): boolean {
    return this.replication.isCaughtUp(node)
  }

  reset(): void {
    this.replication.reset()
  }

  stop(): void {}
}

/** Shared tables. */
class SharedTables implements ClockedReplication {
  onCaughtUp: (() => void) | undefined = undefined
  readonly replication: SharedReplication
  readonly #copies = new Map<string, CopyKind>()

  constructor({ links, store, runtime, registry }: Cluster, events: ReplicationEvents['shared']) {
    this.replication = new SharedReplication({
      links,
      store,
      logger: runtime.logger,
      isWanted: (table) => registry.get(tableKey(table))?.status !== 'deleted',
      events: {
        ...events,
        caughtUp: () => this.onCaughtUp?.(),
        copies: () => this.onCaughtUp?.(),
      },
    })
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind, origin: TableOrigin): KeptTable<Row> {
    this.#copies.set(definition.name, copy)
    const table = this.replication.create(definition, copiesOf(copy), { isNew: origin !== 'known' })
    // Whatever somebody still has of a table that was deleted is older than this.
    if (origin === 'again') void table.clear()
    return table
  }

  drop(name: string): void {
    this.#copies.delete(name)
    this.replication.drop(name)
  }

  setCopy(name: string, copy: CopyKind): void {
    const before = this.#copies.get(name)
    this.#copies.set(name, copy)
    if (copy === 'none') this.replication.dropCopy(name)
    else if (before === 'none') this.replication.addCopy(name, copy)
    else this.replication.changeCopy(name, copy)
  }

  isCaughtUp(node: string): boolean {
    return this.replication.isCaughtUp(node)
  }

  clock(): number {
    return this.replication.clock()
  }

  sawClock(clock: number): void {
    this.replication.sawClock(clock)
  }

  hasWholeCopy(name: string, node: string): boolean {
    return this.replication.hasWholeCopy(name, node)
  }

  forgetCopy(name: string, node: string): void {
    this.replication.forgetCopy(name, node)
  }

  reset(): void {
    this.replication.reset()
  }

  stop(): void {
    this.replication.stop()
  }
}

function copiesOf(copy: CopyKind): Copies | undefined {
  return copy === 'none' ? undefined : copy
}
