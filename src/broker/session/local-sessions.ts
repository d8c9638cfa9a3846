/**
 * The sessions that live on this node: makes them, keeps their rows in the table `session`, and finds those that must give way.
 *
 * A session that ends takes its row with it; the will of one that crashed is published, unless it is stored and starts again. When another node turns out to have a session of the same client id, as
 * after a partition, the one that was opened last stays, and the owner of the other ends it. The will of a client whose node has died is
 * published by the node that is the home of its client id.
 */
import type { ExitReason } from '../../actors/errors.ts'
import type { From } from '../../actors/gen.ts'
import { replyTo } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { StartResult } from '../../actors/proc-lib.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { Table } from '../../mnesia/table.ts'
import type { ClientInfo, Will } from '../process-messages.ts'
import { publishAll, type SessionEnvironment } from '../publish.ts'
import type { SessionRow } from '../tables.ts'
import { type BetweenManagers, isLater, stamped } from './directory.ts'
import type { Arrive, InDoubt, ToMoving } from './moving/messages.ts'
import type { SessionStart } from './session.ts'
import type { FromManager } from './session-messages.ts'
import type { StoredSession } from './stored/forms.ts'
import type { FoundSession } from './stored/session-store.ts'
import type { StoredPlaces } from './stored/stored-places.ts'
import { willDelaySec, willMessage } from './will.ts'

/** Starts a session process; the sessions' supervisor does it. */
export type StartSession = (caller: ProcessContext, start: SessionStart, manager: RemoteName) => Promise<StartResult>

export interface LocalSessionsOptions {
  readonly environment: Pick<SessionEnvironment, 'hooks' | 'metrics' | 'pubsub' | 'nextMessageId' | 'sessionStore'>
  readonly table: Table<SessionRow>
  readonly places: Pick<StoredPlaces, 'align'>
  readonly startSession: StartSession
  /** Of this process, for the sessions. */
  readonly name: RemoteName
  /** Whether this process is responsible for a client id. */
  readonly isOurs: (clientId: string) => boolean
  /** Whether a node is a member that runs. */
  readonly isRunning: (node: string) => boolean
  /** Whether a node is a member whose sessions are there, and seen. */
  readonly hasSessions: (node: string) => boolean
  /** Whether another node is a member, be it here or not. */
  readonly isMember: (node: string) => boolean
  /** Whether this node decides about a client id. */
  readonly isHome: (clientId: string) => boolean
  /** Whether messages may still come that the node of a later session, or another member, has kept for this node. */
  readonly mayBeGiven: (node: string) => boolean
  /** Whether other members run. */
  readonly othersRun: () => boolean
}

/** The start of a stored session. */
interface Revival {
  /** Who waits for it. */
  readonly restorer: From | undefined
  session: Pid | undefined
  hasRoutes: boolean
  /** Homes that want a session for a client whose session it is. */
  readonly claims: { readonly client: ClientInfo; readonly home: RemoteName }[]
}

/** A session that is on its way to this node. */
interface Coming {
  newcomer: Pid | undefined
  readonly claims: Revival['claims']
}

/** How often a stored session is started again that has crashed, before it is set aside. */
const MAX_CRASHES = 3

/** Messages of this part to its own process. */
export type LocalMessage =
  | { readonly tag: 'made'; readonly client: ClientInfo; readonly home: RemoteName; readonly outcome: StartResult }
  | { readonly tag: 'revived'; readonly clientId: string; readonly outcome: StartResult }
  | { readonly tag: 'arriving'; readonly arrive: Arrive; readonly outcome: StartResult }
  /** A node with sessions is down. */
  | { readonly tag: 'owner_lost'; readonly owner: string }
  | WillDue

/** The will of a client whose node has died is due. */
interface WillDue {
  readonly tag: 'will_due'
  readonly row: SessionRow
  readonly will: Will
}

/** A will whose time comes with `timer`. */
interface WaitingWill {
  readonly due: WillDue
  readonly timer: Ref
}

