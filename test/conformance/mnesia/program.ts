/**
 * Programs over tables in Mnesia's words: what one operation is, and in which form its result is compared.
 *
 * A program runs on a node of its own that begins without tables. `ours.ts` runs it on our tables, `mnesia_programs.erl` on Mnesia itself. Rows are
 * of the fields k (text, the key), v (a number) and w (text), written as lists. Results that have no order are sorted; of the rest
 * the order counts.
 */

export type Row = readonly [k: string, v: number, w: string]
/** null matches anything. */
export type Pattern = readonly [k: string | null, v: number | null, w: string | null]
export type Field = 'v' | 'w'

export type CopyType = 'ram_copies' | 'disc_copies'

export interface TableOptions {
  readonly type?: 'set' | 'ordered_set' | 'bag'
  readonly copies?: CopyType
  readonly index?: readonly Field[]
  readonly local_content?: boolean
  /** Where copies are, in a program of several nodes. @default the node itself; of our tables, all members */
  readonly nodes?: readonly NodeName[]
}

/** A node of a program of several. */
export type NodeName = 'a' | 'b' | 'c'

/** What can be done in a transaction. */
export type Step =
  | readonly ['read' | 'wread' | 'delete' | 'next' | 'prev', table: string, key: string]
  | readonly ['write' | 'delete_object', table: string, row: Row]
  | readonly ['match_object', table: string, pattern: Pattern]
  /** Rows whose v is greater. */
  | readonly ['select', table: string, than: number]
  | readonly ['index_read', table: string, value: number | string, field: Field]
  /** `foldl`: the keys, in the order in which it comes to them. */
  | readonly ['all_keys' | 'first' | 'last' | 'foldl' | 'read_lock_table' | 'write_lock_table', table: string]
  /** Reads a row for writing and adds to its v. */
  | readonly ['add', table: string, key: string, by: number]
  | readonly ['abort', reason: string]
  | readonly ['crash']
  | readonly ['transaction', steps: readonly Step[]]

export type Operation =
  | readonly ['create_table', table: string, options: TableOptions]
  | readonly ['delete_table' | 'clear_table' | 'force_load_table', table: string]
  | readonly ['add_table_index' | 'del_table_index', table: string, field: Field]
  | readonly ['change_table_copy_type', table: string, copies: CopyType, node?: NodeName]
  | readonly ['add_table_copy', table: string, node: NodeName, copies: CopyType]
  | readonly ['del_table_copy', table: string, node: NodeName]
  | readonly ['move_table_copy', table: string, from: NodeName, to: NodeName]
  | readonly ['table_info', table: string, item: 'type' | 'size' | 'index' | 'storage_type' | 'local_content']
  /** Names of nodes; null for nowhere. */
  | readonly ['table_info', table: string, item: 'where_to_read' | 'where_to_write' | CopyType]
  | readonly ['system_info', item: 'db_nodes' | 'running_db_nodes']
  /** Whether it takes memory, and more with rows than without. */
  | readonly ['memory_grows', table: string, row: Row]
  | readonly ['system_info_tables']
  | readonly ['wait_for_tables', tables: readonly string[], timeoutMs: number]
  /** Without nodes: itself, and then none. */
  | readonly ['set_master_nodes', nodes?: readonly NodeName[]]
  | readonly ['dirty_read' | 'dirty_delete' | 'dirty_next' | 'dirty_prev', table: string, key: string]
  | readonly ['dirty_write' | 'dirty_delete_object', table: string, row: Row]
  | readonly ['dirty_match_object', table: string, pattern: Pattern]
  | readonly ['dirty_index_match_object', table: string, pattern: Pattern, field: Field]
  | readonly ['dirty_select', table: string, than: number]
  | readonly ['dirty_index_read', table: string, value: number | string, field: Field]
  | readonly ['dirty_all_keys' | 'dirty_first' | 'dirty_last', table: string]
  /** `transaction_once`: without retries. */
  | readonly ['transaction' | 'transaction_once' | 'sync_transaction', steps: readonly Step[]]
  /** Transactions at the same time, each so often. */
  | readonly ['together', times: number, transactions: readonly (readonly Step[])[]]
  /** A transaction that has done some steps and is held open while another is tried without retries; then it goes on. */
  | readonly ['held', steps: readonly Step[], meanwhile: readonly Step[]]
  /** As `held`, where the other one is tried on another node. */
  | readonly ['held_at', steps: readonly Step[], node: NodeName, meanwhile: readonly Step[]]
  /** An operation that needs no lock, while a transaction that has done some steps is held open. */
  | readonly ['held_dirty', steps: readonly Step[], meanwhile: Operation]
  | readonly ['subscribe' | 'unsubscribe', table: string]
  /** Events since the last time: `['write', row, former rows]` and `['delete', row]`. */
  | readonly ['events']
  | readonly ['subscribe_system']
  /** So many events of members, and what comes with them, as tag and name of a node; the context before that of `inconsistent_database`. */
  | readonly ['system_events', count: number]
  | readonly ['backup', file: string, tables: readonly string[]]
  | readonly ['restore', file: string, operation: 'clear_tables' | 'keep_tables' | 'skip_tables']
  | readonly ['dump_to_textfile' | 'load_textfile', file: string]
  /** The node stops in order and starts again. */
  | readonly ['restart']

