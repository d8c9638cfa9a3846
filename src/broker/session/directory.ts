/**
 * The directory of sessions: decides, for the client ids whose home is this node (home.ts), what becomes of a CONNECT.
 *
 *     sm of the connection ─ lease ─▶ home ─ open ─▶ session ─ opened ─▶ connection, home      it is resumed
 *                                     home ─ start ─▶ sm of the connection ─ started ─▶ home    there is none: another is made
 *     sm of the connection ◀─ settled ─ home
 *
 * Per client id one connection is under way at a time, in the whole cluster, and the others wait for it; so however many come at once with one client id, on
 * whatever nodes, each takes over from the one before it, and there is never a second session. Where a session is, is read from the table
 * `session`; what was opened here a moment ago, and may not have come back through the table, is remembered until it has. A node that has become the home of a
 * client id needs nothing but the table; two sessions that come about while nodes do not agree who the home is are found by their owners
 * (local-sessions.ts).
 *
 * The stored session of a member that is away (away-members.ts) is waited for, since most outages are restarts; after that the client gets a new one, or is refused. That
 * there is one is on the disc of every member (stored-places.ts), so this does not depend on who was restarted when.
 */
import type { Pid } from '../../actors/pid.ts'
import type { StartResult } from '../../actors/proc-lib.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { Table } from '../../mnesia/table.ts'
import type { ClientInfo } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import type { SessionRow } from '../tables.ts'
import type { AwayMembers } from './away-members.ts'
import type { FromManager, OpenAnswer } from './session-messages.ts'
import type { StoredPlaces } from './stored/stored-places.ts'

/** How a session is found, lost, started and perhaps lost again before a connection is refused. */
const MAX_ATTEMPTS = 4

/** What a client gets whose session is on a member that stays away. */
export type HomeDown = 'new' | 'refuse'

/** What session managers say to each other. */
export type BetweenManagers =
  /** A connection of `manager`'s node wants the session of its client. */
  | Lease
  /** A lease was not taken: it came late, or another home decides. */
  | { readonly tag: 'ask_again'; readonly client: ClientInfo }
  /** Make a session for a client of your node. */
  | { readonly tag: 'start'; readonly client: ClientInfo; readonly home: RemoteName }
  | { readonly tag: 'started'; readonly clientId: string; readonly outcome: StartResult }
  /** The will of a session of your node was published while that was down. */
  | { readonly tag: 'will_settled'; readonly clientId: string; readonly connectedAtMs: number }
  /** The connection has its answer. */
  | { readonly tag: 'settled'; readonly client: ClientInfo }

export interface Lease {
  readonly tag: 'lease'
  readonly client: ClientInfo
  readonly manager: RemoteName
  /** Monotonic clock of the node that sends it, ms; undefined: it is taken however late it comes. */
  readonly sentAtMs?: number | undefined
}

export interface DirectoryOptions {
  readonly table: Table<SessionRow>
  /** Where sessions and managers find this process, or the one that is started in its place. */
  readonly name: RemoteName
  readonly places: Pick<StoredPlaces, 'of'>
  readonly away: Pick<AwayMembers, 'sinceMs' | 'isReady' | 'lost' | 'onRelease'>
  /** How long the session of a member that is away is waited for, from when it went. ms */
  readonly homeWaitMs: number
  readonly homeDown: HomeDown
  /** Whether a member has a session manager; one that stops in order has none any more before its sessions end. */
  readonly hasManager: (node: string) => boolean
}

/** A connection that wants a session. */
interface Claim {
  readonly client: ClientInfo
  readonly manager: RemoteName
}

/** The claims to one client id: one under way, the others behind it. */
interface Opening {
  claim: Claim
  readonly waiting: Claim[]
  attempts: number
  /** The session that has been asked, and what tells that it is no more. */
  session: Pid | undefined
  monitor: Ref | undefined
  /** A session of the table that is known to be no more. */
  gone: Pid | undefined
  /** The member whose return is waited for. */
  held: string | undefined
}

