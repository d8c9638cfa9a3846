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
import type { Message } from '../message.ts'
import type { ClientInfo, OpenedSession, ToConnection, ToSession, Will } from '../process-messages.ts'
import { publishAll, type SessionEnvironment } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import type { RetainedCursor } from '../retained/retained-cursor.ts'
import type { Receipt } from '../routing/receipt.ts'
import type { FromRouter } from '../routing/router.ts'
import type { RELIEVED } from './back-pressure.ts'
import type { Delivery } from './delivery.ts'
import { type GATE_TIMEOUT, type GateOwner, PublishGate } from './publish-gate.ts'
import { SessionBacklog } from './session-backlog.ts'
import { handle } from './session-machine.ts'
import { reportAnswered, reportDelivered, reportDropped } from './session-reports.ts'
import { type ASK_ROUTER_AGAIN, RouterLink } from './session-router.ts'
import { snapshot } from './session-snapshot.ts'
import {
  type Effect,
  newSessionState,
  type SessionEvent,
  type SessionState,
  type SessionTimer,
} from './session-state.ts'
import { arrivedClient, arrivedPackets, travellingPackets } from './travel.ts'

/** The message with which a connection learns what became of its wish for a session. */
export type OpenAnswer =
  | ({ readonly tag: 'opened' } & OpenedSession)
  /** With the reason code for CONNACK. */
  | { readonly tag: 'refused'; readonly reasonCode: number; readonly reason: string }

/** What a session process is started with; the message `open` of the same client comes next. */
export interface SessionArgs {
  readonly environment: SessionEnvironment
  readonly client: ClientInfo
  /** The session manager of this node. */
  readonly manager: RemoteName
}

/** What a session manager tells a session. */
export type FromManager =
  /** A connection wants the session; it gets the answer, the home of the client id and the manager `opened`. */
  | { readonly tag: 'open'; readonly home: RemoteName; readonly client: ClientInfo }
  /** End the session now. */
  | { readonly tag: 'discard'; readonly reasonCode: number; readonly reason: string }
  /** Close its connection. */
  | { readonly tag: 'kick'; readonly reasonCode: number; readonly reason: string }

/** What a session tells its manager. */
export type ToManager =
  | { readonly tag: 'opened'; readonly session: Pid; readonly client: ClientInfo }
  /** `will` is still to be published, at the end of its delay or of the session; undefined: it is settled. */
  | {
      readonly tag: 'detached'
      readonly session: Pid
      readonly clientId: string
      readonly expirySec: number
      readonly will: Will | undefined
    }

type Own =
  | { readonly tag: 'timer'; readonly timer: SessionTimer; readonly attachment: number }
  | { readonly tag: 'drain' }
  | { readonly tag: 'read_retained'; readonly ticket: number; readonly max: number }
  /** All who get the messages of a ticket have taken them over. */
  | { readonly tag: 'taken'; readonly ticket: number; readonly codes: readonly number[] | undefined }
  | typeof ASK_ROUTER_AGAIN
  | typeof GATE_TIMEOUT

type Incoming = ToSession | FromManager | FromRouter | typeof RELIEVED | Own | DownMessage

/** Tickets whose messages have not been taken over, above which the client is not read on. */
const MAX_UNTAKEN = 256

/** Ticket of the request that takes a session's shared subscriptions away before it ends; the machine's begin with 1. */
const FAREWELL = 0

/** The session of one client as a process. */
class SessionProcess implements GateOwner {
  readonly state: SessionState
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #router: RouterLink
  #connectionMonitor: Ref | undefined
  /** The connection is on another node. */
  #isFar = false
  readonly #manager: RemoteName
  #expiryTimer: Ref | undefined
  #willTimer: Ref | undefined
  /** Retained messages that are being read, by ticket. */
  #cursors: Map<number, RetainedCursor> | undefined
  /** Publishes of the client that wait for subscribers of theirs. */
  #gate: PublishGate | undefined
  /** Of what has been published and belongs to the next ticket that is accepted. */
  #receipt: Receipt | undefined
  /** Tickets whose messages are published and not taken over yet. */
  #untaken = 0
  readonly #backlog: SessionBacklog
  /** Wall clock at the message that is being handled; reading it costs as much as half a delivery. */
  #nowMs = 0
  /** Counters of the state that the metrics have already. */
  #delivered = 0
  #acked = 0
  #isOver = false

