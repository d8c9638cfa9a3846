/**
 * Control messages of the Erlang distribution protocol, as typed data and as the tuples that travel.
 *
 * Everything that a peer may send is accepted in all its forms, whatever was negotiated: with and without a trace token, with the
 * exit reason inside the control tuple or beside it. What is sent is always the plain form, which every node understands. A
 * tuple that is no control message gives undefined, never a throw [erts, Distribution Protocol, "Protocol between connected
 * nodes"].
 */
import { Pid } from '../actors/pid.ts'
import { Ref } from '../actors/ref.ts'
import { atom, atomName, Tuple, tuple } from './term.ts'

/** A control message; where it carries a term of a user (message, exit reason, arguments), that is a field of it. */
export type ControlMessage =
  | { readonly op: 'send'; readonly from: Pid | undefined; readonly to: Pid; readonly message: unknown }
  | { readonly op: 'send_name'; readonly from: Pid; readonly to: string; readonly message: unknown }
  | { readonly op: 'send_alias'; readonly from: Pid; readonly to: Ref; readonly message: unknown }
  | { readonly op: 'link'; readonly from: Pid; readonly to: Pid }
  /** Of nodes before OTP 23: an unlink that is not acknowledged. */
  | { readonly op: 'unlink'; readonly from: Pid; readonly to: Pid }
  | { readonly op: 'unlink_id'; readonly id: UnlinkId; readonly from: Pid; readonly to: Pid }
  | { readonly op: 'unlink_id_ack'; readonly id: UnlinkId; readonly from: Pid; readonly to: Pid }
  /** The exit signal that a link carries. */
  | { readonly op: 'exit_linked'; readonly from: Pid; readonly to: Pid; readonly reason: unknown }
  /** `exit/2`. */
  | { readonly op: 'exit'; readonly from: Pid; readonly to: Pid; readonly reason: unknown }
  | { readonly op: 'monitor'; readonly from: Pid; readonly to: Pid | string; readonly ref: Ref }
  | { readonly op: 'demonitor'; readonly from: Pid; readonly to: Pid | string; readonly ref: Ref }
  /** `from` is what was monitored: the name when it was monitored by name. */
  | {
      readonly op: 'down'
      readonly from: Pid | string
      readonly to: Pid
      readonly ref: Ref
      readonly reason: unknown
    }
  | { readonly op: 'group_leader'; readonly from: Pid; readonly to: Pid }
  | SpawnRequest
  | {
      readonly op: 'spawn_reply'
      readonly ref: Ref
      readonly to: Pid
      readonly linked: boolean
      readonly monitored: boolean
      /** The new process, or the error as an atom's name. */
      readonly result: Pid | string
    }
  /** A signal that needs nothing here. */
  | { readonly op: 'none' }

/** A number that the unlinking process has not used before, 1 to 2^64 - 1. */
export type UnlinkId = number | bigint

export interface SpawnRequest {
  readonly op: 'spawn_request'
  readonly ref: Ref
  readonly from: Pid
  readonly groupLeader: unknown
  readonly module: string
  readonly function: string
  readonly args: readonly unknown[]
  readonly link: boolean
  readonly monitor: boolean
}

const SPAWN_LINKED = 1
const SPAWN_MONITORED = 2

/** Stands where a cookie stood once. */
const UNUSED = atom('')

/** A control message on its way: the control tuple, and the term that follows it in the frame when `hasPayload`. */
export interface ControlTerms {
  readonly control: Tuple
  readonly hasPayload: boolean
  readonly payload: unknown
}

