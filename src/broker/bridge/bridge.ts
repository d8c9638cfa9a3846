/**
 * A bridge: the process that has the messages of a topic filter which are published on this node published on another node as well.
 *
 *     publisher ─ deliver ─▶ bridge ─ queue ─ bridge_batch ─▶ bridge_receiver of the peer
 *
 * It subscribes as a session does, `$local/FILTER`, so that of a cluster whose members all have the bridge each message crosses once. It stores nothing, so the publisher's
 * acknowledgement does not wait for it. It monitors the receiver on its peer, which dials the node; when that is lost it dials again, with growing
 * pauses, or as soon as the node connects by itself, and sends again what was not confirmed.
 *
 * A message carries the nodes that it was bridged by (`Message.bridged`), and is not sent to one of those: two nodes that bridge `#` to each other, or a ring, do not
 * repeat it. To a member of the node's own cluster nothing is sent, since it has all messages.
 */
import type { ExitReason } from '../../actors/errors.ts'
import type { From } from '../../actors/gen.ts'
import { genServer, noreply, ok, reply, replyTo } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import { isDownMessage } from '../../actors/signal.ts'
import { nodeNetworkOf } from '../../dist/node-network.ts'
import { type SystemEventMessage, subscribeSystem } from '../../mnesia/events.ts'
import { batchOf, type Message, type Run } from '../message.ts'
import { ownBytes } from '../own-bytes.ts'
import type { QoS } from '../packet.ts'
import type { ToSession } from '../process-messages.ts'
import type { FromRouter } from '../routing/router.ts'
import { parseFilter } from '../routing/topic.ts'
import { type ASK_ROUTER_AGAIN, RouterLink } from '../session/session-router.ts'
import type { BridgeEnvironment, BridgeRecord } from './bridges.ts'
import { BRIDGE_RECEIVER, type BridgeBatch, type BridgeHello, type BridgeReady, type BridgeTaken } from './messages.ts'
import { bridgedTopic } from './options.ts'

/** What the process of a bridge is started with. */
export interface BridgeArg {
  readonly environment: BridgeEnvironment
  readonly record: BridgeRecord
}

type Calls = {
  /** Resolves when what is published on the node from then on reaches the bridge. */
  subscribed: () => true
}

const DIAL = { tag: '$dial' } as const
type Own = typeof DIAL | { readonly tag: '$node_up' } | typeof ASK_ROUTER_AGAIN

type Taken = Extract<ToSession, { tag: 'deliver' }> | FromRouter | BridgeReady | BridgeTaken | SystemEventMessage | Own

