/**
 * Functions of OTP's other modules that other nodes may call: timer, application, supervisor, sys, gen_event, proc_lib, net_adm,
 * net_kernel and code, and `module_info/1` of every module.
 *
 * Those that ask a process wait at most as long as a call waits by default, even where OTP waits for ever: the process that is asked
 * may be one that answers nothing.
 */
import { whichApplications } from '../../actors/application.ts'
import { Exit } from '../../actors/errors.ts'
import { CALL_TIMEOUT_MS, call, type ServerRef } from '../../actors/gen.ts'
import { Pid } from '../../actors/pid.ts'
import type { Runtime } from '../../actors/runtime.ts'
import * as sys from '../../actors/sys.ts'
import { reasonToTerm } from '../exit-reason.ts'
import { badarg, type CallContext, ErlangError, type ExportedModule, functionClause } from '../exports.ts'
import { behaviourOf } from '../incoming-message.ts'
import { replyToTerm, shapeOfState } from '../otp-shapes.ts'
import { presentable } from '../presentable.ts'
import { Atom, atom, atomName, charlist, isTuple, type Tuple, tuple } from '../term.ts'
import { initialCall } from './process-info.ts'

const OK = atom('ok')

/** Of a call that a peer asks for; the process that asks is ended after ten minutes in any case. */
const MAX_TIMEOUT_MS = 600_000

export const timerExports: ExportedModule = {
  'sleep/1': async ({ self }, time) => {
    if (atomName(time) === 'infinity') return self.receive<never>(isNothing)
    if (typeof time !== 'number' || !Number.isInteger(time) || time < 0) {
      throw new ErlangError('error', atom('timeout_value'))
    }
    await self.receiveWithin<never>(time, isNothing)
    return OK
  },
}

export const applicationExports: ExportedModule = {
  'which_applications/0': async ({ self }) => {
    const running = await whichApplications(self)
    return running.map(({ name, description, version }) => tuple(atom(name), charlist(description), charlist(version)))
  },
}

export const supervisorExports: ExportedModule = {
  'which_children/1': (context, ref) => askSupervisor(context, ref, 'which_children'),
  'count_children/1': (context, ref) => askSupervisor(context, ref, 'count_children'),
}

export const sysExports: ExportedModule = {
  'get_state/1': getState,
  'get_state/2': getState,
  'get_status/1': getStatus,
  'get_status/2': getStatus,
}

export const genEventExports: ExportedModule = {
  'which_handlers/1': async ({ self }, ref) => {
    const manager = serverRef(ref)
    const handlers = await call(self, manager, ['which_handlers'], CALL_TIMEOUT_MS, '$gen_event')
    if (!Array.isArray(handlers)) throw badarg()
    return replyToTerm('event_handlers', handlers)
  },
}

export const procLibExports: ExportedModule = {
  'translate_initial_call/1': ({ self }, pid) => {
    if (!(pid instanceof Pid) || self.runtime.isForeign(pid)) throw badarg()
    const process = self.runtime.process(pid)
    const isOfProcLib = process !== undefined && behaviourOf(process) !== undefined
    return isOfProcLib ? initialCall(process) : tuple(atom('proc_lib'), atom('init_p'), 5)
  },
}

/** `M:module_info(Item)`: of the modules that are exported, and of those that processes say they run. */
export function moduleInfo({ self, exports }: CallContext, module: unknown, item: unknown): unknown {
  const name = atomName(module)!
  const process = Array.from(self.runtime.processes).find(
    (candidate) => behaviourOf(candidate) !== undefined && initialCall(candidate).elements[0] === module,
  )
  if (process === undefined && !exports.hasModule(name)) throw new ErlangError('error', atom('undef'))
  switch (atomName(item)) {
    case 'module':
      return module
    case 'attributes':
      return process === undefined ? [] : [tuple(atom('behaviour'), [atom(behaviourOf(process)!)])]
    case 'exports':
      return exports.functionsOf(name).map(([fn, arity]) => tuple(atom(fn), arity))
    case 'compile':
      return []
    default:
      throw badarg()
  }
}

export const netAdmExports: ExportedModule = {
  'names/0': async ({ network }) => {
    const names = await network.names()
    if (names === undefined) return tuple(atom('error'), atom('address'))
    return tuple(
      OK,
      names.map(({ name, port }) => tuple(charlist(name), port)),
    )
  },
  'ping/1': async (context, node) => atom((await connect(context, node)) ? 'pong' : 'pang'),
}

