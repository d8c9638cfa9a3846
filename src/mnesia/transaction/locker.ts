/**
 * The process `mnesia_locker`: the locks whose home is this node [OTP mnesia_locker].
 *
 *     coordinator ─ lock(id, resource, mode, view) ─▶ locker ─ granted, restart, or another view ─▶ coordinator
 *     coordinator ─ unlock(id, position) ─▶ locker
 *
 * A row's lock has its home at a member that every node finds by the same hash over the members that run. Coordinator and home
 * must see the same members, or two homes could grant the same lock; when they do not, one of them is about to learn something, and
 * the transaction begins again. The locks of a coordinator that dies, or is cut off, are given back. Nothing is kept on disc.
 *
 * With a lock comes how far the cluster's writes have to be applied at the coordinator before it reads: what earlier
 * transactions that had locks here have written.
 */
import type { From } from '../../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, reply, replyTo } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import { isDownMessage } from '../../actors/signal.ts'
import { type LockMode, LockTable, type Resource, type TransactionId } from './lock-table.ts'

/** Registered name of the process. */
export const MNESIA_LOCKER = 'mnesia_locker'

/** A number in an origin's numbering of entries. */
export type Position = readonly [node: string, epoch: number, seq: number]

export type LockReply =
  | { readonly tag: 'granted'; readonly after: readonly Position[] }
  /** An older transaction is in the way, or the members are seen differently here. */
  | { readonly tag: 'restart' }

export interface LockerArg {
  /** The members that run as this node sees them, as one text. */
  readonly view: () => string
}

type Calls = {
  lock: (id: TransactionId, resource: Resource, mode: LockMode, view: string) => LockReply
}

type Casts = {
  unlock: (id: TransactionId, position: Position | undefined) => void
}

interface Held {
  readonly id: TransactionId
  readonly monitor: Ref
}

interface State {
  readonly arg: LockerArg
  readonly locks: LockTable
  /** Coordinators that are watched, by the number of the monitor, and the monitors by transaction; gone with `unlock` or DOWN. */
  readonly watched: Map<Ref['id'], TransactionId>
  readonly transactions: Map<string, Held>
  /** What earlier transactions have written: the last entry of each origin. */
  readonly written: Map<string, Position>
}

const RESTART: LockReply = { tag: 'restart' }

/** The server. */
export const locker: GenServer<State, Calls, Casts, LockerArg> = genServer<State, Calls, Casts, LockerArg>({
  label: MNESIA_LOCKER,
  init: (arg) => ok({ arg, locks: new LockTable(), watched: new Map(), transactions: new Map(), written: new Map() }),
  calls: {
    lock: ({ state, self, from }, id, resource, mode, view) => {
      if (view !== state.arg.view()) return reply(RESTART, state)
      watch(state, self, from, id)
      const { runtime } = self
      const answer = state.locks.request(
        id,
        resource,
        mode,
        () => replyTo(runtime, from, granted(state)),
        () => replyTo(runtime, from, RESTART),
      )
      if (answer === 'waits') return noreply(state)
      return reply(answer === 'granted' ? granted(state) : RESTART, state)
    },
  },
  casts: {
    unlock: ({ state, self }, id, position) => {
      if (position !== undefined) note(state, position)
      release(state, self, id)
    },
  },
  info: ({ state }, message) => {
    if (!isDownMessage(message)) return
    const id = state.watched.get(message.ref.id)
    if (id === undefined) return
    state.watched.delete(message.ref.id)
    state.transactions.delete(keyOf(id))
    state.locks.release(id)
  },
  formatState: ({ locks, transactions }) => ({
    held: locks.size,
    queued: locks.waiting,
    transactions: transactions.size,
  }),
})

function granted({ written }: State): LockReply {
  return { tag: 'granted', after: [...written.values()] }
}

function note({ written }: State, position: Position): void {
  const [node, epoch, seq] = position
  const known = written.get(node)
  // An earlier incarnation of a node has nothing to add: it is gone, and what it wrote is known to who is there.
  if (known === undefined || known[1] < epoch || (known[1] === epoch && known[2] < seq)) written.set(node, position)
}

function watch(state: State, self: ProcessContext, from: From, id: TransactionId): void {
  if (state.transactions.has(keyOf(id))) return
  const monitor = self.monitor(from.pid)
  state.watched.set(monitor.id, id)
  state.transactions.set(keyOf(id), { id, monitor })
}

function release(state: State, self: ProcessContext, id: TransactionId): void {
  const held = state.transactions.get(keyOf(id))
  if (held === undefined) return
  state.transactions.delete(keyOf(id))
  state.watched.delete(held.monitor.id)
  self.demonitor(held.monitor, { flush: true })
  state.locks.release(id)
}

function keyOf({ node, number }: TransactionId): string {
  return `${node}/${number}`
}