export class LocalSessions {
  readonly #self: ProcessContext
  readonly #options: LocalSessionsOptions
  /** Client ids of the sessions that are monitored, by the number of the monitor. */
  readonly #clientIds = new Map<Ref['id'], string>()
  /** Stored sessions that are being started, by client id. */
  readonly #revivals = new Map<string, Revival>()
  /** Sessions that are on their way to this node, by client id. */
  readonly #coming = new Map<string, Coming>()
  /** How often the stored session of a client id has crashed. */
  readonly #crashes = new Map<string, number>()
  /** Sessions of nodes that are down whose wills this one has published, by client id, until the client or the node is back. */
  readonly #settled = new Map<string, SessionRow>()
  /** Wills that wait for the sessions of nodes that are down, by client id. */
  readonly #waitingWills = new Map<string, WaitingWill>()
  /** Client ids whose session is to give way when it has what was kept for it. */
  readonly #unmet = new Set<string>()

  constructor(self: ProcessContext, options: LocalSessionsOptions) {
    this.#self = self
    this.#options = options
    const { table, isOurs } = options
    for (const { clientId, pid } of table.rowsOf(self.pid.node)) {
      if (!isOurs(clientId)) continue
      this.#watch(clientId, pid)
      this.#meet(clientId)
    }
    self.onExit(
      table.subscribe((event) => {
        if (event.type === 'write') this.#seen(event.row)
        // One that is gone may have been the one to which others gave way.
        else if (event.type === 'delete') this.#met(event.row)
        else if (event.type === 'shown') for (const row of table.rowsOf(event.owner)) this.#seen(row)
        // Not at once: who the home of a client id is, is about to change.
        else if (event.type === 'hidden')
          self.runtime.send(self.pid, { tag: 'owner_lost', owner: event.owner } satisfies LocalMessage)
      }),
    )
  }

  /** Number of sessions. */
  get size(): number {
    return this.#clientIds.size
  }

  /** Makes a session; `made` comes when it is there. */
  start(client: ClientInfo, home: RemoteName): void {
    const { clientId } = client
    const own = this.#own(clientId)
    // A home that has only just met this node does not see its sessions yet.
    if (own !== undefined && this.#self.runtime.isAlive(own.pid)) {
      const outcome: StartResult = { ok: true, pid: own.pid }
      this.#self.send(home, { tag: 'started', clientId, outcome } satisfies BetweenManagers)
      return
    }
    const underWay = this.#revivals.get(clientId) ?? this.#coming.get(clientId)
    if (underWay !== undefined) underWay.claims.push({ client, home })
    else this.#startSession({ client }, (outcome) => ({ tag: 'made', client, home, outcome }))
  }

  /** A session wants to move to this node. */
  arrive(arrive: Arrive): void {
    const { from, move, moving } = arrive
    const { clientId } = moving.session.client
    const { sessionStore } = this.#options.environment
    const isTaken = this.#own(clientId) !== undefined || sessionStore?.has(clientId) === true
    if (isTaken || this.#revivals.has(clientId) || this.#coming.has(clientId)) {
      this.#refuse(from, move, 'there is one already')
    } else if (moving.isStored && sessionStore === undefined) this.#refuse(from, move, 'no session is stored there')
    else {
      this.#coming.set(clientId, { newcomer: undefined, claims: [] })
      this.#startSession({ arrive }, (outcome) => ({ tag: 'arriving', arrive, outcome }))
    }
  }

  /** The process of a session that moves here has been started, or could not be. */
  arriving({ from, move, moving }: Arrive, outcome: StartResult): void {
    const { clientId } = moving.session.client
    const coming = this.#coming.get(clientId)
    if (coming === undefined) return
    if (outcome.ok && outcome.pid !== undefined) {
      coming.newcomer = outcome.pid
      this.#watch(clientId, outcome.pid)
      return
    }
    this.#refuse(from, move, 'its process did not start')
    this.#endComing(clientId, coming)
  }