/** A member that is away, since a time of the monotonic clock. */
interface Away {
  readonly node: string
  readonly sinceMs: number
}

const HELD = 'held_over'

/** Messages of the directory to its own process. */
export type DirectoryTimer = { readonly tag: typeof HELD; readonly clientId: string }

export class Directory {
  readonly #self: ProcessContext
  readonly #options: DirectoryOptions
  readonly #openings = new Map<string, Opening>()
  /** By number of the monitor of the session, or manager, that has been asked. */
  readonly #monitors = new Map<Ref['id'], string>()
  /** Sessions that were opened here and are not in the table yet. */
  readonly #recent = new Map<string, Pid>()
  /** Members to which a connection has ended, as one of their sessions has told before the table did: their rows are not hidden yet. */
  readonly #cutOff = new Set<string>()

  constructor(self: ProcessContext, options: DirectoryOptions) {
    this.#self = self
    this.#options = options
    self.onExit(
      options.table.subscribe((event) => {
        if (event.type === 'hidden') {
          this.#cutOff.delete(event.owner)
          this.#forgetRecent(event.owner)
        } else if (event.type === 'write' && this.#recent.get(event.row.clientId)?.equals(event.row.pid)) {
          this.#recent.delete(event.row.clientId)
        }
      }),
    )
    self.onExit(options.away.onRelease((node) => this.#release(node)))
  }

  /** Client ids with a claim under way. */
  get size(): number {
    return this.#openings.size
  }

  /** Takes a claim. One that is under way already, since its manager has asked again, is not taken twice. */
  claim(client: ClientInfo, manager: RemoteName): void {
    const { clientId, connection } = client
    const opening = this.#openings.get(clientId)
    const claim = { client, manager }
    if (opening === undefined) {
      const fresh = { claim, waiting: [], attempts: 0, session: undefined, monitor: undefined }
      this.#openings.set(clientId, { ...fresh, gone: undefined, held: undefined })
      this.#proceed(clientId)
      return
    }
    const known = [opening.claim, ...opening.waiting]
    if (!known.some((other) => other.client.connection.equals(connection))) opening.waiting.push(claim)
  }

  /** A session has been made, or could not be. */
  started(clientId: string, outcome: StartResult): void {
    const opening = this.#openings.get(clientId)
    if (opening === undefined || opening.session !== undefined) return
    this.#unwatch(opening)
    if (outcome.ok && outcome.pid !== undefined) this.#ask(clientId, opening, outcome.pid, true)
    else this.#refuse(clientId, opening, RC.server_unavailable, 'session did not start')
  }

  /** A session does not serve a connection, and cannot say when it will. */
  unavailable({ clientId, connection }: ClientInfo, reason: string): void {
    const opening = this.#openings.get(clientId)
    if (opening?.claim.client.connection.equals(connection) !== true) return
    this.#refuse(clientId, opening, RC.server_unavailable, reason)
  }

  /** A session has been opened by a connection. */
  opened(session: Pid, { clientId, connection }: ClientInfo): void {
    const opening = this.#openings.get(clientId)
    if (opening === undefined || !opening.claim.client.connection.equals(connection)) return
    if (!this.#options.table.read(clientId).some(({ pid }) => pid.equals(session))) this.#recent.set(clientId, session)
    this.#next(clientId, opening)
  }

  /**
   * Takes a DOWN; returns whether it was of a session or manager that had been asked. A session behind a connection that has ended may well be alive: its member
   * is down, until it says otherwise.
   */
  down({ ref, reason }: Pick<DownMessage, 'ref' | 'reason'>): boolean {
    const clientId = this.#monitors.get(ref.id)
    if (clientId === undefined) return false
    this.#monitors.delete(ref.id)
    const opening = this.#openings.get(clientId)!
    opening.monitor = undefined
    const { session } = opening
    opening.session = undefined
    if (session !== undefined && reason === 'noconnection') {
      this.#cutOff.add(session.node)
      this.#forgetRecent(session.node)
      this.#options.away.lost(session.node)
    } else if (session !== undefined) {
      opening.gone = session
      // Its node, which is still a member for a moment, goes away.
      if (!this.#options.hasManager(session.node)) this.#options.away.lost(session.node)
    }
    this.#recent.delete(clientId)
    this.#proceed(clientId)
    return true
  }

  /** A member has all its sessions, or is none any more. */
  #release(node: string): void {
    this.#cutOff.delete(node)
    for (const [clientId, opening] of [...this.#openings]) {
      if (opening.held !== node) continue
      // What it has now is of another run.
      opening.gone = undefined
      this.#proceed(clientId)
    }
  }

  #forgetRecent(node: string): void {
    for (const [clientId, pid] of this.#recent) if (pid.node === node) this.#recent.delete(clientId)
  }

  /** The wait for a member may be over. */
  timer({ clientId }: DirectoryTimer): void {
    if (this.#openings.get(clientId)?.held !== undefined) this.#proceed(clientId)
  }

  /** Drops what is waiting for client ids that are decided about elsewhere now: their managers are to ask there. */
  keep(isOurs: (clientId: string) => boolean): void {
    for (const [clientId, opening] of [...this.#openings]) {
      if (isOurs(clientId)) continue
      const dropped = opening.waiting.splice(0)
      if (opening.held !== undefined) {
        this.#openings.delete(clientId)
        dropped.push(opening.claim)
      }
      for (const { client, manager } of dropped) this.notTaken(client, manager)
    }
  }

  /** Has a manager ask again, if its connection still waits. */
  notTaken(client: ClientInfo, manager: RemoteName): void {
    this.#self.send(manager, { tag: 'ask_again', client } satisfies BetweenManagers)
  }

  /** Tries once more what is under way for a client id. */
  #proceed(clientId: string): void {
    const opening = this.#openings.get(clientId)!
    opening.held = undefined
    opening.attempts += 1
    if (opening.attempts > MAX_ATTEMPTS) {
      this.#refuse(clientId, opening, RC.server_unavailable, 'session failed')
      return
    }
    const session = this.#find(clientId, opening)
    if (session !== undefined) {
      this.#ask(clientId, opening, session)
      return
    }
    const { client, manager } = opening.claim
    const places = client.cleanStart ? [] : this.#options.places.of(clientId)
    const away = this.#lastAway(places)
    if (away !== undefined) {
      if (this.#waits(clientId, opening, away)) return
      if (this.#options.homeDown === 'refuse') {
        this.#refuse(clientId, opening, RC.server_unavailable, `its session is on ${away.node}, which is down`)
        return
      }
    }
    // A member that has just come back has the session, although its row may not have come yet.
    const owner = opening.gone === undefined ? places.find((node) => this.#options.away.isReady(node)) : undefined
    this.#start(clientId, opening, owner === undefined ? manager : { name: manager.name, node: owner })
  }

  /** Has a session made by a manager, or found where it is. */
  #start(clientId: string, opening: Opening, manager: RemoteName): void {
    const { name, table } = this.#options
    opening.monitor = this.#self.monitor(manager)
    this.#monitors.set(opening.monitor.id, clientId)
    const client = table.readParked(clientId).reduce(stamped, opening.claim.client)
    this.#self.send(manager, { tag: 'start', client, home: name } satisfies BetweenManagers)
  }

  /** Of members, the one that has gone away last. */
  #lastAway(places: readonly string[]): Away | undefined {
    let last: Away | undefined
    for (const node of places) {
      const sinceMs = this.#options.away.sinceMs(node)
      if (sinceMs !== undefined && (last === undefined || sinceMs > last.sinceMs)) last = { node, sinceMs }
    }
    return last
  }

  /** Whether the return of a member is still waited for. */
  #waits(clientId: string, opening: Opening, { node, sinceMs }: Away): boolean {
    const { runtime, pid } = this.#self
    const leftMs = sinceMs + this.#options.homeWaitMs - runtime.clock.monotonic()
    if (leftMs <= 0) return false
    opening.held = node
    opening.attempts -= 1
    this.#self.sendAfter(leftMs, pid, { tag: HELD, clientId } satisfies DirectoryTimer)
    return true
  }

  /** The session of a client id; of two, the one that was opened last. */
  #find(clientId: string, { gone }: Opening): Pid | undefined {
    const recent = this.#recent.get(clientId)
    if (recent !== undefined) return recent
    let last: SessionRow | undefined
    for (const row of this.#options.table.read(clientId)) {
      if (gone?.equals(row.pid) || this.#cutOff.has(row.pid.node)) continue
      if (last === undefined || isLater(row, last)) last = row
    }
    return last?.pid
  }

  #ask(clientId: string, opening: Opening, session: Pid, isNew = false): void {
    opening.session = session
    opening.monitor = this.#self.monitor(session)
    this.#monitors.set(opening.monitor.id, clientId)
    const rows = this.#options.table.read(clientId)
    const client = rows.reduce(
      // One that has just been made has a row of this client.
      (later, row) => (isNew && row.pid.equals(session) ? notBefore(later, row) : stamped(later, row)),
      opening.claim.client,
    )
    this.#self.send(session, { tag: 'open', home: this.#options.name, client } satisfies FromManager)
  }

  #refuse(clientId: string, opening: Opening, reasonCode: number, reason: string): void {
    const answer: OpenAnswer = { tag: 'refused', reasonCode, reason }
    this.#self.send(opening.claim.client.connection, answer)
    this.#next(clientId, opening)
  }

  #next(clientId: string, opening: Opening): void {
    this.#unwatch(opening)
    this.#settle(opening.claim)
    let claim = opening.waiting.shift()
    // One whose connection has ended has nobody left to answer, and its CONNECT was never accepted.
    while (claim !== undefined && this.#isGone(claim.client.connection)) {
      this.#settle(claim)
      claim = opening.waiting.shift()
    }
    if (claim === undefined) {
      this.#openings.delete(clientId)
      return
    }
    opening.claim = claim
    opening.attempts = 0
    opening.session = undefined
    opening.gone = undefined
    this.#proceed(clientId)
  }

  #settle({ client, manager }: Claim): void {
    this.#self.send(manager, { tag: 'settled', client } satisfies BetweenManagers)
  }

