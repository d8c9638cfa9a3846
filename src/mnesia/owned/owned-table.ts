/**
 * A table in which a row belongs to the node that wrote it.
 *
 * There is a container of rows for each owner (owner-rows.ts): this node's, written by `write`, `delete` and `batch`, and those of the other
 * members, written by replication alone. What readers see is the rows of this node and of all owners that are connected in the epoch of their
 * rows; that is a flag, so it costs nothing that an owner with a million rows comes or goes. Rows that are not visible can be read by
 * `readParked`, as far as the definition admits them and their owner is a member.
 *
 * A delete of this node removes its own rows and no others.
 */
import { Confirmations } from '../confirmations.ts'
import type { CopyKind, TableDefinition } from '../definition.ts'
import { NoCopyError } from '../errors.ts'
import { NO_ROWS, type OrderedKeys, ReadableTable } from '../rows/readable-table.ts'
import { END, type Position } from '../rows/shards.ts'
import type { Table, TableOperation, WriteOptions, WriteOutcome } from '../table.ts'
import { type AnyRows, type Core, NOTHING, type TableHost } from './core.ts'
import { KeyCount } from './key-count.ts'
import { ownOperations } from './own-operations.ts'
import { clearLeftovers, clearTable, findLostPlaces, OwnerDisc, ownersOnDisc, type RowChange } from './owner-disc.ts'
import { type ChangeSink, type DigestedRows, OwnerRows, type Place } from './owner-rows.ts'
import type { FormedRow, OwnedOperation } from './row-form.ts'
import { VisibleRows } from './visible-rows.ts'

const CONFIRMED: WriteOutcome = Object.freeze({ unconfirmed: Object.freeze([]) })
const MEMBERS_TIMEOUT_MS = 1000

export class OwnedTable<Row> extends ReadableTable<Row> implements Table<Row> {
  readonly #host: TableHost
  readonly #core: Core
  #copy: CopyKind
  /** By owner, this node's among them; empty without a copy. */
  readonly #owners = new Map<string, OwnerRows<Row>>()
  readonly #visible = new VisibleRows<Row>()
  readonly #keyCount = new KeyCount<Row>()
  /** Writes that wait for members. */
  readonly confirmations: Confirmations
  /** What an operation changes, while it does. */
  readonly #sink: TableSink<Row>

