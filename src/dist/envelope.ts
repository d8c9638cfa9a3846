/**
 * The messages of the behaviours, as Erlang writes them and as they are here; this is the only place where one becomes the other.
 *
 * | here | Erlang |
 * |---|---|
 * | `{ tag: '$gen_call', from, request: ['add', 2] }` | `{'$gen_call', {Pid, Tag}, {add, 2}}`; `['read']` is the atom `read` |
 * | `{ tag: '$gen_cast', request }` | `{'$gen_cast', Request}` |
 * | `{ tag: '$gen_reply', to, reply }` | `{Tag, Reply}` |
 * | `{ tag: '$supervisor', … }` | as `$gen_call`, with atoms for ids: see supervisor-shapes.ts |
 * | `{ tag: '$gen_event', … }`, `{ tag: '$gen_notify', … }` | what event managers are asked: see event-shapes.ts |
 * | `{ tag: '$system', from, request }` | `{system, {Pid, Tag}, get_state}`, and so on: see otp-shapes.ts |
 * | `{ tag: 'DOWN', ref, type, pid, reason }` | `{'DOWN', Ref, process, Object, Reason}` |
 * | `{ tag: 'EXIT', from, reason }` | `{'EXIT', Pid, Reason}` |
 * | `{ tag: 'timeout', ref, message }` | `{timeout, Ref, Message}` |
 *
 * Every other message travels as it is. Between our own nodes a message arrives as it was sent, so it need not be known
 * whether the peer is one of ours. The tag of a foreign caller comes back untouched, whatever term it is.
 */
import type { CallMessage, From, ReplyMessage, Request } from '../actors/gen.ts'
import type { NotifyMessage } from '../actors/gen-event.ts'
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import type { DownMessage, ExitMessage, RemoteName } from '../actors/signal.ts'
import { eventRequestToTerm } from './event-shapes.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import {
  type ReplyShape,
  replyToTerm,
  shapeOfSystemRequest,
  systemRequestFromTerm,
  systemRequestToTerm,
} from './otp-shapes.ts'
import { supervisorRequestToTerm } from './supervisor-shapes.ts'
import { Atom, atom, atomName, ImproperList, Tuple, tuple } from './term.ts'

const GEN_CALL = atom('$gen_call')
const GEN_CAST = atom('$gen_cast')
const SYSTEM = atom('system')
const DOWN = atom('DOWN')
const EXIT = atom('EXIT')
const TIMEOUT = atom('timeout')
const NOTIFY = atom('notify')
const PROCESS = atom('process')
const ALIAS = atom('alias')

/**
 * The tag of a foreign call whose reply OTP wants in a shape of its own. It goes back with the reply, and tells then what to make
 * of it; code here only carries it.
 */
export class ShapedTag {
  readonly tag: unknown
  readonly shape: ReplyShape

  constructor(tag: unknown, shape: ReplyShape) {
    this.tag = tag
    this.shape = shape
  }
}

/** The term to send for a message. */
export function messageToTerm(message: unknown): unknown {
  if (typeof message !== 'object' || message === null) return message
  switch ((message as { tag?: unknown }).tag) {
    case '$gen_call':
      return isCall(message) ? tuple(GEN_CALL, fromToTerm(message.from), requestToTerm(message.request)) : message
    case '$gen_cast':
      return isCast(message) ? tuple(GEN_CAST, requestToTerm(message.request)) : message
    case '$gen_reply':
      return isReply(message) ? replyMessageToTerm(message) : message
    case '$supervisor':
      return isCall(message)
        ? tuple(GEN_CALL, fromToTerm(message.from), requestToTerm(supervisorRequestToTerm(message.request)))
        : message
    case '$gen_event':
      return isCall(message)
        ? tuple(message.from.pid, fromToTerm(message.from), eventRequestToTerm(message.request))
        : message
    case '$gen_notify':
      return isNotify(message) ? tuple(NOTIFY, message.event) : message
    case '$system':
      return isCall(message) ? tuple(SYSTEM, fromToTerm(message.from), systemRequestToTerm(message.request)) : message
    case 'DOWN':
      return isDown(message)
        ? tuple(DOWN, message.ref, PROCESS, objectToTerm(message.pid), reasonToTerm(message.reason))
        : message
    case 'EXIT':
      return isExit(message) ? tuple(EXIT, message.from, reasonToTerm(message.reason)) : message
    case 'timeout':
      return 'ref' in message && message.ref instanceof Ref && 'message' in message && hasKeys(message, 3)
        ? tuple(TIMEOUT, message.ref, message.message)
        : message
    default:
      return message
  }
}

/** The message of a term that a peer sent. */
export function messageFromTerm(term: unknown): unknown {
  if (!(term instanceof Tuple)) return term
  const { elements } = term
  switch (elements[0]) {
    case GEN_CALL:
      return elements.length === 3 ? callFromTerm('$gen_call', elements[1], elements[2], term) : term
    case GEN_CAST:
      return elements.length === 2 ? { tag: '$gen_cast', request: requestFromTerm(elements[1]) } : term
    case SYSTEM:
      return elements.length === 3 ? callFromTerm('$system', elements[1], elements[2], term) : term
    case DOWN:
      return downFromTerm(term)
    case EXIT: {
      const [, from, reason] = elements
      return elements.length === 3 && from instanceof Pid ? { tag: 'EXIT', from, reason: reasonFromTerm(reason) } : term
    }
    case TIMEOUT:
      return elements.length === 3 && elements[1] instanceof Ref
        ? { tag: 'timeout', ref: elements[1], message: elements[2] }
        : term
    default:
      return term
  }
}

