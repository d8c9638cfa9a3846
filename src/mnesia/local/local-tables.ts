/** The local_content tables of a node: makes them, and moves their copies between memory and disc. */
import type { Logger } from 'pino'
import type { CopyKind, TableDefinition } from '../definition.ts'
import type { Links } from '../link.ts'
import type { Store } from '../store/store.ts'
import { LocalDisc } from './local-disc.ts'
import { LocalTable } from './local-table.ts'

export interface LocalTablesOptions {
  readonly links: Pick<Links, 'node' | 'setTimer'>
  readonly store: Store
  readonly logger: Logger
}

export class LocalTables {
  readonly #options: LocalTablesOptions
  // biome-ignore lint/suspicious/noExplicitAny: tables of any rows
  readonly #tables = new Map<string, LocalTable<any>>()
  #isStopped = false

  constructor(options: LocalTablesOptions) {
    this.#options = options
  }

  /** Makes a table; of a copy on disc the rows are there when it returns. */
  open<Row>(definition: TableDefinition<Row>, copy: CopyKind): LocalTable<Row> {
    const table = new LocalTable(definition, this.#options.links.node)
    this.#tables.set(definition.name, table)
    const disc = this.#disc(definition)
    if (copy !== 'disc_copies') disc.clear()
    if (copy !== 'none') this.#begin(table, copy === 'disc_copies' ? disc : undefined)
    return table
  }

  /** Ends a table for good: its rows are gone, from the disc as well. */
  drop(name: string): void {
    this.#tables.get(name)?.end()
    this.#tables.delete(name)
  }

  /** Adds, removes or changes the copy of this node. */
  setCopy(name: string, copy: CopyKind): void {
    const table = this.#tables.get(name)
    if (table === undefined || table.copy === copy) return
    if (copy === 'none') table.end()
    else if (table.copy === 'none')
      this.#begin(table, copy === 'disc_copies' ? this.#disc(table.definition) : undefined)
    else if (copy === 'ram_copies') table.leaveDisc()
    else {
      table.enterDisc(this.#disc(table.definition))
      this.#writeOn(table)
    }
  }

  /** No table is changed any more. */
  stop(): void {
    this.#isStopped = true
  }

  #disc<Row>(definition: TableDefinition<Row>): LocalDisc<Row> {
    return new LocalDisc(this.#options.store, definition, this.#options.links.node)
  }

  #begin<Row>(table: LocalTable<Row>, disc: LocalDisc<Row> | undefined): void {
    let damaged = 0
    table.begin(disc, (reason) => {
      if (damaged++ === 0) {
        this.#options.logger.error({ table: table.definition.name, reason }, 'a row on disc is damaged and left out')
      }
    })
  }

  /** A chunk a turn. */
  #writeOn<Row>(table: LocalTable<Row>): void {
    if (this.#isStopped || !table.writeMore()) return
    this.#options.links.setTimer(0, () => this.#writeOn(table))
  }
}
