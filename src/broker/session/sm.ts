/**
 * The session manager: client id → session, and the one door through which connections get to sessions.
 *
 *     connection ─ open ─▶ sm ─ open ─▶ session ─ opened ─▶ connection, and sm          it is resumed, or new
 *                                    └─ ends (DOWN) ─▶ sm ─ starts another, open ─▶ …     it was discarded
 *     session ─ detached ─▶ sm              a will that waits, for the case that the session crashes
 *
 * It is a pool of processes, each responsible for the client ids that hash to it (`Sessions` finds the one). Per client id
 * one request is under way at a time and the others wait for it, so however many connections come at once with one
 * client id, each takes over from the one before it, and there is never a second session. The manager waits for nobody: a
 * session that takes its time holds up its own client id only. Whether a session is resumed, taken over or ends for a new
 * one is the session's own decision (session-machine.ts).
 *
 * Sessions are children of session-sup.ts and outlive their manager. The registry is the table `session`, of which a
 * manager that is restarted monitors its part again; connections that it had not answered run into their own time limit.
 */
import type { ExitReason } from '../../actors/errors.ts'
import type { From } from '../../actors/gen.ts'
import { type GenServer, genServer, noreply, ok, replyTo } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { StartResult } from '../../actors/proc-lib.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { Runtime } from '../../actors/runtime.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { Table, Tables } from '../../mnesia/table.ts'
import type { ClientInfo } from '../process-messages.ts'
import { publishAll, type SessionEnvironment } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import { SESSION, type SessionRow } from '../tables.ts'
import type { FromManager, OpenAnswer, ToManager } from './session-messages.ts'
import type { FoundSession } from './stored/session-store.ts'
import { willMessage } from './will.ts'

/** How a session is found, discarded, started and perhaps lost again before a connection is refused. */
const MAX_ATTEMPTS = 4
/** How often a stored session is started again that has crashed, before it is set aside. */
const MAX_CRASHES = 3

/** What is to become of a session process: a client wants it, or it has been stored. */
export type SessionStart =
  | { readonly client: ClientInfo }
  | { readonly found: FoundSession; readonly manager: RemoteName }

/** Starts a session process; the sessions' supervisor does it. */
export type StartSession = (caller: ProcessContext, start: SessionStart) => Promise<StartResult>

/** What a worker of the session manager is started with. */
export interface SmOptions {
  readonly environment: Pick<SessionEnvironment, 'hooks' | 'metrics' | 'pubsub' | 'nextMessageId' | 'sessionStore'>
  readonly tables: Tables
  readonly startSession: StartSession
  /** Place of the worker in the pool. @default 0 */
  readonly index?: number
  /** Number of workers in the pool. @default 1 */
  readonly poolSize?: number
}

/** What the session manager is asked by connections and operators. */
export type ToSm = { readonly tag: 'open'; readonly client: ClientInfo }

type Own = { readonly tag: 'started'; readonly clientId: string; readonly outcome: StartResult }

/** The requests for one client id: one under way, the others behind it. */
interface Opening {
  /** Undefined while a stored session is started, for nobody in particular. */
  client: ClientInfo | undefined
  readonly waiting: ClientInfo[]
  attempts: number
  /** Who waits for the stored session. */
  restorer: From | undefined
  hasRoutes: boolean
  /** The session that has been asked. */
  session: Pid | undefined
}

const NEW_OPENING = { client: undefined, attempts: 0, restorer: undefined, hasRoutes: false, session: undefined }

/** What a worker does with its messages. */
class SmState {
  readonly #self: ProcessContext
  readonly #options: SmOptions
  readonly #table: Table<SessionRow>
  readonly #openings = new Map<string, Opening>()
  /** Client ids of the sessions that are monitored, by the number of the monitor. */
  readonly #clientIds = new Map<Ref['id'], string>()
  /** Client ids of stored sessions that have crashed, with how often. */
  readonly #crashes = new Map<string, number>()
  /** Where sessions find this worker, or the one that is started in its place. */
  readonly #name: RemoteName

