/**
 * The tables of a node: opens them by definition, keeps them in step with the schema, and knows how far each is loaded.
 *
 * The code that owns a table opens it with its definition at each start. A table that another member has created, and whose definition
 * is plain data, is made here as well, so that this node has a copy of it. Tables live as long as the node; processes that use them come
 * and go.
 */
import type { Copies, CopyKind, TableDefinition } from './definition.ts'
import { TableError } from './errors.ts'
import type { TableRows } from './membership.ts'
import type { ClockedReplication, KeptTable, Replication, TableOrigin } from './replication.ts'
import type { Cluster, ClusterTables } from './schema/cluster.ts'
import {
  AS_DEFINED,
  copyKey,
  copyOn,
  copyRows,
  definitionOf,
  describe,
  described,
  differences,
  indexesOf,
  indexKey,
  indexRows,
  isOfIndex,
  tableIn,
  tableKey,
  tablesIn,
} from './schema/definitions.ts'
import type { RegistryRow } from './schema/registry.ts'
import type { Table, TableReader, Tables } from './table.ts'

interface Open {
  readonly definition: TableDefinition<unknown>
  readonly table: KeptTable<unknown>
  readonly replication: Replication
  copy: CopyKind
  /** Fields that have an index by the definitions with which it was opened here. */
  readonly defined: Set<string>
  /** Made from the schema alone: nobody here has asked for it. */
  readonly isByOthers: boolean
}

export interface Replications extends Readonly<Record<'owned' | 'shared' | 'local_content', Replication>> {
  readonly shared: ClockedReplication
}

export class TableSet implements Tables, ClusterTables {
  readonly #cluster: Cluster
  readonly #replications: Replications
  readonly #tables = new Map<string, Open>()
  /** The table that is being opened. */
  #opening: string | undefined

  constructor(cluster: Cluster, replications: Replications) {
    this.#cluster = cluster
    this.#replications = replications
    cluster.tables = this
    this.schemaChanged(cluster.registry.rows())
  }