/** The terms of a control message. Reasons, messages and arguments are terms already. */
export function controlToTerms(message: ControlMessage): ControlTerms {
  switch (message.op) {
    case 'send':
      return carrying(tuple(2, UNUSED, message.to), message.message)
    case 'send_name':
      return carrying(tuple(6, message.from, UNUSED, atom(message.to)), message.message)
    case 'send_alias':
      return carrying(tuple(33, message.from, message.to), message.message)
    case 'link':
      return alone(tuple(1, message.from, message.to))
    case 'unlink':
      return alone(tuple(4, message.from, message.to))
    case 'unlink_id':
      return alone(tuple(35, message.id, message.from, message.to))
    case 'unlink_id_ack':
      return alone(tuple(36, message.id, message.from, message.to))
    case 'exit_linked':
      return alone(tuple(3, message.from, message.to, message.reason))
    case 'exit':
      return alone(tuple(8, message.from, message.to, message.reason))
    case 'monitor':
      return alone(tuple(19, message.from, nameToTerm(message.to), message.ref))
    case 'demonitor':
      return alone(tuple(20, message.from, nameToTerm(message.to), message.ref))
    case 'down':
      return alone(tuple(21, nameToTerm(message.from), message.to, message.ref, message.reason))
    case 'group_leader':
      return alone(tuple(7, message.from, message.to))
    case 'spawn_request':
      return spawnRequestToTerms(message)
    case 'spawn_reply': {
      const flags = (message.linked ? SPAWN_LINKED : 0) | (message.monitored ? SPAWN_MONITORED : 0)
      return alone(tuple(31, message.ref, message.to, flags, nameToTerm(message.result)))
    }
    case 'none':
      return alone(tuple(5))
  }
}

function spawnRequestToTerms(request: SpawnRequest): ControlTerms {
  const { ref, from, groupLeader, module, args } = request
  const options = [...(request.link ? [atom('link')] : []), ...(request.monitor ? [atom('monitor')] : [])]
  const mfa = tuple(atom(module), atom(request.function), args.length)
  return carrying(tuple(29, ref, from, groupLeader, mfa, options), args)
}

function carrying(control: Tuple, payload: unknown): ControlTerms {
  return { control, hasPayload: true, payload }
}

function alone(control: Tuple): ControlTerms {
  return { control, hasPayload: false, payload: undefined }
}

function nameToTerm(object: Pid | string): unknown {
  return typeof object === 'string' ? atom(object) : object
}

/**
 * The control message of a frame: `control` is its first term; `hasPayload` says whether `payload`, its second, is there. Undefined
 * when it is none.
 */
export function controlFromTerms(control: unknown, hasPayload: boolean, payload: unknown): ControlMessage | undefined {
  if (!(control instanceof Tuple)) return undefined
  const fields = control.elements
  switch (fields[0]) {
    case 1:
      return betweenPids('link', fields, 3)
    case 2:
      return hasPayload ? sendTo(undefined, fields, 3, payload) : undefined
    case 12:
      return hasPayload ? sendTo(undefined, fields, 4, payload) : undefined
    case 22:
      return hasPayload ? sendTo(fields[1], fields, 3, payload) : undefined
    case 23:
      return hasPayload ? sendTo(fields[1], fields, 4, payload) : undefined
    case 3:
      return exit('exit_linked', fields, 4, fields[3])
    case 13:
      return exit('exit_linked', fields, 5, fields[4])
    case 24:
      return hasPayload ? exit('exit_linked', fields, 3, payload) : undefined
    case 25:
      return hasPayload ? exit('exit_linked', fields, 4, payload) : undefined
    case 4:
      return betweenPids('unlink', fields, 3)
    case 5:
      return { op: 'none' }
    case 6:
      return hasPayload ? sendToName(fields, 4, payload) : undefined
    case 16:
      return hasPayload ? sendToName(fields, 5, payload) : undefined
    case 7:
      return betweenPids('group_leader', fields, 3)
    case 8:
      return exit('exit', fields, 4, fields[3])
    case 18:
      return exit('exit', fields, 5, fields[4])
    case 26:
      return hasPayload ? exit('exit', fields, 3, payload) : undefined
    case 27:
      return hasPayload ? exit('exit', fields, 4, payload) : undefined
    case 19:
      return monitoring('monitor', fields)
    case 20:
      return monitoring('demonitor', fields)
    case 21:
      return down(fields, 5, fields[4])
    case 28:
      return hasPayload ? down(fields, 4, payload) : undefined
    case 29:
      return spawnRequest(fields, 6, payload)
    case 30:
      return spawnRequest(fields, 7, payload)
    case 31:
      return spawnReply(fields, 5)
    case 32:
      return spawnReply(fields, 6)
    case 33:
      return hasPayload ? sendToAlias(fields, 3, payload) : undefined
    case 34:
      return hasPayload ? sendToAlias(fields, 4, payload) : undefined
    case 35:
      return unlinkId('unlink_id', fields)
    case 36:
      return unlinkId('unlink_id_ack', fields)
    default:
      return undefined
  }
}

type Fields = readonly unknown[]

