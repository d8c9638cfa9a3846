/** One run of the simulation: nodes that write, fail, come and go as the seed says. invariants.ts says what must be true of it. */
import { expect } from 'vitest'
import type { SeededRandom } from '../../../src/testing/random.ts'
import { fullName, MnesiaWorld, shortName } from '../mnesia-world.ts'
import { Invariants } from './invariants.ts'
import { ALL } from './tables.ts'
import { Writes } from './writes.ts'

export interface ScheduleOptions {
  readonly seed: number
  readonly rounds?: number
  readonly steps?: number
}

const NAMES = ['a', 'b', 'c', 'd', 'e']
const START = { tables: ALL, startWaitMs: 3000 }
/** Longer than all pauses of those that try again. */
const QUIET_SEC = 180
/** Clocks are wrong by half of this at most, ms. */
const SKEW_MS = 100_000

export class Schedule {
  readonly world: MnesiaWorld
  readonly names: readonly string[]
  /** What happened, for people. */
  readonly history: string[] = []
  readonly #seed: number
  readonly #rounds: number
  readonly #steps: number
  readonly #random: SeededRandom
  readonly #writes: Writes
  readonly #invariants: Invariants
  /** Nodes whose start is under way. */
  readonly #starting = new Set<string>()
  readonly #frozen = new Set<string>()
  /** What is under way, with the node whose death ends it. */
  readonly #pending = new Set<{ readonly name: string; readonly what: string }>()