  constructor(self: ProcessContext, options: SmOptions) {
    this.#self = self
    this.#options = options
    this.#table = options.tables.open(SESSION)
    this.#name = { name: self.runtime.process(self.pid)!.name!, node: self.pid.node }
    const { index = 0, poolSize = 1 } = options
    for (const { clientId, pid } of this.#table.rows()) {
      if (pid.node === self.pid.node && workerOf(clientId, poolSize) === index) this.#watch(clientId, pid)
    }
  }

  describe(): unknown {
    return { sessions: this.#clientIds.size, opening: this.#openings.size }
  }

  handle(message: ToSm | ToManager | Own | DownMessage): void {
    switch (message.tag) {
      case 'open':
        this.#open(message.client)
        break
      case 'started':
        this.#started(message.clientId, message.outcome)
        break
      case 'opened':
        this.#opened(message)
        break
      case 'detached':
        this.#detached(message)
        break
      case 'restored':
        this.#restored(message.clientId)
        break
      case 'DOWN':
        this.#down(message)
        break
    }
  }

  #open(client: ClientInfo): void {
    const opening = this.#openings.get(client.clientId)
    if (opening !== undefined) {
      opening.waiting.push(client)
      return
    }
    this.#openings.set(client.clientId, { ...NEW_OPENING, waiting: [client] })
    this.#next(client.clientId)
  }

  /** Starts a stored session; whoever asks gets the answer when its routes stand, or it could not be started. */
  restore(found: FoundSession, restorer: From | undefined): void {
    const { clientId } = found.session.client
    if (this.#openings.has(clientId) || this.#table.has(clientId)) {
      // A client has been quicker; its session is the stored one.
      if (restorer !== undefined) replyTo(this.#self, restorer, undefined)
      return
    }
    this.#openings.set(clientId, { ...NEW_OPENING, waiting: [], restorer })
    this.#start(clientId, { found, manager: this.#name })
  }

  /** The routes of a stored session stand; it may say so before its start has been answered. */
  #restored(clientId: string): void {
    const opening = this.#openings.get(clientId)
    if (opening === undefined || opening.client !== undefined) return
    opening.hasRoutes = true
    this.#finishRestoring(opening, clientId)
  }

