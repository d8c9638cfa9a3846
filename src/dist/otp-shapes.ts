/**
 * System messages and the requests of supervisors: what OTP's own functions ask and the exact shapes of the answers that they expect.
 *
 * `sys:get_status`, `supervisor:which_children` and their kind match on the answers, and observers crash of a wrong one. Here the
 * answers are objects; this file makes OTP's terms of them for a caller elsewhere, and objects of the terms that our
 * callers get, so that between our own nodes they arrive as they were given [OTP sys, supervisor].
 */

import type { Request } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { ChildInfo } from '../actors/supervisor/children.ts'
import type { Statistics, Status } from '../actors/sys.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import { Atom, atom, atomName, charlist, Tuple, text, tuple } from './term.ts'

/** What a reply is the answer to. */
export type ReplyShape =
  /** The reply is a term of the user. */
  | 'state'
  | 'status'
  /** `ok`, or what is wrong. */
  | 'ok'
  | 'statistics'
  | 'which_children'
  | 'count_children'
  | 'start_child'
  | 'child_request'

const SUPERVISOR_SHAPES: ReadonlyMap<string, ReplyShape> = new Map([
  ['which_children', 'which_children'],
  ['count_children', 'count_children'],
  ['start_child', 'start_child'],
  ['restart_child', 'start_child'],
  ['terminate_child', 'child_request'],
  ['delete_child', 'child_request'],
])

/** The shape of a supervisor's answer to a request; undefined when it is no request of supervisors. */
export function shapeOfSupervisorRequest(request: Request): ReplyShape | undefined {
  return SUPERVISOR_SHAPES.get(request[0])
}

/** Ids of children are atoms in Erlang and strings here. */
export function supervisorRequestFromTerm(request: Request): Request {
  const [name, ...args] = request
  return [name, ...args.map((arg) => (arg instanceof Atom ? arg.name : arg))]
}

/** The shape of the answer to a system request, by its term. */
export function shapeOfSystemRequest(term: unknown): ReplyShape {
  return shapeOfSystemCall(systemRequestFromTerm(term))
}

/** The shape of the answer to a system request. */
export function shapeOfSystemCall([name, what]: Request): ReplyShape {
  if (name === 'get_status') return 'status'
  if (name === 'statistics') return what === 'get' ? 'statistics' : 'ok'
  return name === 'get_state' || name === 'replace_state' ? 'state' : 'ok'
}

/** The term that follows `{system, From, _}`. */
export function systemRequestToTerm(request: Request): unknown {
  const [name, first, ...others] = request
  switch (name) {
    case 'terminate':
      return tuple(atom(name), reasonToTerm(first))
    case 'trace':
      return tuple(atom('debug'), tuple(atom(name), first))
    case 'statistics':
    case 'remove':
      return tuple(atom('debug'), tuple(atom(name), typeof first === 'string' ? atom(first) : first))
    default:
      return request.length === 1 ? atom(name) : tuple(atom(name), first, ...others)
  }
}

/** The request of a term that followed `{system, From, _}`; one that is not known gets an error from the process. */
export function systemRequestFromTerm(term: unknown): Request {
  const name = atomName(term)
  if (name !== undefined) return [name]
  if (!(term instanceof Tuple) || term.length === 0) return ['unknown']
  const [head, argument] = [atomName(term.elements[0]), term.elements[1]]
  if (head === 'terminate' && term.length === 2) return ['terminate', reasonFromTerm(argument)]
  if (head === 'debug' && argument instanceof Tuple && argument.length === 2) {
    const [what, flag] = [atomName(argument.elements[0]), argument.elements[1]]
    if (what === 'trace') return [what, flag]
    if (what === 'statistics' || what === 'remove') return [what, flag instanceof Atom ? flag.name : flag]
  }
  // Functions of others cannot run here: replace_state and install among them.
  return [`${head ?? 'unknown'}/${term.length - 1}`]
}

