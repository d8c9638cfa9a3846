/**
 * observer_backend: the process by which a node tells observers about itself. Read-only, and each answer bounded; see rows.ts.
 *
 * In: the gen_server calls of `Backend`, from observers elsewhere and from the shells of this node. A question that cannot be
 * answered gets `{ problem }`. It works on one question at a time, so that ten observers cost a node no more at a moment than
 * one, and answers each when it is done; what takes time by its nature, watching the processes, goes on beside.
 *
 * Started and supervised by the application `observer` (application.ts) on every node that can be observed.
 */
import type { From } from '../../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, reply, replyTo, type ServerContext } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Exports } from '../../dist/exports.ts'
import {
  type Load,
  MAX_ROWS,
  type Page,
  PROCESS_SORTS,
  type ProcessDetail,
  type ProcessRow,
  type RegisteredRow,
  type TablePage,
  type TableRow,
  type TreeNode,
  WINDOW_SORTS,
  type WindowRow,
} from '../rows.ts'
import { LoadHistory, type LoopProbe } from './load.ts'
import { detailOf, listProcesses, listRegistered, messagesOf, watchProcesses } from './processes.ts'
import { BadQuestion, limitOf, matchOf, nameOrRef, numberOf, oneOf, pidOf, queryOf, wordOf } from './question.ts'
import { TableReader } from './tables.ts'
import { treesOf } from './tree.ts'

/** The name of the process. */
export const OBSERVER_BACKEND = 'observer_backend'

/** Grows when an answer changes in a way that an older observer would not understand. */
const PROTOCOL = 1

const MAX_MESSAGES = 100
const MAX_WINDOW_MS = 60_000
const MAX_WINDOWS = 4
const MAX_WAITING = 100
const MAX_DEPTH = 10
const DEFAULT_DEPTH = 3
const DEFAULT_WIDTH = 20

/** What a question could not be answered for. */
export interface Problem {
  readonly problem: string
}

/** What a node says of itself. */
export interface About {
  readonly protocol: number
  readonly product: string
  readonly version: string
  readonly runtime: string
  readonly osPid: number
}

type Answer<T> = T | Problem | Promise<T | Problem>

/** The questions. Arguments come from anywhere: they are checked where they are used. */
export type Backend = {
  about: () => About
  processes: (query?: unknown) => Answer<Page<ProcessRow>>
  /** Those that changed most: by what, how many, and for how many milliseconds to watch. */
  window: (by?: unknown, limit?: unknown, ms?: unknown) => Answer<Page<WindowRow>>
  process: (pid: unknown) => Answer<ProcessDetail | undefined>
  messages: (pid: unknown, limit?: unknown) => Answer<Page<unknown> | undefined>
  registered: (limit?: unknown) => Answer<Page<RegisteredRow>>
  /** Of one supervisor, or of all applications. */
  tree: (root?: unknown, depth?: unknown, width?: unknown) => Answer<TreeNode[]>
  tables: (limit?: unknown) => Answer<Page<TableRow>>
  table: (table: unknown) => Answer<TableRow | undefined>
  rows: (table: unknown, query?: unknown) => Answer<TablePage | undefined>
  load: () => Load
  memory: () => Readonly<Record<string, number>>
}

export interface BackendOptions {
  readonly exports: Exports
  /** Of this package. */
  readonly version: string
  /** Makes the probe of the event loop; undefined on a simulated node. */
  readonly loop: (() => LoopProbe) | undefined
}

interface State {
  readonly self: ProcessContext
  readonly version: string
  readonly tables: TableReader
  readonly load: LoadHistory
  /** Settles when all questions so far have been answered. */
  answered: Promise<void>
  /** Questions that wait for those before them. */
  waiting: number
  windows: number
}

/** The server. */
export const observerBackend: GenServer<State, Backend, Record<never, never>, BackendOptions> = genServer<
  State,
  Backend,
  Record<never, never>,
  BackendOptions
