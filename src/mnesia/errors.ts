/**
 * Errors of the tables layer. Each has a stable `code`; what another node or a disc did wrong is told in data next to it.
 */

/** What is wrong with the disc: see `StoreError`. */
export type StoreFault =
  /** No room left, a quota, or a limit on the size of files. */
  | 'disc_full'
  /** Not allowed to write, or a file system that is mounted read-only. */
  | 'not_writable'
  /** Another process has the directory open. */
  | 'in_use'
  /** A file that this version cannot read: another format, or no store of ours. */
  | 'bad_format'
  /** A file is not what was written there. */
  | 'damaged'
  /** Any other error of the disc. */
  | 'io'
  /** The store has been closed. */
  | 'closed'

/** The disc refuses. The message names the directory and what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code = 'store'
  readonly fault: StoreFault

  constructor(fault: StoreFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

/** Bytes that are no row: damaged, of a later format, or made by nobody who means well. */
export class RowBytesError extends Error {
  override readonly name = 'RowBytesError'
  readonly code = 'bad_row_bytes'
}

/** What is wrong with the use of a table: see `TableError`. */
export type TableFault =
  /** There is no such table, or node. */
  | 'no_exists'
  /** There is one already. */
  | 'already_exists'
  /** There is one of this name that is defined in another way. */
  | 'definition_differs'
  /** What would be left of it does not have all of its rows yet. */
  | 'not_loaded'
  /** It is used in a transaction that is over, or it is of a kind that transactions are not for. */
  | 'no_transaction'

/** A table cannot be used so. */
export class TableError extends Error {
  override readonly name = 'TableError'
  readonly code = 'table'
  readonly fault: TableFault

  constructor(fault: TableFault, message: string) {
    super(message)
    this.fault = fault
  }
}

/** This node has no copy of the table; the message names the nodes that are known to have one. */
export class NoCopyError extends Error {
  override readonly name = 'NoCopyError'
  readonly code = 'no_copy'
  readonly table: string
  readonly nodes: readonly string[]

  constructor(table: string, nodes: readonly string[]) {
    const where =
      nodes.length === 0
        ? 'no node is known to have one'
        : `${nodes.join(', ')} ${nodes.length === 1 ? 'has' : 'have'} one`
    super(`table ${table} has no copy on this node; ${where}`)
    this.table = table
    this.nodes = nodes
  }
}

/** A backup or a text of tables cannot be written, read or restored. The message names the file, and where in it. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
  readonly code = 'backup'
  readonly file: string

  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`${file}: ${problem}`, options)
    this.file = file
  }
}
