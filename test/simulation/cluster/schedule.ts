/** One run: clients that come, go and publish at brokers of a cluster, which fail as the seed says. invariants.ts says what must be true of it. */
import type { QoS } from '../../../src/broker/packet.ts'
import type { SeededRandom } from '../../../src/testing/random.ts'
import { SimClient } from '../../support/sim/client.ts'
import { ClusterWorld, fullName } from '../../support/sim/cluster-world.ts'
import { type Footprint, footprintOf } from '../../support/sim/world.ts'
import { Invariants, same } from './invariants.ts'
import { Outage } from './outage.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
/** How many nodes there may be: most faults need two or three, and each costs more than the one before. */
const NODES = [2, 2, 2, 3, 3, 3, 4, 5]
const CLIENTS = 6
const EXPIRY_SEC = 180
const CONFIG = {
  session: { maxInflight: 5, expirySec: EXPIRY_SEC },
  listeners: { tcp: { highWatermarkBytes: 200 } },
  broker: { sysIntervalMs: 0 },
  sysmon: { longScheduleMs: 0, longMailbox: 0, largeHeapBytes: 0 },
} as const
const FILTERS = ['t/+', 't/#', 't/1', 't/2', '+/1', 'u/#']
const TOPICS = ['t/1', 't/2', 'u/1']
/** Longer than all pauses of those that try again. */
const QUIET_MS = 90_000
/** Seconds for which wills wait. */
const WILL_DELAY_SEC = 5
/** Clocks are wrong by half of this at most. */
const SKEW_MS = 100_000

export class Schedule {
  readonly world: ClusterWorld
  readonly names: readonly string[]
  readonly clients: SimClient[] = []
  /** What happened, for people. */
  readonly history: string[] = []
  readonly #seed: number
  readonly #random: SeededRandom
  readonly #invariants: Invariants
  /** Nodes that are starting. */
  readonly #starting = new Set<string>()
  readonly #failures: unknown[] = []
  #atStart: Record<string, Footprint> = {}

  constructor({ seed }: { readonly seed: number }) {
    this.#seed = seed
    const session = { ...CONFIG.session, migrate: seed % 3 === 0 }
    this.world = new ClusterWorld({ seed, config: { ...CONFIG, session } })
    this.#random = this.world.sim.random
    this.names = NAMES.slice(0, this.#random.pick(NODES))
    this.#invariants = new Invariants(this.world, this.clients)
  }

  /** Rejects with what went wrong, naming the seed; with HISTORY in the environment, and with what happened before. */
  async run(): Promise<void> {
    try {
      await this.#begin()
      for (let round = 0; round < 2; round++) {
        // In every other round nodes do not fail: then everything must arrive.
        const mayFail = this.#random.below(2) === 0
        for (let step = 10 + this.#random.below(15); step > 0; step--) await this.#step(mayFail)
        await this.#quiet()
      }
      await this.#outage()
      await this.#end()
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      const history = process.env.HISTORY === undefined ? [] : this.history
      throw new Error([`seed ${this.#seed}: ${words}`, ...history].join('\n'), { cause: error })
    } finally {
      this.world.sim.stop()
    }
  }

  async #begin(): Promise<void> {
    const [first, ...others] = this.names
    for (const name of this.names) if (this.#random.below(4) === 0) this.#skew(name)
    await this.world.settle(this.world.start(first!))
    await this.world.settle(Promise.all(others.map((name) => this.world.start(name, first))))
    await this.#untilQuiet()
    // Those who have joined are told when they are in step.
    await this.world.pass('15s')
    this.#atStart = this.#footprints()
    for (let i = 0; i < CLIENTS; i++) this.clients.push(this.#client(i))
    for (const client of this.clients) client.connect()
    await this.#untilQuiet()
  }

  #client(i: number): SimClient {
    const random = this.#random
    const version = random.pick([4, 5] as const)
    const isMember = i % 3 === 2
    const qos = random.pick(isMember ? ([1, 2] as const) : ([0, 1, 2, 2] as const)) as QoS
    const filter = isMember ? `$share/g/${random.pick(['t/#', 't/1'])}` : random.pick(FILTERS)
    const subscriptions = [{ filter, qos }]
    const other = random.pick(FILTERS)
    if (!isMember && other !== filter && random.below(3) === 0)
      subscriptions.push({ filter: other, qos: random.pick([1, 2] as const) })
    return new SimClient(this.world, {
      id: `c${i}`,
      version,
      isPersistent: random.below(4) > 0,
      expirySec: EXPIRY_SEC,
      // The first one only publishes.
      ...(i > 0 && { subscriptions }),
      ...(version === 5 && random.below(2) === 0 && { receiveMaximum: 1 + random.below(4) }),
      ackDelayMs: random.pick([0, 5, 60]),
      window: 1 + random.below(6),
      ...(random.below(3) > 0 && { willDelaySec: random.pick([0, WILL_DELAY_SEC]) }),
    })
  }

  async #step(mayFail: boolean): Promise<void> {
    const random = this.#random
    for (const client of this.clients) {
      for (let n = random.below(3); n > 0; n--) client.publish(random.pick(TOPICS), random.pick([0, 1, 2] as const))
    }
    if (random.below(2) === 0) this.#disturb(random.pick(this.clients))
    if (mayFail && random.below(2) === 0) this.#fault(random.pick(this.names), random.pick(this.names))
    if (random.below(8) === 0) this.#skew(random.pick(this.names))
    await this.world.pass(random.below(mayFail ? 5 : 20) === 0 ? random.below(12_000) : random.next() * 80)
    for (const failure of this.#failures) throw failure
  }

  /** Something happens to a client or its connection. */
  #disturb(client: SimClient): void {
    const { sim } = this.world
    const what = sim.random.below(9)
    this.#happened(`${client.id}: ${what}`)
    switch (what) {
      case 0:
      case 1:
        client.lose()
        break
      case 2:
        client.halfClose()
        break
      case 3:
        client.stall(true)
        sim.time.set(sim.random.next() * 300, () => client.stall(false))
        break
      case 4:
      case 5:
        // Over its own head.
        client.connect()
        break
      case 6:
        client.resubscribe()
        break
      case 7:
        client.disconnect()
        sim.time.set(sim.random.next() * 1000, () => client.connect())
        break
      case 8:
        client.comesClean = client.options.version === 5
        client.connect()
        break
    }
  }

  /** Something happens to nodes or their links. */
  #fault(name: string, other: string): void {
    const { world } = this
    const random = this.#random
    const fault = random.below(11)
    this.#happened(`fault ${fault} at ${name} ${other}`)
    switch (fault) {
      case 0:
        // Any shape: each link for itself.
        this.#cut(() => random.below(2) === 0)
        break
      case 1: {
        const left = new Set(this.names.filter(() => random.below(2) === 0))
        this.#cut((a, b) => left.has(a) !== left.has(b))
        break
      }
      case 2:
      case 3:
        world.mendAll()
        break
      case 4:
        if (name !== other) world.reset(name, other)
        break
      case 5:
        if (name !== other) world.freezeLink(name, other)
        break
      case 6:
      case 7:
        if (world.frozen.has(name)) world.thaw(name)
        else if (this.#isUp(name)) world.freeze(name)
        break
      case 8:
      case 9:
      case 10:
        if (world.sim.isRunning(name)) this.#kill(name)
        else this.#startSoon(name)
        break
    }
  }

  #cut(isCut: (a: string, b: string) => boolean): void {
    for (const a of this.names) for (const b of this.names) if (a < b && isCut(a, b)) this.world.cut(a, b)
  }

