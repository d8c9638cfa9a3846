/**
 * Functions of OTP that other nodes call on ours: what tools and rpc users expect of any node, in OTP's shapes. All of them only
 * look; none runs code, reads files, or stops anything.
 */
import { BadArgError } from '../actors/errors.ts'
import { call } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { Distribution, NodeKind } from './distribution.ts'
import type { Exports } from './exports.ts'
import { ping } from './net-adm.ts'
import { replyToTerm, shapeOfSupervisorRequest, shapeOfSystemCall } from './otp-shapes.ts'
import { atom, atomName, Tuple, tuple } from './term.ts'

/** Exports them. */
export function addOtpExports(exported: Exports, distribution: Distribution): void {
  const { runtime } = distribution
  const erlang = (name: string, arity: number, fn: (...args: readonly unknown[]) => unknown): void =>
    exported.add('erlang', name, arity, (_context, ...args) => fn(...args))
  erlang('node', 0, () => atom(runtime.node.name))
  erlang('nodes', 0, () => distribution.nodes().map(atom))
  erlang('nodes', 1, (kind) => distribution.nodes(nodeKind(kind)).map(atom))
  erlang('whereis', 1, (name) => runtime.whereis(nameOf(name)))
  erlang('registered', 0, () => runtime.registered().map(atom))
  erlang('processes', 0, () => [...runtime.processes].map(({ pid }) => pid))
  erlang('is_process_alive', 1, (pid) => runtime.isAlive(pidOf(pid)))
  erlang('process_info', 1, (pid) => processInfo(runtime, pidOf(pid)))
  erlang('process_info', 2, (pid, items) => processInfoItems(runtime, pidOf(pid), items))
  erlang('system_info', 1, (item) => systemInfo(runtime, nameOf(item)))
  erlang('function_exported', 3, (module, name, arity) => {
    return typeof arity === 'number' && exported.find(nameOf(module), nameOf(name), arity) !== undefined
  })
  exported.add('timer', 'sleep', 1, (_context, ms) => sleep(runtime, ms))
  exported.add('net_adm', 'ping', 1, async (_context, node) => atom(await ping(runtime, nameOf(node))))
  exported.add('net_kernel', 'connect_node', 1, (_context, node) => distribution.connect(nameOf(node)))
  exported.add('code', 'ensure_loaded', 1, (_context, module) => {
    return exported.hasModule(nameOf(module)) ? tuple(atom('module'), module) : tuple(atom('error'), atom('nofile'))
  })
  for (const name of ['which_children', 'count_children']) {
    exported.add('supervisor', name, 1, async (_context, server) => {
      const reply = await call(runtime, serverOf(server), [name])
      return replyToTerm(shapeOfSupervisorRequest([name])!, reply)
    })
  }
  for (const name of ['get_state', 'get_status']) {
    exported.add('sys', name, 1, async (_context, server) => {
      const reply = await call(runtime, serverOf(server), [name], undefined, '$system')
      return replyToTerm(shapeOfSystemCall([name]), reply)
    })
  }
}

function nameOf(term: unknown): string {
  const name = atomName(term)
  if (name === undefined) throw new BadArgError('not an atom')
  return name
}

function pidOf(term: unknown): Pid {
  if (!(term instanceof Pid)) throw new BadArgError('not a pid')
  return term
}

/** A pid or a registered name of this node. */
function serverOf(term: unknown): Pid | string {
  if (term instanceof Pid) return term
  return nameOf(term instanceof Tuple ? term.elements[0] : term)
}

function nodeKind(term: unknown): NodeKind {
  const kind = nameOf(term)
  if (kind === 'visible' || kind === 'hidden' || kind === 'connected' || kind === 'known' || kind === 'this')
    return kind
  throw new BadArgError(`no kind of nodes: ${kind}`)
}

function sleep(runtime: Runtime, ms: unknown): Promise<unknown> {
  if (atomName(ms) === 'infinity') return new Promise(() => {})
  if (typeof ms !== 'number' || !(ms >= 0)) throw new BadArgError('not a time')
  return new Promise((resolve) => runtime.timers.set(ms, () => resolve(atom('ok'))))
}

/** What can be known of a process here, in the order in which Erlang tells it. */
const INFO_ITEMS = [
  'registered_name',
  'initial_call',
  'status',
  'message_queue_len',
  'links',
  'dictionary',
  'trap_exit',
  'reductions',
] as const

function processInfo(runtime: Runtime, pid: Pid): unknown {
  if (!runtime.isAlive(pid)) return undefined
  return INFO_ITEMS.map((item) => infoItem(runtime, pid, item)).filter((info) => info instanceof Tuple)
}

function processInfoItems(runtime: Runtime, pid: Pid, items: unknown): unknown {
  if (!runtime.isAlive(pid)) return undefined
  if (!Array.isArray(items)) return infoItem(runtime, pid, nameOf(items))
  // In a list, unlike alone, a name that there is not is told as well.
  return items.map((item) => {
    const info = infoItem(runtime, pid, nameOf(item))
    return info instanceof Tuple ? info : tuple(item, info)
  })
}

function infoItem(runtime: Runtime, pid: Pid, item: string): unknown {
  const process = runtime.process(pid)!
  switch (item) {
    case 'registered_name':
      return process.name === undefined ? [] : tuple(atom(item), atom(process.name))
    case 'initial_call':
    case 'current_function':
      return tuple(atom(item), tuple(atom((process.label ?? 'process').slice(0, 255)), atom('init'), 1))
    case 'status':
      return tuple(atom(item), atom(process.status))
    case 'message_queue_len':
      return tuple(atom(item), process.mailbox.length + (process.behaviour.saved?.length ?? 0))
    case 'links':
      return tuple(atom(item), [...(process.links ?? [])])
    case 'dictionary':
      return tuple(atom(item), [])
    case 'trap_exit':
      return tuple(atom(item), process.trapExit)
    case 'reductions':
      return tuple(atom(item), process.reductions)
    case 'memory':
    case 'heap_size':
    case 'stack_size':
    case 'total_heap_size':
      // The engine does not tell the memory of a part of its heap.
      return tuple(atom(item), 0)
    case 'parent':
      return tuple(atom(item), process.parent)
    default:
      throw new BadArgError(`no item of process_info: ${item}`)
  }
}

function systemInfo(runtime: Runtime, item: string): unknown {
  switch (item) {
    case 'process_count':
      return runtime.processes.count
    case 'process_limit':
      return 2 ** 28
    case 'creation':
      return runtime.node.creation
    case 'wordsize':
      return 8
    case 'schedulers':
    case 'schedulers_online':
    case 'logical_processors':
      return 1
    case 'port_count':
      return 0
    default:
      throw new BadArgError(`no item of system_info: ${item}`)
  }
}