/** The term of a reply. */
export function replyToTerm(shape: ReplyShape, reply: unknown): unknown {
  if (isSystemError(reply) && shape !== 'state') {
    return tuple(atom('error'), tuple(atom('unknown_system_msg'), reply.error))
  }
  switch (shape) {
    case 'state':
      return reply
    case 'status':
      return statusToTerm(reply as Status)
    case 'ok':
      return reply === 'ok' ? atom('ok') : reply
    case 'statistics':
      return tuple(atom('ok'), reply === undefined ? atom('no_statistics') : statisticsToTerm(reply as Statistics))
    case 'which_children':
      return (reply as readonly ChildInfo[]).map(childToTerm)
    case 'count_children':
      return Object.entries(reply as object).map(([what, count]) => tuple(atom(what), count))
    case 'start_child':
    case 'child_request':
      return resultToTerm(reply as ChildResult, shape === 'start_child')
  }
}

/** The reply of a term; one that is not of the shape is given as it came. */
export function replyFromTermOf(shape: ReplyShape, term: unknown): unknown {
  switch (shape) {
    case 'state':
      return term
    case 'status':
      return statusFromTerm(term) ?? term
    case 'ok':
      return systemErrorFromTerm(term) ?? (term instanceof Atom && term.name === 'ok' ? 'ok' : term)
    case 'statistics':
      return statisticsFromTerm(term)
    case 'which_children':
      return childrenFromTerm(term) ?? term
    case 'count_children':
      return countsFromTerm(term) ?? term
    case 'start_child':
    case 'child_request':
      return resultFromTerm(term, shape === 'start_child') ?? term
  }
}

// System messages

function isSystemError(reply: unknown): reply is { readonly error: string } {
  return (
    typeof reply === 'object' &&
    reply !== null &&
    typeof (reply as { error?: unknown }).error === 'string' &&
    Object.keys(reply).length === 1
  )
}

function systemErrorFromTerm(term: unknown): { readonly error: string } | undefined {
  if (!(term instanceof Tuple) || term.length !== 2 || atomName(term.elements[0]) !== 'error') return undefined
  const what = term.elements[1]
  const reason = what instanceof Tuple && what.length === 2 ? what.elements[1] : what
  return { error: text(reason) ?? atomName(reason) ?? 'unknown_system_msg' }
}

function statusToTerm(status: Status): Tuple {
  const { pid, module, behaviour, name, parent, state } = status
  const sysState = atom(status.status)
  const parentTerm = parent ?? pid
  return tuple(atom('status'), pid, tuple(atom('module'), atom(behaviour)), [
    [
      tuple(atom('$initial_call'), tuple(atom(module.slice(0, 255)), atom('init'), 1)),
      tuple(atom('$ancestors'), parent === undefined ? [] : [parent]),
      ...(name === undefined ? [] : [tuple(atom('$registered_name'), atom(name))]),
    ],
    sysState,
    parentTerm,
    [],
    [
      tuple(atom('header'), charlist(`Status for ${behaviour.replaceAll('_', ' ')} ${name ?? pid}`)),
      tuple(atom('data'), [
        tuple(charlist('Status'), sysState),
        tuple(charlist('Parent'), parentTerm),
        tuple(charlist('Logged events'), []),
      ]),
      tuple(atom('data'), [tuple(charlist('State'), state)]),
    ],
  ])
}

function statusFromTerm(term: unknown): Status | undefined {
  if (!(term instanceof Tuple) || term.length !== 4) return undefined
  const [, pid, module, items] = term.elements
  if (!(pid instanceof Pid) || !(module instanceof Tuple) || !Array.isArray(items) || items.length !== 5) {
    return undefined
  }
  const [dictionary, sysState, , , misc] = items as unknown[]
  const behaviour = atomName(module.elements[1]) ?? 'unknown'
  const initialCall = property(dictionary, '$initial_call')
  const ancestors = property(dictionary, '$ancestors')
  const name = property(dictionary, '$registered_name')
  const parent = Array.isArray(ancestors) && ancestors[0] instanceof Pid ? ancestors[0] : undefined
  return {
    pid,
    module: (initialCall instanceof Tuple ? atomName(initialCall.elements[0]) : undefined) ?? behaviour,
    behaviour,
    status: atomName(sysState) === 'suspended' ? 'suspended' : 'running',
    parent,
    name: name === undefined ? undefined : atomName(name),
    state: stateOf(misc),
  }
}

/** The value under an atom in a list of pairs. */
function property(pairs: unknown, key: string): unknown {
  if (!Array.isArray(pairs)) return undefined
  const pair = pairs.find((item) => item instanceof Tuple && item.length === 2 && atomName(item.elements[0]) === key)
  return pair instanceof Tuple ? pair.elements[1] : undefined
}