  #finishRestoring(opening: Opening, clientId: string): void {
    if (opening.session === undefined || !opening.hasRoutes) return
    this.#answerRestorer(opening)
    this.#next(clientId)
  }

  #answerRestorer(opening: Opening): void {
    if (opening.restorer !== undefined) replyTo(this.#self, opening.restorer, undefined)
    opening.restorer = undefined
  }

  /** Tries once more what is under way for a client id. */
  #proceed(clientId: string): void {
    const opening = this.#openings.get(clientId)!
    opening.attempts += 1
    if (opening.attempts > MAX_ATTEMPTS) {
      this.#refuse(clientId, 'session failed')
      return
    }
    const row = this.#table.get(clientId)
    if (row !== undefined) {
      this.#ask(opening, opening.client!, row.pid)
      return
    }
    this.#start(clientId, { client: opening.client! })
  }

  #start(clientId: string, start: SessionStart): void {
    const { runtime, pid } = this.#self
    this.#options.startSession(this.#self, start).then(
      (outcome) => runtime.send(pid, { tag: 'started', clientId, outcome } satisfies Own),
      (error: unknown) => {
        const outcome: StartResult = { ok: false, reason: { error: String(error) } }
        runtime.send(pid, { tag: 'started', clientId, outcome } satisfies Own)
      },
    )
  }

  #started(clientId: string, outcome: StartResult): void {
    if (!outcome.ok || outcome.pid === undefined) {
      this.#refuse(clientId, 'session did not start')
      return
    }
    const opening = this.#openings.get(clientId)!
    this.#watch(clientId, outcome.pid)
    if (opening.client === undefined) {
      this.#adopt(clientId, outcome.pid)
      opening.session = outcome.pid
      this.#finishRestoring(opening, clientId)
    } else {
      this.#write(opening.client, outcome.pid)
      this.#ask(opening, opening.client, outcome.pid)
    }
  }

  #adopt(clientId: string, pid: Pid): void {
    const stored = this.#options.environment.sessionStore!.rowOf(clientId)
    // It may have ended in the meantime, as one whose time is up does.
    if (stored === undefined) return
    const { client, will } = stored
    this.#table.write({ clientId, pid, persistent: true, connectedAtMs: client.connectedAtMs, will })
  }

  #ask(opening: Opening, client: ClientInfo, session: Pid): void {
    opening.session = session
    this.#self.send(session, { tag: 'open', manager: this.#name, client } satisfies FromManager)
  }

  #opened({ session, client }: Extract<ToManager, { tag: 'opened' }>): void {
    this.#write(client, session)
    const opening = this.#openings.get(client.clientId)
    if (opening?.session?.equals(session)) this.#next(client.clientId)
  }

  #detached({ session, clientId, will }: Extract<ToManager, { tag: 'detached' }>): void {
    const row = this.#table.get(clientId)
    if (row?.pid.equals(session) && row.will !== will) this.#table.write({ ...row, will })
  }

  #down({ ref, pid, reason }: DownMessage): void {
    const clientId = this.#clientIds.get(ref.id)
    if (clientId === undefined) return
    this.#clientIds.delete(ref.id)
    const row = this.#table.get(clientId)
    if (reason === 'normal') this.#crashes.delete(clientId)
    const isOver = reason === 'normal' || !this.#isToBeRestored(clientId, reason)
    if (row?.pid.equals(pid)) {
      this.#table.delete(clientId)
      // A session that ends settles its will itself; that of one that crashed is due, when the session is over.
      if (row.will !== undefined && isOver && reason !== 'normal') this.#publishWill(row)
    }
    const opening = this.#openings.get(clientId)
    if (opening?.session?.equals(pid)) {
      opening.session = undefined
      this.#answerRestorer(opening)
      // Whoever comes next for a stored session finds it again.
      if (opening.client === undefined) this.#next(clientId)
      else this.#proceed(clientId)
    }
    if (!isOver && !this.#openings.has(clientId)) {
      const found = this.#options.environment.sessionStore!.find(clientId)
      if (found !== undefined) this.restore(found, undefined)
    }
  }

  /** Whether a session that has crashed is stored and has not crashed too often. */
  #isToBeRestored(clientId: string, reason: ExitReason): boolean {
    const { sessionStore } = this.#options.environment
    if (sessionStore?.has(clientId) !== true) return false
    const crashes = (this.#crashes.get(clientId) ?? 0) + 1
    this.#crashes.set(clientId, crashes)
    if (crashes <= MAX_CRASHES) return true
    this.#crashes.delete(clientId)
    sessionStore.setAside(clientId, reason)
    return false
  }

  #publishWill({ clientId, will }: SessionRow): void {
    const { environment } = this.#options
    const nowMs = this.#self.runtime.clock.now()
    publishAll(environment, [willMessage(will!, clientId, environment.nextMessageId(nowMs), nowMs)])
  }

  #refuse(clientId: string, reason: string): void {
    const opening = this.#openings.get(clientId)!
    this.#answerRestorer(opening)
    if (opening.client !== undefined) {
      const answer: OpenAnswer = { tag: 'refused', reasonCode: RC.server_unavailable, reason }
      this.#self.send(opening.client.connection, answer)
    }
    this.#next(clientId)
  }

  #next(clientId: string): void {
    const opening = this.#openings.get(clientId)!
    let client = opening.waiting.shift()
    // One whose connection has ended has nobody left to answer, and its CONNECT was never accepted.
    while (client !== undefined && this.#isGone(client.connection)) client = opening.waiting.shift()
    if (client === undefined) {
      this.#openings.delete(clientId)
      return
    }
    opening.client = client
    opening.attempts = 0
    opening.session = undefined
    this.#proceed(clientId)
  }

  #watch(clientId: string, session: Pid): void {
    this.#clientIds.set(this.#self.monitor(session).id, clientId)
  }

  #write({ clientId, expirySec, connectedAtMs }: ClientInfo, pid: Pid): void {
    this.#table.write({ clientId, pid, persistent: expirySec > 0, connectedAtMs, will: undefined })
  }

  /** Whether a process of this node has ended. Of one elsewhere only its monitor can tell. */
  #isGone(connection: Pid): boolean {
    const { runtime } = this.#self
    return !runtime.isForeign(connection) && !runtime.isAlive(connection)
  }
}