>({
  label: OBSERVER_BACKEND,
  init: ({ exports, version, loop }, self) => {
    const { runtime } = self
    const state: State = {
      self,
      version,
      tables: new TableReader(runtime, exports),
      load: new LoadHistory(runtime, loop?.()),
      answered: Promise.resolve(),
      waiting: 0,
      windows: 0,
    }
    self.onExit(() => {
      state.tables.close()
      state.load.close()
    })
    return ok(state)
  },
  calls: {
    about: ({ state }) => reply(about(state.version), state),
    processes: (context, query) =>
      answer(context, ({ self }) => {
        const { sort, limit, match } = queryOf(query)
        return listProcesses(self.runtime, {
          sort: oneOf(sort, 'sort', PROCESS_SORTS, 'msgq'),
          limit: limitOf(limit),
          match: wordOf(match, 'match') ?? '',
        })
      }),
    window: watch,
    process: (context, pid) => answer(context, ({ self }) => detailOf(self.runtime, pidOf(pid))),
    messages: (context, pid, limit) =>
      answer(context, ({ self }) =>
        messagesOf(self.runtime, pidOf(pid), numberOf(limit, 'the number of messages', 10, MAX_MESSAGES)),
      ),
    registered: (context, limit) =>
      answer(context, ({ self }) => listRegistered(self.runtime, limitOf(limit ?? MAX_ROWS))),
    tree: (context, root, depth, width) =>
      answer(context, ({ self }) =>
        treesOf(self.runtime, {
          root: root === undefined ? undefined : pidOf(root),
          depth: numberOf(depth, 'depth', DEFAULT_DEPTH, MAX_DEPTH),
          width: numberOf(width, 'the number of children', DEFAULT_WIDTH, MAX_ROWS),
        }),
      ),
    tables: (context, limit) => answer(context, ({ tables }) => tables.list(limitOf(limit ?? MAX_ROWS))),
    table: (context, table) => answer(context, ({ tables }) => tables.info(nameOrRef(table, 'a table'))),
    rows: (context, table, query) =>
      answer(context, ({ tables }) => {
        const { limit, match, after } = queryOf(query)
        return tables.rows(nameOrRef(table, 'a table'), {
          limit: limitOf(limit),
          match: matchOf(match),
          after: wordOf(after, 'after'),
        })
      }),
    load: ({ state }) => reply(state.load.load, state),
    memory: ({ state }) => reply({ ...process.memoryUsage() }, state),
  },
  info: () => {},
  formatState: ({ version, waiting, windows }) => ({ version, waiting, windows }),
})

function about(version: string): About {
  return { protocol: PROTOCOL, product: 'agner', version, runtime: `Node.js ${process.version}`, osPid: process.pid }
}

type Context = ServerContext<State>
type NoReply = ReturnType<typeof noreply<State>>

/** Answers with what `find` finds, or with what is wrong with the question, when all questions before have been answered. */
function answer<T>({ state, from }: Context, find: (state: State) => T | Promise<T>): NoReply {
  if (state.waiting >= MAX_WAITING) {
    replyLater(state, from, { problem: `${MAX_WAITING} questions are waiting already: try again` } satisfies Problem)
    return noreply(state)
  }
  state.waiting++
  state.answered = state.answered.then(async () => {
    try {
      replyLater(state, from, await find(state))
    } catch (error) {
      failed(state, from, error)
    }
    state.waiting--
  })
  return noreply(state)
}

/** The process goes on meanwhile; a few may be watched at once. */
function watch({ state, from }: Context, by?: unknown, limit?: unknown, ms?: unknown): NoReply {
  try {
    const sort = oneOf(by, 'what changes', WINDOW_SORTS, 'reds')
    const rows = limitOf(limit ?? 10)
    const milliseconds = numberOf(ms, 'the time to watch', 5000, MAX_WINDOW_MS)
    if (state.windows >= MAX_WINDOWS) throw new BadQuestion(`${MAX_WINDOWS} others are watching already: try again`)
    state.windows++
    void watchProcesses(state.self.runtime, sort, rows, milliseconds).then((page) => {
      state.windows--
      replyLater(state, from, page)
    })
  } catch (error) {
    failed(state, from, error)
  }
  return noreply(state)
}

function replyLater({ self }: State, from: From, value: unknown): void {
  if (self.runtime.process(self.pid) !== undefined) replyTo(self, from, value)
}

/** What is wrong with a question is told; anything else is a fault of ours, and ends the process. */
function failed(state: State, from: From, error: unknown): void {
  const { runtime, pid } = state.self
  if (error instanceof BadQuestion) replyLater(state, from, { problem: error.message } satisfies Problem)
  else runtime.process(pid)?.crash(error)
}
