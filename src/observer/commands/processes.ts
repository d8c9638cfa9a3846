/** Commands about the processes of the node that is observed. */
import { Pid } from '../../actors/pid.ts'
import { atom } from '../../dist/term.ts'
import { plain, properties } from '../otp-terms.ts'
import { withView } from '../print/view.ts'
import {
  DEFAULT_ROWS,
  type Page,
  PROCESS_SORTS,
  type ProcessQuery,
  type ProcessSort,
  type WindowSort,
} from '../rows.ts'
import { ObserverError } from '../target.ts'
import { badArgument, count, oneOf, options, processRef, word } from './arguments.ts'
import type { CommandContext, CommandGroup } from './command.ts'

/** Names under which people know the columns. */
const ALIASES: Readonly<Record<string, ProcessSort>> = {
  mailbox: 'msgq',
  message_queue_len: 'msgq',
  reductions: 'reds',
}

const MAX_WINDOW_MS = 60_000
const MAX_MESSAGES = 100

export const processCommands: CommandGroup = {
  title: 'Processes',
  commands: [
    {
      name: 'i',
      params: '({ sort, limit, match }?) or (process)',
      help: 'processes, longest mailbox first; or all about one',
      run: (context, what) => (isQuery(what) ? listed(context, what) : detail(context, what)),
    },
    {
      name: 'regs',
      params: '()',
      help: 'registered processes',
      run: async (context) => page(await (await context.source()).registered(), 'registered processes'),
    },
    {
      name: 'whereis',
      params: '(name)',
      help: 'the pid of a registered process, or undefined',
      run: ({ target }, name) => target.rpc('erlang', 'whereis', [atom(word(name, 'a name'))]),
    },
    {
      name: 'processInfo',
      params: '(process, item or [items]?)',
      help: "OTP's process_info: all common items, or those named",
      run: processInfo,
    },
    {
      name: 'top',
      params: "(by = 'msgq', n = 10)",
      help: `the first processes by ${PROCESS_SORTS.slice(0, 4).join(', ')}`,
      run: (context, by, n) => listed(context, { sort: by, limit: n ?? 10 }),
    },
    {
      name: 'topWindow',
      params: "(by = 'reds', n = 10, ms = 5000)",
      help: 'those that changed most while they were watched',
      run: async (context, by, n, ms) => {
        const sort = oneOf(alias(by), 'by', ['reds', 'msgq', 'memory'] as const, 'reds') satisfies WindowSort
        const rows = count(n, 'n', 10)
        const watchedMs = count(ms, 'ms', 5000, MAX_WINDOW_MS)
        const found = await (await context.source()).window(sort, rows, watchedMs)
        return page(found, `processes, by the change of ${sort} in ${watchedMs / 1000} s`)
      },
    },
    {
      name: 'links',
      params: '(process)',
      help: 'its links, monitors, and who monitors it',
      run: links,
    },
    {
      name: 'messages',
      params: '(process, n = 10)',
      help: 'the oldest messages that wait for a process',
      run: async (context, process, n) => {
        const pid = await context.target.pidOf(processRef(context, process))
        const found = await (await context.source()).messages(pid, count(n, 'n', 10, MAX_MESSAGES))
        if (found === undefined) throw dead(context, pid)
        return page(found, 'messages')
      },
    },
  ],
}

function isQuery(what: unknown): boolean {
  if (what === undefined) return true
  return typeof what === 'object' && what !== null && !(what instanceof Pid) && !('node' in what)
}

async function listed(context: CommandContext, what: unknown): Promise<unknown> {
  const { sort, limit, match } = options(what, ['sort', 'limit', 'match'])
  const query: Required<ProcessQuery> = {
    sort: oneOf(alias(sort), 'sort', PROCESS_SORTS, 'msgq'),
    limit: count(limit, 'limit', DEFAULT_ROWS),
    match: match === undefined ? '' : word(match, 'match'),
  }
  return page(await (await context.source()).processes(query), `processes, by ${query.sort}`)
}

function alias(by: unknown): unknown {
  return typeof by === 'string' ? (ALIASES[by] ?? by) : by
}

/** Rows that say how many there are. */
export function page({ rows, total }: Page<unknown>, what: string): readonly unknown[] {
  const shown = rows.length === total ? `${total}` : `${rows.length} of ${total}`
  return withView([...rows], { note: `${shown} ${what}` })
}

async function detail(context: CommandContext, what: unknown): Promise<unknown> {
  const pid = await context.target.pidOf(processRef(context, what))
  const found = await (await context.source()).process(pid)
  if (found === undefined) throw dead(context, pid)
  return found
}

async function processInfo(context: CommandContext, process: unknown, what: unknown): Promise<unknown> {
  const pid = await context.target.pidOf(processRef(context, process))
  const items = Array.isArray(what) ? what.map((item) => atom(word(item, 'an item'))) : undefined
  const args = what === undefined ? [pid] : [pid, items ?? atom(word(what, 'an item'))]
  const info = await context.target.rpc('erlang', 'process_info', args)
  if (info === undefined) throw dead(context, pid)
  const pairs = what === undefined || items !== undefined ? info : [info]
  const found = properties(pairs)
  const values = Object.fromEntries(Object.entries(found).map(([item, value]) => [item, plain(value)]))
  return items === undefined && what !== undefined ? Object.values(values)[0] : values
}

async function links(context: CommandContext, process: unknown): Promise<unknown> {
  const pid = await context.target.pidOf(processRef(context, process))
  const found = await (await context.source()).process(pid)
  if (found === undefined) throw dead(context, pid)
  const rows = (kind: string, list: unknown): unknown[] =>
    Array.isArray(list) ? list.map((other: unknown) => ({ kind, process: other })) : []
  const all = [
    ...rows('link', found.links),
    ...rows('monitors', found.monitors),
    ...rows('monitored by', found.monitoredBy),
  ]
  const total = Number(found.linkCount) + Number(found.monitorCount) + Number(found.monitoredByCount)
  return page({ rows: all, total }, 'links and monitors')
}

function dead({ target, session }: CommandContext, pid: Pid): ObserverError {
  return pid.node === target.node
    ? new ObserverError(`${session.pids.write(pid)} is not alive`, 'noproc')
    : badArgument(`${session.pids.write(pid)} is a process of ${pid.node}: use at('${pid.node}')`)
}
