/**
 * Whole brokers in a simulation, members of one cluster: each node takes connections and has sessions, routes and tables, and a disc
 * that forgets what was not flushed when the node is killed.
 *
 * What fails between nodes goes through here, so that the ledger knows where there was calm.
 */
import pino from 'pino'
import { Pid } from '../../../src/actors/pid.ts'
import type { Runtime } from '../../../src/actors/runtime.ts'
import { type BrokerConfig, type BrokerOverrides, configOf } from '../../../src/broker/config.ts'
import type { Transport } from '../../../src/broker/connection/transport.ts'
import { Alarms } from '../../../src/broker/monitor/alarm.ts'
import { matches } from '../../../src/broker/routing/topic.ts'
import { createServices, type Services } from '../../../src/broker/services.ts'
import type { SessionSnapshot } from '../../../src/broker/session/session-snapshot.ts'
import { startTables } from '../../../src/broker/start-tables.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { type Duration, type Simulation, simulate } from '../../../src/testing/simulation.ts'
import type { Wire, WireOptions } from '../../../src/testing/wire.ts'
import { Calm } from './calm.ts'
import type { ClientWorld, SimClient } from './client.ts'
import type { Link } from './client-packets.ts'
import { ClusterLedger } from './cluster-ledger.ts'
import type { Interest, Published } from './ledger.ts'
import { type Accepted, type Connection, LISTENER_SIM } from './listener.ts'
import { Places } from './places.ts'
import { worldSup } from './world.ts'

export interface ClusterWorldOptions {
  readonly seed: number
  readonly config?: BrokerOverrides
}

/** The stores of a node, as bin/node has them. */
interface Discs {
  readonly tables: LossyDisc
  readonly sessions: LossyDisc
  readonly hints: LossyDisc
}

export interface LiveSession {
  readonly node: string
  readonly pid: Pid
  readonly snapshot: SessionSnapshot
}

/** A node from which nothing came for this long is down. */
const NET_TICKTIME_MS = 8000
/** A client has its answer by then, whatever happens to other nodes: a connection that has no session yet gives up after 15 s. */
const ANSWER_MS = 17_000
/** And by then while nothing fails. */
const CALM_ANSWER_MS = 3000
/** And by then while other nodes stand still: a home that says nothing is asked whether it is there, and then passed by. */
const SILENT_ANSWER_MS = 5000
/** A publisher has its acknowledgement by then, whatever happens to other nodes: they are waited for 1 s, and for what they hold up. */
const ACCEPT_MS = 5000
/** What happened longer ago is over. */
const LONG_MS = 15_000
/** After so long a node that was started again has told the others that its sessions are there. */
const GREETED_MS = 3000

export class ClusterWorld implements ClientWorld {
  readonly sim: Simulation
  readonly config: BrokerConfig
  readonly ledger: ClusterLedger
  readonly calm: Calm
  readonly places: Places
  /** Of the nodes that run, by short name. */
  readonly services = new Map<string, Services>()
  /** Wires that have not been closed by both sides, with the node of each. */
  readonly wires = new Map<Wire, string>()
  /** Nodes that stand still, with the time since when they do. */
  readonly frozen = new Map<string, number>()
  /** Sessions to which a client has come from another one that it had, as after a partition: it knows nothing of what is under way there. */
  readonly switched = new Set<string>()
  readonly matches = (filter: string, topic: string): boolean => matches(topic, filter)
  /** Error reports of the nodes. */
  readonly errors: string[] = []
  readonly #discs = new Map<string, Discs>()
  /** When a node was last killed. */
  readonly killedAtMs = new Map<string, number>()
  /** When a node was last killed or stood still. */
  readonly #awayAtMs = new Map<string, number>()
  /** When a node last had its sessions. */
  readonly #startedAtMs = new Map<string, number>()
  #quietAtMs = 0
  /** How long a flush of a disc takes, at most. */
  readonly #flushMs: readonly [number, number]
  /** Connections that have had no answer since all was quiet, by client. */
  readonly #unanswered = new Map<SimClient, Set<Link>>()
  readonly #logger: pino.Logger
  /** By the end of the wire that the broker has. */
  readonly #sessions = new WeakMap<Transport, string>()

  constructor({ seed, config = {} }: ClusterWorldOptions) {
    this.config = configOf(config)
    const write = (line: string) => {
      // Nodes that were apart say so.
      if (!line.includes('inconsistent_database')) this.errors.push(line)
    }
    this.#logger = pino({ level: 'error' }, { write })
    this.sim = simulate({
      seed,
      nodes: [],
      copyMessages: true,
      netTicktimeMs: NET_TICKTIME_MS,
      slowness: seed % 4 < 2 ? 0 : 0.3,
      logger: this.#logger,
    })
    this.#flushMs = [0, this.sim.random.pick([5, 5, 100])]
    this.calm = new Calm(() => this.nowMs)
    this.places = new Places(() => this.nowMs, this.config.session.migrate)
    this.ledger = new ClusterLedger(this)
  }

