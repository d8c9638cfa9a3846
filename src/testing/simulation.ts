/**
 * Several runtimes in one OS process under virtual time, with a seeded scheduler: the same seed gives the same run.
 *
 * The code that runs is the production code; what is simulated is the world that a runtime is given: its clock, timers,
 * randomness, scheduler and the links to other nodes. A test runs many seeds; one that fails is replayed by its number.
 */
import pino, { type Logger } from 'pino'
import { BadArgError } from '../actors/errors.ts'
import { Runtime } from '../actors/runtime.ts'
import { Network, type NetworkOptions } from './network.ts'
import { NodeTime } from './node-time.ts'
import { SeededRandom } from './random.ts'
import { SeededScheduler } from './seeded-scheduler.ts'
import { Trace } from './trace.ts'
import { VirtualTime } from './virtual-time.ts'
import { Wire, type WireOptions } from './wire.ts'

export interface SimulationOptions extends NetworkOptions {
  readonly seed: number
  /** Names of the nodes; without a host, `@sim` is added. @default ['a'] */
  readonly nodes?: readonly string[]
  /**
   * How slow the nodes are: the chance, in [0, 1), that the next timer fires while processes are still runnable. At 0 all processes
   * come to rest before time passes. @default 0
   */
  readonly slowness?: number
  /** @default one that is silent */
  readonly logger?: Logger
}

/** Milliseconds, or a number with a unit: `'50ms'`, `'30s'`, `'2m'`, `'1h'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h'}`

interface Node {
  readonly runtime: Runtime
  readonly scheduler: SeededScheduler
  readonly time: NodeTime
  isFrozen: boolean
}

/** A run that does more steps than this without coming to rest is taken for one that never will. */
const MOST_STEPS = 1_000_000

/** Processes run between two looks at settled promises. */
const STEPS_PER_MICROTASKS = 4

/** Starts the nodes of a simulation. Stop it with `stop()`. */
export function simulate(options: SimulationOptions): Simulation {
  return new Simulation(options)
}

export class Simulation {
  readonly seed: number
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly network: Network
  /** Equal for two runs of a seed. */
  readonly trace = new Trace()
  readonly #logger: Logger
  readonly #slowness: number
  readonly #nodes = new Map<string, Node>()
  /** Used anew for each step. */
  readonly #busy: SeededScheduler[] = []
  readonly #creations = new Map<string, number>()
  /** By full name; a wrong clock stays wrong when the node starts again. */
  readonly #skewsMs = new Map<string, number>()

  constructor(options: SimulationOptions) {
    this.seed = options.seed
    this.random = new SeededRandom(options.seed)
    this.network = new Network(this.time, this.random, this.trace, options)
    this.#slowness = options.slowness ?? 0
    this.#logger = options.logger ?? pino({ level: 'silent' })
    for (const name of options.nodes ?? ['a']) this.start(name)
  }

