/** A node with all that sessions need, under virtual time, and connections that stand in for real ones. */
import type { Pid } from '../../src/actors/pid.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { RemoteName } from '../../src/actors/signal.ts'
import { guidGenerator } from '../../src/broker/guid.ts'
import { Hooks } from '../../src/broker/hooks.ts'
import type { Message } from '../../src/broker/message.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { QoS } from '../../src/broker/packet.ts'
import type {
  ClientInfo,
  OpenedSession,
  OutPacket,
  OutPublish,
  SessionPacket,
  ToConnection,
  ToSession,
} from '../../src/broker/process-messages.ts'
import type { SessionEnvironment } from '../../src/broker/publish.ts'
import { Retainer } from '../../src/broker/retained/retainer.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { RouterPool, router } from '../../src/broker/routing/router.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { AwayMembers } from '../../src/broker/session/away-members.ts'
import { Homes } from '../../src/broker/session/home.ts'
import { type SessionStart, session } from '../../src/broker/session/session.ts'
import type { OpenAnswer } from '../../src/broker/session/session-messages.ts'
import type { SessionLimits } from '../../src/broker/session/session-state.ts'
import { Sessions } from '../../src/broker/session/sessions.ts'
import { sm } from '../../src/broker/session/sm.ts'
import { SessionStore, type UnreadableRow } from '../../src/broker/session/stored/session-store.ts'
import { StoredPlaces } from '../../src/broker/session/stored/stored-places.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import type { Duration } from '../../src/testing/simulation.ts'
import { TestTables } from '../support/tables.ts'
import { client, LIMITS, publish } from './session-support.ts'

/** A disc for the sessions of a node, and what is told of it. */
export interface SessionDisc {
  /** The store of a disc in this simulation, whose flushes take 10 ms. */
  readonly store: SessionStore
  readonly disc: LossyDisc
  readonly failures: Error[]
  readonly unreadable: UnreadableRow[]
  recoveries: number
}

export class SessionNode {
  readonly simulation: Simulation
  readonly runtime: Runtime
  readonly routing: Routing
  readonly retainer: Retainer
  readonly environment: SessionEnvironment
  readonly sessions: Sessions
  readonly tables = new TestTables()
  /** With `hasDisc`, where sessions are stored. */
  readonly stored: SessionDisc | undefined

  constructor(seed: number, limits: SessionLimits = LIMITS, holdTimeoutMs = 1000, hasDisc = false) {
    this.simulation = simulate({ seed })
    this.runtime = this.simulation.node('a')
    const { runtime, tables } = this
    this.routing = new Routing(runtime.node.name, tables, { ...limits.queue, holdTimeoutMs })
    this.retainer = new Retainer(
      tables,
      { maxMessages: 1e6, maxPayloadBytes: 1e6, expiryMs: Number.POSITIVE_INFINITY },
      runtime.clock,
    )
    const metrics = createMetrics()
    if (hasDisc) this.stored = this.#openDisc()
    this.environment = {
      limits,
      sessionStore: this.stored?.store,
      metrics,
      hooks: new Hooks(runtime.logger, metrics),
      pubsub: new PubSub({
        routing: this.routing,
        send: (to, message) => runtime.send(to, message),
        random: () => runtime.random(),
        retain: (message) => void this.retainer.store(message),
      }),
      routers: new RouterPool(runtime),
      retainer: this.retainer,
      nextMessageId: guidGenerator(runtime),
    }
    this.sessions = new Sessions(runtime, tables)
  }