/** A reply among messages that came in: where it has to go, and what it carries. */
export interface IncomingReply {
  readonly alias: Ref
  readonly reply: unknown
}

/**
 * Recognises `{[alias|Ref], Reply}`, and `{Ref, Reply}` when it was sent to the alias `Ref`. Some of Erlang's own processes, such as
 * net_kernel, reply to the pid of the caller instead of its alias: the reply still belongs to the call.
 */
export function replyFromTerm(term: unknown, to: Pid | Ref): IncomingReply | undefined {
  if (!(term instanceof Tuple) || term.length !== 2) return undefined
  const [tag, reply] = term.elements
  const alias = aliasOf(tag)
  if (alias !== undefined) return { alias, reply }
  return to instanceof Ref && to.equals(tag) ? { alias: to, reply } : undefined
}

/** Name and arguments as Erlang sends them: `{add, 2}`, or `read` when there are no arguments. */
function requestToTerm(request: Request): unknown {
  const [name, ...args] = request as readonly unknown[]
  if (typeof name !== 'string' || name.length > MAX_NAME) return args.length === 0 ? name : tuple(name, ...args)
  return args.length === 0 ? atom(name) : tuple(atom(name), ...args)
}

/** What is no atom, nor a tuple that begins with one, is a request whose name is the term itself. */
function requestFromTerm(term: unknown): Request {
  if (term instanceof Atom) return [term.name]
  if (term instanceof Tuple && term.length > 0) {
    const [name, ...args] = term.elements
    if (name instanceof Atom) return [name.name, ...args]
    if (typeof name === 'string' && name.length > MAX_NAME) return [name, ...args]
  }
  return [(atomName(term) ?? term) as string]
}

const MAX_NAME = 255

function callFromTerm(tag: '$gen_call' | '$system', from: unknown, request: unknown, term: Tuple): unknown {
  if (!(from instanceof Tuple) || from.length !== 2) return term
  const [pid, replyTag] = from.elements
  if (!(pid instanceof Pid)) return term
  if (tag === '$gen_call') {
    return { tag, from: { pid, tag: replyTag, alias: aliasOf(replyTag) }, request: requestFromTerm(request) }
  }
  const shaped = new ShapedTag(replyTag, shapeOfSystemRequest(request))
  return { tag, from: { pid, tag: shaped, alias: aliasOf(replyTag) }, request: systemRequestFromTerm(request) }
}

function replyMessageToTerm({ to, reply }: ReplyMessage): Tuple {
  return to instanceof ShapedTag ? tuple(to.tag, replyToTerm(to.shape, reply)) : tuple(to, reply)
}

function fromToTerm({ pid, tag, alias }: From): Tuple {
  return tuple(pid, alias !== undefined && alias === tag ? new ImproperList([ALIAS], alias) : tagToTerm(tag))
}

function tagToTerm(tag: unknown): unknown {
  return tag instanceof ShapedTag ? tag.tag : tag
}

/** The alias in `[alias|Ref]`. */
export function aliasOf(tag: unknown): Ref | undefined {
  if (!(tag instanceof ImproperList) || !(tag.tail instanceof Ref)) return undefined
  return tag.elements.length === 1 && tag.elements[0] === ALIAS ? tag.tail : undefined
}

function downFromTerm(term: Tuple): unknown {
  const [, ref, type, object, reason] = term.elements
  const pid = objectFromTerm(object)
  if (term.length !== 5 || !(ref instanceof Ref) || type !== PROCESS || pid === undefined) return term
  return { tag: 'DOWN', ref, type: 'process', pid, reason: reasonFromTerm(reason) } satisfies DownMessage
}

function objectToTerm(object: Pid | RemoteName): unknown {
  return object instanceof Pid ? object : tuple(atom(object.name), atom(object.node))
}

function objectFromTerm(term: unknown): Pid | RemoteName | undefined {
  if (term instanceof Pid) return term
  if (!(term instanceof Tuple) || term.length !== 2) return undefined
  const [name, node] = [atomName(term.elements[0]), atomName(term.elements[1])]
  return name === undefined || node === undefined ? undefined : { name, node }
}

function isCall(message: object): message is CallMessage {
  const { from, request } = message as Partial<CallMessage>
  return from?.pid instanceof Pid && isRequest(request) && hasKeys(message, 3)
}

function isReply(message: object): message is ReplyMessage {
  return 'to' in message && 'reply' in message && hasKeys(message, 3)
}

function isCast(message: object): message is { readonly request: Request } {
  return isRequest((message as { request?: unknown }).request) && hasKeys(message, 2)
}

function isNotify(message: object): message is NotifyMessage {
  return 'event' in message && hasKeys(message, 2)
}

function isRequest(request: unknown): request is Request {
  return Array.isArray(request) && request.length > 0
}

function isDown(message: object): message is DownMessage {
  const { ref, type, pid } = message as Partial<DownMessage>
  return ref instanceof Ref && type === 'process' && isMonitorable(pid) && 'reason' in message && hasKeys(message, 5)
}

function isMonitorable(object: unknown): boolean {
  if (object instanceof Pid) return true
  const { name, node } = (object ?? {}) as Partial<RemoteName>
  return typeof name === 'string' && typeof node === 'string' && name.length <= MAX_NAME && node.length <= MAX_NAME
}

function isExit(message: object): message is ExitMessage {
  return (message as Partial<ExitMessage>).from instanceof Pid && 'reason' in message && hasKeys(message, 3)
}

/** A message with more fields than those is somebody's own: it travels as a map, whole. */
function hasKeys(message: object, count: number): boolean {
  return Object.keys(message).length === count
}