export const netKernelExports: ExportedModule = { 'connect_node/1': connect }

export const codeExports: ExportedModule = {
  'ensure_loaded/1': ({ exports }, module) => {
    const name = atomName(module)
    if (name === undefined) throw functionClause()
    return exports.hasModule(name) ? tuple(atom('module'), module) : tuple(atom('error'), atom('nofile'))
  },
}

async function getState({ self }: CallContext, ref: unknown, ...timeout: readonly unknown[]): Promise<unknown> {
  const timeoutMs = timeoutOf(timeout)
  const server = serverRef(ref)
  const what = sysCall('get_state', [ref, ...timeout])
  const state = await asking(ref, what, () => sys.getState(self, server, timeoutMs))
  return replyToTerm(shapeOfState(behaviourAt(self.runtime, server)), presentable(state))
}

async function getStatus({ self }: CallContext, ref: unknown, ...timeout: readonly unknown[]): Promise<unknown> {
  const timeoutMs = timeoutOf(timeout)
  const what = sysCall('get_status', [ref, ...timeout])
  const status = await asking(ref, what, () => sys.getStatus(self, serverRef(ref), timeoutMs))
  return isStatus(status) ? replyToTerm('status', { ...status, state: presentable(status.state) }) : status
}

function timeoutOf([timeout = CALL_TIMEOUT_MS]: readonly unknown[]): number {
  if (atomName(timeout) === 'infinity') return CALL_TIMEOUT_MS
  if (!Number.isInteger(timeout) || (timeout as number) < 0) throw badarg()
  return Math.min(timeout as number, MAX_TIMEOUT_MS)
}

function isNothing(_message: unknown): _message is never {
  return false
}

async function connect({ self, network }: CallContext, node: unknown): Promise<boolean> {
  const name = atomName(node)
  if (name === undefined) throw functionClause()
  return name === self.runtime.node.name || network.connect(name)
}

async function askSupervisor(
  { self }: CallContext,
  ref: unknown,
  request: 'which_children' | 'count_children',
): Promise<unknown> {
  const what = tuple(atom('gen_server'), atom('call'), [ref, atom(request), atom('infinity')])
  const answer = await asking(ref, what, () => call(self, serverRef(ref), [request], CALL_TIMEOUT_MS, '$supervisor'))
  const isOfSupervisor = request === 'which_children' ? Array.isArray(answer) : isCounts(answer)
  // What answers in another way is no supervisor; OTP's own servers crash of the question.
  if (!isOfSupervisor) throw badarg()
  return replyToTerm(request, answer)
}

function isCounts(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'specs' in answer && 'active' in answer
}

function isStatus(status: sys.Status | { readonly error?: unknown }): status is sys.Status {
  return 'behaviour' in status && 'pid' in status
}

/** The behaviour of a process of this node; what processes of others answer is a term already. */
function behaviourAt(runtime: Runtime, server: ServerRef): string {
  if (server instanceof Pid) return behaviourOf(runtime.process(server)) ?? ''
  if (typeof server !== 'string' && server.node !== runtime.node.name) return ''
  return behaviourOf(runtime.registry.find(typeof server === 'string' ? server : server.name)) ?? ''
}

/** Calls; when that fails, exits with `{Reason, What}`, as `gen_server:call` does. */
async function asking<T>(ref: unknown, what: Tuple, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (thrown) {
    if (!(thrown instanceof Exit)) throw thrown
    const isAway = thrown.reason === 'nodedown' && isTuple(ref, 2)
    const reason = isAway ? tuple(atom('nodedown'), ref.elements[1]) : reasonToTerm(thrown.reason)
    throw new ErlangError('exit', tuple(reason, what))
  }
}

function sysCall(request: string, args: readonly unknown[]): Tuple {
  return tuple(atom('sys'), atom(request), args)
}

/** A server as OTP names it: a pid, a registered name, or `{Name, Node}`. */
function serverRef(term: unknown): ServerRef {
  if (term instanceof Pid) return term
  if (term instanceof Atom) return term.name
  if (isTuple(term, 2)) {
    const [name, node] = [atomName(term.elements[0]), atomName(term.elements[1])]
    if (name !== undefined && node !== undefined) return { name, node }
  }
  throw badarg()
}