  #unwatch(opening: Opening): void {
    const { monitor } = opening
    if (monitor === undefined) return
    opening.monitor = undefined
    this.#monitors.delete(monitor.id)
    this.#self.demonitor(monitor, { flush: true })
  }

  /** Whether a process of this node has ended. Of one elsewhere only its monitor can tell. */
  #isGone(connection: Pid): boolean {
    const { runtime } = this.#self
    return !runtime.isForeign(connection) && !runtime.isAlive(connection)
  }
}

/** Of two sessions of one client id the later one stays; every node must find the same. */
export function isLater(a: SessionRow, b: SessionRow): boolean {
  return a.connectedAtMs > b.connectedAtMs || (a.connectedAtMs === b.connectedAtMs && a.pid.node > b.pid.node)
}

/** The client, at the time of a session or later. */
function notBefore(client: ClientInfo, { connectedAtMs }: SessionRow): ClientInfo {
  return client.connectedAtMs < connectedAtMs ? { ...client, connectedAtMs } : client
}

/** The client, later than a session that is there already, whatever the clocks of the nodes say. */
export function stamped(client: ClientInfo, row: SessionRow | undefined): ClientInfo {
  if (row === undefined || client.connectedAtMs > row.connectedAtMs) return client
  return { ...client, connectedAtMs: row.connectedAtMs + 1 }
}
