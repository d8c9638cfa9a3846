/**
 * global_name_server: answers what Erlang's `global` asks of every visible node, so that Erlang peers stay well [OTP global].
 *
 * A node that does not answer makes `global:sync`, `global:trans` and `global:set_lock` of Erlang nodes hang for ever. Our nodes take
 * no part in global names: they say at once that they are in sync, which leaves them out of what `global` knows, so it never
 * disconnects anybody on their account; and they keep locks, which are asked of all nodes. A lock ends with its owner, or
 * with the connection to its owner's node.
 */
import type { From } from '../actors/gen.ts'
import { cast } from '../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, reply } from '../actors/gen-server.ts'
import type { Pid } from '../actors/pid.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import { isDownMessage } from '../actors/signal.ts'
import { encode } from './etf-encode.ts'
import { Atom, atom, Tuple } from './term.ts'

/** Registered name of the process, by which other nodes find it. */
export const GLOBAL_NAME_SERVER = 'global_name_server'

/** Locks of all peers together; more are refused, as if somebody else held them. */
const MAX_LOCKS = 10_000

interface Owner {
  readonly pid: Pid
  readonly monitor: Ref
}

interface Lock {
  /** Encoded: terms are compared by what they are. */
  readonly requester: string
  readonly owners: Owner[]
}

interface State {
  /** By resource. */
  readonly locks: Map<string, Lock>
}

type Calls = {
  set_lock: (id: unknown) => boolean
  del_lock: (id: unknown) => true
  whereis: (name: unknown) => undefined
  get_names_ext: () => readonly never[]
  registered_names: () => readonly never[]
}

type Casts = { init_connect: (version: unknown, node: unknown, message: unknown) => void }

/** The server; started by `startDistribution`. */
export const globalNameServer: GenServer<State, Calls, Casts, undefined> = genServer<State, Calls, Casts, undefined>({
  label: GLOBAL_NAME_SERVER,
  init: () => ok({ locks: new Map() }),
  calls: {
    set_lock: ({ state, self, from }, id) => reply(setLock(state, self, from, id), state),
    del_lock: ({ state, self, from }, id) => {
      deleteLock(state, self, from.pid, id)
      return reply(true, state)
    },
    whereis: ({ state }) => reply(undefined, state),
    get_names_ext: ({ state }) => reply([], state),
    registered_names: ({ state }) => reply([], state),
  },
  casts: {
    init_connect: ({ state, self }, _version, node) => {
      if (node instanceof Atom) inSync(self, node.name)
      return noreply(state)
    },
  },
  info: ({ state }, message) => {
    if (isDownMessage(message)) release(state, ({ monitor }) => monitor.equals(message.ref))
  },
})

/** Never more than this is said to `global`: its other messages would draw us into its protocol. */
function inSync(self: ProcessContext, node: string): void {
  cast(self, { name: GLOBAL_NAME_SERVER, node }, ['in_sync', atom(self.runtime.node.name), true])
}

function setLock({ locks }: State, self: ProcessContext, { pid }: From, id: unknown): boolean {
  const parts = partsOf(id)
  if (parts === undefined) return false
  const { resource, requester } = parts
  const lock = locks.get(resource)
  if (lock === undefined) {
    if (locks.size >= MAX_LOCKS) return false
    locks.set(resource, { requester, owners: [{ pid, monitor: self.monitor(pid) }] })
    return true
  }
  if (lock.requester !== requester) return false
  if (!lock.owners.some((owner) => owner.pid.equals(pid))) lock.owners.push({ pid, monitor: self.monitor(pid) })
  return true
}

function deleteLock(state: State, self: ProcessContext, pid: Pid, id: unknown): void {
  const parts = partsOf(id)
  const lock = parts === undefined ? undefined : state.locks.get(parts.resource)
  if (parts === undefined || lock === undefined || lock.requester !== parts.requester) return
  const owner = lock.owners.find((candidate) => candidate.pid.equals(pid))
  if (owner === undefined) return
  self.demonitor(owner.monitor, { flush: true })
  release(state, (candidate) => candidate === owner)
}

function release({ locks }: State, isGone: (owner: Owner) => boolean): void {
  for (const [resource, { owners }] of locks) {
    const at = owners.findIndex(isGone)
    if (at < 0) continue
    owners.splice(at, 1)
    if (owners.length === 0) locks.delete(resource)
    return
  }
}

/** `{ResourceId, LockRequesterId}`. */
function partsOf(id: unknown): { resource: string; requester: string } | undefined {
  if (!(id instanceof Tuple) || id.length !== 2) return undefined
  const [resource, requester] = id.elements
  return { resource: encode(resource).toString('latin1'), requester: encode(requester).toString('latin1') }
}