  /** Starts a node, or starts it again, as a new incarnation, after `kill`. */
  start(name: string): Runtime {
    const full = fullName(name)
    if (this.#nodes.has(full)) throw new BadArgError(`node ${full} is running`)
    const creation = (this.#creations.get(full) ?? 0) + 1
    this.#creations.set(full, creation)
    let scheduler: SeededScheduler | undefined
    const time = new NodeTime(this.time)
    time.skewMs = this.#skewsMs.get(full) ?? 0
    const runtime = new Runtime({
      name: full,
      creation,
      logger: this.#logger.child({}),
      system: {
        clock: time,
        timers: time,
        random: () => this.random.next(),
        randomFill: (buffer) => this.random.fill(buffer),
        createScheduler: (onError) => {
          scheduler = new SeededScheduler(this.random, onError, this.trace)
          return scheduler
        },
      },
    })
    this.#nodes.set(full, { runtime, scheduler: scheduler!, time, isFrozen: false })
    this.network.add(runtime)
    return runtime
  }

  /** The runtime of a node; throws `BadArgError` when it is not running. */
  node(name: string): Runtime {
    return this.#existing(name).runtime
  }

  isRunning(name: string): boolean {
    return this.#nodes.has(fullName(name))
  }

  /** A wire between a client and a server of this simulation. */
  wire(options?: WireOptions): Wire {
    return new Wire(this, options)
  }

  /** What `look` finds on every running node, in the order of their start. */
  every<T>(look: (runtime: Runtime) => T): T[] {
    return [...this.#nodes.values()].map(({ runtime }) => look(runtime))
  }

  /** Ends a node at once, without any farewell; code of it that still runs, to its next await, is not heard any more. */
  kill(name: string): void {
    const full = fullName(name)
    const node = this.#nodes.get(full)
    if (node === undefined) return
    this.#nodes.delete(full)
    this.network.remove(full)
    node.time.stop()
    node.runtime.logger.level = 'silent'
    node.runtime.stop()
  }

  /** The node stands still, as one that got SIGSTOP, until `thaw`. */
  freeze(name: string): void {
    const node = this.#existing(name)
    node.isFrozen = true
    node.time.hold()
    this.network.hold(fullName(name))
  }

  /** The node goes on; so do its links, if they were frozen for themselves. */
  thaw(name: string): void {
    const node = this.#existing(name)
    node.isFrozen = false
    this.network.release(fullName(name))
    node.time.release()
  }

  /** Sets how far the wall clock of a node is ahead of the others, also of one that will be started. */
  skew(name: string, ms: number): void {
    const full = fullName(name)
    this.#skewsMs.set(full, ms)
    const node = this.#nodes.get(full)
    if (node !== undefined) node.time.skewMs = ms
  }

  /** Cuts every link between the two groups of nodes. */
  async partition(left: readonly string[], right: readonly string[]): Promise<void> {
    for (const a of left) for (const b of right) this.network.cut(fullName(a), fullName(b))
    await this.run()
  }

  /** Mends all links. */
  async heal(): Promise<void> {
    this.network.mendAll()
    await this.run()
  }

  /** Lets all processes run until none is runnable; no time passes. */
  async run(): Promise<void> {
    await eventLoop()
    await this.#runUntil(NEVER)
  }

  /** Runs until no process is runnable, or `isEnough`. */
  async #runUntil(isEnough: () => boolean): Promise<void> {
    for (let steps = 0; steps < MOST_STEPS; steps += STEPS_PER_MICROTASKS) {
      for (let i = 0; i < STEPS_PER_MICROTASKS && this.#step(); i++);
      await microtasks()
      const refused = this.network.refused.shift()
      if (refused !== undefined) throw new Error(`seed ${this.seed}: ${String(refused)}`, { cause: refused })
      if (!this.#isBusy || isEnough()) return
    }
    throw new Error(`seed ${this.seed}: no rest after ${MOST_STEPS} steps`)
  }

  /** Lets time pass, firing what is due on the way. */
  async advance(duration: Duration): Promise<void> {
    const endMs = this.time.monotonic() + milliseconds(duration)
    const isEnough = this.#slowness > 0 ? () => this.random.next() < this.#slowness : NEVER
    await this.run()
    for (;;) {
      const nextInMs = this.time.nextInMs
      if (nextInMs !== undefined && this.time.monotonic() + nextInMs <= endMs) {
        this.time.fireNext()
        await this.#runUntil(isEnough)
      } else if (this.#isBusy) {
        // It may set timers that are due by then.
        await this.#runUntil(NEVER)
      } else break
    }
    this.time.skip(endMs - this.time.monotonic())
  }

  /** Runs on until no process is runnable and no timer is due within `quiet`. */
  async settled(quiet: Duration = '1s'): Promise<void> {
    await this.run()
    for (let fired = 0; fired < MOST_STEPS; fired++) {
      const nextInMs = this.time.nextInMs
      if (nextInMs === undefined || nextInMs > milliseconds(quiet)) return
      this.time.fireNext()
      await this.#runUntil(NEVER)
    }
    throw new Error(`seed ${this.seed}: not settled after ${MOST_STEPS} timers`)
  }

  stop(): void {
    for (const name of [...this.#nodes.keys()]) this.kill(name)
  }

  #existing(name: string): Node {
    const node = this.#nodes.get(fullName(name))
    if (node === undefined) throw new BadArgError(`node ${fullName(name)} is not running`)
    return node
  }

  get #isBusy(): boolean {
    for (const { scheduler, isFrozen } of this.#nodes.values()) if (scheduler.isBusy && !isFrozen) return true
    return false
  }

  /** Lets one process of some node run; returns false when there is none. */
  #step(): boolean {
    const busy = this.#busy
    busy.length = 0
    for (const { scheduler, isFrozen } of this.#nodes.values()) if (scheduler.isBusy && !isFrozen) busy.push(scheduler)
    if (busy.length === 0) return false
    this.random.pick(busy).step()
    return true
  }
}

function fullName(name: string): string {
  return name.includes('@') ? name : `${name}@sim`
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

function milliseconds(duration: Duration): number {
  if (typeof duration === 'number') return duration
  const match = /^([\d.]+)(ms|s|m|h)$/.exec(duration)
  if (match === null) throw new BadArgError(`${duration} is no duration`)
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
}

const NEVER = () => false

/** Resolves when all promises that can settle by now have settled, and what awaited them has run. */
function microtasks(): Promise<void> {
  // A tick comes when the queue of microtasks is empty. Going round the event loop would take far longer.
  return new Promise((resolve) => process.nextTick(resolve))
}

/** Lets what waits for the event loop of the OS process have its turn. */
function eventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