  #isUp(name: string): boolean {
    return this.world.services.has(name) && !this.world.frozen.has(name)
  }

  #kill(name: string): void {
    this.world.kill(name)
    this.#starting.delete(name)
  }

  #startSoon(name: string): void {
    this.#starting.add(name)
    this.world.start(name).then(
      () => void this.#starting.delete(name),
      (error: unknown) => void this.#failures.push(error),
    )
  }

  #skew(name: string): void {
    this.#happened(`wrong clock at ${name}`)
    this.world.sim.skew(name, (this.#random.next() - 0.5) * SKEW_MS)
  }

  /** Faults end. What must be true then is checked. */
  async #quiet(): Promise<void> {
    const { world } = this
    this.#happened('faults end')
    world.mendAll()
    for (const name of this.names) world.thaw(name)
    for (const client of this.clients) client.stall(false)
    for (const wire of world.wires.keys()) wire.speak()
    for (const name of this.names) if (!world.sim.isRunning(name)) this.#startSoon(name)
    await this.#untilQuiet()
  }

  async #untilQuiet(): Promise<void> {
    for (let passedMs = 0; ; passedMs += 500) {
      await this.world.pass(500)
      for (const failure of this.#failures) throw failure
      if (this.#starting.size > 0 && passedMs < QUIET_MS) continue
      try {
        this.#invariants.check()
        break
      } catch (error) {
        if (passedMs >= QUIET_MS) throw error
      }
    }
    this.world.isQuiet(this.names)
    this.#happened('quiet')
  }

  /** One node fails while all else is calm. */
  async #outage(): Promise<void> {
    const { world, names } = this
    const clients = [...this.clients]
    const start = (name: string) => {
      this.#happened(`start of ${name}`)
      this.#startSoon(name)
    }
    const kill = (name: string) => {
      this.#happened(`death of ${name}`)
      this.#kill(name)
    }
    const outage = new Outage({ world, names, clients, topics: TOPICS, start, kill })
    const watcher = outage.survivor === undefined ? undefined : this.#watch(outage.survivor)
    await this.#untilQuiet()
    await outage.run()
    await this.#untilQuiet()
    await world.pass(WILL_DELAY_SEC * 1000)
    outage.end(watcher?.receipts[0])
    await this.#untilQuiet()
  }

  /** A client that gets all wills. */
  #watch(node: string): SimClient {
    const subscriptions = [{ filter: 'will/#', qos: 1 as const }]
    const watcher = new SimClient(this.world, { id: 'watcher', version: 5, isPersistent: false, subscriptions })
    this.clients.push(watcher)
    watcher.connect(node)
    return watcher
  }

  /** All clients go, and nothing of them is left behind. */
  async #end(): Promise<void> {
    // Some have yet to come back from what they did last.
    for (let wanted = this.clients; wanted.length > 0; wanted = wanted.filter(({ isWanted }) => isWanted)) {
      for (const client of wanted) {
        if (this.#random.below(2) === 0) client.disconnect()
        else client.vanish()
      }
      await this.world.pass(5000)
    }
    await this.world.pass((EXPIRY_SEC + 10) * 1000)
    const footprints = this.#footprints()
    for (const [node, atStart] of Object.entries(this.#atStart)) {
      for (const [what, count] of Object.entries(atStart)) {
        same({ node, [what]: footprints[node]![what] }, { node, [what]: count })
      }
    }
  }

  #footprints(): Record<string, Footprint> {
    const found: Record<string, Footprint> = {}
    for (const name of this.names) found[fullName(name)] = footprintOf(this.world.services.get(name)!)
    return found
  }

  #happened(what: string): void {
    this.history.push(`${this.world.nowMs.toFixed(1)} ${what}`)
  }
}
