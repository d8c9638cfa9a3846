/** Tables without processes: the replication of production over links in memory, for tests of what stands on tables. */

import { Writable } from 'node:stream'
import pino from 'pino'
import type { TableDefinition } from '../../src/mnesia/definition.ts'
import type { Links } from '../../src/mnesia/link.ts'
import { LocalTables } from '../../src/mnesia/local/local-tables.ts'
import type { ClusterStatus } from '../../src/mnesia/membership.ts'
import { OwnedReplication } from '../../src/mnesia/owned/owned-replication.ts'
import { SharedReplication } from '../../src/mnesia/shared/replication.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import type { Store } from '../../src/mnesia/store/store.ts'
import type { Table, TableReader, Tables } from '../../src/mnesia/table.ts'
import { LinkNetwork } from './link-network.ts'

const QUIET_MS = 100

/** The tables of some nodes that are all members of one cluster. */
export class TestTables implements Tables {
  readonly network: LinkNetwork
  readonly name: string
  readonly #links: Links
  readonly #owned: OwnedReplication
  readonly #shared: SharedReplication
  readonly #local: LocalTables
  readonly #tables = new Map<string, Table<unknown>>()

  /** `store`: what a former run of the node has left. */
  constructor(name = 'a@sim', network = new LinkNetwork({ seed: 1 }), store: Store = new MemoryStore()) {
    this.network = network
    this.name = name
    const links = network.start(name)
    this.#links = links
    const options = { links, store, logger: pino({ level: 'silent' }, new Writable()) }
    this.#owned = new OwnedReplication(options)
    links.handle('owned', this.#owned)
    this.#shared = new SharedReplication(options)
    this.#local = new LocalTables(options)
  }

  open<Row>(definition: TableDefinition<Row>): Table<Row> {
    const known = this.#tables.get(definition.name)
    if (known !== undefined) return known as unknown as Table<Row>
    const table = this.#make(definition)
    this.#tables.set(definition.name, table as unknown as Table<unknown>)
    return table
  }

  all(): readonly TableReader<unknown>[] {
    return [...this.#tables.values()]
  }

  /** As `Mnesia.status` says it, as far as there are members. */
  status(): ClusterStatus {
    const { name } = this
    const running = [name, ...this.#links.connected().map(({ node }) => node)].sort()
    return { node: name, cluster: 'test', epoch: 1, running, stopped: [], partitioned: [], stale: [] }
  }

  /** Members come and go unheard. */
  subscribe(): () => void {
    return () => {}
  }

  /** Another member, with the same tables. */
  member(name: string): TestTables {
    const other = new TestTables(name, this.network)
    for (const { definition } of this.all()) other.open(definition)
    return other
  }

  /** Has all that was written reach the other members. */
  settle(): void {
    this.network.settle(QUIET_MS)
  }

  #make<Row>(definition: TableDefinition<Row>): Table<Row> {
    switch (definition.replication) {
      case 'owned':
        return this.#owned.open(definition)
      case 'shared':
        return this.#shared.create(definition, definition.copies, { isNew: true })
      case 'local_content':
        return this.#local.open(definition, definition.copies)
    }
  }
}
