/**
 * pg: named groups of processes, known on every node that runs the same scope, Erlang's nodes included [OTP pg].
 *
 * A scope is a process on each node, registered under the scope's name. It keeps the processes of its own node that have joined, and a
 * copy of what the scopes of other nodes tell; only who owns a process changes its memberships, so nothing has to be agreed
 * on. Views of different nodes agree once messages have arrived.
 *
 * Messages between scopes are those of OTP: `{discover, Pid}` to every node that comes, answered by the cast
 * `{sync, Pid, [{Group, Pids}]}` and a discover in return; then `{join, Pid, Group, PidOrPids}` and `{leave, Pid, PidOrPids, Groups}`.
 * A scope elsewhere that ends, or its node, takes its members with it. The bookkeeping is in pg-groups.ts.
 *
 * A group is named by any term. In Erlang a group `my_group` is `atom('my_group')` here; the string `'my_group'` is a binary
 * there.
 */
import { BadArgError } from '../actors/errors.ts'
import { type Caller, call, callerProcess } from '../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, reply } from '../actors/gen-server.ts'
import { Pid } from '../actors/pid.ts'
import type { Process, ProcessContext } from '../actors/process.ts'
import type { Ref } from '../actors/ref.ts'
import { isDownMessage } from '../actors/signal.ts'
import { distributionOf } from './distribution.ts'
import { monitorNodes } from './net-kernel.ts'
import { NOCONNECT } from './noconnect.ts'
import { type Change, PgGroups } from './pg-groups.ts'
import { type Atom, atom, atomName, isTuple, Tuple, tuple } from './term.ts'

/** The scope that OTP's functions use unless told otherwise. */
const DEFAULT_SCOPE = 'pg'

/** What a process that monitors a group or a scope receives for each change of the membership. */
export interface PgMessage {
  readonly tag: 'pg'
  readonly ref: Ref
  readonly change: 'join' | 'leave'
  readonly group: unknown
  readonly pids: readonly Pid[]
}

/** A monitored group: its members when the monitor began, and the reference of the messages. */
export interface MonitoredGroup {
  readonly ref: Ref
  readonly members: readonly Pid[]
}

/** A monitored scope: all groups when the monitor began. */
export interface MonitoredScope {
  readonly ref: Ref
  readonly groups: readonly { readonly group: unknown; readonly members: readonly Pid[] }[]
}

/** Scopes of other nodes and their monitors, and who wants to know of changes. */
interface State {
  readonly scope: string
  readonly groups: PgGroups
  readonly peers: Map<string, { readonly pid: Pid; readonly monitor: Ref }>
  /** By the reference of the monitor; without a group it is of the whole scope. */
  readonly subscribers: Map<string, { readonly ref: Ref; readonly pid: Pid; readonly key: string | undefined }>
  /** Monitors of local members, by pid. */
  readonly members: Map<string, Ref>
}

type Calls = {
  join_local: (group: unknown, pids: unknown) => Atom
  leave_local: (group: unknown, pids: unknown) => Atom
  monitor: (...group: [group?: unknown]) => MonitoredGroup | MonitoredScope
  demonitor: (ref: unknown) => Atom | false
}

type Casts = { sync: (peer: unknown, groups: unknown) => void }

const OK = atom('ok')
const NOT_JOINED = atom('not_joined')
const GROUPS = 'pg_groups'

