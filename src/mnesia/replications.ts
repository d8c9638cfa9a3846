/** The ways to replicate as the tables of a node use them: each part's own words behind `Replication`. */
import type { Copies, CopyKind, TableDefinition } from './definition.ts'
import { OwnedReplication } from './owned/owned-replication.ts'
import type { OwnedEvents } from './owned/settings.ts'
import type { Replication, TableOrigin } from './replication.ts'
import type { Cluster } from './schema/cluster.ts'
import { tableKey } from './schema/definitions.ts'
import { SharedReplication } from './shared/replication.ts'
import type { SharedEvents } from './shared/settings.ts'
import type { Table } from './table.ts'

/** Owned tables. */
export class OwnedTables implements Replication {
  readonly replication: OwnedReplication

  constructor({ links, store, runtime }: Cluster, events: OwnedEvents = {}) {
    this.replication = new OwnedReplication({ links, store, logger: runtime.logger, events })
    links.handle('owned', this.replication)
  }

  set onCaughtUp(listener: (() => void) | undefined) {
    this.replication.onCaughtUp = listener
  }

  get onCaughtUp(): (() => void) | undefined {
    return this.replication.onCaughtUp
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind): Table<Row> {
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
export class SharedTables implements Replication {
  onCaughtUp: (() => void) | undefined = undefined
  readonly replication: SharedReplication
  readonly #copies = new Map<string, CopyKind>()

  constructor({ links, store, runtime, registry }: Cluster, events: Omit<SharedEvents, 'caughtUp'> = {}) {
    this.replication = new SharedReplication({
      links,
      store,
      logger: runtime.logger,
      isWanted: (table) => registry.get(tableKey(table))?.status !== 'deleted',
      events: {
        ...events,
        caughtUp: () => this.onCaughtUp?.(),
      },
    })
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind, origin: TableOrigin): Table<Row> {
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
