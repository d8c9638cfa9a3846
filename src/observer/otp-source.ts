/**
 * A node that answers by OTP's own functions only: an Erlang or Elixir node, or one of ours without a backend.
 *
 * What OTP sends whole is sorted and cut here; what could be endless (a long mailbox, the children of a supervisor of
 * thousands, a table) is measured before it is asked for.
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { atom, atomName, isTuple, text, tuple } from '../dist/term.ts'
import { type OtpProcess, otpProcesses } from './otp-processes.ts'
import { tablePage } from './otp-tables.ts'
import { numbers, pids, plain, properties } from './otp-terms.ts'
import { otpTrees } from './otp-tree.ts'
import {
  DEFAULT_ROWS,
  MAX_ROWS,
  type Page,
  type ProcessDetail,
  type ProcessQuery,
  type ProcessRow,
  type ProcessSort,
  type RegisteredRow,
  type TablePage,
  type TableQuery,
  type TableRow,
  type TreeNode,
  type WindowRow,
  type WindowSort,
} from './rows.ts'
import type { NodeSource } from './source.ts'
import { ObserverError, type Target, textOf } from './target.ts'

/** An Erlang node sends the whole mailbox or nothing. */
const MAX_MAILBOX = 1000
/** Between the two looks at the load. */
const LOAD_MS = 500

const DETAIL_ITEMS = [
  'registered_name',
  'initial_call',
  'current_function',
  'status',
  'message_queue_len',
  'reductions',
  'memory',
  'heap_size',
  'stack_size',
  'trap_exit',
  'priority',
  'links',
  'monitors',
  'monitored_by',
  'group_leader',
]

export class OtpSource implements NodeSource {
  readonly product: string
  readonly isErlang: boolean
  readonly #target: Target

  private constructor(target: Target, release: string, machine: string) {
    this.#target = target
    this.isErlang = machine === 'BEAM'
    this.product = this.isErlang ? `Erlang/OTP ${release}` : `agner, without a backend`
  }

  static async of(target: Target): Promise<OtpSource> {
    const [release, machine] = await Promise.all([
      target.rpc('erlang', 'system_info', [atom('otp_release')]),
      target.rpc('erlang', 'system_info', [atom('machine')]),
    ])
    return new OtpSource(target, textOf(release), textOf(machine))
  }