  #refuse(to: Pid, move: number, reason: string): void {
    this.#self.send(to, { tag: 'move_refused', move, reason } satisfies ToMoving)
  }

  /** Who wanted a session meanwhile gets one. */
  #endComing(clientId: string, { claims }: Coming): void {
    this.#coming.delete(clientId)
    for (const { client, home } of claims) this.start(client, home)
  }

  /**
   * A session of this node has been given to another node, which may have it or not. It is told when that is known: it gives way to the session there, or
   * stays.
   */
  inDoubt({ session, clientId, node }: InDoubt): void {
    const own = this.#own(clientId)
    if (own?.pid.equals(session) !== true) return
    const { table, hasSessions, isMember } = this.#options
    const there = table.read(clientId).find((row) => row.pid.node === node)
    if (there !== undefined) this.#giveWay(session, there.pid)
    else if (hasSessions(node) || !isMember(node)) {
      this.#self.send(session, { tag: 'stay' } satisfies FromManager)
      this.#meet(clientId)
    }
  }

  /**
   * Starts a session that is stored. Whoever asks gets an answer when its routes stand, or it could not be started; claims that come
   * meanwhile wait. `willIsSeenTo`: its connection publishes a will that is due at once.
   */
  restore(found: FoundSession, restorer: From | undefined, willIsSeenTo = false): void {
    const { clientId } = found.session.client
    this.#revivals.set(clientId, { restorer, session: undefined, hasRoutes: false, claims: [] })
    const othersRun = willIsSeenTo || this.#options.othersRun()
    this.#startSession({ found, othersRun }, (outcome) => ({ tag: 'revived', clientId, outcome }))
  }

  /** A stored session has been started, or could not be. */
  revived(clientId: string, outcome: StartResult): void {
    const revival = this.#revivals.get(clientId)
    if (revival === undefined) return
    if (!outcome.ok || outcome.pid === undefined) {
      this.#endRevival(clientId, revival, outcome)
      return
    }
    this.#watch(clientId, outcome.pid)
    revival.session = outcome.pid
    const stored = this.#options.environment.sessionStore?.rowOf(clientId)
    // It may have ended in the meantime, as one whose time is up does.
    if (stored !== undefined) this.#writeStored(stored, outcome.pid)
    if (revival.hasRoutes) this.#endRevival(clientId, revival, outcome)
  }

  /** The routes of a stored session stand; it may say so before its start has been answered. */
  restored(clientId: string): void {
    const revival = this.#revivals.get(clientId)
    if (revival === undefined) return
    revival.hasRoutes = true
    if (revival.session !== undefined) this.#endRevival(clientId, revival, { ok: true, pid: revival.session })
  }

  #endRevival(clientId: string, { restorer, claims }: Revival, outcome: StartResult): void {
    this.#revivals.delete(clientId)
    if (restorer !== undefined) replyTo(this.#self, restorer, undefined)
    for (const { home } of claims) {
      this.#self.send(home, { tag: 'started', clientId, outcome } satisfies BetweenManagers)
    }
  }

  #startSession(start: SessionStart, answer: (outcome: StartResult) => LocalMessage): void {
    const { runtime, pid } = this.#self
    this.#options.startSession(this.#self, start, this.#options.name).then(
      (outcome) => runtime.send(pid, answer(outcome)),
      (error: unknown) => runtime.send(pid, answer({ ok: false, reason: { error: String(error) } })),
    )
  }

  /** A session has been made: its row is there before anybody is told. */
  made(client: ClientInfo, outcome: StartResult): void {
    if (!outcome.ok || outcome.pid === undefined) return
    const own = this.#own(client.clientId)
    // Two homes that did not see each other have both asked for one.
    if (own !== undefined) this.#giveWay(own.pid, outcome.pid)
    this.#watch(client.clientId, outcome.pid)
    this.#write(client, outcome.pid)
  }

  /** A session of this node has been opened by a connection. */
  opened(session: Pid, client: ClientInfo): void {
    this.#write(client, session)
    const coming = this.#coming.get(client.clientId)
    if (coming?.newcomer?.equals(session)) this.#endComing(client.clientId, coming)
  }

  /** The connection of a session has ended. `will` is still to be published; undefined: it is settled. */
  detached(session: Pid, clientId: string, will: Will | undefined): void {
    const row = this.#own(clientId)
    if (row?.pid.equals(session)) this.#options.table.write({ ...row, connection: undefined, will })
  }

  /** Takes a DOWN; returns whether it was of a session. */
  down({ ref, pid, reason }: DownMessage): boolean {
    const clientId = this.#clientIds.get(ref.id)
    if (clientId === undefined) return false
    this.#clientIds.delete(ref.id)
    const row = this.#own(clientId)
    const livesOn = reason !== 'normal' && this.#canRevive(clientId, reason)
    this.#options.places.align(clientId)
    if (row?.pid.equals(pid)) {
      this.#options.table.delete(clientId)
      // A session that ends settles its will itself. That of one that crashed is due, since the session is over.
      if (row.will !== undefined && reason !== 'normal' && !livesOn && !isSeenTo(row, row.will))
        this.#publishWill(row.clientId, row.will)
    }
    if (reason === 'normal') this.#crashes.delete(clientId)
    const coming = this.#coming.get(clientId)
    if (coming?.newcomer?.equals(pid)) this.#endComing(clientId, coming)
    const revival = this.#revivals.get(clientId)
    if (revival?.session?.equals(pid)) this.#endRevival(clientId, revival, { ok: false, reason })
    if (livesOn && !this.#revivals.has(clientId)) {
      const found = this.#options.environment.sessionStore?.find(clientId)
      const isSeen = row?.will !== undefined && isSeenTo(row, row.will)
      if (found !== undefined) this.restore(found, undefined, isSeen)
    }
    return true
  }

  /** Whether a session that has crashed is stored, and has not crashed too often. */
  #canRevive(clientId: string, reason: ExitReason): boolean {
    const { sessionStore } = this.#options.environment
    if (sessionStore?.has(clientId) !== true) return false
    const crashes = (this.#crashes.get(clientId) ?? 0) + 1
    this.#crashes.set(clientId, crashes)
    if (crashes <= MAX_CRASHES) return true
    this.#crashes.delete(clientId)
    sessionStore.setAside(clientId, reason)
    return false
  }

  /**
   * A node is down, and its sessions with it: those that gave way to them may have another one to give way to, and somebody has to see to their wills. Every
   * node waits, and whoever is the home of a client id by then publishes.
   */
  ownerLost(owner: string): void {
    const { table, isOurs, isRunning } = this.#options
    for (const row of table.rowsOf(owner)) {
      const { will, clientId, connection, expirySec } = row
      if (!isOurs(clientId)) continue
      this.#meet(clientId)
      if (will === undefined) continue
      if (isSeenTo(row, will) && connection !== owner && isRunning(connection!)) continue
      const delayMs = willDelaySec(will, expirySec) * 1000
      this.#forgetWill(row)
      const due: WillDue = { tag: 'will_due', row, will }
      this.#waitingWills.set(clientId, { due, timer: this.#self.sendAfter(delayMs, this.#self.pid, due) })
    }
  }

  /** The will of a client of a node that is down is due, unless the client is back. */
  willDue(due: WillDue): void {
    const { table, isHome } = this.#options
    const { row, will } = due
    const { clientId, connectedAtMs } = row
    if (this.#waitingWills.get(clientId)?.due !== due) return
    this.#waitingWills.delete(clientId)
    const isBack = table.read(clientId).some((other) => other.connectedAtMs >= connectedAtMs)
    if (isBack || !isHome(clientId)) return
    this.#publishWill(clientId, will)
    this.#settled.set(clientId, row)
  }

  /** The home of a client id has published the will of a session while this node was down. */
  willSettled(clientId: string, connectedAtMs: number): void {
    const own = this.#own(clientId)
    if (own?.connection !== undefined || own?.connectedAtMs !== connectedAtMs) return
    this.#self.send(own.pid, { tag: 'will_settled' } satisfies FromManager)
  }

  /**
   * When other nodes have sessions of a client id of which one is here, all but the latest give way to that; as soon as it has what others had kept
   * for it, which it hands over too.
   */
  #meet(clientId: string): void {
    const own = this.#own(clientId)
    if (own === undefined) return
    const last = this.#options.table.read(clientId).reduce((a, b) => (isLater(b, a) ? b : a), own)
    if (last === own) return
    if (this.#options.mayBeGiven(last.pid.node)) this.#unmet.add(clientId)
    else this.#giveWay(own.pid, last.pid)
  }

  /** Looks again at the sessions that were to give way. */
  meetAgain(): void {
    const unmet = [...this.#unmet]
    this.#unmet.clear()
    for (const clientId of unmet) this.#meet(clientId)
  }

  #seen(row: SessionRow): void {
    this.#forgetWill(row)
    this.#tellSettled(row)
    this.#met(row)
  }

  /** The client, or the node that has its will, is back: if that is lost again, the will waits anew. */
  #forgetWill({ clientId, connectedAtMs }: SessionRow): void {
    const waiting = this.#waitingWills.get(clientId)
    if (waiting === undefined || waiting.due.row.connectedAtMs > connectedAtMs) return
    this.#self.cancelTimer(waiting.timer)
    this.#waitingWills.delete(clientId)
  }

  /** Tells the node of a session that is back if its will is settled. */
  #tellSettled({ clientId, connectedAtMs, pid, will }: SessionRow): void {
    const settled = this.#settled.get(clientId)
    if (settled === undefined || settled.connectedAtMs > connectedAtMs) return
    this.#settled.delete(clientId)
    if (will === undefined || settled.connectedAtMs !== connectedAtMs || settled.pid.node !== pid.node) return
    const message: BetweenManagers = { tag: 'will_settled', clientId, connectedAtMs }
    this.#self.send({ name: this.#options.name.name, node: pid.node }, message)
  }

  /** A session of another node has been seen, or is gone. */
  #met({ pid, clientId }: SessionRow): void {
    if (pid.node !== this.#self.pid.node && this.#options.isOurs(clientId)) this.#meet(clientId)
  }

  #giveWay(session: Pid, to: Pid): void {
    this.#self.runtime.send(session, { tag: 'give_way', to } satisfies FromManager)
  }

  #own(clientId: string): SessionRow | undefined {
    const row = this.#options.table.get(clientId)
    return row?.pid.node === this.#self.pid.node ? row : undefined
  }

  #publishWill(clientId: string, will: Will): void {
    const { environment } = this.#options
    const nowMs = this.#self.runtime.clock.now()
    publishAll(environment, [willMessage(will, clientId, environment.nextMessageId(nowMs), nowMs)])
  }

  #watch(clientId: string, session: Pid): void {
    this.#clientIds.set(this.#self.monitor(session).id, clientId)
  }

  /** The home may not see a session elsewhere that this node does; the one that is opened here is the later one. */
  #write(client: ClientInfo, pid: Pid): void {
    const { places, table } = this.#options
    const others = table.read(client.clientId).filter((row) => row.pid.node !== pid.node)
    const { clientId, connection, expirySec, connectedAtMs, will } = others.reduce(stamped, client)
    places.align(clientId)
    if (connectedAtMs !== client.connectedAtMs)
      this.#self.send(pid, { tag: 'stamped', connectedAtMs } satisfies FromManager)
    const own = this.#own(clientId)
    const isOpened = own?.pid.equals(pid) === true && own.connection === connection.node
    // A session that has just been made is opened by the client for which it was made.
    if (isOpened && own.connectedAtMs === connectedAtMs && own.expirySec === expirySec && own.will === will) return
    table.write({
      clientId,
      pid,
      persistent: expirySec > 0,
      expirySec,
      connectedAtMs,
      connection: connection.node,
      will,
    })
  }

  #writeStored({ client, expirySec, will }: StoredSession, pid: Pid): void {
    const { clientId, connectedAtMs } = client
    const common = { clientId, pid, persistent: true, connection: undefined }
    const { places, table } = this.#options
    places.align(clientId)
    table.write({ ...common, expirySec, connectedAtMs, will })
    // Its client may have got another one elsewhere while this node was down.
    this.#meet(clientId)
  }
}

/** Whether the connection of a session that is lost publishes the will itself: it does when that need not wait. */
function isSeenTo({ connection, expirySec }: SessionRow, will: Will): boolean {
  return connection !== undefined && willDelaySec(will, expirySec) === 0
}