  constructor(self: ProcessContext, { environment, client, manager }: SessionArgs) {
    this.#self = self
    this.#manager = manager
    this.#environment = environment
    this.#router = new RouterLink(self, environment.routers)
    this.#backlog = new SessionBacklog(self, environment.pubsub)
    this.state = newSessionState({
      self: self.pid,
      limits: environment.limits,
      nextMessageId: environment.nextMessageId,
      client,
      nowMs: self.runtime.clock.now(),
    })
  }

  /** Takes one message; returns true when the process is to end. */
  receive(message: Incoming): boolean {
    this.#nowMs = this.#self.runtime.clock.now()
    switch (message.tag) {
      case 'deliver':
        this.#backlog.takeOff(message.runs)
        if (this.state.ended) this.#passOn(message)
        else this.#handle(message)
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
        this.#handle(message)
        this.#tellAvailability()
        break
      case 'open':
        this.#open(message)
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
        this.#readOn(message.ticket, message.max)
        break
      case 'taken':
        this.#untaken -= 1
        this.#handle({ tag: 'accepted', ticket: message.ticket, codes: message.codes })
        break
      case 'relieved':
        this.#gate?.relieved()
        break
      case 'gate_timeout':
        this.#gate?.timeout()
        break
      case 'ask_router_again':
        this.#router.askAgain()
        break
      case 'DOWN':
        this.#down(message)
        break
    }
    if (this.#gate !== undefined || this.#untaken > 0) this.#settleUnaccepted()
    this.#backlog.settle(this.state, this.#hasRoom())
    return this.#isOver
  }

  #handle(event: SessionEvent): void {
    const { state } = this
    const effects = handle(state, this.#nowMs, event)
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

  #perform(effect: Effect): void {
    const { state } = this
    switch (effect.tag) {
      case 'out':
        if (this.#isFar) {
          for (const packets of travellingPackets(effect.packets)) {
            this.#toConnection(state.connection, { tag: 'out', from: effect.from, packets })
          }
        } else this.#toConnection(state.connection, effect)
        reportDelivered(this.#environment, state.clientId, effect.packets)
        break
      case 'synced':
        this.#toConnection(state.connection, effect)
        break
      case 'close':
        if (effect.reasonCode === RC.receive_maximum_exceeded) {
          this.#environment.metrics['messages/dropped'] += 1
          this.#environment.metrics['messages/dropped/receive_maximum'] += 1
        }
        this.#toConnection(effect.to, {
          tag: 'close',
          from: this.#self.pid,
          reasonCode: effect.reasonCode,
          reason: effect.reason,
        })
        break
      case 'publish':
        this.#publish(effect)
        break
      case 'subscribe':
        this.#router.subscribe(effect.ticket, state.clientId, state.expirySec > 0, effect.subscriptions)
        break
      case 'unsubscribe':
        this.#router.unsubscribe(effect.ticket, effect.filters)
        break
      case 'retained':
        this.#readRetained(effect.ticket, effect.filter, effect.max)
        break
      case 'forget_retained':
        this.#forgetCursor(effect.ticket)
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
    this.#isFar = this.#self.runtime.isForeign(state.client.connection)
    // From here and before any packet, so that the connection has its CONNACK out when they come.
    this.#self.send(state.client.connection, { tag: 'opened', session: this.#self.pid, present } satisfies OpenAnswer)
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
    this.#gate?.flush()
    const shared = [...state.subscriptions.values()]
      .map(({ filter }) => filter)
      .filter(({ group }) => group !== undefined)
    // Until the router knows, the groups may choose this member; what comes is passed on to another.
    if (shared.length === 0 || !this.#router.isThere) this.#isOver = true
    else this.#router.unsubscribe(FAREWELL, shared)
  }

  #down({ ref }: DownMessage): void {
    if (this.#connectionMonitor?.equals(ref)) {
      this.#connectionMonitor = undefined
      const from = this.state.connection
      if (from === undefined) return
      this.#handle({ tag: 'detach', from, publishWill: true, expirySec: undefined, reason: 'connection_down' })
    } else if (this.#router.takeDown(ref) && this.state.ended) this.#isOver = true
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
    this.#handle(answer)
    reportAnswered(this.#environment, this.state.clientId, request)
  }

  #tellAvailability(): void {
    const { connection, congested, sharedCount, ended } = this.state
    // Only the groups of shared subscriptions choose by it.
    if (sharedCount === 0 || ended) return
    this.#router.tellAvailability(connection === undefined ? 'offline' : congested ? 'congested' : 'online')
  }

  // Messages from the client

  #publish(effect: Extract<Effect, { tag: 'publish' }>): void {
    const { messages, ticket } = effect
    const { pubsub } = this.#environment
    // Without a ticket all is QoS 0, or a will, which waits for nobody but what is before it.
    if (this.#gate === undefined && (ticket === 0 || !pubsub.pressure.mustLook(messages.length))) {
      const codes = this.publish(messages)
      if (ticket === 0) this.#receipt = undefined
      else this.accept(ticket, codes)
    } else {
      this.#gate ??= new PublishGate(this.#self, pubsub, this)
      this.#gate.add(effect)
    }
  }

  // GateOwner

  publish(messages: readonly Message[]): readonly number[] | undefined {
    const codes = publishAll(this.#environment, messages)
    const receipt = this.#environment.pubsub.takeReceipt()
    if (receipt === undefined) return codes
    if (this.#receipt === undefined) this.#receipt = receipt
    else this.#receipt.join(receipt)
    return codes
  }

  accept(ticket: number, codes: readonly number[] | undefined): void {
    const receipt = this.#receipt
    this.#receipt = undefined
    if (receipt === undefined || receipt.isDone) {
      this.#handle({ tag: 'accepted', ticket, codes })
      return
    }
    this.#untaken += 1
    const { runtime, pid } = this.#self
    receipt.whenDone(() => runtime.send(pid, { tag: 'taken', ticket, codes } satisfies Own))
  }

  /** As long as there is room, the client is read on although not all that it has published is taken over. */
  #settleUnaccepted(): void {
    if (this.#gate?.isEmpty) this.#gate = undefined
    const isWaiting = this.#gate !== undefined || this.#untaken > 0
    if (isWaiting && this.#hasRoom()) this.#handle({ tag: 'deferred' })
  }

  #hasRoom(): boolean {
    return this.#untaken < MAX_UNTAKEN && this.#gate?.isFull !== true
  }

  // Messages

  #toConnection(connection: Pid | undefined, message: ToConnection): void {
    if (connection !== undefined) this.#self.send(connection, message)
  }

  #tellManager(message: ToManager): void {
    this.#self.send(this.#manager, message)
  }

  /** The first page is read at once. The others wait for their turn, so that the connection can say in between that it is full. */
  #readRetained(ticket: number, filter: string, max: number): void {
    if (this.#cursors?.has(ticket)) {
      this.#self.send(this.#self.pid, { tag: 'read_retained', ticket, max } satisfies Own)
      return
    }
    this.#cursors ??= new Map()
    this.#cursors.set(ticket, this.#environment.retainer.open(filter))
    this.#readOn(ticket, max)
  }

