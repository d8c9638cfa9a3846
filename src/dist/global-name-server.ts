/**
 * The process `global_name_server`: answers what Erlang's `global` asks of every node that it sees, so that it stays well.
 *
 * This node takes no part in `global`: no names are replicated to it, and it never starts a negotiation. But an Erlang node that
 * meets a visible node waits, in `global:sync`, until that node has answered `init_connect`: it is told that we are in
 * sync at once, and then never counts us among those that it knows. And `global:set_lock` and `global:trans` ask every
 * connected node for the lock: a lock table grants it as OTP's does, and takes it back when its holder ends or its node is
 * lost. Other requests get an error; silence would hang the Erlang process that asks [OTP global].
 */
import { genServer, noreply, ok } from '../actors/gen-server.ts'
import { Pid } from '../actors/pid.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import { isDownMessage } from '../actors/signal.ts'
import { asyncReply, NOCONNECT } from './noconnect.ts'
import { nodeNetworkOf } from './node-network.ts'
import { atom, atomName, isTuple, type Tuple, tuple } from './term.ts'
import { termKey } from './term-key.ts'

/** The name of the process, as peers know it. */
export const GLOBAL_NAME_SERVER = 'global_name_server'

/** The version of global's protocol in OTP 25. */
const PROTOCOL_VERSION = 8

/** Locks that one peer could heap up. */
const MAX_LOCKS = 100_000

interface Lock {
  /** Who asks is told by this term, which several processes may share. */
  readonly requester: string
  readonly holders: Map<string, { readonly pid: Pid; readonly monitor: Ref }>
}

/** Locks by their resource. */
class LockTable {
  readonly #locks = new Map<string, Lock>()
  /** Resource and holder by the key of the monitor's reference. */
  readonly #monitors = new Map<string, { readonly resource: string; readonly pid: Pid }>()
  readonly #self: ProcessContext

  constructor(self: ProcessContext) {
    this.#self = self
  }

  get size(): number {
    return this.#locks.size
  }

  /** `{ResourceId, LockRequesterId}`: true when the process has the lock now, false when another requester has it. */
  set(id: Tuple, pid: Pid): boolean {
    const [resource, requester] = [termKey(id.elements[0]), termKey(id.elements[1])]
    let lock = this.#locks.get(resource)
    if (lock === undefined) {
      if (this.#locks.size >= MAX_LOCKS) return false
      lock = { requester, holders: new Map() }
      this.#locks.set(resource, lock)
    } else if (lock.requester !== requester) {
      return false
    }
    if (!lock.holders.has(pid.key)) {
      // The entry comes first: a monitor of a process that is gone already fires at once.
      const monitor = this.#self.monitor(pid)
      lock.holders.set(pid.key, { pid, monitor })
      this.#monitors.set(monitor.key, { resource, pid })
    }
    return true
  }

  delete(id: Tuple, pid: Pid): void {
    const resource = termKey(id.elements[0])
    const lock = this.#locks.get(resource)
    const holder = lock?.requester === termKey(id.elements[1]) ? lock.holders.get(pid.key) : undefined
    if (holder === undefined) return
    this.#self.demonitor(holder.monitor, { flush: true })
    this.#release(resource, pid, holder.monitor)
  }

  holderEnded(monitor: Ref): void {
    const held = this.#monitors.get(monitor.key)
    if (held !== undefined) this.#release(held.resource, held.pid, monitor)
  }

  #release(resource: string, pid: Pid, monitor: Ref): void {
    this.#monitors.delete(monitor.key)
    const lock = this.#locks.get(resource)
    lock?.holders.delete(pid.key)
    if (lock?.holders.size === 0) this.#locks.delete(resource)
  }
}

type Calls = {
  get_protocol_version: () => number
  get_known: () => unknown[]
  get_synced: () => unknown[]
  get_names_ext: () => unknown[]
  set_lock: (id: unknown) => boolean
  del_lock: (id: unknown) => boolean
}

type Casts = { init_connect: (version: unknown, node: unknown, message: unknown) => void }

export const globalNameServer = genServer<LockTable, Calls, Casts>({
  label: 'global',
  init: (_arg, self) => {
    self.processFlag('trap_exit', true)
    return ok(new LockTable(self))
  },
  calls: {
    get_protocol_version: ({ state, self, from }) => asyncReply(self, from, PROTOCOL_VERSION, state),
    get_known: ({ state, self, from }) => asyncReply(self, from, [], state),
    get_synced: ({ state, self, from }) => asyncReply(self, from, [], state),
    get_names_ext: ({ state, self, from }) => asyncReply(self, from, [], state),
    set_lock: ({ state, self, from }, id) => {
      const isSet = isTuple(id, 2) && canHold(self, from.pid) && state.set(id, from.pid)
      return asyncReply(self, from, isSet, state)
    },
    del_lock: ({ state, self, from }, id) => {
      if (isTuple(id, 2)) state.delete(id, from.pid)
      return asyncReply(self, from, true, state)
    },
  },
  casts: {
    init_connect: ({ self }, _version, node) => {
      const name = atomName(node)
      if (name === undefined || name === self.runtime.node.name) return
      const inSync = tuple(atom('in_sync'), atom(self.runtime.node.name), true)
      self.send({ name: GLOBAL_NAME_SERVER, node: name }, tuple(atom('$gen_cast'), inSync), NOCONNECT)
    },
  },
  info: ({ state, self }, message) => {
    if (isDownMessage(message)) state.holderEnded(message.ref)
    else if (isTuple(message, 3) && atomName(message.elements[0]) === 'whereis') {
      const [, , from] = message.elements
      // `{Pid, Tag}` of `global:whereis_name` on behalf of another process.
      if (isTuple(from, 2) && from.elements[0] instanceof Pid) {
        self.send(from.elements[0], tuple(from.elements[1], undefined), NOCONNECT)
      }
    }
    return noreply(state)
  },
  formatState: (locks) => ({ locks: locks.size }),
})

/** The lock of a node that is lost would be taken back at once, and its monitor would connect to that node again. */
function canHold({ runtime }: ProcessContext, { node }: Pid): boolean {
  return node === runtime.node.name || nodeNetworkOf(runtime)?.isConnected(node) === true
}
