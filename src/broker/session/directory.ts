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
 * The session of a member that is down is waited for, since most outages are restarts; after that the client gets a new one, or is refused. A member is down until it
 * says that its sessions are there: they are read from its disc after it has become a member again.
 */
import type { Pid } from '../../actors/pid.ts'
import type { StartResult } from '../../actors/proc-lib.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { RemoteName } from '../../actors/signal.ts'
import type { Table } from '../../mnesia/table.ts'
import type { ClientInfo } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import type { SessionRow } from '../tables.ts'
import type { FromManager, OpenAnswer } from './session-messages.ts'

/** How a session is found, lost, started and perhaps lost again before a connection is refused. */
const MAX_ATTEMPTS = 4

/** What a client gets whose session is on a member that stays away. */
export type HomeDown = 'new' | 'refuse'

/** What session managers say to each other. */
export type BetweenManagers =
  /** A connection of `manager`'s node wants the session of its client. */
  | { readonly tag: 'lease'; readonly client: ClientInfo; readonly manager: RemoteName }
  /** Make a session for a client of your node. */
  | { readonly tag: 'start'; readonly client: ClientInfo; readonly home: RemoteName }
  | { readonly tag: 'started'; readonly clientId: string; readonly outcome: StartResult }
  /** The connection has its answer. */
  | { readonly tag: 'settled'; readonly client: ClientInfo }

export interface DirectoryOptions {
  readonly table: Table<SessionRow>
  /** Where sessions and managers find this process, or the one that is started in its place. */
  readonly name: RemoteName
  /** How long the session of a member that is down is waited for, from when it went down. ms */
  readonly homeWaitMs: number
  readonly homeDown: HomeDown
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
  /** When members went down that have not said since that their sessions are there. */
  readonly #downAtMs = new Map<string, number>()
  /** Sessions on the discs of those members. */
  readonly #away = new Map<string, SessionRow>()

  constructor(self: ProcessContext, options: DirectoryOptions) {
    this.#self = self
    this.#options = options
    self.onExit(
      options.table.subscribe((event) => {
        if (event.type === 'hidden') this.#hidden(event.owner)
        else if (event.type === 'write' && this.#recent.get(event.row.clientId)?.equals(event.row.pid)) {
          this.#recent.delete(event.row.clientId)
        }
      }),
    )
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
    if (outcome.ok && outcome.pid !== undefined) this.#ask(clientId, opening, outcome.pid)
    else this.#refuse(clientId, opening, RC.server_unavailable, 'session did not start')
  }

  /** A session has been opened by a connection. */
  opened(session: Pid, { clientId, connection }: ClientInfo): void {
    const opening = this.#openings.get(clientId)
    if (opening === undefined || !opening.claim.client.connection.equals(connection)) return
    if (!this.#options.table.read(clientId).some(({ pid }) => pid.equals(session))) this.#recent.set(clientId, session)
    this.#next(clientId, opening)
  }

  /** Takes a DOWN; returns whether it was of a session or manager that had been asked. */
  down(ref: Ref): boolean {
    const clientId = this.#monitors.get(ref.id)
    if (clientId === undefined) return false
    this.#monitors.delete(ref.id)
    const opening = this.#openings.get(clientId)!
    opening.monitor = undefined
    if (opening.session !== undefined) opening.gone = opening.session
    opening.session = undefined
    this.#recent.delete(clientId)
    this.#proceed(clientId)
    return true
  }

  /** A member has all its sessions, or is none any more. */
  release(node: string): void {
    if (!this.#downAtMs.delete(node)) return
    for (const [clientId, row] of this.#away) if (row.pid.node === node) this.#away.delete(clientId)
    for (const [clientId, opening] of [...this.#openings]) {
      if (opening.held === node) this.#proceed(clientId)
    }
  }

  /** Members that went down and have not come back with their sessions. */
  get awaited(): readonly string[] {
    return [...this.#downAtMs.keys()]
  }

  #hidden(node: string): void {
    this.#downAtMs.set(node, this.#self.runtime.clock.monotonic())
    for (const [clientId, pid] of this.#recent) if (pid.node === node) this.#recent.delete(clientId)
    for (const row of this.#options.table.rowsOf(node)) if (row.stored) this.#away.set(row.clientId, row)
  }

  /** The wait for a member may be over. */
  timer({ clientId }: DirectoryTimer): void {
    if (this.#openings.get(clientId)?.held !== undefined) this.#proceed(clientId)
  }

  /** Drops what is waiting for client ids that are decided about elsewhere now: their managers ask there. */
  keep(isOurs: (clientId: string) => boolean): void {
    for (const [clientId, opening] of [...this.#openings]) {
      if (isOurs(clientId)) continue
      opening.waiting.length = 0
      if (opening.held !== undefined) this.#openings.delete(clientId)
    }
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
    const away = this.#away.get(clientId)
    if (away !== undefined && !opening.claim.client.cleanStart) {
      if (this.#waits(clientId, opening, away.pid.node)) return
      if (this.#options.homeDown === 'refuse') {
        this.#refuse(clientId, opening, RC.server_unavailable, `its session is on ${away.pid.node}, which is down`)
        return
      }
    }
    const { client, manager } = opening.claim
    opening.monitor = this.#self.monitor(manager)
    this.#monitors.set(opening.monitor.id, clientId)
    const message: BetweenManagers = { tag: 'start', client: stamped(client, away), home: this.#options.name }
    this.#self.send(manager, message)
  }

  /** Whether the return of a member is still waited for. */
  #waits(clientId: string, opening: Opening, node: string): boolean {
    const { runtime, pid } = this.#self
    const since = this.#downAtMs.get(node)
    if (since === undefined) return false
    const leftMs = since + this.#options.homeWaitMs - runtime.clock.monotonic()
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
      if (gone?.equals(row.pid)) continue
      if (last === undefined || isLater(row, last)) last = row
    }
    return last?.pid
  }

  #ask(clientId: string, opening: Opening, session: Pid): void {
    opening.session = session
    opening.monitor = this.#self.monitor(session)
    this.#monitors.set(opening.monitor.id, clientId)
    const rows = this.#options.table.read(clientId)
    const client = rows.reduce((later, row) => stamped(later, row), opening.claim.client)
    this.#self.send(session, { tag: 'open', home: this.#options.name, client } satisfies FromManager)
  }

  #refuse(clientId: string, opening: Opening, reasonCode: number, reason: string): void {
    const answer: OpenAnswer = { tag: 'refused', reasonCode, reason }
    this.#self.send(opening.claim.client.connection, answer)
    this.#next(clientId, opening)
  }

  #next(clientId: string, opening: Opening): void {
    this.#unwatch(opening)
    const { client, manager } = opening.claim
    this.#self.send(manager, { tag: 'settled', client } satisfies BetweenManagers)
    let claim = opening.waiting.shift()
    // One whose connection has ended has nobody left to answer, and its CONNECT was never accepted.
    while (claim !== undefined && this.#isGone(claim.client.connection)) claim = opening.waiting.shift()
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

/** The client, later than a session that is there already, whatever the clocks of the nodes say. */
function stamped(client: ClientInfo, row: SessionRow | undefined): ClientInfo {
  if (row === undefined || client.connectedAtMs > row.connectedAtMs) return client
  return { ...client, connectedAtMs: row.connectedAtMs + 1 }
}