/** The server of a scope; the argument is the scope's name, under which it has to be registered. */
const scopeServer: GenServer<State, Calls, Casts, string> = genServer<State, Calls, Casts, string>({
  label: 'pg',
  init: (scope, self) => {
    self.processFlag('trap_exit', true)
    const state: State = {
      scope,
      groups: new PgGroups(),
      peers: new Map(),
      subscribers: new Map(),
      members: new Map(),
    }
    // Readable at once by every process of the node, as OTP's table is.
    ;(self as Process).dictionary = new Map([[GROUPS, state.groups]])
    const distribution = distributionOf(self.runtime)
    if (distribution !== undefined) {
      monitorNodes(self)
      for (const node of distribution.nodes()) discover(self, { name: scope, node })
    }
    return ok(state)
  },
  calls: {
    join_local: ({ state, self }, group, pids) => {
      const joining = localPids(self, pids)
      if (joining === undefined) return reply(atom('badarg'), state)
      for (const pid of joining) {
        if (!state.members.has(pid.key)) state.members.set(pid.key, self.monitor(pid))
      }
      tell(self, state, state.groups.join(self.pid.key, group, joining))
      broadcast(self, state, tuple(atom('join'), self.pid, group, joining))
      return reply(OK, state)
    },
    leave_local: ({ state, self }, group, pids) => {
      const leaving = localPids(self, pids)
      if (leaving === undefined) return reply(atom('badarg'), state)
      const change = state.groups.leave(self.pid.key, group, leaving)
      if (change === undefined) return reply(NOT_JOINED, state)
      for (const pid of leaving) forget(self, state, pid)
      tell(self, state, change)
      broadcast(self, state, tuple(atom('leave'), self.pid, leaving, [group]))
      return reply(OK, state)
    },
    monitor: ({ state, self, from }, ...group) => {
      const ref = self.monitor(from.pid)
      const key = group.length === 0 ? undefined : state.groups.keyOf(group[0])
      state.subscribers.set(ref.key, { ref, pid: from.pid, key })
      return reply(
        group.length === 0 ? { ref, groups: state.groups.all() } : { ref, members: state.groups.members(group[0]) },
        state,
      )
    },
    demonitor: ({ state, self }, ref) => {
      const key = (ref as { key?: unknown } | undefined)?.key
      const subscriber = typeof key === 'string' ? state.subscribers.get(key) : undefined
      if (subscriber === undefined) return reply(false, state)
      state.subscribers.delete(subscriber.ref.key)
      self.demonitor(subscriber.ref, { flush: true })
      return reply(OK, state)
    },
  },
  casts: {
    sync: ({ state, self }, peer, groups) => {
      if (!isPeer(self, peer) || !Array.isArray(groups)) return
      know(self, state, peer)
      const told = groups.flatMap((item) => {
        if (!isTuple(item, 2)) return []
        return [{ group: item.elements[0], pids: pidsOf(peer, item.elements[1]) }]
      })
      for (const change of state.groups.replace(peer.key, told)) tell(self, state, change)
    },
  },
  info: ({ state, self }, message) => {
    if (isDownMessage(message)) down(self, state, message.pid, message.ref)
    else if (message instanceof Tuple) heard(self, state, message)
    else if (isNodeup(message)) discover(self, { name: state.scope, node: message.node })
    return noreply(state)
  },
  formatState: ({ scope, groups, peers }) => ({ scope, groups: groups.all().length, peers: peers.size }),
})

/**
 * Starts a scope, linked to the caller. Throws `BadArgError` for a name that is taken or no atom; rejects with `Exit` when the scope
 * runs already [OTP pg:start_link/1].
 */
export function startLink(caller: Caller, scope: string = DEFAULT_SCOPE): Promise<Pid> {
  return scopeServer.startLink(caller, scope, { name: scope })
}

/** How a supervisor starts a scope: `child('pg', pg.scope('pg'), [])`. */
export function scope(name: string = DEFAULT_SCOPE) {
  return {
    starter: (_arg: undefined) => scopeServer.starter(name, { name }),
  }
}

/**
 * Makes processes of this node members of a group; one that joins twice is a member twice. Rejects with `BadArgError` for a process
 * of another node [OTP pg:join/3].
 */
export async function join(
  caller: Caller,
  group: unknown,
  pids: Pid | readonly Pid[],
  scopeName: string = DEFAULT_SCOPE,
): Promise<void> {
  const answer = await call(caller, scopeName, ['join_local', group, pids], 'infinity')
  if (atomName(answer) === 'badarg') throw new BadArgError('only processes of this node can join')
}

/** Ends memberships; `not_joined` when none of the processes was a member [OTP pg:leave/3]. */
export async function leave(
  caller: Caller,
  group: unknown,
  pids: Pid | readonly Pid[],
  scopeName: string = DEFAULT_SCOPE,
): Promise<'ok' | 'not_joined'> {
  const answer = atomName(await call(caller, scopeName, ['leave_local', group, pids], 'infinity'))
  if (answer === 'badarg') throw new BadArgError('only processes of this node can leave')
  return answer === 'ok' ? 'ok' : 'not_joined'
}

/** The members of a group on all nodes; none when the group or the scope is not there. Reads at once. */
export function getMembers(caller: Caller, group: unknown, scopeName: string = DEFAULT_SCOPE): readonly Pid[] {
  return groupsOf(caller, scopeName)?.members(group) ?? []
}

/** The members of a group on this node. */
export function getLocalMembers(caller: Caller, group: unknown, scopeName: string = DEFAULT_SCOPE): readonly Pid[] {
  return getMembers(caller, group, scopeName).filter((pid) => !callerProcess(caller).runtime.isForeign(pid))
}

/** The groups that have members. */
export function whichGroups(caller: Caller, scopeName: string = DEFAULT_SCOPE): unknown[] {
  return (groupsOf(caller, scopeName)?.all() ?? []).map(({ group }) => group)
}

/** The process receives a `PgMessage` for each change of a group from now on, until it ends or calls `demonitor` [OTP pg:monitor/2]. */
export function monitor(
  self: ProcessContext,
  group: unknown,
  scopeName: string = DEFAULT_SCOPE,
): Promise<MonitoredGroup> {
  return call(self, scopeName, ['monitor', group], 'infinity') as Promise<MonitoredGroup>
}

/** As `monitor`, for all groups of a scope [OTP pg:monitor_scope/1]. */
export function monitorScope(self: ProcessContext, scopeName: string = DEFAULT_SCOPE): Promise<MonitoredScope> {
  return call(self, scopeName, ['monitor'], 'infinity') as Promise<MonitoredScope>
}

