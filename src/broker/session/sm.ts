/**
 * The session manager: client id → session, and the one door through which connections get to sessions.
 *
 *     connection ─ open ─▶ sm ─ lease ─▶ sm of the home of the client id (directory.ts) ─▶ the session, or a new one (local-sessions.ts)
 *     session ─ opened, detached ─▶ sm of its node, which keeps its row
 *
 * The home may be this node or another one; the manager remembers the connections that have no answer yet, and asks the next home when that is lost, silent, or says that it is not the home. It
 * waits for nobody: a session that takes its time holds up its own client id only. Whether a session is resumed, taken over or ends for
 * a new one is the session's own decision (session-machine.ts).
 *
 * It is a pool of processes, each responsible for the client ids that hash to it. Sessions are children of session-sup.ts and outlive their manager. One
 * that is restarted monitors its part of the sessions again; connections that it had not answered run into their own time limit.
 */
import type { From } from '../../actors/gen.ts'
import { type GenServer, genServer, noreply, ok } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { Tables } from '../../mnesia/table.ts'
import type { ClientInfo } from '../process-messages.ts'
import type { SessionEnvironment } from '../publish.ts'
import { SESSION } from '../tables.ts'
import type { AwayMembers } from './away-members.ts'
import { type BetweenManagers, Directory, type DirectoryTimer, type HomeDown, type Lease } from './directory.ts'
import { fnv, type Homes } from './home.ts'
import { type LocalMessage, LocalSessions, type StartSession } from './local-sessions.ts'
import type { Arrive } from './moving/messages.ts'
import type { ToManager } from './session-messages.ts'
import { type Probe, type ProbeTick, SilentHomes, TICK_MS } from './silent-homes.ts'
import type { FoundSession } from './stored/session-store.ts'
import type { StoredPlaces } from './stored/stored-places.ts'

/** What a worker of the session manager is started with. */
export interface SmOptions {
  readonly environment: Pick<SessionEnvironment, 'hooks' | 'metrics' | 'pubsub' | 'nextMessageId' | 'sessionStore'>
  readonly tables: Tables
  readonly homes: Homes
  readonly away: AwayMembers
  readonly places: StoredPlaces
  readonly startSession: StartSession
  /** Whether a member may still have messages that it has kept for this node. @default none has */
  readonly mayGive?: (node: string) => boolean
  /** How long the session of a member that is away is waited for. @default 0 */
  readonly homeWaitMs?: number
  /** What a client gets after that. @default new */
  readonly homeDown?: HomeDown
  /** Place of the worker in the pool. @default 0 */
  readonly index?: number
  /** Number of workers in the pool. @default 1 */
  readonly poolSize?: number
}

/** What the session manager is told by its node. */
export type ToSm =
  /** A connection wants a session. */
  | { readonly tag: 'open'; readonly client: ClientInfo }
  /** A member has given all that it had kept for this node. */
  | { readonly tag: 'hints_given' }

type Incoming =
  | ToSm
  | ToManager
  | Arrive
  | BetweenManagers
  | Probe
  | ProbeTick
  | LocalMessage
  | DirectoryTimer
  | DownMessage

/** A connection that has no answer yet, and the home that was asked. */
interface Pending {
  readonly client: ClientInfo
  readonly home: string
  /** Monotonic, ms */
  readonly askedAtMs: number
}

/** What a worker does with its messages. */
class SmState {
  readonly #self: ProcessContext
  readonly #homes: Homes
  readonly #name: RemoteName
  readonly #directory: Directory
  readonly #local: LocalSessions
  readonly #silent: SilentHomes
  /** By the key of the connection. */
  readonly #pending = new Map<string, Pending>()