  #readOn(ticket: number, max: number): void {
    const cursor = this.#cursors?.get(ticket)
    if (cursor === undefined) return
    const { messages, done } = cursor.next(max)
    if (done) this.#forgetCursor(ticket)
    this.#handle({ tag: 'retained', ticket, messages, done })
  }

  #forgetCursor(ticket: number): void {
    this.#cursors?.delete(ticket)
    if (this.#cursors?.size === 0) this.#cursors = undefined
  }

  #redispatch({ inflight, queued }: Extract<Effect, { tag: 'redispatch' }>): void {
    const taken: number[] = []
    const returned: Delivery[] = []
    for (const { messageId, message, share } of inflight) {
      if (this.#hasOther(message, share)) taken.push(messageId)
    }
    for (const delivery of queued) {
      if (!this.#hasOther(delivery.message, delivery.share!)) returned.push(delivery)
    }
    if (!this.state.ended) this.#handle({ tag: 'redispatched', taken, returned })
    else if (returned.length > 0) {
      const messages = returned.map(({ message }) => message)
      reportDropped(this.#environment, this.state.clientId, 'session_ended', messages)
    }
  }

  /** Gives a message to another member of its group; returns false when there is none. */
  #hasOther(message: Message, { group, filter }: NonNullable<Delivery['share']>): boolean {
    return this.#environment.pubsub.redispatch([message], group, filter, this.#self.pid, !this.state.ended).length === 0
  }

  /** What came for a session that is over: its shares go to other members. */
  #passOn({ runs }: Extract<ToSession, { tag: 'deliver' }>): void {
    for (const { batch, matched } of runs) {
      if (matched.share === undefined) continue
      for (const message of batch.messages) this.#hasOther(message, matched.share)
    }
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
  formatState: (process) => snapshot(process.state),
})
