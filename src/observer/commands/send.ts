/** Commands that act in the name of the shell's own process: messages, calls, signals. */
import type { Request } from '../../actors/gen.ts'
import { cast } from '../../actors/gen.ts'
import type { Pid } from '../../actors/pid.ts'
import { Ref } from '../../actors/ref.ts'
import { Atom, atom, isTuple } from '../../dist/term.ts'
import { numbers } from '../otp-terms.ts'
import { inline } from '../print/print.ts'
import { withView } from '../print/view.ts'
import { textOf } from '../target.ts'
import { badArgument, count, processRef, word } from './arguments.ts'
import type { CommandContext, CommandGroup } from './command.ts'

const MAX_WAIT_MS = 600_000

export const sendCommands: CommandGroup = {
  title: 'Messages and signals',
  commands: [
    {
      name: 'self',
      params: '()',
      help: 'the process of this shell',
      effect: 'act',
      run: ({ session }) => session.shell.self.pid,
    },
    {
      name: 'send',
      params: '(process, message)',
      help: 'sends a message, and returns it',
      effect: 'act',
      run: (context, process, message) => {
        context.session.shell.self.send(context.target.serverRef(processRef(context, process)), message)
        return message
      },
    },
    {
      name: 'call',
      params: "(process, 'read' or ['add', 2] or a term, ms = 5000)",
      help: 'calls a gen_server, and returns its reply',
      effect: 'act',
      run: (context, process, request, ms) =>
        context.target.call(
          processRef(context, process),
          requestOf(request),
          count(ms, 'ms', context.target.deadlineMs, MAX_WAIT_MS),
        ),
    },
    {
      name: 'cast',
      params: '(process, request)',
      help: 'sends a gen_server a request without an answer',
      effect: 'act',
      run: (context, process, request) => {
        const { target } = context
        cast(target.caller, target.serverRef(processRef(context, process)), requestOf(request))
        return 'ok'
      },
    },
    {
      name: 'rpc',
      params: '(module, function, [arguments] = [], ms = 5000)',
      help: 'calls a function of the node; arguments are terms',
      effect: 'act',
      run: ({ target }, module, name, args = [], ms) => {
        if (!Array.isArray(args)) throw badArgument('arguments are a list')
        const [inModule, fn] = [word(module, 'a module'), word(name, 'a function')]
        return target.rpc(inModule, fn, args, count(ms, 'ms', target.deadlineMs, MAX_WAIT_MS))
      },
    },
    {
      name: 'exit',
      params: "(process, reason = 'kill')",
      help: 'ends a process: sends it an exit signal',
      effect: 'change',
      question: exitQuestion,
      run: async (context, process, reason = 'kill') => {
        const pid = await context.target.pidOf(processRef(context, process))
        context.session.shell.self.exit(pid, reason)
        return true
      },
    },
    {
      name: 'monitor',
      params: '(process)',
      help: 'its end is a DOWN message here; gives the reference',
      effect: 'act',
      run: (context, process) =>
        context.session.shell.self.monitor(context.target.serverRef(processRef(context, process))),
    },
    {
      name: 'demonitor',
      params: '(reference)',
      help: 'takes a monitor back',
      effect: 'act',
      run: ({ session }, ref) => {
        if (!(ref instanceof Ref)) throw badArgument('demonitor takes what monitor has returned')
        session.shell.self.demonitor(ref, { flush: true })
        return true
      },
    },
    {
      name: 'link',
      params: '(process)',
      help: 'links it to this shell: its end is a message here',
      effect: 'act',
      run: async (context, process) => {
        context.session.shell.self.link(await context.target.pidOf(processRef(context, process)))
        return true
      },
    },
    {
      name: 'unlink',
      params: '(process)',
      help: 'takes a link back',
      effect: 'act',
      run: async (context, process) => {
        context.session.shell.self.unlink(await context.target.pidOf(processRef(context, process)))
        return true
      },
    },
    {
      name: 'flush',
      params: '()',
      help: 'the messages that have come to this shell',
      effect: 'act',
      run: ({ session }) => {
        const { messages, lost } = session.shell.flush()
        return lost === 0 ? messages : withView(messages, { note: `${lost} older ones were too many` })
      },
    },
  ],
}

/** `'read'`, `['add', 2]`, or any term: a tuple for an Erlang server. */
function requestOf(request: unknown): Request {
  if (request instanceof Atom) return [request.name]
  return (Array.isArray(request) && request.length > 0 ? request : [request]) as unknown as Request
}

/** What falls with a process is told before. */
async function exitQuestion(context: CommandContext, process: unknown, reason: unknown = 'kill'): Promise<string> {
  const { target, session } = context
  const pid = await target.pidOf(processRef(context, process))
  const detail = await (await context.source()).process(pid)
  const { name = '', behaviour } = (detail ?? {}) as { readonly name?: unknown; readonly behaviour?: unknown }
  const who = `${session.pids.write(pid)}${name === '' ? '' : ` ${textOf(name)}`} on ${pid.node}`
  const question = `exit ends ${who} with ${inline(reason)}`
  if (name === 'net_kernel') return `${question}; all connections of the node end with it`
  if (behaviour === 'supervisor' || (await isErlangSupervisor(context, pid))) {
    const { active = 0 } = numbers(await target.rpc('supervisor', 'count_children', [pid]))
    return `${question}; it is a supervisor, and its ${active} children end with it`
  }
  return question
}

async function isErlangSupervisor({ target, source }: CommandContext, pid: Pid): Promise<boolean> {
  if (!(await source()).isErlang || pid.node !== target.node) return false
  const call = await target.rpc('proc_lib', 'translate_initial_call', [pid])
  return isTuple(call, 3) && call.elements[0] === atom('supervisor')
}
