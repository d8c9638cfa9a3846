/**
 * A broker in a simulation. The node `b` has sessions, routes and all; connections are on `b` as well, or on nodes of their
 * own (`a`, `c`, …), whose environment opens sessions on `b`: then every message between a connection and its session
 * crosses the simulated network, where it is copied.
 */
import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { Runtime } from '../../../src/actors/runtime.ts'
import { child, supervisor } from '../../../src/actors/supervisor.ts'
import { type BrokerConfig, type BrokerOverrides, configOf } from '../../../src/broker/config.ts'
import { connectionEnvironment } from '../../../src/broker/connection/connection-services.ts'
import { Alarms } from '../../../src/broker/monitor/alarm.ts'
import type { ClientInfo } from '../../../src/broker/process-messages.ts'
import { matches } from '../../../src/broker/routing/topic.ts'
import { createServices, type Services } from '../../../src/broker/services.ts'
import type { SessionSnapshot } from '../../../src/broker/session/session-snapshot.ts'
import { startTables } from '../../../src/broker/start-tables.ts'
import { serviceChildren } from '../../../src/broker/sup.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import type { Store } from '../../../src/mnesia/store/store.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { type Duration, type Simulation, simulate } from '../../../src/testing/simulation.ts'
import type { Wire, WireOptions } from '../../../src/testing/wire.ts'
import { whenDone } from './done.ts'
import { Ledger } from './ledger.ts'
import { type Accepted, LISTENER_SIM, simListener } from './listener.ts'

const NODE_OF_SESSIONS = 'b'

/** The tree of a broker whose listener takes simulated wires. */
export const worldSup = supervisor<Services>({
  label: 'broker_sup',
  strategy: 'one_for_one',
  intensity: 10,
  periodSec: 60,
  children: (services) => [
    ...serviceChildren(services),
    child(LISTENER_SIM, simListener, [
      connectionEnvironment(services, services.config.listeners.tcp),
      { name: LISTENER_SIM },
    ]),
  ],
})

export interface WorldOptions {
  readonly seed: number
  /** Nodes that have connections and no sessions. @default [] */
  readonly fronts?: readonly string[]
  readonly config?: BrokerOverrides
  /** Whether sessions are stored on a disc, which `kill` leaves as the last flush has left it. @default false */
  readonly disc?: boolean
}

/** What is left of a broker's work in one node. */
export type Footprint = Readonly<Record<string, number>>