function betweenPids(
  op: 'link' | 'unlink' | 'group_leader',
  fields: Fields,
  arity: number,
): ControlMessage | undefined {
  const [, from, to] = fields
  return fields.length === arity && from instanceof Pid && to instanceof Pid ? { op, from, to } : undefined
}

function sendTo(from: unknown, fields: Fields, arity: number, message: unknown): ControlMessage | undefined {
  const to = fields[2]
  if (fields.length !== arity || !(to instanceof Pid)) return undefined
  if (from !== undefined && !(from instanceof Pid)) return undefined
  return { op: 'send', from, to, message }
}

function sendToName(fields: Fields, arity: number, message: unknown): ControlMessage | undefined {
  const [, from, , name] = fields
  const to = atomName(name)
  if (fields.length !== arity || !(from instanceof Pid) || to === undefined) return undefined
  return { op: 'send_name', from, to, message }
}

function sendToAlias(fields: Fields, arity: number, message: unknown): ControlMessage | undefined {
  const [, from, to] = fields
  if (fields.length !== arity || !(from instanceof Pid) || !(to instanceof Ref)) return undefined
  return { op: 'send_alias', from, to, message }
}

function exit(op: 'exit_linked' | 'exit', fields: Fields, arity: number, reason: unknown): ControlMessage | undefined {
  const [, from, to] = fields
  return fields.length === arity && from instanceof Pid && to instanceof Pid ? { op, from, to, reason } : undefined
}

function unlinkId(op: 'unlink_id' | 'unlink_id_ack', fields: Fields): ControlMessage | undefined {
  const [, id, from, to] = fields
  if (fields.length !== 4 || !(from instanceof Pid) || !(to instanceof Pid)) return undefined
  return isUnlinkId(id) ? { op, id, from, to } : undefined
}

function isUnlinkId(id: unknown): id is UnlinkId {
  return (
    (typeof id === 'number' && Number.isInteger(id) && id > 0) || (typeof id === 'bigint' && id > 0n && id < 1n << 64n)
  )
}

function monitoring(op: 'monitor' | 'demonitor', fields: Fields): ControlMessage | undefined {
  const [, from, object, ref] = fields
  const to = nameOrPid(object)
  if (fields.length !== 4 || !(from instanceof Pid) || to === undefined || !(ref instanceof Ref)) return undefined
  return { op, from, to, ref }
}

function down(fields: Fields, arity: number, reason: unknown): ControlMessage | undefined {
  const [, object, to, ref] = fields
  const from = nameOrPid(object)
  if (fields.length !== arity || from === undefined || !(to instanceof Pid) || !(ref instanceof Ref)) return undefined
  return { op: 'down', from, to, ref, reason }
}

function nameOrPid(term: unknown): Pid | string | undefined {
  return term instanceof Pid ? term : atomName(term)
}

function spawnRequest(fields: Fields, arity: number, args: unknown): ControlMessage | undefined {
  const [, ref, from, groupLeader, mfa, options] = fields
  if (fields.length !== arity || !(ref instanceof Ref) || !(from instanceof Pid)) return undefined
  if (!(mfa instanceof Tuple) || mfa.length !== 3 || !Array.isArray(options) || !Array.isArray(args)) return undefined
  const [module, name] = [atomName(mfa.elements[0]), atomName(mfa.elements[1])]
  if (module === undefined || name === undefined || mfa.elements[2] !== args.length) return undefined
  const has = (option: string): boolean =>
    options.some(
      (term) => atomName(term) === option || (term instanceof Tuple && atomName(term.elements[0]) === option),
    )
  return {
    op: 'spawn_request',
    ref,
    from,
    groupLeader,
    module,
    function: name,
    args,
    link: has('link'),
    monitor: has('monitor'),
  }
}

function spawnReply(fields: Fields, arity: number): ControlMessage | undefined {
  const [, ref, to, flags, term] = fields
  const result = nameOrPid(term)
  if (fields.length !== arity || !(ref instanceof Ref) || !(to instanceof Pid)) return undefined
  if (typeof flags !== 'number' || !Number.isInteger(flags) || result === undefined) return undefined
  const [linked, monitored] = [(flags & SPAWN_LINKED) !== 0, (flags & SPAWN_MONITORED) !== 0]
  return { op: 'spawn_reply', ref, to, linked, monitored, result }
}
