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
 *     session ─ handed_over ─▶ a later session of its client id                                       (giving-way.ts)
 *     session ─ arrive, moving_part, move_in ─▶ the node where its client connects                     (moving/)
 *
 * It is started under session-sup.ts by the session manager, is temporary and linked to nobody else. It monitors its connection:
 * one that ends without a word is a detach that makes the will due. It stays when the connection goes and ends, `normal`,
 * when the session does; its routes go with it, since the router monitors it.
 *
 * A router that is restarted forgets what it was to answer, so as long as an answer is due the router is monitored and
 * asked again.
 */
import { type GenServer, genServer, ok, stop } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { DownMessage, RemoteName } from '../../actors/signal.ts'
import type { ClientInfo, ToSession } from '../process-messages.ts'
import type { SessionEnvironment } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import type { FromRouter } from '../routing/router.ts'
import { GivingWay, type HandOverAnswer, noneOf, refusalOf } from './giving-way.ts'
import type { HandedOver } from './hand-over.ts'
import type { Arrive } from './moving/messages.ts'
import { type Mover, Moves } from './moving/moves.ts'
import { type RetainedPage, RetainedReads } from './retained-reads.ts'
import { SessionBacklog } from './session-backlog.ts'
import { SessionConnection } from './session-connection.ts'
import { SessionGroups } from './session-groups.ts'
import type { Incoming, Own } from './session-incoming.ts'
import { handle } from './session-machine.ts'
import type { FromManager, ToManager } from './session-messages.ts'
import { SessionPublisher } from './session-publisher.ts'
import {
  reportAcked,
  reportAnswered,
  reportAttached,
  reportDelivered,
  reportDropped,
  reportEnded,
  reportTooMuchInFlight,
} from './session-reports.ts'
import { arrivingSessionState, restoredSessionState } from './session-restored.ts'
import { FAREWELL, RESTORED, RouterLink } from './session-router.ts'
import { type SessionSnapshot, snapshot } from './session-snapshot.ts'
import { type Effect, newSessionState, type SessionEvent, type SessionState } from './session-state.ts'
import { SessionTimers } from './session-timers.ts'
import { SessionStorage } from './stored/session-storage.ts'
import type { FoundSession, SessionStore } from './stored/session-store.ts'
import { arrivedClient, arrivedPackets } from './travel.ts'
import { concernsMessages, UnreadContents } from './unread-contents.ts'

/** What a session process is started with; `manager` is the session manager of this node. */
export type SessionArgs = { readonly environment: SessionEnvironment; readonly manager: RemoteName } & SessionStart

/** What a session is made for. */
export type SessionStart =
  /** A client that has none; the message `open` of the same client comes next. */
  | { readonly client: ClientInfo }
  /** It was stored; its manager gets `restored` when its routes stand. `othersRun`: other members of the cluster see to what is due. */
  | { readonly found: FoundSession; readonly othersRun: boolean }
  /** It comes from another node, if all goes well. */
  | { readonly arrive: Arrive }

/** Tickets that wait to be published, above which the client is not read on. */
const MAX_UNPUBLISHED = 64