/** Starts a world; it is stopped when the test ends. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const world = new World(options)
  onTestFinished(() => world.sim.stop())
  await world.startAll()
  return world
}

export class World {
  readonly sim: Simulation
  readonly config: BrokerConfig
  readonly fronts: readonly string[]
  /** Services of the nodes, by short name. */
  readonly services = new Map<string, Services>()
  /** Wires that have not been closed by both sides. */
  readonly wires = new Set<Wire>()
  readonly ledger: Ledger
  readonly matches = (filter: string, topic: string): boolean => matches(topic, filter)
  /** `footprints` before any client came. */
  atStart: Record<string, Footprint> = {}
  /** Error reports of the nodes; a test that expects none has `check` throw them. */
  readonly errors: string[] = []
  /** Where the sessions are stored. */
  readonly disc: LossyDisc | undefined
  readonly #nodes = new WeakMap<Wire, string>()

  constructor({ seed, fronts = [], config = {}, disc = false }: WorldOptions) {
    this.config = configOf(config)
    this.fronts = fronts
    const sink = { write: (line: string) => void this.errors.push(line) }
    this.sim = simulate({
      seed,
      nodes: [NODE_OF_SESSIONS, ...fronts],
      copyMessages: true,
      // Half of the runs have nodes that lag behind their sockets and timers.
      slowness: seed % 4 < 2 ? 0 : 0.3,
      logger: pino({ level: 'error' }, sink),
    })
    this.ledger = new Ledger(this.sim)
    if (disc) this.disc = new LossyDisc({ timers: this.sim.time, random: this.sim.random })
  }

  get nowMs(): number {
    return this.sim.time.monotonic()
  }

  get maxInflight(): number {
    return this.config.session.maxInflight
  }

  /** Nodes that take connections. */
  get doors(): readonly string[] {
    return this.fronts.length === 0 ? [NODE_OF_SESSIONS] : this.fronts
  }

  /** The services where the sessions are. */
  get core(): Services {
    return this.services.get(NODE_OF_SESSIONS)!
  }

  async startAll(): Promise<void> {
    await this.startCore(this.sim.node(NODE_OF_SESSIONS))
    for (const name of this.fronts) await this.startFront(name, this.sim.node(name))
    await this.sim.advance('1500ms')
    this.atStart = this.footprints()
  }

  /** Starts the broker on the node of the sessions. */
  async startCore(runtime: Runtime): Promise<void> {
    const services = await this.#createServices(runtime, this.disc?.open())
    this.services.set(NODE_OF_SESSIONS, services)
    await whenDone(this.sim, worldSup.startLink(runtime, services, { name: 'broker_sup' }))
  }

  /** Starts a listener on a node without sessions. */
  async startFront(name: string, runtime: Runtime): Promise<void> {
    const services = await this.#createServices(runtime)
    this.services.set(name, services)
    const environment = {
      ...connectionEnvironment(services, this.config.listeners.tcp),
      openSession: (client: ClientInfo) => {
        const manager = { name: 'sm', node: `${NODE_OF_SESSIONS}@sim` }
        runtime.send(manager, { tag: 'lease', client, manager })
      },
    }
    await whenDone(this.sim, simListener.startLink(runtime, environment, { name: LISTENER_SIM }))
  }

  async #createServices(runtime: Runtime, sessionStore?: Store): Promise<Services> {
    const alarms = new Alarms(() => runtime.clock.now())
    const backup = () => Promise.reject(new Error('nothing is saved'))
    const tables = await whenDone(this.sim, startTables(runtime, { store: new MemoryStore(), alarms, backup }))
    if (!tables.ok) throw new Error(tables.problem)
    const { mnesia } = tables
    return createServices({ config: this.config, version: '0.0.0', vm: undefined, mnesia, alarms, sessionStore })
  }

  /** A node dies without farewell; the sockets of its connections are closed by the operating system. */
  kill(name: string): void {
    this.sim.kill(name)
    this.services.delete(name)
    // Those too that had not been accepted yet.
    for (const wire of this.wires) if (this.#nodes.get(wire) === name) wire.near.destroy()
    if (name !== NODE_OF_SESSIONS) return
    this.ledger.hasDied = true
    if (this.disc !== undefined) this.disc.kill()
    // Sessions are in memory only.
    else for (const interest of this.ledger.interests) interest.untilMs = 0
  }

  /** A new wire to a node; returns undefined when nobody listens there. */
  dial(node: string, options?: WireOptions): Wire | undefined {
    const runtime = this.sim.every((each) => each).find((each) => each.node.name === `${node}@sim`)
    const listener = runtime?.whereis(LISTENER_SIM)
    if (runtime === undefined || listener === undefined) return undefined
    const wire = this.sim.wire(options)
    for (const each of this.wires) if (each.near.isClosed && each.far.isClosed) this.wires.delete(each)
    this.wires.add(wire)
    this.#nodes.set(wire, node)
    runtime.send(listener, { tag: 'accepted', transport: wire.near } satisfies Accepted)
    return wire
  }

  /** Lets time pass. */
  async pass(duration: Duration): Promise<void> {
    await this.sim.advance(duration)
    this.check()
  }

  /** Throws what has gone wrong by now: reports of crashes, and what the clients have seen. */
  check(): void {
    const { violations } = this.ledger
    if (this.errors.length > 0) throw new Error(`seed ${this.sim.seed}: ${this.errors.join('\n')}`)
    if (violations.length > 0) throw new Error(`seed ${this.sim.seed}: ${violations.slice(0, 5).join('\n')}`)
  }

  /** Fails the test with the seed. */
  fail(what: string): never {
    throw new Error(`seed ${this.sim.seed}: ${what}`)
  }

  /** Sessions of the broker, as `sessions show` has them. */
  sessions(): Map<string, SessionSnapshot> {
    const found = new Map<string, SessionSnapshot>()
    const { runtime, sessions } = this.core
    for (const { clientId, pid } of sessions.list()) {
      const process = runtime.process(pid)
      if (process === undefined) this.fail(`the session of ${clientId} is in the table and dead`)
      found.set(clientId, process.behaviour.state as SessionSnapshot)
    }
    return found
  }

  /** Number of processes with a label on all nodes. */
  countOf(label: string): number {
    return this.sim
      .every((runtime) => [...runtime.processes].filter((process) => process.label === label).length)
      .reduce((a, b) => a + b, 0)
  }

  /** Everything that clients can leave behind, by node. */
  footprints(): Record<string, Footprint> {
    const found: Record<string, Footprint> = { world: { timers: this.sim.time.pending } }
    for (const [name, services] of this.services) found[name] = footprintOf(services)
    return found
  }
}

/** Everything that clients can leave behind in a node. */
export function footprintOf(services: Services): Footprint {
  const { runtime, routing, sessions, mnesia } = services
  const processes = [...runtime.processes]
  const sum = (count: (process: (typeof processes)[number]) => number) =>
    processes.reduce((total, process) => total + count(process), 0)
  const rows: Record<string, number> = {}
  for (const table of mnesia.all()) rows[`rows of ${table.definition.name}`] = table.size
  return {
    processes: processes.length,
    links: sum((process) => (process.links === undefined ? 0 : [...process.links].length)),
    monitors: sum((process) => process.monitors?.size ?? 0),
    monitoredBy: sum((process) => process.monitoredBy?.size ?? 0),
    aliases: sum((process) => process.aliases?.size ?? 0),
    messageTimers: sum((process) => process.timers?.size ?? 0),
    mailboxes: sum((process) => process.mailbox.length),
    ...runtime.footprint(),
    sessions: sessions.count,
    subscribers: routing.subscribers.knownCount,
    filters: routing.subscribers.filterCount,
    subscriptions: routing.subscribers.subscriptionCount,
    trieNodes: routing.global.trie.nodeCount + routing.local.trie.nodeCount,
    trieEdges: routing.global.trie.edgeCount + routing.local.trie.edgeCount,
    trieWords: routing.global.trie.wordCount + routing.local.trie.wordCount,
    groups: routing.global.groups.size + routing.local.groups.size,
    ...rows,
  }
}
