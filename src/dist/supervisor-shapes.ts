/**
 * The requests of supervisors and their answers, as Erlang's terms and as they are here [OTP supervisor].
 *
 * Ids of children are atoms in Erlang and strings here. What starts a child is code: a specification that goes to another node has a
 * placeholder in its place, and one that comes from there cannot be started.
 */
import type { Request } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { FullChildSpec } from '../actors/supervisor/child-spec.ts'
import type { ChildInfo } from '../actors/supervisor/children.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import { Atom, atom, atomName, property, Tuple, tuple } from './term.ts'

/** What the reply of a supervisor is the answer to. */
export type SupervisorShape = 'which_children' | 'count_children' | 'start_child' | 'child_request' | 'childspec'

const SHAPES: ReadonlyMap<string, SupervisorShape> = new Map([
  ['which_children', 'which_children'],
  ['count_children', 'count_children'],
  ['start_child', 'start_child'],
  ['restart_child', 'start_child'],
  ['terminate_child', 'child_request'],
  ['delete_child', 'child_request'],
  ['get_childspec', 'childspec'],
])

const ALL: ReadonlySet<string> = new Set(SHAPES.values())

export function isSupervisorShape(shape: string): shape is SupervisorShape {
  return ALL.has(shape)
}

/** The shape of a supervisor's answer to a request; undefined when it is no request of supervisors. */
export function shapeOfSupervisorRequest([name]: Request): SupervisorShape | undefined {
  return SHAPES.get(name)
}

/** The request as it is sent, in the form of a server's. */
export function supervisorRequestToTerm([name, ...args]: Request): Request {
  return [name, ...args.map((arg) => (typeof arg === 'string' ? idToTerm(arg) : arg))]
}

export function supervisorRequestFromTerm([name, ...args]: Request): Request {
  return [name, ...args.map((arg) => (arg instanceof Atom ? arg.name : arg))]
}

/** The term of a supervisor's reply. */
export function supervisorReplyToTerm(shape: SupervisorShape, reply: unknown): unknown {
  switch (shape) {
    case 'which_children':
      return (reply as readonly ChildInfo[]).map(childToTerm)
    case 'count_children':
      return Object.entries(reply as object).map(([what, count]) => tuple(atom(what), count))
    case 'start_child':
    case 'child_request':
    case 'childspec':
      return resultToTerm(reply as ChildResult, shape)
  }
}

/** The reply of a term; one that is not of the shape is given as it came. */
export function supervisorReplyFromTerm(shape: SupervisorShape, term: unknown): unknown {
  switch (shape) {
    case 'which_children':
      return childrenFromTerm(term) ?? term
    case 'count_children':
      return countsFromTerm(term) ?? term
    case 'start_child':
    case 'child_request':
    case 'childspec':
      return resultFromTerm(term, shape) ?? term
  }
}

type ChildResult =
  | { readonly ok: true; readonly pid?: Pid | undefined; readonly spec?: unknown }
  | { readonly ok: false; readonly reason: unknown }

type ResultShape = Exclude<SupervisorShape, 'which_children' | 'count_children'>

function childToTerm({ id, child, type }: ChildInfo): Tuple {
  const childTerm = child === 'restarting' ? atom(child) : child
  return tuple(id === undefined ? id : idToTerm(id), childTerm, atom(type), modulesOf(type))
}

/** An id longer than an atom may be stays text. */
function idToTerm(id: string): unknown {
  return id.length > 255 ? id : atom(id)
}

function modulesOf(type: ChildInfo['type']): Atom[] {
  return type === 'supervisor' ? [atom('supervisor')] : []
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

function resultToTerm(result: ChildResult, shape: ResultShape): unknown {
  if (!result.ok) return tuple(atom('error'), reasonToTerm(result.reason))
  if (shape === 'child_request') return atom('ok')
  return tuple(atom('ok'), shape === 'start_child' ? result.pid : specToTerm(result.spec as FullChildSpec))
}

function specToTerm({ id, restart, shutdownMs, type, significant }: FullChildSpec): object {
  return {
    id: idToTerm(id),
    start: NOT_TO_BE_STARTED,
    restart: atom(restart),
    significant,
    shutdown: typeof shutdownMs === 'number' ? shutdownMs : atom(shutdownMs),
    type: atom(type),
    modules: modulesOf(type),
  }
}

const NOT_TO_BE_STARTED = tuple(atom('agner'), atom('start'), [])

function resultFromTerm(term: unknown, shape: ResultShape): ChildResult | undefined {
  if (shape === 'child_request' && atomName(term) === 'ok') return { ok: true }
  if (!(term instanceof Tuple)) return undefined
  const [head, value] = term.elements
  if (atomName(head) === 'error') return { ok: false, reason: reasonFromTerm(value) }
  if (atomName(head) !== 'ok' || shape === 'child_request') return undefined
  if (shape === 'childspec') return { ok: true, spec: value }
  return { ok: true, pid: value instanceof Pid ? value : undefined }
}