  /**
   * The table of a definition; it is created in the cluster when there is none of its name. Throws a `TableError` that names the
   * difference when there is one that is defined in another way.
   */
  open<Row>(definition: TableDefinition<Row>): Table<Row> {
    const { name } = definition
    const description = describe(definition)
    const opened = this.#tables.get(name)
    const inSchema = tableIn(this.#cluster.registry, name)
    const known = opened === undefined ? inSchema : describe(opened.definition)
    const found = known === undefined ? [] : differences({ ...description }, { ...known })
    if (found.length > 0) {
      throw new TableError('definition_differs', `table ${name} is defined in another way: ${found.join('; ')}`)
    }
    if (opened !== undefined) {
      for (const field of definition.index ?? []) opened.defined.add(field)
      this.#indexesChanged(name)
      return opened.table as Table<Row>
    }
    // Copies are the cluster's to decide once there are any.
    const copies = (inSchema?.copies as Copies | undefined) ?? description.copies
    const wasDeleted = this.#cluster.registry.get(tableKey(name))?.status === 'deleted'
    const origin = inSchema !== undefined ? 'known' : wasDeleted ? 'again' : 'new'
    this.#opening = name
    this.#cluster.write(tableKey(name), described({ ...description, copies }, inSchema))
    this.#opening = undefined
    return this.#make(definition as TableDefinition<unknown>, false, origin) as Table<unknown> as Table<Row>
  }

  all(): readonly TableReader<unknown>[] {
    return [...this.#tables.values()].map(({ table }) => table)
  }

  /** Names of the tables that are open here. */
  names(): string[] {
    return [...this.#tables.keys()].sort()
  }

  get(name: string): Table<unknown> | undefined {
    return this.#tables.get(name)?.table
  }

  /** The kind of this node's copy. */
  copy(name: string): CopyKind | undefined {
    return this.#tables.get(name)?.copy
  }

  /** Nodes that have a copy, by kind. */
  copiesOf(name: string): Readonly<Record<Copies, readonly string[]>> {
    const { registry, links } = this.#cluster
    const of = (kind: Copies) => links.members().filter((node) => copyOn(registry, name, node) === kind)
    return { ram_copies: of('ram_copies'), disc_copies: of('disc_copies') }
  }

  /** Ends a table on all members. Throws when there is none. */
  delete(name: string): void {
    const row = this.#cluster.registry.get(tableKey(name))
    if (row === undefined || row.status === 'deleted') throw new TableError('no_exists', `there is no table ${name}`)
    this.#cluster.write(tableKey(name), { ...row, status: 'deleted' })
    // One of this name that is created later begins with the copies and indexes of its definition.
    const { registry } = this.#cluster
    for (const { key } of [...copyRows(registry, name), ...indexRows(registry, name)]) {
      this.#cluster.write(key, { kind: AS_DEFINED })
    }
  }

  /** Removes the rows of a table. Throws when there is none. */
  clear(name: string): void {
    this.#open(name).table.clear()
  }

  /** Adds an index on all members. Throws when there is no such table, or one on the field already. */
  addIndex(name: string, field: string): void {
    const { table } = this.#open(name)
    if (table.indexes.includes(field) || table.definition.key === field) {
      throw new TableError('already_exists', `table ${name} has an index on ${field} already`)
    }
    this.#setIndex(name, field, 'added')
  }

  /** Deletes an index on all members. Throws when there is no such table or index. */
  deleteIndex(name: string, field: string): void {
    if (!this.#open(name).table.indexes.includes(field)) {
      throw new TableError('no_exists', `table ${name} has no index on ${field}`)
    }
    this.#setIndex(name, field, 'deleted')
  }

  /** Gives a member a copy. Throws when there is no such table or member, or it has a copy of the other kind. */
  addCopy(name: string, node: string, kind: Copies): void {
    const held = this.#copyOf(name, node)
    if (held === kind) return
    if (held !== 'none') throw new TableError('already_exists', `${node} has ${held} of table ${name} already`)
    this.#replications.shared.forgetCopy(name, node)
    this.#cluster.write(copyKey(name, node), { kind })
  }

  /** Changes the kind of a member's copy. Throws when there is no such table, member or copy. */
  changeCopy(name: string, node: string, kind: Copies): void {
    if (this.kindOf(name, node) !== kind) this.#cluster.write(copyKey(name, node), { kind })
  }

  /**
   * Takes a member's copy away; the table ends with the last one. Throws when there is no such table or member, or none of the other
   * copies of a shared table is known to be complete.
   */
  deleteCopy(name: string, node: string): void {
    if (this.#copyOf(name, node) === 'none') return
    const others = Object.values(this.copiesOf(name))
      .flat()
      .filter((each) => each !== node)
    if (others.length === 0) {
      this.delete(name)
      return
    }
    if (!others.some((other) => this.hasWholeCopy(name, other))) {
      throw new TableError('not_loaded', `no other running member has all of table ${name}: see ${others.join(', ')}`)
    }
    this.#cluster.write(copyKey(name, node), { kind: 'none' })
  }

  /** The kind of the copy of a member. Throws when there is no such table, member or copy. */
  kindOf(name: string, node: string): Copies {
    const held = this.#copyOf(name, node)
    if (held === 'none') throw new TableError('no_exists', `${node} has no copy of table ${name}`)
    return held
  }

  /** Whether a member that runs has told that its copy lacks nothing. In tables that are not shared each has its own rows. */
  hasWholeCopy(name: string, node: string): boolean {
    const isShared = tableIn(this.#cluster.registry, name)?.replication === 'shared'
    return !isShared || this.#replications.shared.hasWholeCopy(name, node)
  }

  schemaChanged(rows: readonly RegistryRow[]): void {
    const isTables = rows.some((row) => /^(table|copy)\//.test(row.key) || isOfIndex(row))
    if (!isTables) return
    const { registry } = this.#cluster
    const inSchema = tablesIn(registry)
    for (const name of [...this.#tables.keys()]) {
      if (inSchema.has(name)) {
        this.#copyChanged(name)
        this.#indexesChanged(name)
      } else this.#drop(name)
    }
    for (const [name, value] of inSchema) {
      if (this.#tables.has(name) || this.#opening === name) continue
      const definition = definitionOf(name, value)
      if (definition !== undefined) this.#make(definition as unknown as TableDefinition<unknown>, true, 'known')
    }
  }

  reset(): void {
    for (const replication of Object.values(this.#replications)) replication.reset()
  }

  clock(): number {
    return this.#replications.shared.clock()
  }

  sawClock(clock: number): void {
    this.#replications.shared.sawClock(clock)
  }

  /** Nothing is sent or written any more. */
  stop(): void {
    for (const replication of Object.values(this.#replications)) replication.stop()
  }

  /** Rows of shared disc tables that are not empty. */
  rowsToLose(): TableRows[] {
    return this.shared()
      .map(({ definition, size }) => ({ table: definition.name, rows: size }))
      .filter(({ rows }) => rows > 0)
  }

  /** Shared tables on this node's disc. */
  shared(): Table<unknown>[] {
    return [...this.#tables.values()]
      .filter(({ definition, copy }) => definition.replication === 'shared' && copy === 'disc_copies')
      .map(({ table }) => table)
  }

  /** Tables on this node's disc with rows that nobody else writes, sorted. */
  sole(): string[] {
    return this.names().filter((name) => {
      const { definition, copy } = this.#tables.get(name)!
      return copy === 'disc_copies' && definition.replication !== 'shared'
    })
  }

  /** Whether all that linked members had when they were linked is here. */
  isCaughtUp(node: string): boolean {
    return Object.values(this.#replications).every((replication) => replication.isCaughtUp(node))
  }

  #make(definition: TableDefinition<unknown>, isByOthers: boolean, origin: TableOrigin): Table<unknown> {
    const replication = this.#replications[definition.replication]
    const copy = copyOn(this.#cluster.registry, definition.name, this.#cluster.node)
    const table = replication.open(definition, copy, origin)
    const defined = new Set<string>(definition.index)
    this.#tables.set(definition.name, { definition, table, replication, copy, isByOthers, defined })
    this.#indexesChanged(definition.name)
    return table
  }

  /** The copy of a member. Throws when there is no such table or member. */
  #copyOf(name: string, node: string): CopyKind {
    const { registry, links } = this.#cluster
    if (tableIn(registry, name) === undefined) throw new TableError('no_exists', `there is no table ${name}`)
    if (!links.members().includes(node)) throw new TableError('no_exists', `${node} is no member`)
    return copyOn(registry, name, node)
  }

  #open(name: string): Open {
    const open = this.#tables.get(name)
    if (open === undefined) throw new TableError('no_exists', `there is no table ${name}`)
    return open
  }

  #setIndex(name: string, field: string, kind: 'added' | 'deleted'): void {
    this.#cluster.write(indexKey(name, field), { kind })
  }

  #indexesChanged(name: string): void {
    const { table, defined } = this.#tables.get(name)!
    const fields = indexesOf(this.#cluster.registry, name, defined)
    const isSame = fields.length === table.indexes.length && fields.every((field) => table.indexes.includes(field))
    if (!isSame) table.setIndexes(fields)
  }

  #drop(name: string): void {
    this.#tables.get(name)?.replication.drop(name)
    this.#tables.delete(name)
  }

  #copyChanged(name: string): void {
    const open = this.#tables.get(name)!
    const copy = copyOn(this.#cluster.registry, name, this.#cluster.node)
    if (copy === open.copy) return
    open.copy = copy
    open.replication.setCopy(name, copy)
  }
}