/** Pauses between attempts to reach the peer: the first, and the longest. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000

const TICKET = 1

class Bridge {
  readonly #self: ProcessContext
  readonly #environment: BridgeEnvironment
  readonly #record: BridgeRecord
  readonly #router: RouterLink
  /** Those who wait until it is subscribed; undefined when it is. */
  #starting: From[] | undefined = []
  #members: readonly string[] = []
  /** Of the receiver on the peer; undefined between two attempts. */
  #monitor: Ref | undefined
  #timer: Ref | undefined
  #attempt = 0
  #pauseMs = FIRST_PAUSE_MS
  /** The receiver has answered this attempt. */
  #isUp = false

  constructor(self: ProcessContext, { environment, record }: BridgeArg) {
    this.#self = self
    this.#environment = environment
    this.#record = record
    self.processFlag('trap_exit', true)
    const { node, filter, qos } = record.options
    this.#router = new RouterLink(self, environment.routers)
    const parsed = parseFilter(`$local/${filter}`)
    if (!parsed.ok) throw new TypeError(`${filter} is no topic filter`)
    const subscription = { filter: parsed.value, qos, noLocal: false, rap: true, id: undefined }
    this.#router.subscribe(TICKET, `$bridge/${node}`, false, [subscription])
    subscribeSystem(self, environment.mnesia)
    this.#lookAtMembers()
    const { runtime, pid } = self
    const end = nodeNetworkOf(runtime)?.subscribe((event) => {
      if (event.tag === 'nodeup' && event.node === node) runtime.send(pid, { tag: '$node_up' } satisfies Own)
    })
    if (end !== undefined) self.onExit(end)
    this.#dial()
  }

  describe(): unknown {
    const { options, queue, seq, state } = this.#record
    return { ...options, state, queued: queue.length, seq }
  }

  /** Returns whether it is subscribed; if not, `from` is answered when it is. */
  waitForRouter(from: From): boolean {
    this.#starting?.push(from)
    return this.#starting === undefined
  }

  handle(message: unknown): void {
    if (isDownMessage(message)) {
      if (this.#monitor?.equals(message.ref) === true) this.#lost()
      else this.#router.takeDown(message.ref)
      return
    }
    const taken = message as Taken
    switch (taken.tag) {
      case 'deliver':
        this.#deliver(taken.runs)
        break
      case 'bridge_taken':
        this.#confirmed(taken)
        break
      case 'bridge_ready':
        if (taken.attempt === this.#attempt && this.#monitor !== undefined) this.#ready()
        break
      case 'subscribed':
        this.#subscribed(taken.ticket)
        break
      case 'ask_router_again':
        this.#router.askAgain()
        break
      case 'mnesia_system_event':
        if (taken.event.tag === 'members' || taken.event.tag === 'cluster') this.#lookAtMembers()
        break
      case '$node_up':
        this.#pauseMs = FIRST_PAUSE_MS
        if (this.#monitor === undefined) this.#dial()
        break
      case '$dial':
        this.#timer = undefined
        this.#dial()
        break
    }
  }

  /** The bridge ends in order; what its peer has not confirmed is given up. */
  end(): void {
    this.#drop('stopped', this.#record.queue.clear())
    this.#environment.alarms.clear(this.#alarm)
  }

  // From publishers

  #deliver(runs: readonly Run[]): void {
    const { metrics } = this.#environment
    const { options, queue } = this.#record
    const isMember = this.#record.state === 'member'
    let dropped = 0
    for (const { batch } of runs) {
      for (const message of batchOf(batch).messages) {
        if (isMember || message.bridged?.includes(options.node) === true) metrics['messages/bridge/looped'] += 1
        else dropped += queue.push(kept(message))
      }
    }
    if (dropped > 0) this.#drop('queue_full', dropped)
    this.#send()
  }

  #subscribed(ticket: number): void {
    if (this.#router.answered(ticket) === undefined || this.#starting === undefined) return
    for (const from of this.#starting) replyTo(this.#self, from, true)
    this.#starting = undefined
  }

  #lookAtMembers(): void {
    const { running, stopped } = this.#environment.mnesia.status()
    this.#members = [...running, ...stopped]
    this.#tellState()
  }

  #tellState(): void {
    const { options } = this.#record
    if (this.#members.includes(options.node)) this.#record.state = 'member'
    else this.#record.state = this.#isUp ? 'up' : 'down'
  }

  // To the peer

  #dial(): void {
    if (this.#timer !== undefined) this.#self.cancelTimer(this.#timer)
    this.#timer = undefined
    this.#attempt += 1
    const receiver = { name: BRIDGE_RECEIVER, node: this.#record.options.node }
    this.#monitor = this.#self.monitor(receiver)
    const hello: BridgeHello = { tag: 'bridge_hello', from: this.#self.pid, attempt: this.#attempt }
    this.#self.send(receiver, hello)
  }

  #ready(): void {
    const { node } = this.#record.options
    this.#isUp = true
    this.#tellState()
    this.#pauseMs = FIRST_PAUSE_MS
    if (this.#environment.alarms.clear(this.#alarm)) {
      this.#self.runtime.logger.info({ peer: node }, `the bridge to ${node} is up again`)
    }
    const { queue } = this.#record
    if (queue.underWay.length > 0) this.#sendUnderWay()
    else this.#send()
  }

  #lost(): void {
    const { node, filter } = this.#record.options
    this.#isUp = false
    this.#tellState()
    this.#monitor = undefined
    this.#timer = this.#self.sendAfter(this.#pauseMs, this.#self.pid, DIAL)
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS)
    const summary = `${node} cannot be reached, or runs no broker; messages of ${filter} wait for it, and it is dialled`
    this.#environment.alarms.alert({ id: this.#alarm, severity: 'warning', title: 'bridge down', summary })
  }

  /** Sends the next batch, if the last one is confirmed. */
  #send(): void {
    const { queue } = this.#record
    while (this.#isUp && queue.underWay.length === 0 && queue.hasMore) {
      if (queue.take((message) => this.#prepare(message)).length === 0) continue
      this.#record.seq += 1
      this.#sendUnderWay()
    }
  }

  #sendUnderWay(): void {
    const { options, queue, stream, seq } = this.#record
    const { pid } = this.#self
    const batch: BridgeBatch = {
      tag: 'bridge_batch',
      from: pid,
      stream,
      seq,
      passed: this.#members,
      messages: queue.underWay,
    }
    this.#self.send({ name: BRIDGE_RECEIVER, node: options.node }, batch)
  }

  /** A message as the peer is to publish it; undefined when it is given up. */
  #prepare(message: Message): Message | undefined {
    const { options } = this.#record
    const { runtime, pid } = this.#self
    if (message.expiresAtMs <= runtime.clock.now()) {
      this.#drop('expired', 1)
      return undefined
    }
    const topic = bridgedTopic(options, message.topic)
    if (topic === undefined) {
      this.#drop('topic_too_long', 1)
      return undefined
    }
    // A client of the peer may have the same client id, and is another one.
    const isOwn = message.bridged === undefined && message.from !== ''
    const from = isOwn ? `${pid.node}/${message.from}` : message.from
    const qos = Math.min(message.qos, options.qos) as QoS
    return { ...message, from, topic, qos }
  }

  #confirmed({ stream, seq }: BridgeTaken): void {
    const { queue, stream: own, seq: last } = this.#record
    if (stream !== own || seq !== last) return
    this.#environment.metrics['messages/bridge/sent'] += queue.underWay.length
    queue.confirm()
    this.#send()
  }

  #drop(reason: 'queue_full' | 'expired' | 'topic_too_long' | 'stopped', count: number): void {
    const { metrics } = this.#environment
    metrics['messages/bridge/dropped'] += count
    metrics[`messages/bridge/dropped/${reason}`] += count
  }

  get #alarm(): string {
    const { node, filter } = this.#record.options
    return `bridge_down/${node}/${filter}`
  }
}

/** What waits must not hold the chunk of a socket in which it came. */
function kept(message: Message): Message {
  const payload = ownBytes(message.payload)
  return payload === message.payload ? message : { ...message, payload }
}

/** The server. */
export const bridge = genServer<Bridge, Calls, Record<never, never>, BridgeArg>({
  label: 'bridge',
  init: (arg, self) => ok(new Bridge(self, arg)),
  calls: {
    subscribed: ({ state, from }) => (state.waitForRouter(from) ? reply(true as const, state) : noreply(state)),
  },
  info: ({ state }, message) => state.handle(message),
  terminate: ({ state }, reason) => {
    if (isOrderly(reason)) state.end()
  },
  formatState: (state) => state.describe(),
})

/** Not the end of a bridge that has failed, which is started again with its queue. */
function isOrderly(reason: ExitReason): boolean {
  return reason === 'normal' || reason === 'shutdown'
}
