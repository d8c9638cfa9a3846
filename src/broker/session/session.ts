/**
 * The session process: one per client id, whether the client is connected or not. It runs the session machine
 * (session-machine.ts) and performs its effects.
 *
 *     sm ─ open ─▶ session          `opened` to the connection and to sm; or it ends, and sm starts another
 *     connection ─ packets, congested, detach ─▶ session ─ out, synced, close ─▶ connection       (process-messages.ts)
 *     publishers ─ deliver ─▶ session ─ publish ─▶ other sessions, directly from the routing tables (pubsub.ts)
 *     session ─ relieved ─▶ publishers that wait until it is less behind                              (back-pressure.ts)
 *     session ─ subscribe, unsubscribe, availability, durable ─▶ router ─ subscribed, unsubscribed ─▶ session
 *     session ─ detached ─▶ sm      so that a will that waits is known if this process should crash
 *
 * It is started under session-sup.ts by the session manager, is temporary and linked to nobody else. It monitors its connection:
 * one that ends without a word is a detach that makes the will due. It stays when the connection goes and ends, `normal`,
 * when the session does; its routes go with it, since the router monitors it.
 *
 * A router that is restarted forgets what it was to answer, so as long as an answer is due the router is monitored and
 * asked again.
 */
import { type GenServer, genServer, ok, stop } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { ClientInfo, ToConnection, ToSession } from '../process-messages.ts'
import type { SessionEnvironment } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import type { FromRouter } from '../routing/router.ts'
import type { RELIEVED } from './back-pressure.ts'
import { type HandedOver, HandOver, type HandOverTaken, remember, runsOf } from './hand-over.ts'
import type { GATE_TIMEOUT } from './publish-gate.ts'
import { passOn, redispatchAll } from './redispatch.ts'
import { type ReadRetained, type RetainedPage, RetainedReads } from './retained-reads.ts'
import { SessionBacklog } from './session-backlog.ts'
import { handle } from './session-machine.ts'
import type { FromManager, OpenAnswer, ToManager } from './session-messages.ts'
import { SessionPublisher, type TakenOver } from './session-publisher.ts'
import { reportAnswered, reportDelivered, reportDropped } from './session-reports.ts'
import { restoredSessionState, takeContents } from './session-restored.ts'
import { type ASK_ROUTER_AGAIN, RouterLink } from './session-router.ts'
import { type SessionSnapshot, snapshot } from './session-snapshot.ts'
import {
  type Effect,
  newSessionState,
  type SessionEvent,
  type SessionState,
  type SessionTimer,
} from './session-state.ts'
import { readContents } from './stored/contents.ts'
import { messageSpace } from './stored/forms.ts'
import { SessionStorage, type ToClient } from './stored/session-storage.ts'
import type { FoundSession, SETTLED, SessionStore } from './stored/session-store.ts'
import { arrivedClient, arrivedPackets, travellingPackets } from './travel.ts'

/** What a session process is started with; `manager` is the session manager of this node. */
export type SessionArgs = { readonly environment: SessionEnvironment; readonly manager: RemoteName } & SessionStart

/** What a session is made for. */
export type SessionStart =
  /** A client that has none; the message `open` of the same client comes next. */
  | { readonly client: ClientInfo }
  /** It was stored; its manager gets `restored` when its routes stand. `othersRun`: other members of the cluster see to what is due. */
  | { readonly found: FoundSession; readonly othersRun: boolean }

type Own =
  | { readonly tag: 'timer'; readonly timer: SessionTimer; readonly attachment: number }
  | { readonly tag: 'drain' }
  | ReadRetained
  | TakenOver
  | HandedOver
  | HandOverTaken
  /** Others have taken over these messages of the store. */
  | { readonly tag: 'passed_on'; readonly numbers: readonly number[] }
  | typeof ASK_ROUTER_AGAIN
  | typeof GATE_TIMEOUT
  | typeof SETTLED

type Incoming = ToSession | FromManager | FromRouter | typeof RELIEVED | Own | DownMessage

/** Tickets that wait to be published, above which the client is not read on. */
const MAX_UNPUBLISHED = 64

/** How long a session that was to give way, and had nobody to give way to, waits before its manager looks again. */
const STAYS_MS = 1000

