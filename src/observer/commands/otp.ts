/** Commands of OTP's modules: system messages, supervisors, applications. */
import { atom, atomName, isTuple } from '../../dist/term.ts'
import { numbers } from '../otp-terms.ts'
import { withView } from '../print/view.ts'
import { ObserverError, textOf } from '../target.ts'
import { badArgument, count, processRef } from './arguments.ts'
import type { CommandContext, CommandGroup } from './command.ts'

/** What was suspended or is traced goes back by itself: whoever did it may be gone. */
const SUSPENDED_MS = 30_000
const TRACED_MS = 60_000

const MAX_DEPTH = 10

export const otpCommands: CommandGroup = {
  title: 'OTP',
  commands: [
    {
      name: 'sys.getState',
      params: '(process)',
      help: 'the state of a server',
      run: (context, process) => askTerm(context, 'get_state', process),
    },
    {
      name: 'sys.getStatus',
      params: '(process)',
      help: 'module, parent, running or suspended, state',
      run: (context, process) => system(context, process, ['get_status']),
    },
    {
      name: 'sys.statistics',
      params: "(process, true | false | 'get' = 'get')",
      help: 'counts its messages, no longer, or tells the count',
      effect: 'act',
      run: async (context, process, what = 'get') => {
        if (typeof what !== 'boolean' && what !== 'get') throw badArgument("statistics takes true, false or 'get'")
        return (await system(context, process, ['statistics', what])) ?? 'no_statistics'
      },
    },
    {
      name: 'sys.suspend',
      params: '(process)',
      help: 'has it wait, for 30 s at most',
      effect: 'change',
      question: async (context, process) =>
        `${await described(context, process)} handles no messages until it is resumed`,
      run: async (context, process) => {
        await system(context, process, ['suspend'])
        revertLater(context, SUSPENDED_MS, () => system(context, process, ['resume']))
        return 'ok'
      },
    },
    {
      name: 'sys.resume',
      params: '(process)',
      help: 'has it go on',
      effect: 'act',
      run: (context, process) => system(context, process, ['resume']),
    },
    {
      name: 'sys.trace',
      params: '(process, on = true)',
      help: "writes its messages to the node's log, for 60 s at most",
      effect: 'change',
      question: async (context, process) =>
        `every message of ${await described(context, process)} goes to the log of ${context.target.node}`,
      run: async (context, process, on = true) => {
        await system(context, process, ['trace', on === true])
        if (on === true) revertLater(context, TRACED_MS, () => system(context, process, ['trace', false]))
        return 'ok'
      },
    },
    {
      name: 'supervisor.whichChildren',
      params: '(supervisor, limit = 50)',
      help: 'its children, the one started last first',
      run: async (context, supervisor, limit) => {
        const children = await askSupervisor(context, 'which_children', supervisor)
        if (!Array.isArray(children)) throw badArgument('it is no supervisor')
        const rows = children.slice(0, count(limit, 'limit', 50)).map(childRow)
        return withView(rows, { note: `${rows.length} of ${children.length} children` })
      },
    },
    {
      name: 'supervisor.countChildren',
      params: '(supervisor)',
      help: 'its specifications, children, supervisors, workers',
      run: async (context, supervisor) => numbers(await askSupervisor(context, 'count_children', supervisor)),
    },
    {
      name: 'supTree',
      params: '(supervisor?, depth = 3, children = 20)',
      help: 'the tree below it, or those of all applications',
      run: async (context, root, depth, width) => {
        const pid = root === undefined ? undefined : await context.target.pidOf(processRef(context, root))
        const source = await context.source()
        const trees = await source.trees(pid, count(depth, 'depth', 3, MAX_DEPTH), count(width, 'the children', 20))
        return withView([...trees], { as: 'tree' })
      },
    },
    {
      name: 'apps',
      params: '()',
      help: 'the applications that run',
      run: async ({ target }) => {
        const running = await target.rpc('application', 'which_applications')
        return Array.isArray(running) ? running.map(applicationRow) : []
      },
    },
  ],
}

/** By OTP's function on the node, which cuts a state that is too large to send. */
async function askTerm(context: CommandContext, name: string, process: unknown): Promise<unknown> {
  return context.target.rpc('sys', name, [await ownRef(context, process)])
}

async function askSupervisor(context: CommandContext, name: string, process: unknown): Promise<unknown> {
  return context.target.rpc('supervisor', name, [await ownRef(context, process)])
}

/** As the node itself names the process. */
async function ownRef(context: CommandContext, process: unknown): Promise<unknown> {
  const ref = processRef(context, process)
  return typeof ref === 'string' ? atom(ref) : context.target.pidOf(ref)
}

function system(context: CommandContext, process: unknown, request: readonly [string, ...unknown[]]): Promise<unknown> {
  const { target } = context
  return target.call(processRef(context, process), request, target.deadlineMs, '$system')
}

/** After a while, or when the session ends. */
function revertLater({ session }: CommandContext, ms: number, revert: () => Promise<unknown>): void {
  const { timers } = session.runtime
  const undo = async (): Promise<void> => {
    timers.clear(timer)
    forget()
    // The process may have ended since.
    await revert().catch(() => {})
  }
  const timer = timers.set(ms, () => void undo())
  const forget = session.atEnd(undo)
}

async function described(context: CommandContext, process: unknown): Promise<string> {
  const ref = processRef(context, process)
  return typeof ref === 'string' ? ref : context.session.pids.write(await context.target.pidOf(ref))
}

function childRow(child: unknown): unknown {
  if (!isTuple(child, 4)) throw new ObserverError('it is no supervisor', 'badarg')
  const [id, pid, type] = child.elements
  return { id: id === undefined ? undefined : textOf(id), child: atomName(pid) ?? pid, type: textOf(type) }
}

function applicationRow(application: unknown): unknown {
  const [name, description, version] = isTuple(application, 3) ? application.elements : []
  return { name: textOf(name), version: textOf(version), description: textOf(description) }
}
