/**
 * The requests of event managers and their answers, as Erlang's terms and as they are here [OTP gen_event].
 *
 * | here | Erlang |
 * |---|---|
 * | `{ tag: '$gen_notify', event }` | `{notify, Event}` |
 * | `{ tag: '$gen_event', from, request: ['call', 'h/1', q] }` | `{Pid, {Pid, Tag}, {call, {h, 1}, Q}}` |
 * | the handler `'h'`, `'h/1'`, `'h/first'`, `'h/The 2nd'` | `h`, `{h, 1}`, `{h, first}`, `{h, <<"The 2nd">>}` |
 *
 * Only who the message is for tells that it is one of these: to other processes the same tuples are any message. A handler is code, so
 * another node cannot add one: it is answered as OTP answers a module that is not there.
 */
import { inspect } from 'node:util'
import type { ExitReason } from '../actors/errors.ts'
import type { Request } from '../actors/gen.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import { type Atom, atom, atomName, isTuple, Tuple, text, tuple } from './term.ts'

/** What the reply of an event manager is the answer to. */
export type EventShape =
  | 'event_call'
  | 'event_handlers'
  | 'event_ok'
  /** `add_handler` and `swap_handler`. */
  | 'event_added'
  | 'event_deleted'

const SHAPES: ReadonlyMap<string, EventShape> = new Map([
  ['call', 'event_call'],
  ['which_handlers', 'event_handlers'],
  ['sync_notify', 'event_ok'],
  ['add_handler', 'event_added'],
  ['swap_handler', 'event_added'],
  ['delete_handler', 'event_deleted'],
])

/** The shape of a manager's answer to a request. */
export function shapeOfEventRequest([name]: Request): EventShape {
  return SHAPES.get(name) ?? 'event_ok'
}

/** What follows `{Pid, {Pid, Tag}, _}`. */
export function eventRequestToTerm([name, ...args]: Request): unknown {
  if (args.length === 0) return atom(name)
  const isOfHandler = (name === 'call' || name === 'delete_handler') && typeof args[0] === 'string'
  return isOfHandler ? tuple(atom(name), handlerToTerm(args[0] as string), args[1]) : tuple(atom(name), ...args)
}

/** The request of a term that followed `{Pid, {Pid, Tag}, _}`; undefined when it is none. */
export function eventRequestFromTerm(term: unknown): Request | undefined {
  if (atomName(term) === 'which_handlers') return ['which_handlers']
  if (!(term instanceof Tuple)) return undefined
  const [what, first, second, third, fourth] = term.elements
  switch (`${atomName(what)}/${term.length - 1}`) {
    case 'sync_notify/1':
      return ['sync_notify', first]
    case 'call/2':
      return ['call', handlerFromTerm(first), second]
    case 'delete_handler/2':
      return ['delete_handler', handlerFromTerm(first), second]
    case 'add_handler/2':
    case 'add_sup_handler/3':
      return ['add_handler', handlerFromTerm(first), second]
    case 'swap_handler/4':
    case 'swap_sup_handler/5':
      return ['swap_handler', handlerFromTerm(first), second, handlerFromTerm(third), fourth]
    default:
      return undefined
  }
}

type Outcome = { readonly ok: true; readonly value?: unknown } | { readonly ok: false; readonly reason: ExitReason }

/** The term of a manager's reply. */
export function eventReplyToTerm(shape: EventShape, reply: unknown): unknown {
  if (shape === 'event_ok') return atom('ok')
  if (shape === 'event_handlers') return (reply as readonly string[]).map(handlerToTerm)
  const outcome = reply as Outcome
  if (outcome.ok) return shape === 'event_added' ? atom('ok') : outcome.value
  const { reason } = outcome
  if (typeof reason === 'string' && NAMED_ERRORS.has(reason)) return error(atom(reason))
  const exit = tuple(EXIT, reasonToTerm(reason))
  return shape === 'event_call' ? error(exit) : exit
}

/** The reply of a manager's term, as `GenEvent` gives it. */
export function eventReplyFromTerm(shape: EventShape, term: unknown): unknown {
  if (shape === 'event_ok') return 'ok'
  if (shape === 'event_handlers') return Array.isArray(term) ? term.map(handlerFromTerm) : []
  const reason = failureOf(term)
  if (reason !== undefined) return { ok: false, reason: reason.of } satisfies Outcome
  return shape === 'event_added' ? { ok: true } : { ok: true, value: term }
}

const EXIT = atom('EXIT')

/** The errors that OTP has an atom for. */
const NAMED_ERRORS: ReadonlySet<string> = new Set(['bad_module', 'module_not_found', 'already_present'])

function error(what: Atom | Tuple): Tuple {
  return tuple(atom('error'), what)
}

/** Why it failed, of `{error, Reason}`, `{error, {'EXIT', Reason}}` and `{'EXIT', Reason}`. */
function failureOf(term: unknown): { readonly of: ExitReason } | undefined {
  if (!isTuple(term, 2)) return undefined
  const [head, what] = term.elements
  if (head === EXIT) return { of: reasonFromTerm(what) }
  if (atomName(head) !== 'error') return undefined
  if (isTuple(what, 2) && what.elements[0] === EXIT) return { of: reasonFromTerm(what.elements[1]) }
  return NAMED_ERRORS.has(atomName(what) ?? '') ? { of: atomName(what) } : undefined
}

/** Handlers and their states as `sys:get_state` gives them, the one added last first. */
export function eventStatesToTerm(states: unknown): unknown {
  if (typeof states !== 'object' || states === null) return states
  return Object.entries(states)
    .reverse()
    .map(([key, state]) => {
      const handler = handlerToTerm(key)
      return handler instanceof Tuple ? tuple(...handler.elements, state) : tuple(handler, false, state)
    })
}

/** The same, of the records `{handler, Module, Id, State, Supervised}` of `sys:get_status`. */
export function eventStatesFromTerm(records: unknown): unknown {
  if (!Array.isArray(records)) return records
  if (!records.every((record): record is Tuple => isTuple(record, 5))) return records
  const states = records.map(({ elements: [, module, id, state] }) => {
    return [handlerFromTerm(id === false ? module : tuple(module, id)), state] as const
  })
  return Object.fromEntries(states.reverse())
}

function handlerToTerm(key: string): unknown {
  const end = key.indexOf('/')
  const name = end === -1 ? key : key.slice(0, end)
  if (name.length > MAX_NAME) return key
  return end === -1 ? atom(name) : tuple(atom(name), idToTerm(key.slice(end + 1)))
}

const MAX_NAME = 255

function idToTerm(id: string): unknown {
  if (/^[a-z]\w{0,63}$/.test(id)) return atom(id)
  return /^(?:0|-?[1-9]\d{0,14})$/.test(id) ? Number(id) : id
}

function handlerFromTerm(term: unknown): string {
  if (!isTuple(term, 2)) return wordOf(term)
  return `${wordOf(term.elements[0])}/${wordOf(term.elements[1])}`
}

/** Any term may be the id of a handler in Erlang; here it is text. */
function wordOf(term: unknown): string {
  if (typeof term === 'number' || typeof term === 'bigint') return String(term)
  return atomName(term) ?? text(term) ?? inspect(term, { depth: 3, breakLength: Number.POSITIVE_INFINITY })
}