type Calls = {
  /** Starts a stored session; answered when its routes stand, or it could not be started. */
  restore: (found: FoundSession) => void
}

/** The server of one worker; it must be registered under a name of `Sessions`. */
export const sm: GenServer<SmState, Calls, Record<never, never>, SmOptions> = genServer<
  SmState,
  Calls,
  Record<never, never>,
  SmOptions
>({
  label: 'sm',
  init: (options, self) => ok(new SmState(self, options)),
  calls: {
    restore: ({ state, from }, found) => {
      state.restore(found, from)
      return noreply(state)
    },
  },
  info: ({ state }, message) => state.handle(message as ToSm | ToManager | Own | DownMessage),
  formatState: (state) => state.describe(),
})

/** The sessions of a node: how they are opened, found, listed and ended. */
export class Sessions {
  /** Registered names; the supervisor starts `sm` once under each, with its place as `index`. */
  readonly names: readonly string[]
  readonly #runtime: Runtime
  readonly #table: Table<SessionRow>

  constructor(runtime: Runtime, tables: Tables, poolSize = 1) {
    this.#runtime = runtime
    this.#table = tables.open(SESSION)
    this.names = poolSize === 1 ? ['sm'] : Array.from({ length: poolSize }, (_, i) => `sm_${i + 1}`)
  }

  /** Number of sessions. */
  get count(): number {
    return this.#table.size
  }

  /**
   * Opens the session of a client that has authenticated. Its connection gets an `OpenAnswer`; none when the manager is
   * restarted meanwhile, so the connection must have a time limit of its own.
   */
  open(client: ClientInfo): void {
    const name = this.names[workerOf(client.clientId, this.names.length)]!
    const worker = this.#runtime.whereis(name)
    if (worker !== undefined) this.#runtime.send(worker, { tag: 'open', client } satisfies ToSm)
    else {
      const answer: OpenAnswer = { tag: 'refused', reasonCode: RC.server_unavailable, reason: 'no session manager' }
      this.#runtime.send(client.connection, answer)
    }
  }

  /** Starts a session that was stored; resolves when its routes stand, or it could not be started, which is logged. */
  restore(found: FoundSession): Promise<void> {
    const name = this.names[workerOf(found.session.client.clientId, this.names.length)]!
    return sm.callWithin(this.#runtime, 'infinity', name, 'restore', found)
  }

  /** The session of a client; undefined when it has none. */
  lookup(clientId: string): SessionRow | undefined {
    return this.#table.get(clientId)
  }

  /** All sessions, in no order. */
  list(): IterableIterator<SessionRow> {
    return this.#table.rows()
  }

  /**
   * Closes the connection of a client; its session lives on as its expiry says. Returns false when there is no session.
   * 5.0 clients are told `administrative_action` unless another reason code is given.
   */
  kick(clientId: string, reasonCode: number = RC.administrative_action, reason = 'kicked'): boolean {
    return this.#tell(clientId, { tag: 'kick', reasonCode, reason })
  }

  /** Ends the session of a client and its connection. Returns false when there is no session. */
  discard(clientId: string, reasonCode: number = RC.administrative_action, reason = 'discarded'): boolean {
    return this.#tell(clientId, { tag: 'discard', reasonCode, reason })
  }

  #tell(clientId: string, message: FromManager): boolean {
    const row = this.#table.get(clientId)
    if (row === undefined) return false
    this.#runtime.send(row.pid, message)
    return true
  }
}

/** The worker for a client id: FNV-1a, so that every node and every start agrees. */
function workerOf(clientId: string, poolSize: number): number {
  if (poolSize === 1) return 0
  let hash = 0x811c9dc5
  for (let i = 0; i < clientId.length; i += 1) hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % poolSize
}
