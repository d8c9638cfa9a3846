/** Thin stand-ins for the replications, for the time being: whole states and floods. */
import type { CopyKind, TableDefinition } from '../../../src/mnesia/definition.ts'
import type { LinkHandler, Links, Peer } from '../../../src/mnesia/link.ts'
import type { Replication } from '../../../src/mnesia/replication.ts'
import { termBytes } from '../../../src/mnesia/row-bytes.ts'
import { type OrderedKeys, ReadableTable } from '../../../src/mnesia/rows/readable-table.ts'
import type { Store } from '../../../src/mnesia/store/store.ts'
import type { Table, TableOperation, WriteOptions, WriteOutcome } from '../../../src/mnesia/table.ts'

interface Cell {
  readonly row: unknown
  readonly clock: number
  readonly node: string
}

const BYTES = termBytes<Cell>()

class SimpleTable<Row> extends ReadableTable<Row> implements Table<Row> {
  readonly cells = new Map<string, Cell>()
  readonly replication: SimpleReplication
  copy: CopyKind

  constructor(definition: TableDefinition<Row>, replication: SimpleReplication, copy: CopyKind) {
    super(definition)
    this.replication = replication
    this.copy = copy
  }

  get size(): number {
    return [...this.keys()].length
  }

  get keyCount(): number {
    return this.size
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  get(key: string): Row | undefined {
    return this.replication.shown(this.cells.get(key)) as Row | undefined
  }

  read(key: string): readonly Row[] {
    const row = this.get(key)
    return row === undefined ? [] : [row]
  }

  *keys(): IterableIterator<string> {
    const cells = [...this.cells].sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [key, cell] of cells) if (this.replication.shown(cell) !== undefined) yield key
  }

  write(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'write', row }], options)
  }

  delete(key: string, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete', key }], options)
  }

  deleteObject(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete', key: this.keyOf(row) }], options)
  }

  batch(operations: readonly TableOperation<Row>[], options?: WriteOptions): Promise<WriteOutcome> | undefined {
    for (const operation of operations) {
      if (operation.op === 'write')
        this.replication.write(this.definition.name, this.keyOf(operation.row), operation.row)
      else
        this.replication.write(
          this.definition.name,
          operation.op === 'delete' ? operation.key : this.keyOf(operation.row),
          undefined,
        )
    }
    if (options?.wait !== 'durable') return undefined
    return this.replication.store.flushed().then(() => ({ unconfirmed: [] }))
  }

  set(key: string, cell: Cell): boolean {
    const old = this.cells.get(key)
    if (old !== undefined && (old.clock > cell.clock || (old.clock === cell.clock && old.node >= cell.node)))
      return false
    this.cells.set(key, cell)
    this.changed()
    return true
  }

  protected *keysAfter(key: string | undefined): IterableIterator<string> {
    for (const each of [...this.keys()].sort()) if (key === undefined || each > key) yield each
  }

  protected order(): OrderedKeys {
    throw new Error('not here')
  }

  protected indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    return [...this.rows()].filter((row) => row[field] === value)
  }
}

export class SimpleReplication implements Replication, LinkHandler {
  onCaughtUp: (() => void) | undefined = undefined
  readonly store: Store
  readonly #links: Links
  readonly #part: string
  readonly #tables = new Map<string, SimpleTable<unknown>>()
  readonly #unknown = new Map<string, Map<string, Cell>>()
  readonly #peers = new Set<Peer>()
  readonly #caughtUp = new Set<string>()
  #clock = 0

  constructor(links: Links, store: Store, part: 'owned' | 'shared' | 'local_content') {
    this.store = store
    this.#links = links
    this.#part = part
    if (part !== 'local_content') links.handle(part, this)
  }

  open<Row>(definition: TableDefinition<Row>, copy: CopyKind): Table<Row> {
    const { name } = definition
    const table = new SimpleTable(definition, this, copy)
    this.#tables.set(name, table as unknown as SimpleTable<unknown>)
    for (const [key, bytes] of this.store.entries(this.#space(name))) this.#take(name, key, BYTES.decode(bytes))
    for (const [key, cell] of this.#unknown.get(name) ?? []) this.#take(name, key, cell)
    return table
  }

  drop(name: string): void {
    this.#tables.delete(name)
    this.store.clear(this.#space(name))
  }

  setCopy(name: string, copy: CopyKind): void {
    this.#tables.get(name)!.copy = copy
  }

  isCaughtUp(node: string): boolean {
    return this.#part === 'local_content' || this.#caughtUp.has(node)
  }

  reset(): void {
    for (const [name, table] of this.#tables) {
      for (const [key, { node }] of [...table.cells]) {
        if (this.#part !== 'shared' && node === this.#links.node) continue
        table.cells.delete(key)
        this.store.commit([{ space: this.#space(name), key, value: undefined }])
      }
    }
    this.#unknown.clear()
  }

  stop(): void {}

  shown(cell: Cell | undefined): unknown {
    if (this.#part !== 'owned' || cell === undefined || cell.node === this.#links.node) return cell?.row
    return this.#links.connected().some(({ node }) => node === cell.node) ? cell.row : undefined
  }

  write(name: string, key: string, row: unknown): void {
    const cell = { row, clock: ++this.#clock, node: this.#links.node }
    this.#take(name, key, cell)
    for (const peer of this.#peers) this.#send(peer, [[name, key, cell]])
  }

  up(peer: Peer): void {
    this.#peers.add(peer)
    const cells = [...this.#tables].flatMap(([name, { cells: all }]) =>
      [...all].map(([key, cell]) => [name, key, cell] as const),
    )
    this.#send(peer, cells)
    peer.send({ tag: 'all' })
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    if (message.tag === 'all') {
      this.#caughtUp.add(peer.node)
      this.onCaughtUp?.()
      return
    }
    const { cells } = message as unknown as { cells: [string, string, Cell][] }
    const news = cells.filter(([name, key, cell]) => this.#take(name, key, cell))
    for (const other of this.#peers) if (other !== peer && news.length > 0) this.#send(other, news)
  }

  down(peer: Peer): void {
    this.#peers.delete(peer)
    this.#caughtUp.delete(peer.node)
  }

  #take(name: string, key: string, cell: Cell): boolean {
    this.#clock = Math.max(this.#clock, cell.clock)
    const table = this.#tables.get(name)
    if (table === undefined) {
      const cells = this.#unknown.get(name) ?? new Map<string, Cell>()
      this.#unknown.set(name, cells.set(key, cell))
      return true
    }
    if (!table.set(key, cell)) return false
    if (table.copy === 'disc_copies') this.store.commit([{ space: this.#space(name), key, value: BYTES.encode(cell) }])
    return true
  }

  #send(peer: Peer, cells: readonly (readonly [string, string, Cell])[]): void {
    peer.send({ tag: 'cells', cells } as unknown as { tag: string })
  }

  #space(name: string): string {
    return `${this.#part}/${name}`
  }
}
