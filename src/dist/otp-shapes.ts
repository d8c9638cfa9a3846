/**
 * System messages: what OTP's own functions ask and the exact shapes of the answers that they expect; and the way to the shapes of
 * supervisors and event managers, which have files of their own.
 *
 * `sys:get_status`, `supervisor:which_children` and their kind match on the answers, and observers crash of a wrong one. Here the
 * answers are objects; these files make OTP's terms of them for a caller elsewhere, and objects of the terms that our callers get,
 * so that between our own nodes they arrive as they were given [OTP sys]. One cannot: the state of a state machine or an event
 * manager that `get_state` asks for arrives as OTP's term, since nothing in it tells it from a state of such a form.
 */

import type { Request } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { Statistics, Status } from '../actors/sys.ts'
import {
  type EventShape,
  eventReplyFromTerm,
  eventReplyToTerm,
  eventStatesFromTerm,
  eventStatesToTerm,
} from './event-shapes.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import {
  isSupervisorShape,
  type SupervisorShape,
  supervisorReplyFromTerm,
  supervisorReplyToTerm,
} from './supervisor-shapes.ts'
import { Atom, atom, atomName, charlist, isTuple, property, Tuple, text, tuple } from './term.ts'

/** What a reply is the answer to. */
export type ReplyShape =
  /** The reply is a term of the user. */
  | 'state'
  /** The state and data of a state machine; the handlers of an event manager and their states. */
  | 'statem_state'
  | 'event_states'
  | 'status'
  /** `ok`, or what is wrong. */
  | 'ok'
  | 'statistics'
  | SupervisorShape
  | EventShape

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

/** The shape of `sys:get_state` of a process of a behaviour. */
export function shapeOfState(behaviour: string): 'state' | 'statem_state' | 'event_states' {
  if (behaviour === 'gen_statem') return 'statem_state'
  return behaviour === 'gen_event' ? 'event_states' : 'state'
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
    case 'statem_state':
      return statemStateToTerm(reply)
    case 'event_states':
      return eventStatesToTerm(reply)
    case 'status':
      return statusToTerm(reply as Status)
    case 'ok':
      return reply === 'ok' ? atom('ok') : reply
    case 'statistics':
      return tuple(atom('ok'), reply === undefined ? atom('no_statistics') : statisticsToTerm(reply as Statistics))
    default:
      return isSupervisorShape(shape) ? supervisorReplyToTerm(shape, reply) : eventReplyToTerm(shape, reply)
  }
}

/** The reply of a term; one that is not of the shape is given as it came. */
export function replyFromTermOf(shape: ReplyShape, term: unknown): unknown {
  switch (shape) {
    case 'state':
    case 'statem_state':
    case 'event_states':
      return term
    case 'status':
      return statusFromTerm(term) ?? term
    case 'ok':
      return systemErrorFromTerm(term) ?? (term instanceof Atom && term.name === 'ok' ? 'ok' : term)
    case 'statistics':
      return statisticsFromTerm(term)
    default:
      return isSupervisorShape(shape) ? supervisorReplyFromTerm(shape, term) : eventReplyFromTerm(shape, term)
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

/** `{State, Data}`, unless the machine shows something of its own. */
function statemStateToTerm(shown: unknown): unknown {
  if (typeof shown !== 'object' || shown === null || Object.keys(shown).sort().join() !== 'data,state') return shown
  const { state, data } = shown as { readonly state: unknown; readonly data: unknown }
  return tuple(typeof state === 'string' ? reasonToTerm(state) : state, data)
}

function statemStateFromTerm(term: unknown): unknown {
  if (!(term instanceof Tuple) || term.length !== 2) return term
  const [state, data] = term.elements
  return { state: state instanceof Atom ? state.name : state, data }
}

/** The last part of a formatted status, in which each behaviour has its state under another key. */
function statePart(behaviour: string, state: unknown): Tuple {
  if (behaviour === 'gen_event') return tuple(atom('items'), tuple(charlist(HANDLERS), handlerRecords(state)))
  return tuple(atom('data'), [tuple(charlist('State'), behaviour === 'gen_statem' ? statemStateToTerm(state) : state)])
}

const HANDLERS = 'Installed handlers'

/** OTP's records `{handler, Module, Id, State, Supervised}`. */
function handlerRecords(states: unknown): unknown {
  const triples = eventStatesToTerm(states)
  if (!Array.isArray(triples)) return triples
  return triples.map((triple) => tuple(atom('handler'), ...(triple as Tuple).elements, false))
}

const HEADINGS: Readonly<Record<string, string>> = {
  gen_server: 'generic server',
  supervisor: 'generic server',
  gen_statem: 'state machine',
  gen_event: 'event handler',
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
      tuple(atom('header'), charlist(`Status for ${HEADINGS[behaviour] ?? behaviour} ${name ?? pid}`)),
      tuple(atom('data'), [
        tuple(charlist('Status'), sysState),
        tuple(charlist('Parent'), parentTerm),
        tuple(charlist('Logged events'), []),
      ]),
      statePart(behaviour, state),
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
    module: moduleOf(initialCall) ?? behaviour,
    behaviour,
    status: atomName(sysState) === 'suspended' ? 'suspended' : 'running',
    parent,
    name: name === undefined ? undefined : atomName(name),
    state: behaviour === 'gen_statem' ? statemStateFromTerm(stateOf(misc)) : stateOf(misc),
  }
}

/** Of `{Module, init, 1}`, and of the `{supervisor, Module, 1}` of supervisors. */
function moduleOf(initialCall: unknown): string | undefined {
  if (!isTuple(initialCall, 3)) return undefined
  const [module, name] = initialCall.elements
  return atomName(atomName(module) === 'supervisor' && atomName(name) !== 'init' ? name : module)
}

/** The state is under `"State"` of the last `data` in the formatted status; an event manager has its handlers in `items`. */
function stateOf(misc: unknown): unknown {
  if (!Array.isArray(misc)) return misc
  for (const item of misc) {
    if (!(item instanceof Tuple)) continue
    const [kind, content] = item.elements
    if (atomName(kind) === 'items' && content instanceof Tuple && text(content.elements[0]) === HANDLERS) {
      return eventStatesFromTerm(content.elements[1])
    }
    if (atomName(kind) !== 'data' || !Array.isArray(content)) continue
    for (const pair of content) {
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
  const [startTimeMs, currentTimeMs] =
    ms instanceof Tuple ? ms.elements : [msOf(property(items, 'start_time')), msOf(property(items, 'current_time'))]
  if (startTimeMs === undefined || currentTimeMs === undefined) return items
  return {
    startTimeMs,
    reductions: property(items, 'reductions'),
    messagesIn: property(items, 'messages_in'),
    messagesOut: property(items, 'messages_out'),
    currentTimeMs,
  }
}

/** `{{Y, M, D}, {H, Mi, S}}`, in the time zone of the machine, as `erlang:localtime()` is. */
function dateTime(ms: number): Tuple {
  const date = new Date(ms)
  return tuple(
    tuple(date.getFullYear(), date.getMonth() + 1, date.getDate()),
    tuple(date.getHours(), date.getMinutes(), date.getSeconds()),
  )
}

function msOf(term: unknown): number | undefined {
  if (!(term instanceof Tuple)) return undefined
  const [day, time] = term.elements
  if (!isTuple(day, 3) || !isTuple(time, 3)) return undefined
  const [year, month, date] = day.elements as readonly number[]
  const [hours, minutes, seconds] = time.elements as readonly number[]
  const ms = new Date(year!, month! - 1, date, hours, minutes, seconds).getTime()
  return Number.isFinite(ms) ? ms : undefined
}
