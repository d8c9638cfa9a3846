/**
 * What a table is: declared once, next to the code that owns the table, as emqttd's modules declare theirs.
 *
 * The words are Mnesia's where Mnesia has them. What Mnesia leaves to the choice between a transaction and a dirty operation is
 * here a property of the table, since it decides what happens at a partition:
 *
 * - *owned*: a row belongs to the node that wrote it. Only that node changes it, it is visible while that node is a connected
 *   member, and it needs no lock, no clock and no merge. Routes and the session directory are owned.
 * - *shared*: a row may be written anywhere. The later write wins on every node, a delete leaves a tombstone, and both sides of a
 *   partition merge. Retained messages and users are shared.
 * - *local_content*: the same definition everywhere, rows of its own on each node [OTP mnesia, local_content].
 *
 * Differs from Mnesia: a key is a string, and a row is an object with named fields instead of a record.
 */

/** How a row is kept outside of memory: the same bytes on the wire and on disc. */
export interface RowBytes<Row> {
  readonly encode: (row: Row) => Uint8Array
  /** Throws when the bytes are none of its own. Fields that it does not know are kept in the row. */
  readonly decode: (bytes: Uint8Array) => Row
}

/**
 * Keeps rows of which there are millions as small integers, without an object for each: from 0 to 2^31 - 1, smaller ones in fewer bytes.
 * They travel to other nodes and lie on disc, so they mean the same on every node and in every release.
 */
export interface RowCodec<Row> {
  readonly pack: (row: Row) => number
  readonly unpack: (key: string, packed: number) => Row
}

export type TableType = 'set' | 'ordered_set' | 'bag'
export type Replication = 'owned' | 'shared' | 'local_content'
export type Copies = 'ram_copies' | 'disc_copies'
/** What a node has of a table. */
export type CopyKind = Copies | 'none'

export interface TableDefinition<Row> {
  readonly name: string
  /** One row per key, one row per key in key order (UTF-16 code units), or several rows per key. */
  readonly type: TableType
  readonly key: keyof Row & string
  readonly replication: Replication
  readonly copies: Copies
  /** For a bag: rows of one key whose identities are equal are the same row, and the later replaces the earlier. */
  readonly identity?: (row: Row) => string
  /**
   * For a bag of which there are millions of rows: makes the functions that turn all of a row but its key into a small
   * integer and back. Equal integers are the same row. The table then stores no row objects. `owner` is the node whose rows they are,
   * in an owned table, else this node: a field that names it need not be in the integer.
   */
  readonly compact?: (owner: string) => RowCodec<Row>
  /** Fields that `indexRead` can look up [OTP mnesia:add_table_index/2]. */
  readonly index?: readonly (keyof Row & string)[]
  /**
   * For a shared set or ordered_set: what becomes of two rows of one key that were written without knowledge of each other,
   * instead of the later one. Must not depend on the order of its arguments.
   */
  readonly merge?: (a: Row, b: Row) => Row
  /** For an owned table: rows that `parked` still shows while their owner, a member, is down. */
  readonly parked?: (row: Row) => boolean
  /** @default terms of the external term format */
  readonly bytes?: RowBytes<Row>
}

/** Declares a table; the definition is opened with `Tables.open`. */
export function table<Row>(name: string, rest: Omit<TableDefinition<Row>, 'name'>): TableDefinition<Row> {
  return { ...rest, name }
}
