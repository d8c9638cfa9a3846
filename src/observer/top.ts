/**
 * The text form of etop: every few seconds a heading and the first processes, for terminals, pipes and logs.
 *
 * A node that cannot be reached is told of in one line, and tried again: a log of a night should survive a restart.
 */

import { atom, isTuple } from '../dist/term.ts'
import { type PrintOptions, print } from './print/print.ts'
import { bytes, duration } from './print/units.ts'
import type { Session } from './session.ts'
import { errorText } from './shell/outcome-text.ts'
import type { NodeSource } from './source.ts'

export interface TopOptions {
  readonly session: Session
  /** Takes lines as they are made; false when nobody takes them any more. */
  readonly out: (text: string) => boolean
  readonly print: PrintOptions
  readonly intervalMs: number
  /** Processes that are shown. */
  readonly lines: number
  readonly sort: TopSort
  /** Ends after so many; goes on for ever when undefined. */
  readonly rounds: number | undefined
  readonly signal: AbortSignal
}

/** By messages handled in the interval, by the length of the mailbox, or by memory, which only Erlang tells. */
export const TOP_SORTS = ['reds', 'msgq', 'memory'] as const
export type TopSort = (typeof TOP_SORTS)[number]

/** Runs until the signal, the number of rounds, or the end of the pipe. */
export async function runTop({ rounds = Number.POSITIVE_INFINITY, ...options }: TopOptions): Promise<void> {
  const { session, out, signal, intervalMs } = options
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    let text: string
    try {
      text = await untilAborted(roundOf(options), signal)
    } catch (error) {
      text = `** ${errorText(error)}`
      if (round + 1 < rounds) await pause(session, intervalMs, signal)
    }
    if (signal.aborted || !out(`${text}\n`)) return
  }
}

async function roundOf({
  session,
  print: options,
  intervalMs,
  lines,
  sort,
}: Omit<TopOptions, 'rounds'>): Promise<string> {
  const source = await session.sourceOf(session.node)
  const rows = await rowsOf(session, source, sort, lines, intervalMs)
  const heading = await headingOf(session, source)
  const rule = (character: string): string => character.repeat(Math.min(options.columns, 100))
  return [rule('='), ...heading, '', print(rows, options), ''].join('\n')
}

/** The interval passes while they are gathered. */
async function rowsOf(
  session: Session,
  source: NodeSource,
  sort: TopSort,
  limit: number,
  intervalMs: number,
): Promise<readonly object[]> {
  if (sort === 'reds') {
    const { rows } = await source.window('reds', limit, intervalMs)
    return rows.map(({ pid, name, perSec, reds, msgq }) => ({ pid, name, redsPerSec: perSec, reds, msgq }))
  }
  await pause(session, intervalMs, undefined)
  return (await source.processes({ sort, limit })).rows
}

async function headingOf(session: Session, source: NodeSource): Promise<string[]> {
  const target = session.targetOf(session.node)
  const [load, memory, clock] = await Promise.all([
    source.load(),
    source.memory(),
    target.rpc('erlang', 'statistics', [atom('wall_clock')]),
  ])
  const { busy = 0, delayP99Ms, runQueue = 0, processes = 0, redsPerSec = 0 } = load
  const upMs = isTuple(clock, 2) ? Number(clock.elements[0]) : 0
  const delay = delayP99Ms === undefined ? '' : `   delay p99 ${delayP99Ms} ms`
  const sizes = Object.entries(memory).flatMap(([kind, size]) => (SHOWN.has(kind) ? `${kind} ${bytes(size)}` : []))
  const time = new Date(session.runtime.clock.now()).toISOString().slice(11, 19)
  return [
    ` ${session.node}   ${source.product}   up ${duration(upMs)}   ${time} UTC`,
    ` Load:   busy ${Math.round(busy * 100)}%   runq ${runQueue}   procs ${processes}   reds/s ${redsPerSec}${delay}`,
    ` Memory: ${sizes.join('   ')}`,
  ]
}

/** Of ours, and of Erlang's. */
const SHOWN: ReadonlySet<string> = new Set([
  ...['rss', 'heapUsed', 'external', 'arrayBuffers'],
  ...['total', 'processes', 'atom', 'binary', 'code', 'ets'],
])

function pause({ runtime }: Session, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = runtime.timers.set(ms, resolve)
    signal?.addEventListener(
      'abort',
      () => {
        runtime.timers.clear(timer)
        resolve()
      },
      { once: true },
    )
  })
}

/** The promise, or an empty text as soon as the signal comes. */
function untilAborted(text: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve('')
    signal.addEventListener('abort', leave, { once: true })
    text.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}
