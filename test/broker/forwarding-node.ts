/** Node `a` with its forwarder, and node `b`, in the place of whose forwarder a test speaks and listens. */
import { onTestFinished } from 'vitest'
import type { FenceAnswer, FenceAsk } from '../../src/broker/forward/fences.ts'
import { forwarder } from '../../src/broker/forward/forwarder.ts'
import { Forwarding } from '../../src/broker/forward/forwarding.ts'
import { HintLog } from '../../src/broker/forward/hints.ts'
import {
  ASK_MEMBERS,
  FORWARDER,
  type Forward,
  type Forwarded,
  type ForwardTo,
  type Hinted,
  type Hints,
  type NodeReady,
} from '../../src/broker/forward/messages.ts'
import { RecentIds } from '../../src/broker/forward/recent-ids.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { PublishEnvironment } from '../../src/broker/publish.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { FormerSessions } from '../../src/broker/session/former-sessions.ts'
import type { SessionState } from '../../src/broker/session/session-state.ts'
import { DURABLE_ROUTE, ROUTE, type SessionRow } from '../../src/broker/tables.ts'
import type { SystemEvent } from '../../src/mnesia/system-events.ts'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { Mailboxes, parsed, pidOf } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

export const A = 'a@sim'
export const B = 'b@sim'
/** How long a publisher waits for a node. */
export const WAIT_MS = 1000
/** How long the disc takes for a flush. */
export const FLUSH_MS = 200

type Said = Forward | ForwardTo | Forwarded | NodeReady | Hints | Hinted | FenceAsk | FenceAnswer

export class ForwardingNode {
  readonly sim: Simulation = simulate({ seed: 1, nodes: ['a', 'b'] })
  readonly tables = new TestTables(A)
  readonly routing = new Routing(A, this.tables)
  readonly metrics = createMetrics()
  readonly forwarding: Forwarding
  /** Of what is kept. */
  readonly disc = new LossyDisc({ timers: this.sim.time, random: this.sim.random, flushMs: [FLUSH_MS, FLUSH_MS] })
  /** What sessions of `a` have got. */
  readonly boxes = new Mailboxes()
  /** What `b` has been told. */
  readonly received: Said[] = []
  /** What was to go to other members of a group. */
  readonly redispatched: { readonly ids: readonly string[]; readonly otherwise: string }[] = []
  /** Members that are away. */
  readonly stopped: string[] = []
  /** What others of `a` have been told of `b`. */
  readonly told: string[] = []
  /** Sessions of `a` that have given way, for which `b` may have something. */
  readonly former: FormerSessions
  /** The rows of sessions that forwarders look up. */
  readonly rows = new Map<string, Pick<SessionRow, 'pid'>>()
  readonly #listeners = new Set<(event: SystemEvent) => void>()

  constructor() {
    onTestFinished(() => this.sim.stop())
    const { sim, tables, received, redispatched } = this
    const runtime = sim.node('a')
    this.forwarding = new Forwarding({
      runtime,
      metrics: this.metrics,
      waitMs: WAIT_MS,
      maxBytes: 1e7,
      hints: new HintLog({
        store: this.disc.open(),
        maxBytes: 1e7,
        maxAgeMs: 1e7,
        now: () => runtime.clock.now(),
        onDropped: () => {},
      }),
      redispatch: (messages, _share, _exclude, otherwise) => {
        redispatched.push({ ids: messages.map(({ id }) => id), otherwise })
        return undefined
      },
    })
    this.former = new FormerSessions({
      store: undefined,
      now: () => runtime.clock.now(),
      maxAgeMs: 1e7,
      others: () => [B],
      onNoted: () => runtime.send(runtime.whereis(FORWARDER)!, ASK_MEMBERS),
    })
    const member = tables.member(B)
    member.open(ROUTE).write({ filter: 't', node: B, durable: true, group: false })
    member.open(DURABLE_ROUTE).write({ filter: 't', node: B })
    tables.settle()
    sim.node('b').spawn({ receive: (said) => void received.push(said as Said) }, { name: FORWARDER })
  }

  async start(): Promise<this> {
    const { sim, tables, forwarding, routing, told, boxes } = this
    const runtime = sim.node('a')
    const pubsub = new PubSub({ routing, send: boxes.send, random: () => 0 })
    const recent = { durable: new RecentIds(() => ''), volatile: new RecentIds(() => '') }
    const away = {
      ready: (node: string) => told.push(`ready ${node}`),
      lost: (node: string) => told.push(`lost ${node}`),
    }
    const mnesia = {
      status: () => ({ ...tables.status(), stopped: this.stopped }),
      subscribe: (listener: (event: SystemEvent) => void) => {
        this.#listeners.add(listener)
        return () => void this.#listeners.delete(listener)
      },
    }
    const onGiven = (node: string) => told.push(`given ${node}`)
    const passingOn = {
      former: this.former,
      sessions: { lookup: (clientId: string) => this.rows.get(clientId) as SessionRow | undefined },
      places: { of: () => [] },
      environment: { metrics: this.metrics } as PublishEnvironment,
    }
    const options = { forwarding, passingOn, pubsub, routing, mnesia, recent, away, onGiven, onLost: () => {} }
    const started = forwarder.start(runtime, options, { name: FORWARDER })
    await sim.run()
    await started
    return this
  }

  /** `b` says something, which arrives. */
  async say(said: Said): Promise<void> {
    this.sim.node('b').send({ name: FORWARDER, node: A }, said)
    await this.sim.advance('10ms')
  }

  sayReady(forwarder = '1'): Promise<void> {
    return this.say({ tag: 'node_ready', node: B, forwarder, asks: false, gives: true })
  }

  /** `b` has taken over the last that was forwarded to it. */
  confirm(changes: Partial<Forwarded> = {}): Promise<void> {
    const { stream, seq } = this.forwards().at(-1)!
    return this.say({ tag: 'forwarded', node: B, stream, taken: [seq, seq], refused: [], ...changes })
  }

  /** Publishes to `b`, for sessions that outlive their connection or not; returns the receipt of that. */
  publish(message: Message, durable: boolean): Receipt {
    const receipt = new Receipt()
    this.forwarding.send({ node: B, durable }, [new Batch([message])], receipt)
    return receipt
  }

  forwards(): Forward[] {
    return this.received.filter((said) => said.tag === 'forward')
  }

  hints(): Hints[] {
    return this.received.filter((said) => said.tag === 'hints')
  }

  /** A session of `a` that has subscribed gives way to one of another node. */
  giveWay(clientId: string, filter: string, node: string): void {
    const subscriptions = new Map([[filter, { filter: parsed(filter), qos: 1 }]])
    const state = { self: pidOf(9), clientId, client: { connectedAtMs: 5 }, subscriptions } as unknown as SessionState
    void this.former.note(state, node)
  }

  /** The tables tell of a member. */
  async event(event: SystemEvent): Promise<void> {
    for (const listener of this.#listeners) listener(event)
    await this.sim.advance('10ms')
  }

  /** The routes of `b` are hidden. */
  hide(): void {
    this.tables.network.cut(A, B)
    this.tables.settle()
  }

  /** They are there again. */
  async show(): Promise<void> {
    this.tables.network.mend(A, B)
    this.tables.settle()
    await this.sim.advance('10ms')
  }
}

/** Ids of all that was kept. */
export function idsOf(pages: readonly Hints[]): string[] {
  return pages.flatMap(({ hints }) => hints.flatMap(({ messages }) => messages.map(({ id }) => id)))
}