  #openDisc(): SessionDisc {
    const { time, random } = this.simulation
    const disc = new LossyDisc({ timers: time, random, flushMs: [10, 10] })
    const told: { failures: Error[]; unreadable: UnreadableRow[]; recoveries: number } = {
      failures: [],
      unreadable: [],
      recoveries: 0,
    }
    const store = new SessionStore(disc.open(), {
      clock: this.runtime.clock,
      timers: this.runtime.timers,
      send: (to, message) => this.runtime.send(to, message),
      onFailure: (error) => void told.failures.push(error),
      onRecovery: () => {
        told.recoveries += 1
      },
      onUnreadable: (row) => void told.unreadable.push(row),
    })
    return Object.assign(told, { disc, store })
  }

  async start(): Promise<this> {
    await this.startRouter()
    await this.startSm()
    await this.run()
    return this
  }

  async startRouter(): Promise<Pid> {
    return router.start(this.runtime, { routing: this.routing }, { name: 'router' })
  }

  async startSm(): Promise<Pid> {
    const { environment, runtime, tables } = this
    const startSession = async (_caller: unknown, start: SessionStart, manager: RemoteName) => ({
      ok: true as const,
      pid: await session.start(runtime, { environment, manager, ...start }),
    })
    const options = {
      ...{ environment, tables, startSession },
      homes: new Homes(tables),
      away: new AwayMembers(tables, runtime.clock),
      places: new StoredPlaces(runtime.node.name, tables, environment.sessionStore),
    }
    return sm.start(runtime, options, { name: 'sm' })
  }

  pass(duration: Duration): Promise<void> {
    return this.simulation.advance(duration)
  }

  run(): Promise<void> {
    return this.simulation.run()
  }

  /** Opens a connection for a client; it has its session after `run`. */
  connect(changes: Partial<ClientInfo> = {}): Connection {
    return new Connection(this, changes)
  }

  async connected(changes: Partial<ClientInfo> = {}): Promise<Connection> {
    const connection = this.connect(changes)
    await this.run()
    return connection
  }

  /** Pids of the live session processes. */
  livingSessions(): Pid[] {
    return [...this.runtime.processes].filter(({ label }) => label === 'session').map(({ pid }) => pid)
  }

  publish(message: Message): void {
    this.environment.pubsub.publish([message])
  }
}

/** A connection that keeps what it is sent. */
export class Connection {
  readonly pid: Pid
  readonly info: ClientInfo
  readonly received: OutPacket[] = []
  answer: OpenAnswer | undefined
  closed: Extract<ToConnection, { tag: 'close' }> | undefined
  synced = 0
  readonly #node: SessionNode
  #ids = 0

  constructor(node: SessionNode, changes: Partial<ClientInfo>) {
    this.#node = node
    this.pid = node.runtime.spawn({ receive: (message) => this.#receive(message as ToConnection | OpenAnswer) })
    this.info = client({ ...changes, connection: this.pid })
    node.sessions.open(this.info)
  }

  get isAlive(): boolean {
    return this.#node.runtime.isAlive(this.pid)
  }

  get session(): OpenedSession {
    if (this.answer?.tag !== 'opened') throw new Error('the session is not open')
    return this.answer
  }

  publishes(): OutPublish[] {
    return this.received.filter((packet): packet is OutPublish => packet.cmd === 'publish')
  }

  /** Payloads of what was received, whole batches included. */
  payloads(): string[] {
    return this.received.flatMap((packet) => {
      if (packet.cmd === 'publish') return [packet.message.payload.toString()]
      return packet.cmd === 'batch' ? packet.batch.messages.map(({ payload }) => payload.toString()) : []
    })
  }

  packets(...packets: SessionPacket[]): void {
    this.#tell({ tag: 'packets', from: this.pid, packets, sync: false })
  }

  subscribe(topic: string, qos: QoS = 1): void {
    this.#ids += 1
    this.packets({ cmd: 'subscribe', messageId: this.#ids, subscriptions: [{ topic, qos }], denied: [0] })
  }

  publish(topic: string, payload: string, qos: QoS = 0): void {
    this.#ids += 1
    this.packets(publish(qos, this.#ids, { topic, payload: Buffer.from(payload) }))
  }

  /** Ends as a DISCONNECT ends it. */
  disconnect(publishWill = false, expirySec?: number): void {
    this.#tell({ tag: 'detach', from: this.pid, publishWill, expirySec, reason: 'closed' })
    this.#node.runtime.exit(this.pid, 'kill')
  }

  /** Ends without a word. */
  crash(): void {
    this.#node.runtime.exit(this.pid, 'kill')
  }

  #tell(message: ToSession): void {
    this.#node.runtime.send(this.session.session, message)
  }

  #receive(message: ToConnection | OpenAnswer): void {
    switch (message.tag) {
      case 'opened':
      case 'refused':
        this.answer = message
        break
      case 'out':
        if (this.answer === undefined) throw new Error('packets before the session was open')
        this.received.push(...message.packets)
        break
      case 'synced':
        this.synced += 1
        break
      case 'close':
        this.closed = message
        // As a real one does; the session may have let it go before.
        this.#node.runtime.send(message.from, {
          tag: 'detach',
          from: this.pid,
          publishWill: true,
          expirySec: undefined,
          reason: message.reason,
        } satisfies ToSession)
        this.#node.runtime.exit(this.pid, 'kill')
        break
    }
  }
}
