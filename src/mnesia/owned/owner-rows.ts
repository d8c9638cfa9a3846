/**
 * The rows of one owner in one table, as far as they are known here.
 *
 * They are the owner's rows as of (epoch, seq), always: a batch changes rows and number together, and a snapshot takes the place of
 * what was there before only when it is complete. It is also the stream of which the log holds entries.
 */
import type { TableDefinition } from '../definition.ts'
import { BucketDigest } from '../rows/bucket-digest.ts'
import { hashOf } from '../rows/key-hash.ts'
import { createRows, type Rows, withIndexes } from '../rows/rows.ts'
import type { OwnerDisc } from './owner-disc.ts'
import { type FormedRow, type OwnedOperation, RowForm } from './row-form.ts'

/** Which incarnation of an owner, and how many of its batches. */
export interface Place {
  readonly epoch: number
  readonly seq: number
}

/** Negative when `a` comes before `b`. */
export function comparePlaces(a: Place, b: Place): number {
  return a.epoch - b.epoch || a.seq - b.seq
}

/** What becomes of rows. */
export interface ChangeSink<Row> {
  /** `isNewKey`: the key had no row before. */
  wrote(row: FormedRow<Row>, old: Row | undefined, hash: number, isNewKey: boolean): void
  /** `isLast`: the key has no row any more. */
  deleted(key: string, row: Row, hash: number, isLast: boolean): void
}

/**
 * Rows with their digest: what a snapshot is read into. What the digest has of a row is kept as its mark where there is one row for a key, since
 * the row of before would have to be encoded again to take it out.
 */
export class DigestedRows<Row> {
  readonly digest = new BucketDigest()
  readonly form: RowForm<Row>
  #rows: Rows<Row>

  constructor(definition: TableDefinition<Row>, owner: string, form = new RowForm(definition, owner)) {
    this.form = form
    this.#rows = createRows(definition, owner, { isMarked: true })
  }

  get rows(): Rows<Row> {
    return this.#rows
  }

  /** Adds and removes indexes, so that the rows have these; `rows` may be another container then. */
  setIndexes(fields: readonly (keyof Row & string)[]): void {
    this.#rows = withIndexes(this.#rows, fields)
  }

  /** Tells `sink` what has become of the rows, one after the other. */
  apply(operation: OwnedOperation<Row>, sink?: ChangeSink<Row>): void {
    const { key } = operation
    const hash = hashOf(key)
    if (operation.kind === 'write') {
      const before = this.rows.keyCount
      const mark = this.rows.marks?.markOf(key, hash)
      const old = this.rows.write(key, operation.row, hash)
      this.rows.marks?.setMark(key, hash, operation.content)
      if (old !== undefined) this.digest.toggle(hash, mark ?? this.form.contentOf(old))
      this.digest.toggle(hash, operation.content)
      sink?.wrote(operation, old, hash, this.rows.keyCount > before)
    } else if (operation.kind === 'delete_object') this.#deleteObject(key, hash, operation.row, sink)
    else for (const row of this.rows.read(key, hash)) this.#deleteObject(key, hash, row, sink)
  }

  #deleteObject(key: string, hash: number, row: Row, sink: ChangeSink<Row> | undefined): void {
    const before = this.rows.keyCount
    const mark = this.rows.marks?.markOf(key, hash)
    const old = this.rows.deleteObject(key, row, hash)
    if (old === undefined) return
    this.digest.toggle(hash, mark ?? this.form.contentOf(old))
    sink?.deleted(key, old, hash, this.rows.keyCount < before)
  }
}

export class OwnerRows<Row> {
  readonly owner: string
  held: DigestedRows<Row>
  /** 0 when nothing is known yet: epochs begin with 1. */
  epoch = 0
  /** Number of the last batch that is in. */
  seq = 0
  /** Its owner is connected in the epoch of the rows, or is this node. */
  isVisible = false
  /** The disc may have lost some of them: they are taken anew from whoever has them. */
  mayLack = false
  disc: OwnerDisc<Row> | undefined

  constructor(definition: TableDefinition<Row>, owner: string) {
    this.owner = owner
    this.held = new DigestedRows(definition, owner)
  }

  get rows(): Rows<Row> {
    return this.held.rows
  }
}