/** Ticket of the request that takes a session's shared subscriptions away before it ends; the machine's begin with 1. */
const FAREWELL = 0
/** Ticket of the request that brings the subscriptions of a stored session back. */
const RESTORED = -1

/** The session of one client as a process. */
class SessionProcess {
  readonly state: SessionState
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #router: RouterLink
  #connectionMonitor: Ref | undefined
  /** The connection is on another node. */
  #isFar = false
  #isSocketFull = false
  readonly #manager: RemoteName
  #expiryTimer: Ref | undefined
  #willTimer: Ref | undefined
  readonly #retained: RetainedReads
  readonly #publisher: SessionPublisher
  readonly #backlog: SessionBacklog
  /** Undefined when nothing of the session has to do with a disc. */
  readonly #storage: SessionStorage | undefined
  /** The messages of a stored session are still where they were found. */
  #found: FoundSession | undefined
  /** To a later session of the client id, while it takes what waits here. */
  #handOver: HandOver | undefined
  /** Wall clock at the message that is being handled; reading it costs as much as half a delivery. */
  #nowMs = 0
  /** Counters of the state that the metrics have already. */
  #delivered = 0
  #acked = 0
  #isOver = false

  constructor(self: ProcessContext, args: SessionArgs) {
    const { environment, manager } = args
    this.#self = self
    this.#manager = manager
    this.#environment = environment
    this.#router = new RouterLink(self, environment.routers)
    this.#backlog = new SessionBacklog(self, environment.pubsub)
    this.#retained = new RetainedReads(self, environment.retainer)
    this.#publisher = new SessionPublisher(self, environment, (ticket, codes, hasFailed) => {
      this.#handle(hasFailed ? { tag: 'unsafe', ticket } : { tag: 'accepted', ticket, codes })
    })
    this.#nowMs = self.runtime.clock.now()
    const { limits, nextMessageId, sessionStore } = environment
    const common = { self: self.pid, limits, nextMessageId }
    // One whose process has crashed is found as well.
    this.#found = 'found' in args ? args.found : sessionStore?.find(args.client.clientId)
    if (this.#found !== undefined) this.state = restoredSessionState({ ...common, found: this.#found })
    else {
      const { client } = args as Extract<SessionStart, { client: ClientInfo }>
      const journal = client.expirySec > 0 ? sessionStore?.begin(client.clientId) : undefined
      this.state = newSessionState({ ...common, client, nowMs: this.#nowMs, journal })
    }
    this.#storage = this.#storageOf(this.state, sessionStore)
    if (this.#found !== undefined) this.#restore('found' in args && args.othersRun)
  }

  #storageOf({ journal, clientId }: SessionState, store: SessionStore | undefined): SessionStorage | undefined {
    if (store === undefined) return undefined
    const removal = store.removalOf(clientId)
    if (journal === undefined && removal === 0) return undefined
    return new SessionStorage(this.#self, store, journal, removal, {
      publish: (effect) => this.#publisher.add(effect),
      taken: (message) => {
        if (message.tag === 'handed_over') this.#confirmHandedOver(message)
        else this.#backlog.taken(message)
      },
      refused: (message) => {
        // What was handed over stays where it was.
        if (message.tag !== 'handed_over') this.#backlog.refused(message)
      },
    })
  }

  #restore(othersRun: boolean): void {
    const { subscriptions, clientId } = this.state
    if (subscriptions.size === 0) this.#tellManager({ tag: 'restored', session: this.#self.pid, clientId })
    else this.#router.subscribe(RESTORED, clientId, true, [...subscriptions.values()])
    this.#handle({ tag: 'restore', othersRun })
  }

  /** Takes one message; returns true when the process is to end. */
  receive(message: Incoming): boolean {
    this.#nowMs = this.#self.runtime.clock.now()
    switch (message.tag) {
      case 'deliver':
        this.#backlog.takeOff(message.runs)
        if (this.state.ended) passOn(this.#environment.pubsub, message.runs, this.#self.pid)
        else this.#handle(message)
        for (const { batch, matched } of message.runs) {
          if (matched.share === undefined) this.#handOver?.add(batch.messages)
        }
        this.#storage?.took(message)
        break
      case 'packets':
        this.state.reportAcked = this.#environment.hooks.chains['message.acked'].length > 0
        this.#handle(this.#isFar ? { ...message, packets: arrivedPackets(message.packets) } : message)
        break
      case 'detach':
      case 'drain':
      case 'discard':
      case 'kick':
        this.#handle(message)
        break
      case 'congested':
        this.#isSocketFull = message.on
        break
      case 'open':
        this.#open(message)
        break
      case 'give_way':
        this.#giveWay(message.to)
        break
      case 'handed_over':
        this.#takeHandedOver(message)
        break
      case 'hand_over_taken':
        if (this.#handOver?.taken(message) === true) this.#handOn(this.#handOver)
        break
      case 'subscribed':
      case 'unsubscribed':
        this.#answered(message)
        break
      case 'timer':
        if (message.attachment !== this.state.attachment) break
        this.#handle({ tag: 'timeout', timer: message.timer })
        // The will is settled; the manager must not publish it again.
        if (message.timer === 'will') this.#tellDetached()
        break
      case 'read_retained':
        this.#take(message.ticket, this.#retained.readOn(message.ticket, message.max))
        break
      case 'passed_on':
        for (const number of message.numbers) this.state.journal?.dropped(number)
        this.#storage?.commit()
        break
      case 'taken':
        this.#publisher.taken(message)
        break
      case 'relieved':
        this.#publisher.relieved()
        break
      case 'gate_timeout':
        this.#publisher.gateTimeout()
        break
      case 'ask_router_again':
        this.#router.askAgain()
        break
      case 'settled':
        this.#storage!.settled()
        break
      case 'DOWN':
        this.#down(message)
        break
    }
    this.#publisher.settle()
    // As long as there is room, the client is read on although not all that it has published is accepted.
    const unpublished = this.#storage?.unpublished ?? 0
    const hasRoom = this.#publisher.hasRoom && unpublished < MAX_UNPUBLISHED
    if ((this.#publisher.isWaiting || unpublished > 0) && hasRoom) this.#handle({ tag: 'deferred' })
    this.#settleCongestion()
    this.#backlog.settle(this.state, hasRoom)
    return this.#isOver
  }

  /** The client takes no more while its socket is full, or the disc is behind with what has to be there first. */
  #settleCongestion(): void {
    const { connection, congested, closing } = this.state
    const isFull = this.#isSocketFull || this.#storage?.isFull === true
    if (isFull === congested || connection === undefined || closing) return
    this.#handle({ tag: 'congested', from: connection, on: isFull })
    this.#tellAvailability()
  }

  #handle(event: SessionEvent): void {
    if (this.#found !== undefined && concernsMessages(event)) this.#load(this.#found)
    const { state } = this
    const effects = handle(state, this.#nowMs, event)
    this.#storage?.commit()
    for (let i = 0; i < effects.length; i += 1) this.#perform(effects[i]!)
    const { counters } = state
    if (counters.deliverMsg !== this.#delivered) {
      this.#environment.metrics['messages/delivered'] += counters.deliverMsg - this.#delivered
      this.#delivered = counters.deliverMsg
    }
    if (counters.acked !== this.#acked) {
      this.#environment.metrics['messages/acked'] += counters.acked - this.#acked
      this.#acked = counters.acked
    }
  }

  /** Reads the messages of a stored session. */
  #load({ journal }: FoundSession): void {
    this.#found = undefined
    const store = this.#environment.sessionStore!
    const contents = readContents(store.messages(journal), (key, error) => {
      store.unreadable(journal.clientId, messageSpace(journal.name), key, error)
    })
    this.#handle({ tag: 'contents', contents })
  }

  /** What the session holds, be it read or not. */
  snapshot(): SessionSnapshot {
    if (this.#found === undefined) return snapshot(this.state)
    const { limits, nextMessageId, sessionStore } = this.#environment
    const copy = restoredSessionState({ self: this.#self.pid, limits, nextMessageId, found: this.#found })
    copy.journal = undefined
    takeContents(
      copy,
      readContents(sessionStore!.messages(this.#found.journal), () => {}),
      [],
    )
    return snapshot(copy)
  }

  #perform(effect: Effect): void {
    const { state } = this
    switch (effect.tag) {
      case 'out':
        if (this.#isFar) {
          for (const packets of travellingPackets(effect.packets)) {
            this.#toConnection(state.connection, { tag: 'out', from: effect.from, packets }, effect.waits)
          }
        } else this.#toConnection(state.connection, effect, effect.waits)
        reportDelivered(this.#environment, state.clientId, effect.packets)
        break
      case 'synced':
        this.#toConnection(state.connection, effect, false)
        break
      case 'close':
        if (effect.reasonCode === RC.receive_maximum_exceeded) {
          this.#environment.metrics['messages/dropped'] += 1
          this.#environment.metrics['messages/dropped/receive_maximum'] += 1
        }
        this.#close(effect)
        break
      case 'publish':
        if (this.#storage?.holdsPublish(effect, this.#environment.homes?.othersRun === true) !== true) {
          this.#publisher.add(effect)
        }
        break
      case 'subscribe':
        this.#router.subscribe(effect.ticket, state.clientId, state.expirySec > 0, effect.subscriptions)
        break
      case 'unsubscribe':
        this.#router.unsubscribe(effect.ticket, effect.filters)
        break
      case 'retained':
        this.#take(effect.ticket, this.#retained.read(effect.ticket, effect.filter, effect.max))
        break
      case 'forget_retained':
        this.#retained.forget(effect.ticket)
        break
      case 'redispatch':
        this.#redispatch(effect)
        break
      case 'dropped':
        reportDropped(this.#environment, state.clientId, effect.reason, effect.messages)
        break
      case 'acked':
        for (const message of effect.messages) {
          this.#environment.hooks.notify('message.acked', state.clientId, message)
        }
        break
      case 'attached':
        this.#attached(effect)
        break
      case 'detached':
        this.#detached()
        break
      case 'start_timer':
        this.#startTimer(effect.timer, effect.delayMs)
        break
      case 'cancel_timer':
        this.#cancelTimer(effect.timer)
        break
      case 'drain':
        this.#self.send(this.#self.pid, { tag: 'drain' } satisfies Own)
        break
      case 'ended':
        this.#ended(effect.reason)
        break
    }
  }

  // Life

  #open({ home, client }: Extract<FromManager, { tag: 'open' }>): void {
    // One that is ending does not answer: its end tells the home to start another.
    if (this.state.ended) return
    const isFar = this.#self.runtime.isForeign(client.connection)
    // A home that has taken over from another asks again for what that had asked, and has not heard the answer.
    const isOpened = this.state.connection?.equals(client.connection) === true
    if (!isOpened) this.#handle({ tag: 'attach', client: isFar ? arrivedClient(client) : client })
    if (this.state.ended || (!isOpened && home.node === this.#manager.node)) return
    this.#self.send(home, { tag: 'opened', session: this.#self.pid, client: this.state.client } satisfies ToManager)
  }

  #attached({ present, takenOver }: Extract<Effect, { tag: 'attached' }>): void {
    const { state } = this
    const { hooks, metrics } = this.#environment
    if (this.#connectionMonitor !== undefined) this.#self.demonitor(this.#connectionMonitor, { flush: true })
    this.#connectionMonitor = this.#self.monitor(state.client.connection)
    this.#isSocketFull = false
    this.#storage?.forget()
    this.#isFar = this.#self.runtime.isForeign(state.client.connection)
    // From here and before any packet, so that the connection has its CONNACK out when they come.
    this.#toConnection(state.client.connection, { tag: 'opened', session: this.#self.pid, present }, true)
    this.#tellManager({ tag: 'opened', session: this.#self.pid, client: state.client })
    this.#router.tellDurable(state.expirySec > 0, state.subscriptions.size > 0)
    this.#tellAvailability()
    if (takenOver) {
      metrics['session/takenover'] += 1
      hooks.notify('session.takenover', state.clientId)
    }
    if (present) {
      metrics['session/resumed'] += 1
      hooks.notify('session.resumed', state.client)
    } else {
      metrics['session/created'] += 1
      hooks.notify('session.created', state.client)
    }
    const own = this.#environment.staticSubscriptions?.subscribeOf(state.clientId)
    if (own === undefined) return
    // In the mailbox before any packet of the client, which waits for `opened`.
    const message: ToSession = { tag: 'packets', from: state.client.connection, packets: [own], sync: false }
    this.#self.send(this.#self.pid, message)
  }

  #detached(): void {
    if (this.#connectionMonitor !== undefined) this.#self.demonitor(this.#connectionMonitor, { flush: true })
    this.#connectionMonitor = undefined
    this.#storage?.forget()
    this.#tellDetached()
    this.#tellAvailability()
  }

  #tellDetached(): void {
    const { clientId, expirySec, will } = this.state
    this.#tellManager({ tag: 'detached', session: this.#self.pid, clientId, expirySec, will })
  }

  #ended(reason: Extract<Effect, { tag: 'ended' }>['reason']): void {
    const { state } = this
    const { hooks, metrics } = this.#environment
    if (reason === 'discarded') {
      metrics['session/discarded'] += 1
      hooks.notify('session.discarded', state.clientId)
    }
    metrics['session/terminated'] += 1
    hooks.notify('session.terminated', state.clientId, reason)
    this.#storage?.publishAll()
    this.#publisher.flush()
    const shared = [...state.subscriptions.values()]
      .map(({ filter }) => filter)
      .filter(({ group }) => group !== undefined)
    // Until the router knows, the groups may choose this member; what comes is passed on to another.
    if (shared.length === 0 || !this.#router.isThere) this.#isOver = true
    else this.#router.unsubscribe(FAREWELL, shared)
  }

  #down({ ref, reason }: DownMessage): void {
    if (this.#handOver?.monitor.equals(ref)) {
      this.#handOver = undefined
      // One that has ended has no use for it. Of others the manager knows, in a while, whether they are there again.
      if (reason === 'normal') this.#discard(false)
      else
        this.#self.sendAfter(STAYS_MS, this.#manager, {
          tag: 'stays',
          clientId: this.state.clientId,
        } satisfies ToManager)
    } else if (this.#connectionMonitor?.equals(ref)) {
      this.#connectionMonitor = undefined
      const from = this.state.connection
      if (from === undefined) return
      this.#handle({ tag: 'detach', from, publishWill: true, expirySec: undefined, reason: 'connection_down' })
    } else if (this.#router.takeDown(ref) && this.state.ended) this.#isOver = true
  }

  // Giving way to a later session of the client id

  #giveWay(to: Pid): void {
    if (this.state.ended || this.#handOver?.to.equals(to)) return
    if (this.state.expirySec === 0) {
      this.#discard(false)
      return
    }
    if (this.#found !== undefined) this.#load(this.#found)
    this.#handle({ tag: 'kick', reasonCode: RC.session_taken_over, reason: 'session_taken_over' })
    this.#handOver?.close()
    this.#handOver = new HandOver(this.#self, to, this.state)
    this.#handOn(this.#handOver)
  }

  #handOn(handOver: HandOver): void {
    if (handOver.next()) return
    handOver.close()
    this.#handOver = undefined
    this.#environment.metrics['messages/handed_over'] += handOver.count
    this.#discard(true)
  }

  #discard(isHandedOver: boolean): void {
    const why = { reasonCode: RC.session_taken_over, reason: 'session_taken_over' }
    this.#handle({ tag: 'discard', ...why, isHandedOver })
  }

  #takeHandedOver(message: HandedOver): void {
    // Its end tells the other one.
    if (this.state.ended) return
    if (this.#found !== undefined) this.#load(this.#found)
    const runs = runsOf(this.state, message, (each) => this.#environment.cameAtMs?.(each))
    if (runs.length > 0) this.#handle({ tag: 'deliver', runs })
    remember(this.state, runs)
    for (const { batch } of runs) this.#handOver?.add(batch.messages)
    if (this.#storage === undefined) this.#confirmHandedOver(message)
    else this.#storage.took(message)
  }

  #confirmHandedOver({ from, part }: HandedOver): void {
    this.#self.send(from, { tag: 'hand_over_taken', from: this.#self.pid, part } satisfies HandOverTaken)
  }

  #startTimer(timer: SessionTimer, delayMs: number): void {
    this.#cancelTimer(timer)
    const message: Own = { tag: 'timer', timer, attachment: this.state.attachment }
    const ref = this.#self.sendAfter(delayMs, this.#self.pid, message)
    if (timer === 'will') this.#willTimer = ref
    else this.#expiryTimer = ref
  }

  #cancelTimer(timer: SessionTimer): void {
    const ref = timer === 'will' ? this.#willTimer : this.#expiryTimer
    if (ref === undefined) return
    this.#self.cancelTimer(ref)
    if (timer === 'will') this.#willTimer = undefined
    else this.#expiryTimer = undefined
  }

  // The router

  #answered(answer: FromRouter): void {
    const request = this.#router.answered(answer.ticket)
    if (request === undefined) return
    if (this.state.ended) {
      // What was asked before the farewell is of no interest any more.
      if (answer.ticket === FAREWELL) this.#isOver = true
      return
    }
    this.#tellAvailability()
    this.#backlog.find()
    if (answer.ticket === RESTORED) {
      this.#tellManager({ tag: 'restored', session: this.#self.pid, clientId: this.state.clientId })
      return
    }
    this.#handle(answer)
    reportAnswered(this.#environment, this.state.clientId, request)
  }

  #tellAvailability(): void {
    const { connection, congested, sharedCount, ended } = this.state
    // Only the groups of shared subscriptions choose by it.
    if (sharedCount === 0 || ended) return
    this.#router.tellAvailability(connection === undefined ? 'offline' : congested ? 'congested' : 'online')
  }

  // Messages

  #toConnection(connection: Pid | undefined, message: ToClient, waits: boolean): void {
    if (connection === undefined || this.#storage?.holds(connection, message, waits) === true) return
    this.#self.send(connection, message)
  }

  /** At once: what the connection has not been told it need not know. */
  #close({ to, reasonCode, reason }: Extract<Effect, { tag: 'close' }>): void {
    if (this.#storage?.isOpening === true) {
      // It knows of no session yet.
      this.#self.send(to, { tag: 'refused', reasonCode: RC.server_unavailable, reason } satisfies OpenAnswer)
    } else this.#self.send(to, { tag: 'close', from: this.#self.pid, reasonCode, reason } satisfies ToConnection)
  }

  #tellManager(message: ToManager): void {
    this.#self.send(this.#manager, message)
  }

  /** Takes a page of retained messages. */
  #take(ticket: number, page: RetainedPage | undefined): void {
    if (page !== undefined) this.#handle({ tag: 'retained', ticket, ...page })
  }

  #redispatch(effect: Extract<Effect, { tag: 'redispatch' }>): void {
    const { state } = this
    const { pubsub } = this.#environment
    const { taken, passed, lost, receipt } = redispatchAll(pubsub, effect, this.#self.pid, !state.ended)
    if (state.ended) {
      if (lost.length > 0) reportDropped(this.#environment, state.clientId, 'session_ended', lost)
      return
    }
    this.#handle({ tag: 'redispatched', taken, passed })
    const numbers = state.journal?.takePassedOn() ?? []
    if (numbers.length === 0) return
    const { runtime, pid } = this.#self
    // What others have not stored yet stays stored here.
    receipt.whenDone(() => runtime.send(pid, { tag: 'passed_on', numbers } satisfies Own))
  }
}

/** Whether an event is about the messages of a session, which are read when it comes. */
function concernsMessages(event: SessionEvent): boolean {
  switch (event.tag) {
    case 'deliver':
    case 'attach':
    case 'discard':
      return true
    case 'timeout':
      return event.timer === 'expiry'
    default:
      return false
  }
}

/** The server. It takes the messages at the top of this file as they are; `sys.getState` shows a `SessionSnapshot`. */
export const session: GenServer<SessionProcess, Record<never, never>, Record<never, never>, SessionArgs> = genServer<
  SessionProcess,
  Record<never, never>,
  Record<never, never>,
  SessionArgs
>({
  label: 'session',
  init: (args, self) => ok(new SessionProcess(self, args)),
  info: ({ state }, message) => (state.receive(message as Incoming) ? stop('normal', state) : undefined),
  formatState: (process) => process.snapshot(),
})
