/**
 * The processes of a node as lists show them: sorted and cut here, in pieces, so that a node with a million of them is not held
 * up by who looks at it.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Process } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { currentFunction, initialCall, queueLength } from '../../dist/exports/process-info.ts'
import { behaviourOf } from '../../dist/incoming-message.ts'
import { presentable } from '../../dist/presentable.ts'
import { atomName, type Tuple } from '../../dist/term.ts'
import type {
  Page,
  ProcessDetail,
  ProcessQuery,
  ProcessRow,
  ProcessSort,
  RegisteredRow,
  WindowRow,
  WindowSort,
} from '../rows.ts'

/** Processes that are looked at before others have their turn: about a millisecond. */
const PROCESSES_PER_PIECE = 5000

/** Links, monitors and the like that are shown of one process. */
const MAX_SHOWN = 100

/** One page of the processes of a node. */
export async function listProcesses(runtime: Runtime, query: Required<ProcessQuery>): Promise<Page<ProcessRow>> {
  const { sort, limit, match } = query
  const best = new Best(limit, (process: Process) => SORT_KEYS[sort](process))
  let total = 0
  await eachProcess(runtime, (process) => {
    if (match !== '' && !nameOf(process).includes(match) && !mfa(currentFunction(process)).includes(match)) return
    total++
    best.offer(process)
  })
  return { rows: best.items.map(rowOf), total }
}

/** Those that changed most in a while. Two passes over the processes, and the time between them. */
export async function watchProcesses(
  runtime: Runtime,
  by: WindowSort,
  limit: number,
  ms: number,
): Promise<Page<WindowRow>> {
  const measure = by === 'msgq' ? queueLength : ({ reductions }: Process) => reductions
  const before = new Map<Process, number>()
  const beganMs = runtime.clock.monotonic()
  await eachProcess(runtime, (process) => before.set(process, measure(process)))
  await pause(runtime, ms)
  const seconds = Math.max(runtime.clock.monotonic() - beganMs, 1) / 1000
  const change = (process: Process): number => measure(process) - (before.get(process) ?? 0)
  const best = new Best(limit, change)
  let total = 0
  await eachProcess(runtime, (process) => {
    total++
    best.offer(process)
  })
  const rows = best.items.map((process) => ({
    pid: process.pid,
    name: nameOf(process),
    change: change(process),
    perSec: Math.round(change(process) / seconds),
    msgq: queueLength(process),
    reds: process.reductions,
  }))
  return { rows, total }
}

/** The registered processes, by their names. */
export function listRegistered(runtime: Runtime, limit: number): Page<RegisteredRow> {
  const names = runtime.registered().sort()
  const rows = names.slice(0, limit).flatMap((name) => {
    const process = runtime.registry.find(name)
    return process === undefined
      ? []
      : [{ name, pid: process.pid, msgq: queueLength(process), reds: process.reductions }]
  })
  return { rows, total: names.length }
}

/** All that is known of a process; undefined when it does not live here. */
export function detailOf(runtime: Runtime, pid: Pid): ProcessDetail | undefined {
  const process = runtime.process(pid)
  if (process === undefined) return undefined
  const { name, label, parent, trapExit, links, monitors, monitoredBy, aliases, timers, maxMailbox } = process
  const labelled = label === undefined || label === name ? {} : { label }
  return {
    pid: process.pid,
    ...(name === undefined ? {} : { name }),
    ...labelled,
    behaviour: behaviourOf(process) ?? 'none',
    status: process.status,
    current: mfa(currentFunction(process)),
    msgq: queueLength(process),
    ...(Number.isFinite(maxMailbox) ? { maxMailbox } : {}),
    reds: process.reductions,
    trapExit,
    ...(parent === undefined ? {} : { parent }),
    links: shown(links ?? []),
    linkCount: links?.size ?? 0,
    monitors: shown(monitors ?? []).map(({ object }) => object),
    monitorCount: monitors?.size ?? 0,
    monitoredBy: shown(monitoredBy ?? []).map(({ watcher }) => watcher),
    monitoredByCount: monitoredBy?.size ?? 0,
    aliases: aliases?.size ?? 0,
    timers: timers?.size ?? 0,
  }
}

/** The oldest messages that wait for a process; undefined when it does not live here. */
export function messagesOf(runtime: Runtime, pid: Pid, limit: number): Page<unknown> | undefined {
  const process = runtime.process(pid)
  if (process === undefined) return undefined
  const saved = process.behaviour.saved?.slice(0, limit) ?? []
  const waiting = process.mailbox.peek(limit - saved.length)
  return { rows: [...saved, ...waiting].map(presentable), total: queueLength(process) }
}

/** The registered name, else what the process was started to run. */
function nameOf(process: Process): string {
  return process.name ?? process.label ?? mfa(initialCall(process))
}

function rowOf(process: Process): ProcessRow {
  return {
    pid: process.pid,
    name: nameOf(process),
    msgq: queueLength(process),
    reds: process.reductions,
    status: process.status,
    current: mfa(currentFunction(process)),
    links: process.links?.size ?? 0,
  }
}

const SORT_KEYS: Readonly<Record<ProcessSort, (process: Process) => number | string>> = {
  msgq: queueLength,
  reds: ({ reductions }) => reductions,
  // V8 tells no memory of a process; what waits for it is the best guess.
  memory: queueLength,
  links: ({ links }) => links?.size ?? 0,
  name: nameOf,
  // Processes are gone through in the order of their pids.
  pid: () => 0,
}

/** `module:function/arity`. */
function mfa({ elements: [module, name, arity] }: Tuple): string {
  return `${atomName(module) ?? '?'}:${atomName(name) ?? '?'}/${arity}`
}

function shown<T>(items: Iterable<T>): T[] {
  const first: T[] = []
  for (const item of items) {
    if (first.length >= MAX_SHOWN) break
    first.push(item)
  }
  return first
}

/** Calls `look` for all processes, with pauses in which others run. */
async function eachProcess(runtime: Runtime, look: (process: Process) => void): Promise<void> {
  let looked = 0
  for (const process of runtime.processes) {
    look(process)
    if (++looked % PROCESSES_PER_PIECE === 0) await pause(runtime, 0)
  }
}

function pause(runtime: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => void runtime.timers.set(ms, resolve))
}

/** The first of many by a key, numbers from the greatest and texts from the smallest; equal ones as they came. */
class Best<T> {
  readonly #limit: number
  readonly #keyOf: (item: T) => number | string
  readonly #kept: { readonly key: number | string; readonly item: T }[] = []

  constructor(limit: number, keyOf: (item: T) => number | string) {
    this.#limit = limit
    this.#keyOf = keyOf
  }

  get items(): T[] {
    return this.#kept.map(({ item }) => item)
  }

  offer(item: T): void {
    const key = this.#keyOf(item)
    const kept = this.#kept
    if (kept.length === this.#limit && !isBefore(key, kept.at(-1)!.key)) return
    let [low, high] = [0, kept.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (isBefore(key, kept[middle]!.key)) high = middle
      else low = middle + 1
    }
    kept.splice(low, 0, { key, item })
    if (kept.length > this.#limit) kept.pop()
  }
}

function isBefore(a: number | string, b: number | string): boolean {
  return typeof a === 'number' && typeof b === 'number' ? a > b : a < b
}