  constructor({ seed, rounds = 2, steps = 40 }: ScheduleOptions) {
    this.#seed = seed
    this.#rounds = rounds
    this.#steps = steps
    this.world = new MnesiaWorld({ seed, slowness: seed % 4 === 0 ? 0.3 : 0 })
    this.#random = this.world.sim.random
    this.#writes = new Writes(this.world)
    this.#invariants = new Invariants(this.world, this.#writes)
    this.names = NAMES.slice(0, 2 + this.#random.below(4))
  }

  /** Rejects with what went wrong, naming the seed; with HISTORY in the environment, and with what happened before. */
  async run(): Promise<void> {
    try {
      await this.#begin()
      for (let round = 1; round <= this.#rounds; round++) {
        for (let step = 0; step < this.#steps; step++) await this.#step()
        await this.#quiet(round < this.#rounds && this.#random.below(2) === 0)
      }
      await this.#end()
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      const history = process.env.HISTORY === undefined ? [] : this.history
      throw new Error([`seed ${this.#seed}: ${words}`, ...this.#statuses(), ...history].join('\n'), { cause: error })
    } finally {
      this.world.sim.stop()
    }
  }

  async #begin(): Promise<void> {
    for (const name of this.names) {
      if (this.#random.below(5) === 0) this.#skew(name)
      await this.world.start(name, START)
    }
    const [first, ...others] = this.names
    for (const name of others) await this.world.join(name, first!)
    await this.#quiet(false)
  }

  async #step(): Promise<void> {
    const random = this.#random
    const dice = random.below(100)
    const name = random.pick(this.names)
    if (dice < 55) {
      if (this.#isUp(name)) this.#writes.write(name)
    } else if (dice < 80) {
      await this.world.advance(random.below(4) === 0 ? random.below(3000) : random.below(20))
    } else if (dice < 95) {
      await this.#fault(name, random.pick(this.names))
    } else if (this.#isUp(name)) {
      this.#membership(name, random.pick(this.names))
    }
  }

  async #fault(name: string, other: string): Promise<void> {
    const { network } = this.world.sim
    const fault = this.#random.below(12)
    this.#happened(`fault ${fault} at ${name} ${other}`)
    const [node, otherNode] = [fullName(name), fullName(other)]
    switch (fault) {
      case 0:
      case 1:
        // Any shape: each link for itself.
        this.#cut(() => this.#random.below(2) === 0)
        break
      case 2: {
        const left = new Set(this.names.filter(() => this.#random.below(2) === 0))
        this.#cut((a, b) => left.has(a) !== left.has(b))
        break
      }
      case 3:
        network.mendAll()
        for (const frozen of this.#frozen) network.hold(fullName(frozen))
        break
      case 4:
        if (name !== other) network.reset(node, otherNode)
        break
      case 5:
        if (name !== other) network.freeze(node, otherNode)
        break
      case 6:
        if (this.#isUp(name)) this.#freeze(name)
        else this.#thaw(name)
        break
      case 7:
      case 8:
        if (this.#isUp(name)) this.#kill(name)
        else this.#startSoon(name)
        break
      case 9:
        if (this.#isUp(name) && this.#random.below(2) === 0) await this.world.stop(name)
        else this.#startSoon(name)
        break
      case 10:
        if (this.#isUp(name)) this.#crash(name, this.#random.pick(['mnesia', 'mnesia_schema']))
        break
      case 11:
        this.#skew(name)
        break
    }
  }

  #membership(name: string, other: string): void {
    const mnesia = this.world.mnesia(name)
    const { running, stopped } = mnesia.status()
    const isAlone = running.length + stopped.length === 1
    if (isAlone) this.#watch(name, `${name} joins ${other}`, mnesia.join(fullName(other), { confirm: true }))
    else if (this.#random.below(2) === 0) this.#watch(name, `${name} leaves`, mnesia.leave())
    else this.#watch(name, `${name} removes ${other}`, mnesia.remove(fullName(other)))
  }

  #watch(name: string, what: string, promise: Promise<unknown>): void {
    const pending = { name, what }
    this.#pending.add(pending)
    this.#happened(what)
    const done = (result: unknown) => {
      this.#pending.delete(pending)
      const { ok, reason } = (result ?? {}) as { ok?: boolean; reason?: string }
      this.#happened(`${what}: ${ok === false ? String(reason) : 'done'}`)
    }
    promise.then(done, done)
  }

  #isUp(name: string): boolean {
    return this.world.nodes.has(fullName(name)) && !this.#frozen.has(name)
  }

  #cut(isCut: (a: string, b: string) => boolean): void {
    for (const a of this.names) for (const b of this.names) if (a < b && isCut(a, b)) this.world.cut(a, b)
  }

  #freeze(name: string): void {
    this.#frozen.add(name)
    this.world.sim.freeze(name)
  }

  #thaw(name: string): void {
    if (this.#frozen.delete(name)) this.world.sim.thaw(name)
  }

  #kill(name: string): void {
    this.world.kill(name)
    for (const pending of [...this.#pending]) if (pending.name === name) this.#pending.delete(pending)
  }

  #crash(name: string, process: string): void {
    const runtime = this.world.sim.node(name)
    const pid = runtime.whereis(process)
    if (pid !== undefined) runtime.exit(pid, 'kill')
  }

  #skew(name: string): void {
    this.world.sim.skew(name, (this.#random.next() - 0.5) * SKEW_MS)
  }

  #startSoon(name: string): void {
    if (this.world.sim.isRunning(name) || this.#starting.has(name)) return
    this.#starting.add(name)
    const start = this.world.tryStart(name, START).finally(() => this.#starting.delete(name))
    this.#watch(name, `${name} starts`, start)
  }

  /** Faults end; `mayBeDown`: nodes that are down may stay so. What must be true then is checked. */
  async #quiet(mayBeDown: boolean): Promise<void> {
    const { world } = this
    world.sim.network.mendAll()
    for (const name of [...this.#frozen]) this.#thaw(name)
    await world.advance('1s')
    for (const name of this.names) if (!mayBeDown || this.#random.below(2) === 0) this.#startSoon(name)
    for (let passed = 0; passed < QUIET_SEC && !this.#isQuiet(); passed += 5) await world.advance('5s')
    await world.advance('2s')
    for (const { what } of this.#pending) throw new Error(`it never ends: ${what}`)
    this.#happened('quiet')
    this.#invariants.check(this.#running)
  }

  #isQuiet(): boolean {
    return this.#pending.size === 0 && this.#invariants.isQuiet(this.#running)
  }

  get #running(): string[] {
    return this.names.filter((name) => this.world.nodes.has(fullName(name)))
  }

  /** Nothing is left behind. */
  async #end(): Promise<void> {
    const { world } = this
    for (const name of this.names) await world.settle(world.mnesia(name).stop())
    await world.advance('30s')
    expect(world.sim.time.pending).toBe(0)
    for (const name of this.names) {
      const runtime = world.sim.node(name)
      expect(runtime.footprint()).toMatchObject({ timers: 0, activeAliases: 0, foreignMonitors: 0 })
      expect(runtime.registered().filter((each) => each.startsWith('mnesia'))).toEqual([])
    }
  }

  #statuses(): string[] {
    return this.names.map((name) => {
      const node = this.world.nodes.get(fullName(name))
      if (node === undefined) return `${name} is down`
      const { cluster, running, stopped, partitioned } = node.mnesia.status()
      const lists = [running, stopped, partitioned].map((nodes) => nodes.map(shortName).join(' '))
      return `${name} in ${cluster.slice(0, 6)}: ${lists.join(' | ')}`
    })
  }

  #happened(what: string): void {
    this.history.push(`${this.world.sim.time.monotonic().toFixed(1)} ${what}`)
  }
}