  /** Of a copy on disc the rows are there when it returns. Replication makes it. */
  constructor(host: TableHost, definition: TableDefinition<Row>, copy: CopyKind) {
    super(definition)
    this.#host = host
    this.#core = host.core
    this.#copy = copy
    this.confirmations = new Confirmations(host.core.links)
    this.#sink = new TableSink({
      wrote: (rows, row, old) => {
        if (this.isWatched) this.changed({ type: 'write', row, old, owner: rows.owner })
        else this.changed()
      },
      deleted: (rows, row) => {
        if (this.isWatched) this.changed({ type: 'delete', row, owner: rows.owner })
        else this.changed()
      },
      keyCount: this.#keyCount,
    })
    if (copy !== 'none') this.#load()
  }

  get copy(): CopyKind {
    return this.#copy
  }

  get size(): number {
    this.#needsCopy()
    return this.#visible.size
  }

  /**
   * Kept as keys come and go, at the cost of a lookup in each other visible owner's rows. After a change of who is visible keys are counted anew, a
   * thousand in a turn; until that is done it is an estimate, between the greatest number of an owner's keys and the sum of them.
   */
  get keyCount(): number {
    this.#needsCopy()
    return this.#keyCount.count
  }

  has(key: string): boolean {
    return this.#visible.has(key) || this.#needsCopy()
  }

  get(key: string): Row | undefined {
    const row = this.#visible.get(key)
    if (row === undefined) this.#needsCopy()
    return row
  }

  read(key: string): readonly Row[] {
    const rows = this.#visible.read(key)
    if (rows.length === 0) this.#needsCopy()
    return rows
  }

  override readParked(key: string): readonly Row[] {
    this.#needsCopy()
    const { parked } = this.definition
    if (parked === undefined) return NO_ROWS
    let found: Row[] | undefined
    for (const { isVisible, rows } of this.#owners.values()) {
      if (isVisible) continue
      for (const row of rows.read(key)) {
        if (!parked(row)) continue
        found ??= []
        found.push(row)
      }
    }
    return found ?? NO_ROWS
  }

  keys(): IterableIterator<string> {
    this.#needsCopy()
    return this.#visible.keys(this.definition.type === 'ordered_set')
  }

  override *rowsOf(owner: string): IterableIterator<Row> {
    const rows = this.#owners.get(owner)?.rows
    if (rows !== undefined) for (const key of rows.keys()) yield* rows.read(key)
  }

  write(row: Row): undefined
  write(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  write(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const own = this.#own()
    return this.#commit(own, [own.held.form.write(row)], options)
  }

  delete(key: string): undefined
  delete(key: string, options: WriteOptions): Promise<WriteOutcome> | undefined
  delete(key: string, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.#commit(this.#own(), [{ kind: 'delete', key }], options)
  }

  deleteObject(row: Row): undefined
  deleteObject(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  deleteObject(row: Row, options?: WriteOptions): Promise<WriteOutcome> | undefined {
    return this.batch([{ op: 'delete_object', row }], options)
  }

  batch(operations: readonly TableOperation<Row>[], options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const own = this.#own()
    return this.#commit(own, ownOperations(this.definition, own, operations), options)
  }

  clear(options?: WriteOptions): Promise<WriteOutcome> | undefined {
    const { rows } = this.#own()
    for (let at: Position | undefined = 0; at !== undefined; ) {
      const { keys, next }: { keys: readonly string[]; next: Position | undefined } = rows.keyChunk(at)
      const operations = keys.map((key) => ({ op: 'delete' as const, key }))
      if (next === undefined) return this.batch(operations, options)
      void this.batch(operations)
      at = next
    }
    return undefined
  }

  // For replication

  /** The rows of an owner; undefined when nothing has been heard of it. */
  of(owner: string): OwnerRows<Row> | undefined {
    return this.#owners.get(owner)
  }

  /** All owners of whom something has been heard, this node included. */
  owners(): readonly OwnerRows<Row>[] {
    return [...this.#owners.values()]
  }

  /** Whether a change of an owner's rows is one of what readers see. */
  override isVisible(owner: string): boolean {
    return this.#owners.get(owner)?.isVisible === true
  }

  /** Applies the next batch of another owner. */
  apply(rows: OwnerRows<Row>, operations: readonly OwnedOperation<Row>[]): void {
    rows.seq++
    this.#apply(rows, operations)
    this.#tellParked(rows)
    this.#core.counters.applied++
    this.#host.advanced(this.definition.name, rows as AnyRows)
  }

  /**
   * Rows of an owner as of a place, complete, which take the place of what was there. When they are visible, events tell of the `differing` keys,
   * which are all whose rows are others now.
   */
  install(
    owner: string,
    held: DigestedRows<Row>,
    place: Place,
    differing: Iterable<string>,
    disc?: OwnerDisc<Row>,
  ): void {
    let rows = this.#owners.get(owner)
    if (rows === undefined) {
      rows = this.#newOwner(owner)
    }
    const former = rows.held
    held.setIndexes(this.indexes)
    rows.held = held
    rows.epoch = place.epoch
    rows.seq = place.seq
    rows.mayLack = false
    rows.disc = disc
    disc?.complete(place)
    this.#core.log.drop(rows as AnyRows)
    if (rows.isVisible) {
      this.#showAll()
      for (const key of differing) this.#tell(rows, key, former)
    } else this.#tellParked(rows)
    this.#host.advanced(this.definition.name, rows as AnyRows)
  }

  /** Makes the rows of an owner visible, or hides them. */
  setVisible(owner: string, isVisible: boolean): void {
    const rows = this.#owners.get(owner)
    if (rows === undefined || rows.isVisible === isVisible) return
    rows.isVisible = isVisible
    this.#showAll()
    this.changed(isVisible ? { type: 'shown', owner } : { type: 'hidden', owner })
  }

  /** Replaces the rows of a range of hashes by what they should be. Returns how many were wrong. */
  repair(rows: OwnerRows<Row>, right: readonly FormedRow<Row>[], from: Position, to: Position): number {
    const { form } = rows.held
    const expected = new Map(right.map((row) => [`${row.key}\0${this.#identityOf(rows, row.row)}`, row]))
    const operations: OwnedOperation<Row>[] = []
    for (let at: Position | undefined = from; at !== undefined; ) {
      const { rows: held, next }: { rows: readonly Row[]; next: Position | undefined } = rows.rows.chunk(at, to)
      for (const row of held) {
        const key = this.keyOf(row)
        const id = `${key}\0${this.#identityOf(rows, row)}`
        const wanted = expected.get(id)
        if (wanted === undefined) operations.push(form.deleteObject(row))
        else if (wanted.content === form.contentOf(row)) expected.delete(id)
      }
      at = next
    }
    for (const row of expected.values()) operations.push({ ...row, kind: 'write' })
    this.#apply(rows, operations)
    // Whatever went wrong may have gone by the count.
    if (operations.length > 0) {
      if (rows.isVisible) this.#showAll()
      else this.#tellParked(rows)
    }
    return operations.length
  }

  /** Forgets an owner. */
  forget(owner: string): void {
    const rows = this.#owners.get(owner)
    if (rows === undefined) return
    this.setVisible(owner, false)
    this.#owners.delete(owner)
    this.#tellParked(rows)
    rows.disc?.drop()
    this.#core.log.drop(rows as AnyRows)
  }

  /** Where the rows of an owner lie on disc, or will lie; undefined when they do not. */
  discOf(owner: string): OwnerDisc<Row> | undefined {
    if (this.#copy !== 'disc_copies') return undefined
    const disc = this.#owners.get(owner)?.disc
    return disc ?? new OwnerDisc(this.#core.store, this.definition, owner)
  }

  /** Changes the copy of this node. */
  setCopy(copy: CopyKind): void {
    if (copy === this.#copy) return
    const former = this.#copy
    this.#copy = copy
    if (copy === 'none') this.drop()
    else if (former === 'none') this.#load()
    else if (copy === 'ram_copies') {
      for (const rows of this.#owners.values()) rows.disc = undefined
      clearTable(this.#core.store, this.definition.name)
    } else for (const rows of this.#owners.values()) this.#toDisc(rows)
  }

  /** Removes everything, from the disc as well. */
  drop(): void {
    const own = this.#owners.get(this.#core.links.node)
    if (own !== undefined) this.#core.lastBatches.set(this.definition.name, own.seq)
    for (const owner of [...this.#owners.keys()]) this.forget(owner)
    clearTable(this.#core.store, this.definition.name)
  }

  /** Forgets all but this node's rows, which begin their new epoch. */
  reset(): void {
    const { node, epoch } = this.#core.links
    for (const owner of [...this.#owners.keys()]) if (owner !== node) this.forget(owner)
    const own = this.#owners.get(node)
    if (own === undefined) return
    own.epoch = epoch
    own.seq = 0
    own.disc?.begun(own)
    this.#core.log.drop(own as AnyRows)
  }

  protected override keysAfter(key: string | undefined): IterableIterator<string> {
    this.#needsCopy()
    return this.#visible.keysAfter(key, this.definition.type === 'ordered_set')
  }

  protected override order(): OrderedKeys {
    this.#needsCopy()
    return this.#visible
  }

  protected override reindex(): void {
    for (const { held } of this.#owners.values()) held.setIndexes(this.indexes)
    // The containers may be others now.
    this.#showAll()
  }

  protected override indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    this.#needsCopy()
    return this.#visible.indexed(field, value)
  }

  #own(): OwnerRows<Row> {
    const own = this.#owners.get(this.#core.links.node)
    if (own === undefined) throw this.#noCopy()
    return own
  }

  /** Returns false, for who has found nothing; without a copy there was nothing to look at. */
  #needsCopy(): false {
    if (this.#copy === 'none') throw this.#noCopy()
    return false
  }

  #noCopy(): NoCopyError {
    return new NoCopyError(this.definition.name, this.#host.nodesWith(this.definition.name))
  }

  /** One batch of this node. */
  #commit(
    own: OwnerRows<Row>,
    operations: readonly OwnedOperation<Row>[],
    options: WriteOptions | undefined,
  ): Promise<WriteOutcome> | undefined {
    if (operations.length > 0) {
      const { links, log, counters } = this.#core
      // Who is alone need not keep what nobody will ask for: a member that comes takes a snapshot.
      const hasOthers = links.members().length > 1 || links.connected().length > 0
      const entry = hasOthers ? this.#entryOf(own, operations) : undefined
      counters.written++
      own.seq++
      if (entry !== undefined) log.append(own as AnyRows, own.seq, entry)
      else log.drop(own as AnyRows)
      this.#apply(own, operations)
      this.#host.advanced(this.definition.name, own as AnyRows)
    }
    switch (options?.wait) {
      case 'durable':
        return own.disc === undefined ? undefined : this.#core.store.flushed().then(() => CONFIRMED)
      case 'members':
        return this.confirmations.wait(own.seq, options.timeoutMs ?? MEMBERS_TIMEOUT_MS)
      default:
        return undefined
    }
  }

  #entryOf(own: OwnerRows<Row>, operations: readonly OwnedOperation<Row>[]): Uint8Array {
    const { writer, limits } = this.#core
    own.held.form.putEntry(writer, operations)
    const body = writer.take()
    if (body.length > limits.entryBytes) {
      throw new RangeError(`a batch of ${body.length} bytes is more than ${limits.entryBytes}: write it in parts`)
    }
    writer.blob(body)
    return writer.take()
  }

  #apply(rows: OwnerRows<Row>, operations: readonly OwnedOperation<Row>[]): void {
    const changes: RowChange<Row>[] | undefined = rows.disc === undefined ? undefined : []
    this.#sink.open(rows, changes)
    for (const operation of operations) rows.held.apply(operation, this.#sink)
    if (changes !== undefined) rows.disc!.commit(changes, rows)
  }

  /** The event of rows that have changed and are not visible. */
  #tellParked({ owner, isVisible }: OwnerRows<Row>): void {
    if (!isVisible && this.definition.parked !== undefined && this.isWatched) this.changed({ type: 'parked', owner })
  }

  /** Events of a key whose rows others have taken the place of. */
  #tell({ owner, held }: OwnerRows<Row>, key: string, former: DigestedRows<Row>): void {
    const { form } = held
    const before = new Map(former.rows.read(key).map((row) => [this.#identity(form.identity, row), row]))
    for (const row of held.rows.read(key)) {
      const identity = this.#identity(form.identity, row)
      const old = before.get(identity)
      before.delete(identity)
      if (old === undefined || form.contentOf(old) !== form.contentOf(row)) {
        this.changed({ type: 'write', row, old, owner })
      }
    }
    for (const row of before.values()) this.changed({ type: 'delete', row, owner })
  }

  #identityOf(rows: OwnerRows<Row>, row: Row): string {
    return this.#identity(rows.held.form.identity, row)
  }

  #identity(identity: (row: Row) => string, row: Row): string {
    return this.definition.type === 'bag' ? identity(row) : ''
  }

  #newOwner(owner: string): OwnerRows<Row> {
    const rows = new OwnerRows(this.definition, owner)
    rows.held.setIndexes(this.indexes)
    this.#owners.set(owner, rows)
    return rows
  }

  /** Finds the containers of the visible owners again. */
  #showAll(): void {
    const { node } = this.#core.links
    const visible = [...this.#owners.values()].filter(({ isVisible }) => isVisible)
    visible.sort((a, b) => (a.owner === node ? -1 : b.owner === node ? 1 : a.owner < b.owner ? -1 : 1))
    this.#visible.containers = visible.map(({ rows }) => rows)
    if (this.#keyCount.reset(this.#visible.containers)) this.#host.work(this.#keyCount.counting())
  }

  /** This node's rows begin its epoch with what its disc has; those of the others are there, and not visible. */
  #load(): void {
    const { links, store, logger } = this.#core
    const { name } = this.definition
    const owners = new Set([links.node])
    if (this.#copy === 'disc_copies') {
      findLostPlaces(store)
      clearLeftovers(store, name)
      for (const owner of ownersOnDisc(store, name)) owners.add(owner)
    } else clearTable(store, name)
    for (const owner of owners) {
      const rows = this.#newOwner(owner)
      rows.disc = this.discOf(owner)
      const place = rows.disc?.load(rows.held, (reason) =>
        logger.error({ table: name, owner, reason }, 'a row on disc is damaged and left out'),
      )
      rows.mayLack = owner !== links.node && rows.disc?.mayLack === true
      // Of what may lack something nobody can go on from a place.
      const { epoch, seq } = place === undefined || rows.mayLack ? NOTHING : place
      rows.epoch = epoch
      rows.seq = seq
    }
    const own = this.#own()
    own.epoch = links.epoch
    own.seq = (this.#core.lastBatches.get(name) ?? -1) + 1
    own.isVisible = true
    own.disc?.begun(own)
    this.#showAll()
  }

  /** Writes rows to a disc that they have not been on, some at a time. */
  #toDisc(rows: OwnerRows<Row>): void {
    const disc = this.discOf(rows.owner)!
    rows.disc = disc
    disc.begin()
    let at: Position = 0
    this.#host.work(() => {
      if (rows.disc !== disc || !disc.isBegun) return false
      const { rows: chunk, next } = rows.rows.chunk(at)
      const { form } = rows.held
      disc.add(chunk.map((row) => ({ key: this.keyOf(row), row, written: form.write(row) })))
      at = next ?? END
      disc.reach(at)
      if (next === undefined) disc.complete(rows)
      return next !== undefined
    })
  }
}

interface SinkTargets<Row> {
  readonly wrote: (rows: OwnerRows<Row>, row: Row, old: Row | undefined) => void
  readonly deleted: (rows: OwnerRows<Row>, row: Row) => void
  readonly keyCount: KeyCount<Row>
}

/** Where the changes of a container go: to the disc, the count of keys, and the subscribers. One for all, since there are so many. */
class TableSink<Row> implements ChangeSink<Row> {
  readonly #targets: SinkTargets<Row>
  #rows: OwnerRows<Row> | undefined
  #changes: RowChange<Row>[] | undefined

  constructor(targets: SinkTargets<Row>) {
    this.#targets = targets
  }

  open(rows: OwnerRows<Row>, changes: RowChange<Row>[] | undefined): void {
    this.#rows = rows
    this.#changes = changes
  }

  wrote(written: FormedRow<Row>, old: Row | undefined, hash: number, isNewKey: boolean): void {
    const rows = this.#rows!
    const { key, row } = written
    this.#changes?.push({ key, row, written })
    if (!rows.isVisible) return
    if (isNewKey) this.#targets.keyCount.changed(rows.rows, key, hash, 1)
    this.#targets.wrote(rows, row, old)
  }

  deleted(key: string, row: Row, hash: number, isLast: boolean): void {
    const rows = this.#rows!
    this.#changes?.push({ key, row, written: undefined })
    if (!rows.isVisible) return
    if (isLast) this.#targets.keyCount.changed(rows.rows, key, hash, -1)
    this.#targets.deleted(rows, row)
  }
}
