/**
 * Functions of OTP's other modules that other nodes may call: timer, application, supervisor, sys, net_adm, net_kernel and code.
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

const OK = atom('ok')

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
  'get_state/1': async ({ self }, ref) => {
    const state = presentable(await asking(ref, sysCall('get_state', ref), () => sys.getState(self, serverRef(ref))))
    return replyToTerm(shapeOfState(behaviourAt(self.runtime, serverRef(ref))), state)
  },
  'get_status/1': async ({ self }, ref) => {
    const status = await asking(ref, sysCall('get_status', ref), () => sys.getStatus(self, serverRef(ref)))
    return isStatus(status) ? replyToTerm('status', { ...status, state: presentable(status.state) }) : status
  },
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

function sysCall(request: string, ref: unknown): Tuple {
  return tuple(atom('sys'), atom(request), [ref])
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