  get nowMs(): number {
    return this.sim.time.monotonic()
  }

  get maxInflight(): number {
    return this.config.session.maxInflight
  }

  /** Nodes that run, those that stand still included. */
  get doors(): readonly string[] {
    return [...this.services.keys()]
  }

  // Nodes

  /** Starts a node, with what is on its disc. `member`: a node whose cluster it joins when it is new. */
  async start(name: string, member?: string): Promise<void> {
    const runtime = this.sim.start(name)
    const alarms = new Alarms(() => runtime.clock.now())
    const backup = () => Promise.reject(new Error('nothing is saved'))
    const seeds = member === undefined ? [] : [fullName(member)]
    const discs = this.#discsOf(name)
    const options = { store: discs.tables.open(), alarms, backup, seeds, startWaitMs: 3000 }
    const tables = await startTables(runtime, options)
    if (!tables.ok) throw new Error(tables.problem)
    // It may have been killed in the meantime.
    if (runtime.stopped) return
    const { config } = this
    const services = await createServices({
      ...{ config, version: '0.0.0', vm: undefined, mnesia: tables.mnesia, alarms },
      sessionStore: discs.sessions.open(),
      hintStore: discs.hints.open(),
    })
    services.hooks.on('client.connected', ({ connection }) => this.#opened(runtime, connection))
    services.hooks.on('session.resumed', ({ clientId }) => this.#resumed(runtime, clientId))
    try {
      await worldSup.startLink(runtime, services, { name: 'broker_sup' })
    } catch (error) {
      if (!runtime.stopped) throw error
    }
    if (runtime.stopped) return
    this.services.set(name, services)
    this.#startedAtMs.set(name, this.nowMs)
  }

  /** A node dies without farewell; the sockets of its connections are closed by the operating system. */
  kill(name: string): void {
    this.#disturbAll(name)
    this.#awayAtMs.set(name, this.nowMs)
    this.killedAtMs.set(name, this.nowMs)
    this.ledger.hasDied = true
    this.frozen.delete(name)
    for (const disc of Object.values(this.#discsOf(name))) disc.kill()
    this.sim.kill(name)
    this.services.delete(name)
    for (const [wire, node] of this.wires) if (node === name) wire.near.destroy()
  }

  /** The data directory of a node that does not run is lost. */
  wipe(name: string): void {
    this.#discs.delete(name)
  }

  /** A node stands still, as one that got SIGSTOP. */
  freeze(name: string): void {
    this.#disturbAll(name)
    this.frozen.set(name, this.nowMs)
    this.sim.freeze(name)
  }

  thaw(name: string): void {
    if (!this.frozen.delete(name)) return
    this.#awayAtMs.set(name, this.nowMs)
    this.sim.thaw(name)
  }

  // Links

  cut(a: string, b: string): void {
    this.calm.disturb(a, b)
    this.sim.network.cut(fullName(a), fullName(b))
  }

  reset(a: string, b: string): void {
    this.calm.disturb(a, b)
    this.sim.network.reset(fullName(a), fullName(b))
  }

  freezeLink(a: string, b: string): void {
    this.calm.disturb(a, b)
    this.sim.network.freeze(fullName(a), fullName(b))
  }

  mend(a: string, b: string): void {
    this.sim.network.mend(fullName(a), fullName(b))
  }

  /** Mends all links; nodes that stand still go on doing so. */
  mendAll(): void {
    this.sim.network.mendAll()
    for (const name of this.frozen.keys()) this.sim.network.hold(fullName(name))
  }

  // Clients

  dial(node: string, options?: WireOptions): Wire | undefined {
    const runtime = this.services.get(node)?.runtime
    const listener = runtime?.whereis(LISTENER_SIM)
    if (runtime === undefined || listener === undefined) return undefined
    const wire = this.sim.wire(options)
    for (const each of this.wires.keys()) if (each.near.isClosed && each.far.isClosed) this.wires.delete(each)
    this.wires.set(wire, node)
    runtime.send(listener, { tag: 'accepted', transport: wire.near } satisfies Accepted)
    return wire
  }

  /** The session with which a connection was opened. */
  sessionOf(wire: Wire): string {
    return this.#sessions.get(wire.near)!
  }

  /** A connection has its session; by the time its client hears of it, it may be gone. */
  #opened(runtime: Runtime, connection: Pid): void {
    const { transport } = connectionsOf(runtime).find(({ pid }) => pid.equals(connection))!
    for (const { object } of runtime.process(connection)?.monitors ?? []) {
      if (object instanceof Pid) this.#sessions.set(transport, this.#sessionName(object))
    }
  }

  /** What a session is called, also when it has been restored from the disc. */
  #sessionName(pid: Pid): string {
    const name = shortName(pid.node)
    const state = this.sim.isRunning(name) ? this.sim.node(name).process(pid)?.behaviour.state : undefined
    return state === undefined ? pid.key : this.places.nameOf(pid, state as SessionSnapshot)
  }

  /** A session of a node has a connection again. */
  #resumed(runtime: Runtime, clientId: string): void {
    for (const { pid, label, behaviour } of runtime.processes) {
      if (label !== 'session') continue
      const snapshot = behaviour.state as SessionSnapshot
      if (snapshot.clientId !== clientId || !snapshot.connected) continue
      this.places.opened(this.places.nameOf(pid, snapshot), shortName(pid.node))
    }
  }

  connecting(client: SimClient, link: Link): void {
    const fromMs = this.nowMs
    this.#unansweredOf(client).add(link)
    const node = this.wires.get(link.wire)!
    const expect = (withinMs: number, isDue: () => boolean) => {
      this.sim.time.set(withinMs, () => {
        if (link.isUp || link.isOver || !isDue()) return
        this.ledger.violation(client.id, `CONNECT at ${node} has no answer after ${withinMs} ms`)
      })
    }
    expect(ANSWER_MS, () => this.#runsSince(node, fromMs))
    expect(CALM_ANSWER_MS, () => this.isCalmSince(fromMs))
    // One that begins anew ends the session that it had, wherever that is.
    if (link.isClean) return
    const needed = [node, ...(client.session === '' ? [] : [this.places.nodeOf(client.session)])]
    expect(SILENT_ANSWER_MS, () => {
      const steady = [...this.#discs.keys()].filter((name) => this.#runsSince(name, fromMs - LONG_MS))
      const isNobodyLost = [...this.#discs.keys()].every((name) => (this.killedAtMs.get(name) ?? 0) < fromMs - LONG_MS)
      // One that has begun to stand still since may have waited until then for one that it did not reach.
      const isNobodyNew = [...this.frozen.values()].every((sinceMs) => sinceMs <= fromMs)
      const isSteady = needed.every((name) => steady.includes(name)) && this.calm.isAmong(fromMs - LONG_MS, steady)
      return isNobodyLost && isNobodyNew && isSteady
    })
  }

  connected(client: SimClient, session: string, former: string): void {
    this.ledger.known(session)
    const unanswered = this.#unansweredOf(client)
    unanswered.delete(client.link!)
    // Another session, which began by a wrong clock after this one did, may hand over what it has although the client has begun anew.
    if (former === '' && !this.isCalmSince(this.#quietAtMs)) this.switched.add(session)
    if (!client.options.isPersistent || former === '' || session === former) return
    const mayHaveBegunAnew = [...unanswered].some(({ isClean }) => isClean)
    const isExpected = this.isCalmSince(this.ledger.knownSinceMs(former)) || this.#isWaitedFor(former)
    if (isExpected && !mayHaveBegunAnew) {
      this.ledger.violation(client.id, `session ${session} instead of ${former}`)
    }
    this.switched.add(session)
    // A CONNECT without answer may have made another one in between.
    if (unanswered.size === 0) this.ledger.follows(session, former)
  }

  /** A session's node alone has failed, since all was quiet, and is waited for, or was back in time. */
  #isWaitedFor(session: string): boolean {
    const node = this.places.nodeOf(session)
    const diedAtMs = this.killedAtMs.get(node) ?? 0
    if (diedAtMs < this.#quietAtMs || this.ledger.knownSinceMs(session) >= this.#quietAtMs) return false
    if (!this.isCalmWithout(node, this.#quietAtMs)) return false
    const others = [...this.#discs.keys()].filter((name) => name !== node)
    const isDeathAlone = (other: string) =>
      this.calm.endMs(node, other) === diedAtMs && this.calm.lastFaultMs(node, other) === diedAtMs
    if (!others.every(isDeathAlone)) return false
    const untilMs = diedAtMs + this.config.session.homeWaitMs
    if (!this.sim.isRunning(node)) return this.nowMs < untilMs
    // While it tells the others what it has, a session may not be seen yet.
    const backAtMs = this.#startedAtMs.get(node)!
    const isBack = backAtMs > diedAtMs && this.nowMs > backAtMs + GREETED_MS
    return isBack && backAtMs + GREETED_MS < untilMs
  }

  subscribed(interest: Interest): void {
    this.ledger.inherits(interest, (a, b) => this.#isApart(a, b))
  }

  sent(link: Link, message: Published): void {
    if (message.qos === 0) return
    const from = this.places.nodeOf(message.session)
    const door = this.wires.get(link.wire)!
    const fromMs = this.nowMs
    this.sim.time.set(ACCEPT_MS, () => {
      if (message.acceptedAtMs !== undefined || link.isOver) return
      const isDue =
        [door, from].every((node) => this.#runsSince(node, fromMs)) && this.calm.isAmong(fromMs, [door, from])
      if (isDue) this.ledger.violation(message.publisher, `${message.key} has no acknowledgement after ${ACCEPT_MS} ms`)
    })
  }

  #unansweredOf(client: SimClient): Set<Link> {
    const links = this.#unanswered.get(client) ?? new Set()
    this.#unanswered.set(client, links)
    return links
  }

  /** Whether a node has run, and not stood still, since a time. */
  #runsSince(node: string, fromMs: number): boolean {
    return this.services.has(node) && !this.frozen.has(node) && (this.#awayAtMs.get(node) ?? 0) < fromMs
  }

  /** Neither of two nodes takes the other for one that runs. */
  #isApart(a: string, b: string): boolean {
    const sees = (node: string, other: string) => {
      return (
        this.sim.isRunning(node) && this.services.get(node)?.mnesia.status().running.includes(fullName(other)) !== false
      )
    }
    return a !== b && !sees(a, b) && !sees(b, a)
  }

  /** All is quiet. */
  isQuiet(names: readonly string[]): void {
    this.calm.begin(names)
    this.#quietAtMs = this.nowMs
    this.#unanswered.clear()
  }

  /** Messages that a node keeps on disc for others, and for groups. */
  keptBy(name: string): number {
    const { hints, sessions } = this.#discsOf(name)
    const count = ({ contents }: LossyDisc, prefix: string) => {
      const spaces = contents.spaces().filter((space) => space.startsWith(prefix))
      return spaces.reduce((sum, space) => sum + contents.count(space), 0)
    }
    return count(hints, '') + count(sessions, 'group/')
  }

  refused(client: SimClient, code: number): void {
    if (this.isCalmSince(this.nowMs - ANSWER_MS)) this.ledger.violation(client.id, `refused with ${code}`)
  }

  /** Whether nothing was cut, frozen or killed from a time on. */
  isCalmSince(fromMs: number): boolean {
    const names = [...this.#discs.keys()]
    return names.every((name) => this.services.has(name)) && this.calm.isSince(fromMs, names)
  }

  /** Whether from a time on nothing was cut, frozen or killed but one node and its links. */
  isCalmWithout(node: string, fromMs: number): boolean {
    const others = [...this.#discs.keys()].filter((name) => name !== node)
    return this.calm.isAmong(fromMs, others)
  }

  /** The sessions of all nodes that run, by name. */
  liveSessions(): Map<string, LiveSession> {
    const found = new Map<string, LiveSession>()
    for (const [node, { runtime }] of this.services) {
      for (const { pid, label, behaviour } of runtime.processes) {
        if (label !== 'session') continue
        const snapshot = behaviour.state as SessionSnapshot
        const name = this.places.nameOf(pid, snapshot)
        // Two of one session are one too many.
        found.set(found.has(name) ? pid.key : name, { node, pid, snapshot })
      }
    }
    return found
  }

  // Time

  /** Lets time pass. */
  async pass(duration: Duration): Promise<void> {
    await this.sim.advance(duration)
    this.check()
  }

  /** Lets time pass until something has come about. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    promise.then(settled, settled)
    for (let passed = 0; passed < 6000 && !isSettled; passed++) await this.sim.advance(10)
    if (!isSettled) throw new Error('it does not settle')
    return promise
  }

  /** Throws what has gone wrong by now: reports of crashes, and what the clients have seen. */
  check(): void {
    const { violations } = this.ledger
    if (this.errors.length > 0) throw new Error(this.errors.slice(0, 3).join('\n'))
    if (violations.length > 0) throw new Error(violations.slice(0, 5).join('\n'))
  }

  #disturbAll(name: string): void {
    for (const other of this.#discs.keys()) if (other !== name) this.calm.disturb(name, other)
  }

  #discsOf(name: string): Discs {
    let discs = this.#discs.get(name)
    if (discs === undefined) {
      const disc = () => new LossyDisc({ timers: this.sim.time, random: this.sim.random, flushMs: this.#flushMs })
      discs = { tables: disc(), sessions: disc(), hints: disc() }
      this.#discs.set(name, discs)
    }
    return discs
  }
}

function connectionsOf(runtime: Runtime): Connection[] {
  const listener = runtime.whereis(LISTENER_SIM)
  const process = listener === undefined ? undefined : runtime.process(listener)
  return (process?.behaviour.state as Connection[] | undefined) ?? []
}

function shortName(node: string): string {
  return node.slice(0, node.indexOf('@'))
}

export function fullName(name: string): string {
  return `${name}@sim`
}