/** The session of one client as a process. */
class SessionProcess implements Mover {
  readonly state: SessionState
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #router: RouterLink
  readonly #connection: SessionConnection
  readonly #manager: RemoteName
  readonly #timers: SessionTimers
  readonly #givingWay: GivingWay
  /** Of a session that comes from another node, or may go to one. */
  #moves: Moves | undefined
  readonly #retained: RetainedReads
  readonly #publisher: SessionPublisher
  readonly #backlog: SessionBacklog
  readonly #groups: SessionGroups
  /** Undefined when nothing of the session has to do with a disc. */
  readonly #storage: SessionStorage | undefined
  /** The messages of a stored session, while they are still where they were found. */
  #unread: UnreadContents | undefined
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
    this.#groups = new SessionGroups(self, environment)
    this.#retained = new RetainedReads(self, environment.retainer)
    this.#timers = new SessionTimers(self)
    this.#givingWay = new GivingWay(self, environment, this)
    this.#publisher = new SessionPublisher(self, environment, (ticket, codes, hasFailed) => {
      this.handle(hasFailed ? { tag: 'unsafe', ticket } : { tag: 'accepted', ticket, codes })
    })
    this.#nowMs = self.runtime.clock.now()
    const { limits, nextMessageId, sessionStore } = environment
    const common = { self: self.pid, limits, nextMessageId }
    if ('arrive' in args) {
      this.state = arrivingSessionState({ ...common, moving: args.arrive.moving, store: sessionStore })
      this.#delivered = this.state.counters.deliverMsg
      this.#acked = this.state.counters.acked
      this.#storage = this.#storageOf(this.state, sessionStore)
      this.#connection = new SessionConnection(self, this.#storage)
      this.#movesOf(args.arrive)
      return
    }
    // One whose process has crashed is found as well.
    const found = 'found' in args ? args.found : sessionStore?.find(args.client.clientId)
    if (found !== undefined) {
      this.#unread = new UnreadContents(environment, found)
      this.state = restoredSessionState({ ...common, found })
    } else {
      const { client } = args as Extract<SessionStart, { client: ClientInfo }>
      const journal = client.expirySec > 0 ? sessionStore?.begin(client.clientId) : undefined
      this.state = newSessionState({ ...common, client, nowMs: this.#nowMs, journal })
    }
    this.#storage = this.#storageOf(this.state, sessionStore)
    this.#connection = new SessionConnection(self, this.#storage)
    if (found !== undefined) this.#restore('found' in args && args.othersRun)
  }

  #storageOf({ journal, clientId }: SessionState, store: SessionStore | undefined): SessionStorage | undefined {
    if (store === undefined) return undefined
    const removal = store.removalOf(clientId)
    if (journal === undefined && removal === 0) return undefined
    return new SessionStorage(this.#self, store, journal, removal, {
      publish: (effect) => this.#publisher.add(effect),
      taken: (message) => {
        if (message.tag === 'hand_over_answer') this.#answer(message)
        else if (message.tag === 'deliver') this.#backlog.taken(message)
        else this.#moves?.marked(message, true)
      },
      refused: (message) => {
        if (message.tag === 'deliver') this.#backlog.refused(message)
        // What was handed over stays where it was.
        else if (message.tag === 'hand_over_answer') this.#answer(refusalOf(message))
        else this.#moves?.marked(message, false)
      },
    })
  }

  #restore(othersRun: boolean): void {
    if (!this.#router.restore(this.state)) this.#tellRestored()
    this.handle({ tag: 'restore', othersRun })
    if (this.state.moved !== undefined) this.#movesOf().restored()
  }

  /** Takes one message; returns true when the process is to end. */
  receive(message: Incoming): boolean {
    this.#nowMs = this.#self.runtime.clock.now()
    switch (message.tag) {
      case 'deliver':
        this.#backlog.takeOff(message.runs)
        if (this.#moves?.keeps(message) === true) break
        if (this.state.ended) this.#groups.passOn(this.state.clientId, message)
        else {
          this.handle(message)
          if (this.state.journal === undefined) this.#groups.took(message.runs)
        }
        this.#givingWay.add(message.runs)
        this.#storage?.tookDelivery(message, this.state.arrivals, this.state.connection !== undefined)
        break
      case 'packets':
        if (this.state.connection?.equals(message.from) !== true) {
          this.#connection.disown(message.from)
          break
        }
        this.state.reportAcked = this.#environment.hooks.chains['message.acked'].length > 0
        this.handle(this.#connection.isFar ? { ...message, packets: arrivedPackets(message.packets) } : message)
        this.#storage?.settle()
        break
      case 'detach':
      case 'drain':
      case 'discard':
      case 'kick':
      case 'stamped':
        this.handle(message)
        break
      case 'congested':
        // One that the session has let go may still say so.
        if (this.state.connection?.equals(message.from) === true) this.#connection.isSocketFull = message.on
        break
      case 'open':
        this.#open(message)
        break
      case 'give_way':
        if (this.#moves?.mayGiveWay(message.to) !== false) this.#givingWay.giveWay(message.to)
        break
      case 'moving_part':
      case 'move_in':
      case 'move_off':
      case 'fenced':
      case 'arrival_ready':
      case 'moving_part_taken':
      case 'moved_in':
      case 'move_refused':
      case 'move_timeout':
      case 'doubt_timer':
      case 'stay':
        this.#moves?.take(message)
        break
      case 'will_settled':
        this.handle(message)
        this.#tellDetached()
        break
      case 'handed_over':
        this.#takeHandedOver(message)
        break
      case 'hand_over_taken':
        this.#givingWay.taken(message)
        break
      case 'hand_over_again':
        this.#givingWay.again(message)
        break
      case 'subscribed':
      case 'unsubscribed':
        this.#answered(message)
        break
      case 'timer':
        if (message.attachment !== this.state.attachment) break
        this.handle({ tag: 'timeout', timer: message.timer })
        // The will is settled; the manager must not publish it again.
        if (message.timer === 'will') this.#tellDetached()
        break
      case 'read_retained':
        this.#take(message.ticket, this.#retained.readOn(message.ticket, message.max))
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
    if ((this.#publisher.isWaiting || unpublished > 0) && hasRoom) this.handle({ tag: 'deferred' })
    this.#settleCongestion()
    this.#backlog.settle(this.state, hasRoom)
    this.#moves?.settle()
    // Publishers are told that it is taken over when what it leaves to its groups is on disc.
    return this.#isOver && this.#storage?.isOwing !== true
  }

  /** The client takes no more while its socket is full, or the disc is behind with what has to be there first. */
  #settleCongestion(): void {
    const { connection, congested, closing } = this.state
    const isFull = this.#connection.isSocketFull || this.#storage?.isFull === true
    if (isFull === congested || connection === undefined || closing) return
    this.handle({ tag: 'congested', from: connection, on: isFull })
    this.#router.tellAvailability(this.state)
  }

  handle(event: SessionEvent): void {
    if (this.#unread !== undefined && concernsMessages(event)) this.load()
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

  load(): void {
    const unread = this.#unread
    if (unread === undefined) return
    this.#unread = undefined
    this.handle({ tag: 'contents', contents: unread.read() })
  }

  /** What the session holds, be it read or not. */
  snapshot(): SessionSnapshot {
    return this.#unread?.snapshot(this.#self.pid) ?? snapshot(this.state)
  }

  #perform(effect: Effect): void {
    const { state } = this
    switch (effect.tag) {
      case 'out':
        if (this.#connection.isFar) this.#connection.sendFar(state.connection, effect)
        else this.#connection.send(state.connection, effect, effect.waits)
        reportDelivered(this.#environment, state.clientId, effect.packets)
        break
      case 'synced':
        this.#connection.send(state.connection, effect, false)
        break
      case 'close':
        if (effect.reasonCode === RC.receive_maximum_exceeded) reportTooMuchInFlight(this.#environment)
        this.#connection.close(effect)
        break
      case 'publish':
        if (this.#storage?.holdsPublish(effect, this.#environment.homes?.hasOthers === true) !== true) {
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
        if (state.ended) this.#groups.leave(state, effect)
        else this.#groups.offer(state, effect, (event) => this.handle(event))
        break
      case 'dropped':
        reportDropped(this.#environment, state.clientId, effect.reason, effect.messages)
        break
      case 'acked':
        reportAcked(this.#environment, state.clientId, effect.messages)
        break
      case 'attached':
        this.#attached(effect)
        break
      case 'detached':
        this.#detached()
        break
      case 'start_timer':
        this.#timers.start(effect.timer, effect.delayMs, state.attachment)
        break
      case 'cancel_timer':
        this.#timers.cancel(effect.timer)
        break
      case 'drain':
        this.#self.send(this.#self.pid, { tag: 'drain' } satisfies Own)
        break
      case 'ended':
        this.#ended(effect)
        break
    }
  }

  // Life

  #open({ home, client }: Extract<FromManager, { tag: 'open' }>): void {
    // One that is ending does not answer: its end tells the home to start another.
    if (this.state.ended) return
    if (this.#environment.moving !== undefined && this.#self.runtime.isForeign(client.connection)) this.#movesOf()
    if (this.#moves?.open(home, client) !== true) this.serve(home, client)
  }

  serve(home: RemoteName, client: ClientInfo): void {
    const isFar = this.#self.runtime.isForeign(client.connection)
    // A home that has taken over from another asks again for what that had asked, and has not heard the answer.
    const isOpened = this.state.connection?.equals(client.connection) === true
    if (!isOpened) this.handle({ tag: 'attach', client: isFar ? arrivedClient(client) : client })
    if (this.state.ended || (!isOpened && home.node === this.#manager.node)) return
    this.#self.send(home, { tag: 'opened', session: this.#self.pid, client: this.state.client } satisfies ToManager)
  }

  #attached(effect: Extract<Effect, { tag: 'attached' }>): void {
    const { state } = this
    const { connection } = state.client
    this.#connection.attach(connection)
    // From here and before any packet, so that the connection has its CONNACK out when they come.
    const { present } = effect
    this.#connection.send(connection, { tag: 'opened', session: this.#self.pid, present }, true)
    this.#tellManager({ tag: 'opened', session: this.#self.pid, client: state.client })
    this.#router.tellDurable(state.expirySec > 0, state.subscriptions.size > 0)
    this.#router.tellAvailability(this.state)
    reportAttached(this.#environment, state.client, effect)
    const own = this.#environment.staticSubscriptions?.subscribeOf(state.clientId)
    if (own === undefined) return
    // In the mailbox before any packet of the client, which waits for `opened`.
    const message: ToSession = { tag: 'packets', from: connection, packets: [own], sync: false }
    this.#self.send(this.#self.pid, message)
  }

  #detached(): void {
    this.#connection.detach()
    this.#tellDetached()
    this.#router.tellAvailability(this.state)
  }

  #tellDetached(): void {
    const { clientId, expirySec, will } = this.state
    this.#tellManager({ tag: 'detached', session: this.#self.pid, clientId, expirySec, will })
  }

  #ended(effect: Extract<Effect, { tag: 'ended' }>): void {
    const { state } = this
    reportEnded(this.#environment, state.clientId, effect)
    this.#moves?.ended()
    this.#storage?.publishAll()
    this.#publisher.flush()
    // Until the router knows, the groups may choose this member; what comes is passed on to another.
    if (!this.#router.farewell(state)) this.#isOver = true
  }

  #down({ ref, reason }: DownMessage): void {
    if (this.#givingWay.takeDown(ref, reason) || this.#moves?.takeDown(ref, reason) === true) return
    if (this.#connection.takeDown(ref)) {
      const from = this.state.connection
      if (from === undefined) return
      this.handle({ tag: 'detach', from, publishWill: true, expirySec: undefined, reason: 'connection_down' })
    } else if (this.#router.takeDown(ref) && this.state.ended) this.#isOver = true
  }

  #takeHandedOver(message: HandedOver): void {
    const isMoving = this.#moves?.isUnderWay === true
    const answer = isMoving ? refusalOf(noneOf(this.#self.pid, message)) : this.#givingWay.take(message)
    if (answer === undefined) return
    if (isMoving || this.#storage === undefined) this.#answer(answer)
    else this.#storage.took(answer)
  }

  #answer({ to, answer }: HandOverAnswer): void {
    this.#self.send(to, answer)
  }

  // Moving

  #movesOf(arrive?: Arrive): Moves {
    this.#moves ??= new Moves({
      self: this.#self,
      environment: this.#environment,
      manager: this.#manager,
      session: this,
      router: this.#router,
      publisher: this.#publisher,
      givingWay: this.#givingWay,
      backlog: this.#backlog,
      groups: this.#groups,
      storage: this.#storage,
      ...(arrive !== undefined && { arrive }),
    })
    return this.#moves
  }

  vanish(): void {
    this.state.ended = true
    this.#isOver = true
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
    this.#router.tellAvailability(this.state)
    this.#backlog.find()
    if (this.#moves?.answered(answer.ticket) === true) return
    if (answer.ticket === RESTORED) {
      this.#tellRestored()
      return
    }
    this.handle(answer)
    reportAnswered(this.#environment, this.state.clientId, request)
  }

  #tellRestored(): void {
    this.#tellManager({ tag: 'restored', session: this.#self.pid, clientId: this.state.clientId })
  }

  #tellManager(message: ToManager): void {
    this.#self.send(this.#manager, message)
  }

  // Messages

  /** Takes a page of retained messages. */
  #take(ticket: number, page: RetainedPage | undefined): void {
    if (page !== undefined) this.handle({ tag: 'retained', ticket, ...page })
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
