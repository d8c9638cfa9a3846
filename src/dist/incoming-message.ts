/**
 * What a message of a peer becomes for the process that it is for.
 *
 * envelope.ts knows a message by its form. Some forms mean something to one kind of process only, or want an answer in a shape that
 * depends on who answers: what supervisors and event managers are asked, and the state of a state machine.
 */
import type { CallMessage } from '../actors/gen.ts'
import type { NotifyMessage } from '../actors/gen-event.ts'
import { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import { aliasOf, ShapedTag } from './envelope.ts'
import { eventRequestFromTerm, shapeOfEventRequest } from './event-shapes.ts'
import { shapeOfState } from './otp-shapes.ts'
import { shapeOfSupervisorRequest, supervisorRequestFromTerm } from './supervisor-shapes.ts'
import { atom, isTuple, Tuple } from './term.ts'

const NOTIFY = atom('notify')

/** Whether `adapted` may make something else of a message: whom it is for need not be looked up for all others. */
export function isAdaptable(message: unknown): boolean {
  if (message instanceof Tuple) {
    const { elements } = message
    return elements.length === 2 ? elements[0] === NOTIFY : elements.length === 3 && elements[0] instanceof Pid
  }
  return isCall(message)
}

/** The message for a process of this node; undefined is none. */
export function adapted(message: unknown, process: Process | undefined): unknown {
  const behaviour = behaviourOf(process)
  if (message instanceof Tuple) return behaviour === 'gen_event' ? eventMessage(message) : message
  if (!isCall(message) || behaviour === undefined) return message
  return message.tag === '$system' ? systemCall(message, behaviour) : supervisorCall(message, behaviour)
}

/** The behaviour of a process, when it has one. */
export function behaviourOf(process: Process | undefined): string | undefined {
  const name = (process?.behaviour as { readonly behaviour?: unknown } | undefined)?.behaviour
  return typeof name === 'string' ? name : undefined
}

function eventMessage(term: Tuple): unknown {
  const [first, from, command] = term.elements
  if (first === NOTIFY) return { tag: '$gen_notify', event: from } satisfies NotifyMessage
  const request = eventRequestFromTerm(command)
  if (request === undefined || !isTuple(from, 2)) return term
  const [pid, tag] = from.elements
  if (!(pid instanceof Pid)) return term
  const shaped = new ShapedTag(tag, shapeOfEventRequest(request))
  return { tag: '$gen_event', from: { pid, tag: shaped, alias: aliasOf(tag) }, request } satisfies CallMessage
}

function systemCall(message: CallMessage, behaviour: string): CallMessage {
  const { from, request } = message
  const shape = request[0] === 'get_state' && from.tag instanceof ShapedTag ? shapeOfState(behaviour) : 'state'
  return shape === 'state' ? message : withShape(message, new ShapedTag((from.tag as ShapedTag).tag, shape))
}

/** Supervisors speak OTP's terms to callers elsewhere. */
function supervisorCall(message: CallMessage, behaviour: string): CallMessage {
  const shape = behaviour === 'supervisor' ? shapeOfSupervisorRequest(message.request) : undefined
  if (shape === undefined) return message
  const shaped = withShape(message, new ShapedTag(message.from.tag, shape))
  return { ...shaped, request: supervisorRequestFromTerm(message.request) }
}

function withShape({ tag, from, request }: CallMessage, shaped: ShapedTag): CallMessage {
  return { tag, from: { ...from, tag: shaped }, request }
}

function isCall(message: unknown): message is CallMessage {
  const tag = typeof message === 'object' && message !== null ? (message as { tag?: unknown }).tag : undefined
  return (tag === '$gen_call' || tag === '$system') && (message as CallMessage).from?.pid instanceof Pid
}
