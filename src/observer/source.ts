/**
 * What an observer can find out about a node, whatever the node is.
 *
 * A node of ours answers by its backend, which sorts and cuts; an Erlang node, or one of ours without a backend, by OTP's own
 * functions, whose answers are sorted and cut here. Every method rejects with `ObserverError` and with nothing else.
 */
import type { Pid } from '../actors/pid.ts'
import type { Ref } from '../actors/ref.ts'
import type {
  Page,
  ProcessDetail,
  ProcessQuery,
  ProcessRow,
  RegisteredRow,
  TablePage,
  TableQuery,
  TableRow,
  TreeNode,
  WindowRow,
  WindowSort,
} from './rows.ts'

export interface NodeSource {
  /** What runs there: `agner 0.1.0`, `Erlang/OTP 25`. */
  readonly product: string
  /** Lists of small numbers are texts there. */
  readonly isErlang: boolean
  processes(query: ProcessQuery): Promise<Page<ProcessRow>>
  /** Those that change most while they are watched. */
  window(by: WindowSort, limit: number, ms: number): Promise<Page<WindowRow>>
  /** Undefined for a dead process. */
  process(pid: Pid): Promise<ProcessDetail | undefined>
  messages(pid: Pid, limit: number): Promise<Page<unknown> | undefined>
  registered(): Promise<Page<RegisteredRow>>
  /** Below one supervisor, or of all applications. */
  trees(root: Pid | undefined, depth: number, width: number): Promise<TreeNode[]>
  tables(): Promise<Page<TableRow>>
  table(table: string | Ref): Promise<TableRow | undefined>
  /** Undefined when there is no such table, or nobody but its owner may read it. */
  rows(table: string | Ref, query: TableQuery): Promise<TablePage | undefined>
  load(): Promise<Readonly<Record<string, number>>>
  /** Bytes by what they are used for. */
  memory(): Promise<Readonly<Record<string, number>>>
}
