/**
 * What observers are told of a node, as plain data: the rows of lists, and the questions that choose them.
 *
 * Each answer is small whatever the size of the node: lists come in pages of at most `MAX_ROWS` rows, sorted and cut where
 * they are made. The keys are the titles of the columns in which rows are printed.
 */
import type { Pid } from '../actors/pid.ts'
import type { Ref } from '../actors/ref.ts'

/** Rows of a list unless told. */
export const DEFAULT_ROWS = 50
/** Most rows of a list. */
export const MAX_ROWS = 500

/** Some rows of a list. */
export interface Page<Row> {
  readonly rows: readonly Row[]
  /** Rows that there are. */
  readonly total: number
}

/** By what a list of processes is sorted: numbers from the greatest, names and pids from the smallest. */
export const PROCESS_SORTS = ['msgq', 'reds', 'memory', 'links', 'name', 'pid'] as const
export type ProcessSort = (typeof PROCESS_SORTS)[number]

export interface ProcessQuery {
  /** @default msgq */
  readonly sort?: ProcessSort
  /** @default 50 */
  readonly limit?: number
  /** Only processes in whose name or current function this occurs. */
  readonly match?: string
}

export interface ProcessRow {
  readonly pid: Pid
  /** The registered name, else what the process was started to run. */
  readonly name: string
  /** Messages that wait. */
  readonly msgq: number
  /** Messages handled, on our nodes; Erlang's reductions there. */
  readonly reds: number
  /** Bytes; Erlang only, as V8 does not tell. */
  readonly memory?: number
  readonly status?: string
  readonly current: string
  readonly links?: number
}

/** By what a window is sorted. */
export const WINDOW_SORTS = ['reds', 'msgq', 'memory'] as const
export type WindowSort = (typeof WINDOW_SORTS)[number]

/** A process by how much it changed while it was watched. */
export interface WindowRow {
  readonly pid: Pid
  readonly name: string
  /** The change, of what was asked for. */
  readonly change: number
  readonly perSec: number
  readonly msgq: number
  readonly reds: number
}

/** A registered process. */
export interface RegisteredRow {
  readonly name: string
  readonly pid: Pid
  readonly msgq: number
  readonly reds: number
}

/** One process in full; the lists in it are cut, their lengths are whole. */
export type ProcessDetail = Readonly<Record<string, unknown>> & { readonly pid: Pid }

/** A process in a tree of supervisors. */
export interface TreeNode {
  /** The id that its supervisor knows it by, else its name. */
  readonly id: string
  /** Undefined when it does not run. */
  readonly pid: Pid | undefined
  readonly type: 'application' | 'supervisor' | 'worker' | 'restarting' | 'not running'
  /** Children that there are, of a supervisor. */
  readonly count?: number
  /** Those that are shown. */
  readonly children?: readonly TreeNode[]
  /** Why there is nothing to show below. */
  readonly problem?: string
}

export interface TableRow {
  readonly name: string
  readonly kind: 'ets' | 'mnesia'
  readonly type: string
  readonly size: number
  /** When it is known. */
  readonly bytes?: number
  /** Undefined for a replicated table. */
  readonly owner?: Pid
  readonly protection?: string
  /** Of a replicated table: ram_copies, disc_copies. */
  readonly storage?: string
  /** Of a table without a name: by which it is asked for. */
  readonly id?: Ref
}

export interface TableQuery {
  /** @default 50 */
  readonly limit?: number
  /** Text that occurs in the key, or values of properties. */
  readonly match?: string | Readonly<Record<string, unknown>>
  /** Goes on where another page has ended. */
  readonly after?: string
}

export interface TablePage extends Page<unknown> {
  /** To be given as `after` to see more; undefined at the end. */
  readonly next?: string
  /** Rows that were looked at. */
  readonly scanned: number
}

/** How busy a node is. */
export interface Load {
  /** Part of the last second, minute and ten minutes in which the event loop was busy, 0 to 1. */
  readonly busy: number
  readonly busy1m: number
  readonly busy10m: number
  /** Longest and 99th percentile of the delays of the event loop in the last second, ms. */
  readonly delayMaxMs?: number
  readonly delayP99Ms?: number
  /** Processes that wait for their turn. */
  readonly runQueue: number
  readonly processes: number
  /** Messages handled a second since this was asked last, by whomever. */
  readonly redsPerSec: number
}