/** The state is under `"State"` of the last `data` in the formatted status. */
function stateOf(misc: unknown): unknown {
  if (!Array.isArray(misc)) return misc
  for (const item of misc) {
    if (!(item instanceof Tuple) || atomName(item.elements[0]) !== 'data' || !Array.isArray(item.elements[1])) continue
    for (const pair of item.elements[1]) {
      if (pair instanceof Tuple && pair.length === 2 && text(pair.elements[0]) === 'State') return pair.elements[1]
    }
  }
  return misc
}

function statisticsToTerm({ startTimeMs, currentTimeMs, reductions, messagesIn, messagesOut }: Statistics): Tuple[] {
  return [
    tuple(atom('start_time'), dateTime(startTimeMs)),
    tuple(atom('current_time'), dateTime(currentTimeMs)),
    tuple(atom('reductions'), reductions),
    tuple(atom('messages_in'), messagesIn),
    tuple(atom('messages_out'), messagesOut),
    // OTP's times have whole seconds.
    tuple(atom('ms'), tuple(startTimeMs, currentTimeMs)),
  ]
}

function statisticsFromTerm(term: unknown): unknown {
  if (!(term instanceof Tuple) || term.length !== 2) return term
  const items = term.elements[1]
  if (atomName(items) === 'no_statistics') return undefined
  const ms = property(items, 'ms')
  if (!(ms instanceof Tuple)) return items
  return {
    startTimeMs: ms.elements[0],
    reductions: property(items, 'reductions'),
    messagesIn: property(items, 'messages_in'),
    messagesOut: property(items, 'messages_out'),
    currentTimeMs: ms.elements[1],
  }
}

/** `{{Y, M, D}, {H, Mi, S}}` in UTC. */
function dateTime(ms: number): Tuple {
  const date = new Date(ms)
  return tuple(
    tuple(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()),
    tuple(date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()),
  )
}

// Supervisors

type ChildResult =
  | { readonly ok: true; readonly pid?: Pid | undefined }
  | { readonly ok: false; readonly reason: unknown }

function childToTerm({ id, child, type }: ChildInfo): Tuple {
  const childTerm = child === 'restarting' ? atom(child) : child
  return tuple(idToTerm(id), childTerm, atom(type), type === 'supervisor' ? [atom('supervisor')] : [])
}

/** An id longer than an atom may be stays text. */
function idToTerm(id: string | undefined): unknown {
  return id === undefined || id.length > 255 ? id : atom(id)
}

function childrenFromTerm(term: unknown): ChildInfo[] | undefined {
  if (!Array.isArray(term)) return undefined
  const children: ChildInfo[] = []
  for (const item of term) {
    if (!(item instanceof Tuple) || item.length !== 4) return undefined
    const [id, child, type] = item.elements
    const typeName = atomName(type)
    if (typeName !== 'worker' && typeName !== 'supervisor') return undefined
    children.push({
      id: id instanceof Atom ? id.name : (id as string | undefined),
      child: child instanceof Pid ? child : child instanceof Atom ? 'restarting' : undefined,
      type: typeName,
    })
  }
  return children
}

function countsFromTerm(term: unknown): Record<string, unknown> | undefined {
  if (!Array.isArray(term)) return undefined
  const names = ['specs', 'active', 'supervisors', 'workers']
  const counts = names.map((name) => [name, property(term, name)] as const)
  return counts.every(([, count]) => typeof count === 'number') ? Object.fromEntries(counts) : undefined
}

function resultToTerm(result: ChildResult, withPid: boolean): unknown {
  if (!result.ok) return tuple(atom('error'), reasonToTerm(result.reason))
  return withPid ? tuple(atom('ok'), result.pid) : atom('ok')
}

function resultFromTerm(term: unknown, withPid: boolean): ChildResult | undefined {
  if (!withPid && atomName(term) === 'ok') return { ok: true }
  if (!(term instanceof Tuple)) return undefined
  const [head, value] = term.elements
  if (atomName(head) === 'error') return { ok: false, reason: reasonFromTerm(value) }
  if (atomName(head) !== 'ok' || !withPid) return undefined
  return { ok: true, pid: value instanceof Pid ? value : undefined }
}