  constructor(self: ProcessContext, options: SmOptions) {
    this.#self = self
    const { environment, homes, startSession, tables, away, places, index = 0, poolSize = 1 } = options
    this.#homes = homes
    this.#name = { name: self.runtime.process(self.pid)!.name!, node: self.pid.node }
    this.#silent = new SilentHomes(self, this.#name, homes)
    const table = tables.open(SESSION)
    const { homeWaitMs = 0, homeDown = 'new', mayGive = () => false } = options
    const hasManager = (node: string) => homes.hasManager(node)
    this.#directory = new Directory(self, { table, name: this.#name, places, away, hasManager, homeWaitMs, homeDown })
    this.#local = new LocalSessions(self, {
      environment,
      table,
      places,
      startSession,
      name: this.#name,
      isOurs: (clientId) => workerOf(clientId, poolSize) === index,
      isHome: (clientId) => homes.appointedOf(clientId) === self.pid.node,
      isRunning: (node) => homes.isRunning(node),
      hasSessions: (node) => away.isReady(node) && homes.hasManager(node) && table.isVisible(node),
      isMember: (node) => away.isReady(node) || away.sinceMs(node) !== undefined,
      mayBeGiven: (winner) => [winner, ...homes.nodes].some((node) => node !== self.pid.node && mayGive(node)),
      othersRun: () => homes.othersRun,
    })
    self.onExit(homes.onChange(() => this.#homesChanged()))
    self.onExit(homes.join())
  }

  restore(found: FoundSession, restorer: From): void {
    this.#local.restore(found, restorer)
  }

  describe(): unknown {
    return { sessions: this.#local.size, opening: this.#directory.size, pending: this.#pending.size }
  }

  handle(message: Incoming): void {
    switch (message.tag) {
      case 'open':
        this.#claim(message.client)
        break
      case 'hints_given':
        this.#local.meetAgain()
        break
      case 'lease':
        this.#lease(message)
        break
      case 'ask_again':
        if (this.#pending.has(message.client.connection.key)) this.#claim(message.client, true)
        break
      case 'probe':
        this.#send(message.manager, { tag: 'probed', node: this.#self.pid.node })
        break
      case 'probed':
        this.#silent.answered(message.node)
        break
      case 'probe_tick':
        this.#probe()
        break
      case 'start':
        this.#local.start(message.client, message.home)
        break
      case 'made': {
        const { client, home, outcome } = message
        this.#local.made(client, outcome)
        this.#send(home, { tag: 'started', clientId: client.clientId, outcome })
        break
      }
      case 'revived':
        this.#local.revived(message.clientId, message.outcome)
        break
      case 'restored':
        this.#local.restored(message.clientId)
        break
      case 'started':
        this.#directory.started(message.clientId, message.outcome)
        break
      case 'opened':
        if (message.session.node === this.#self.pid.node) this.#local.opened(message.session, message.client)
        this.#directory.opened(message.session, message.client)
        break
      case 'unavailable':
        this.#directory.unavailable(message.client, message.reason)
        break
      case 'arrive':
        this.#local.arrive(message)
        break
      case 'arriving':
        this.#local.arriving(message.arrive, message.outcome)
        break
      case 'in_doubt':
        this.#local.inDoubt(message)
        break
      case 'settled':
        this.#pending.delete(message.client.connection.key)
        break
      case 'detached':
        this.#local.detached(message.session, message.clientId, message.will)
        break
      case 'owner_lost':
        this.#local.ownerLost(message.owner)
        break
      case 'will_due':
        this.#local.willDue(message)
        break
      case 'will_settled':
        this.#local.willSettled(message.clientId, message.connectedAtMs)
        break
      case 'held_over':
        this.#directory.timer(message)
        break
      case 'DOWN':
        if (!this.#directory.down(message)) this.#local.down(message)
        break
    }
  }

  /** `isAgain`: the home has just said that it is there. */
  #claim(client: ClientInfo, isAgain = false): void {
    const home = this.#homes.of(client.clientId)
    const askedAtMs = this.#self.runtime.clock.monotonic()
    this.#pending.set(client.connection.key, { client, home, askedAtMs })
    if (home === this.#self.pid.node) {
      this.#directory.claim(client, this.#name)
      return
    }
    const sentAtMs = isAgain ? undefined : askedAtMs
    this.#send({ name: this.#name.name, node: home }, { tag: 'lease', client, manager: this.#name, sentAtMs })
    this.#silent.watch()
  }

  #lease({ client, manager, sentAtMs }: Lease): void {
    if (sentAtMs !== undefined && this.#silent.isLate(manager.node, sentAtMs)) this.#directory.notTaken(client, manager)
    else this.#directory.claim(client, manager)
  }

  /** Asks the homes that have let connections wait. */
  #probe(): void {
    const { pid, runtime } = this.#self
    const slow = new Set<string>()
    let isSomebodyWaiting = false
    for (const { home, askedAtMs } of this.#pending.values()) {
      if (home === pid.node) continue
      isSomebodyWaiting = true
      if (askedAtMs + TICK_MS <= runtime.clock.monotonic()) slow.add(home)
    }
    this.#silent.tick(slow, isSomebodyWaiting)
  }

  #homesChanged(): void {
    this.#silent.homesChanged()
    this.#directory.keep((clientId) => this.#homes.of(clientId) === this.#self.pid.node)
    this.#local.meetAgain()
    for (const [key, { client, home }] of this.#pending) {
      if (!this.#self.runtime.isAlive(client.connection)) this.#pending.delete(key)
      else if (!this.#homes.decides(home)) this.#claim(client)
    }
  }

  #send(to: RemoteName, message: BetweenManagers | Probe): void {
    this.#self.send(to, message)
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
  info: ({ state }, message) => state.handle(message as Incoming),
  formatState: (state) => state.describe(),
})

/** The worker for a client id: every node and every start agrees. */
export function workerOf(clientId: string, poolSize: number): number {
  return poolSize === 1 ? 0 : fnv(clientId, 0x811c9dc5) % poolSize
}