export type Program = readonly Operation[]

/** What happens in a database that `a`, `b` and `c` have in common: an operation of a node, or something to the nodes. */
export type ClusterOperation =
  | readonly [node: NodeName, ...operation: Operation]
  /** In order, and again. */
  | readonly ['stop' | 'start', node: NodeName]
  /** A node is cut off from all others, and no more. */
  | readonly ['cut' | 'mend', node: NodeName]
  /** Transactions on several nodes at the same time, each so often. */
  | readonly ['together', times: number, transactions: readonly (readonly [node: NodeName, steps: readonly Step[]])[]]

export type ClusterProgram = readonly ClusterOperation[]

/** The operation of a node; undefined when something happens to the nodes. */
export function ofNode(operation: ClusterOperation): readonly [node: NodeName, operation: Operation] | undefined {
  const [node, ...rest] = operation
  return node.length === 1 ? [node as NodeName, rest as unknown as Operation] : undefined
}

/** Results that are rows or names in no order. */
const UNORDERED: ReadonlySet<string> = new Set([
  ...['read', 'wread', 'match_object', 'select', 'index_read', 'all_keys', 'dirty_read', 'dirty_match_object'],
  ...[
    'dirty_index_match_object',
    'dirty_select',
    'dirty_index_read',
    'dirty_all_keys',
    'system_info_tables',
    'together',
  ],
])

/** The results of operations as they are compared: those without an order sorted. */
export function comparable(operations: readonly (Operation | Step)[], results: readonly unknown[]): unknown[] {
  return operations.map((operation, i) => resultOf(operation, results[i]))
}

/** The same for a program of several nodes. */
export function comparableCluster(program: ClusterProgram, results: readonly unknown[]): unknown[] {
  return program.map((operation, i) => {
    const own = ofNode(operation)
    return own === undefined ? results[i] : resultOf(own[1], results[i])
  })
}

function resultOf(operation: Operation | Step, result: unknown): unknown {
  const [name] = operation
  if (!Array.isArray(result)) return result
  if (name === 'held' || name === 'held_at') return [resultOf(['transaction', operation[1]], result[0]), result[1]]
  if (name === 'held_dirty') return [result[0], resultOf(operation[2], result[1])]
  if (name === 'transaction' || name === 'sync_transaction') {
    const [outcome, value] = result as [string, unknown]
    return outcome === 'atomic' ? [outcome, comparable(operation[1], value as unknown[])] : result
  }
  return UNORDERED.has(name) && result[0] !== 'aborted' ? sorted(result) : result
}

function sorted(values: readonly unknown[]): unknown[] {
  return values
    .map((value) => JSON.stringify(value))
    .sort()
    .map((text): unknown => JSON.parse(text))
}