  async processes({ sort = 'msgq', limit = DEFAULT_ROWS, match = '' }: ProcessQuery): Promise<Page<ProcessRow>> {
    const all = await otpProcesses(this.#target)
    const wanted =
      match === '' ? all : all.filter(({ name, current }) => name.includes(match) || current.includes(match))
    const rows = sorted(wanted, SORT_KEYS[sort]).slice(0, Math.min(limit, MAX_ROWS))
    return { rows: rows.map(({ isRegistered: _, ...row }) => row), total: wanted.length }
  }

  async window(by: WindowSort, limit: number, ms: number): Promise<Page<WindowRow>> {
    const { runtime } = this.#target
    const before = new Map((await otpProcesses(this.#target)).map((process) => [process.pid.key, process[by]]))
    const beganMs = runtime.clock.monotonic()
    await new Promise<void>((resolve) => void runtime.timers.set(ms, resolve))
    const after = await otpProcesses(this.#target)
    const seconds = Math.max(runtime.clock.monotonic() - beganMs, 1) / 1000
    const change = (process: OtpProcess): number => process[by] - (before.get(process.pid.key) ?? 0)
    const rows = sorted(after, change).slice(0, Math.min(limit, MAX_ROWS))
    return {
      rows: rows.map((process) => ({
        pid: process.pid,
        name: process.name,
        change: change(process),
        perSec: Math.round(change(process) / seconds),
        msgq: process.msgq,
        reds: process.reds,
      })),
      total: after.length,
    }
  }

  async process(pid: Pid): Promise<ProcessDetail | undefined> {
    const info = await this.#target.rpc('erlang', 'process_info', [pid, DETAIL_ITEMS.map((item) => atom(item))])
    if (!Array.isArray(info)) return undefined
    const { registered_name: name, links, monitors, monitored_by: monitoredBy, ...rest } = properties(info)
    const monitored = Array.isArray(monitors) ? monitors.map(objectOf) : []
    const [linked, watchers] = [pids(links), pids(monitoredBy)]
    return {
      pid,
      ...(Array.isArray(name) ? {} : { name: textOf(name) }),
      ...Object.fromEntries(Object.entries(rest).map(([item, value]) => [DETAIL_NAMES[item] ?? item, plain(value)])),
      links: linked.slice(0, MAX_SHOWN),
      linkCount: linked.length,
      monitors: monitored.slice(0, MAX_SHOWN),
      monitorCount: monitored.length,
      monitoredBy: watchers.slice(0, MAX_SHOWN),
      monitoredByCount: watchers.length,
    }
  }

  async messages(pid: Pid, limit: number): Promise<Page<unknown> | undefined> {
    const length = await this.#info(pid, 'message_queue_len')
    if (typeof length !== 'number') return undefined
    if (length > MAX_MAILBOX) {
      throw new ObserverError(
        `${length} messages wait there, and ${this.#target.node} would send all of them`,
        'system_limit',
      )
    }
    const messages = await this.#info(pid, 'messages')
    return Array.isArray(messages) ? { rows: messages.slice(0, limit), total: messages.length } : undefined
  }

  async registered(): Promise<Page<RegisteredRow>> {
    const all = (await otpProcesses(this.#target)).filter(({ isRegistered }) => isRegistered)
    const rows = sorted(all, ({ name }) => name).slice(0, MAX_ROWS)
    return { rows: rows.map(({ name, pid, msgq, reds }) => ({ name, pid, msgq, reds })), total: all.length }
  }

  trees(root: Pid | undefined, depth: number, width: number): Promise<TreeNode[]> {
    return otpTrees(this.#target, root, depth, width)
  }

  async tables(): Promise<Page<TableRow>> {
    const options = [tuple(atom('sys_hidden'), false), tuple(atom('unread_hidden'), false)]
    const ets = await this.#target.rpc('observer_backend', 'get_table_list', [atom('ets'), options])
    const mnesia = await this.#target
      .rpc('observer_backend', 'get_table_list', [atom('mnesia'), options])
      .catch(() => [])
    const rows = [...tableRows(ets, 'ets'), ...tableRows(mnesia, 'mnesia')]
    return { rows: sorted(rows, ({ name }) => name).slice(0, MAX_ROWS), total: rows.length }
  }

  async table(table: string | Ref): Promise<TableRow | undefined> {
    const { rows } = await this.tables()
    return rows.find(({ name, id }) => (table instanceof Ref ? table.equals(id) : name === table))
  }

  rows(table: string | Ref, query: TableQuery): Promise<TablePage | undefined> {
    return tablePage(this.#target, table, query)
  }

  async load(): Promise<Readonly<Record<string, number>>> {
    const { timers } = this.#target.runtime
    const [schedulers, before] = [Number(await this.#system('schedulers_online')), await this.#used()]
    await new Promise<void>((resolve) => void timers.set(LOAD_MS, resolve))
    const after = await this.#used()
    const wallMs = Math.max(1, after.wallMs - before.wallMs)
    return {
      busy: Math.round(((after.runMs - before.runMs) / (wallMs * schedulers)) * 1000) / 1000,
      schedulers,
      runQueue: Number(await this.#target.rpc('erlang', 'statistics', [atom('run_queue')])),
      processes: Number(await this.#system('process_count')),
      redsPerSec: Math.round(((after.reductions - before.reductions) * 1000) / wallMs),
    }
  }

  async memory(): Promise<Readonly<Record<string, number>>> {
    return numbers(await this.#target.rpc('erlang', 'memory'))
  }

  #system(item: string): Promise<unknown> {
    return this.#target.rpc('erlang', 'system_info', [atom(item)])
  }

  async #used(): Promise<{ readonly runMs: number; readonly wallMs: number; readonly reductions: number }> {
    const total = async (item: string): Promise<number> => {
      const answer = await this.#target.rpc('erlang', 'statistics', [atom(item)])
      return isTuple(answer, 2) ? Number(answer.elements[0]) : 0
    }
    return {
      runMs: await total('runtime'),
      wallMs: await total('wall_clock'),
      reductions: await total('exact_reductions'),
    }
  }

  async #info(pid: Pid, item: string): Promise<unknown> {
    const info = await this.#target.rpc('erlang', 'process_info', [pid, atom(item)])
    return isTuple(info, 2) ? info.elements[1] : undefined
  }
}

const MAX_SHOWN = 100

/** As our own nodes name them. */
const DETAIL_NAMES: Readonly<Record<string, string>> = {
  initial_call: 'initialCall',
  current_function: 'current',
  message_queue_len: 'msgq',
  reductions: 'reds',
  heap_size: 'heapWords',
  stack_size: 'stackWords',
  trap_exit: 'trapExit',
  group_leader: 'groupLeader',
}

const SORT_KEYS: Readonly<Record<ProcessSort, (process: OtpProcess) => number | string>> = {
  msgq: ({ msgq }) => msgq,
  reds: ({ reds }) => reds,
  memory: ({ memory }) => memory,
  // The list does not tell of links.
  links: () => 0,
  name: ({ name }) => name,
  pid: ({ pid }) => -pid.id,
}

/** Numbers from the greatest, texts from the smallest. */
function sorted<T>(items: readonly T[], keyOf: (item: T) => number | string): T[] {
  return items
    .map((item) => ({ item, key: keyOf(item) }))
    .sort(({ key: a }, { key: b }) => (typeof a === 'number' ? Number(b) - a : a < b ? -1 : a > b ? 1 : 0))
    .map(({ item }) => item)
}

/** `{process, Pid}` or `{process, {Name, Node}}`. */
function objectOf(monitor: unknown): unknown {
  if (!isTuple(monitor, 2)) return monitor
  const object = monitor.elements[1]
  return isTuple(object, 2) ? { name: atomName(object.elements[0]), node: atomName(object.elements[1]) } : object
}

function tableRows(term: unknown, kind: 'ets' | 'mnesia'): TableRow[] {
  if (!Array.isArray(term)) return []
  return term.map((table: unknown) => {
    const { name, id, type, size, memory, owner, protection, storage } = properties(table)
    return {
      name: text(name) ?? textOf(name),
      kind,
      type: textOf(type),
      size: Number(size),
      bytes: Number(memory),
      ...(owner instanceof Pid ? { owner } : {}),
      ...(protection === undefined ? {} : { protection: textOf(protection) }),
      ...(storage === undefined ? {} : { storage: textOf(storage) }),
      ...(id instanceof Ref ? { id } : {}),
    }
  })
}