/** Ends a monitor; false when there is none of that reference. Messages that are on their way still arrive. */
export async function demonitor(self: ProcessContext, ref: Ref, scopeName: string = DEFAULT_SCOPE): Promise<boolean> {
  return (await call(self, scopeName, ['demonitor', ref], 'infinity')) !== false
}

function groupsOf(caller: Caller, scopeName: string): PgGroups | undefined {
  const { runtime } = callerProcess(caller)
  return runtime.registry.find(scopeName)?.dictionary?.get(GROUPS) as PgGroups | undefined
}

function discover(self: ProcessContext, to: Pid | { readonly name: string; readonly node: string }): void {
  self.send(to, tuple(atom('discover'), self.pid), NOCONNECT)
}

function broadcast(self: ProcessContext, state: State, message: Tuple): void {
  for (const { pid } of state.peers.values()) self.send(pid, message, NOCONNECT)
}

function heard(self: ProcessContext, state: State, message: Tuple): void {
  const [what, peer, third, fourth] = message.elements
  if (!isPeer(self, peer)) return
  const isKnown = state.peers.has(peer.key)
  switch (atomName(what)) {
    case 'discover': {
      // A third element is the version of a protocol to come.
      const groups = state.groups.of(self.pid.key).map(({ group, pids }) => tuple(group, pids))
      self.send(peer, tuple(atom('$gen_cast'), tuple(atom('sync'), self.pid, groups)), NOCONNECT)
      if (isKnown) return
      know(self, state, peer)
      discover(self, peer)
      return
    }
    case 'join':
      // From a scope that is not known it is late: its node was lost meanwhile, and its next sync will tell.
      if (isKnown) tell(self, state, state.groups.join(peer.key, third, pidsOf(peer, fourth)))
      return
    case 'leave':
      if (!isKnown || !Array.isArray(fourth)) return
      for (const group of fourth) tell(self, state, state.groups.leave(peer.key, group, pidsOf(peer, third)))
  }
}

function know(self: ProcessContext, state: State, peer: Pid): void {
  if (!state.peers.has(peer.key)) state.peers.set(peer.key, { pid: peer, monitor: self.monitor(peer) })
}

function down(self: ProcessContext, state: State, object: unknown, ref: Ref): void {
  if (!(object instanceof Pid)) return
  if (state.peers.get(object.key)?.monitor.equals(ref)) {
    state.peers.delete(object.key)
    for (const change of state.groups.replace(object.key, [])) tell(self, state, change)
  } else if (state.members.get(object.key)?.equals(ref)) {
    state.members.delete(object.key)
    const changes = state.groups.leaveAll(self.pid.key, object)
    for (const change of changes) tell(self, state, change)
    const groups = changes.flatMap(({ group, pids }) => pids.map(() => group))
    broadcast(self, state, tuple(atom('leave'), self.pid, object, groups))
  } else {
    state.subscribers.delete(ref.key)
  }
}

/** Ends the monitor of a process that is in no group any more. */
function forget(self: ProcessContext, state: State, pid: Pid): void {
  const ref = state.members.get(pid.key)
  if (ref === undefined || state.groups.isMember(self.pid.key, pid)) return
  state.members.delete(pid.key)
  self.demonitor(ref, { flush: true })
}

function tell(self: ProcessContext, state: State, change: Change | undefined): void {
  if (change === undefined) return
  const { key, group, pids } = change
  for (const subscriber of state.subscribers.values()) {
    if (subscriber.key !== undefined && subscriber.key !== key) continue
    const message: PgMessage = { tag: 'pg', ref: subscriber.ref, change: change.change, group, pids }
    self.send(subscriber.pid, message)
  }
}

/**
 * A scope of a node that is connected: what any other process claims is no news, and to watch one of a node that was lost meanwhile would
 * connect to it again.
 */
function isPeer({ runtime }: ProcessContext, term: unknown): term is Pid {
  return term instanceof Pid && runtime.isForeign(term) && distributionOf(runtime)?.isConnected(term.node) === true
}

/** A pid or a list of pids of the peer's own node. */
function pidsOf(peer: Pid, term: unknown): Pid[] {
  const pids: readonly unknown[] = Array.isArray(term) ? term : [term]
  return pids.filter((pid): pid is Pid => pid instanceof Pid && pid.node === peer.node)
}

function localPids(self: ProcessContext, term: unknown): Pid[] | undefined {
  const pids: readonly unknown[] = Array.isArray(term) ? term : [term]
  return pids.every((pid): pid is Pid => pid instanceof Pid && !self.runtime.isForeign(pid)) ? [...pids] : undefined
}

function isNodeup(message: unknown): message is { readonly node: string } {
  const { tag, node } = (typeof message === 'object' && message !== null ? message : {}) as Record<string, unknown>
  return tag === 'nodeup' && typeof node === 'string'
}
