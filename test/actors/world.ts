/**
 * A world for tests of the actor layer: virtual time, seeded randomness, and a scheduler that a test drives by hand.
 *
 * `settle` runs everything that can run without time passing, promises included; `advance` lets time pass, timer by timer.
 */
import { type Logger, pino } from 'pino'
import type { Process } from '../../src/actors/process.ts'
import { Runtime } from '../../src/actors/runtime.ts'
import type { Flushable, Runnable, Scheduler } from '../../src/actors/scheduler.ts'
import type { System, TimerHandle } from '../../src/actors/system.ts'

interface PendingTimer {
  readonly dueMs: number
  readonly callback: () => void
}

export class HandScheduler implements Scheduler {
  turns = 0
  readonly queue: Runnable[] = []
  readonly reductions: number
  #dirty: Flushable[] = []
  readonly #pick: (length: number) => number

  constructor(pick: (length: number) => number = () => 0, reductions = 200) {
    this.#pick = pick
    this.reductions = reductions
  }

  get runQueueLength(): number {
    return this.queue.length
  }

  ready(process: Runnable): void {
    this.queue.push(process)
  }

  atTurnEnd(flushable: Flushable): void {
    this.#dirty.push(flushable)
  }

  stop(): void {
    this.queue.length = 0
  }

  /** Runs one given process for `reductions` messages. */
  runOne(process: Runnable, reductions: number): void {
    const at = this.queue.indexOf(process)
    if (at < 0) return
    this.queue.splice(at, 1)
    if (process.run(reductions)) this.queue.push(process)
  }

  drain(): void {
    this.turns++
    while (this.queue.length > 0) {
      const at = this.#pick(this.queue.length)
      const process = at === 0 ? this.queue.shift()! : this.queue.splice(at, 1)[0]!
      if (process.run(this.reductions)) this.queue.push(process)
    }
    const dirty = this.#dirty
    this.#dirty = []
    for (const flushable of dirty) flushable.flush()
  }
}

export interface WorldOptions {
  readonly name?: string
  readonly pick?: (length: number) => number
  readonly reductions?: number
}

export interface LogLine {
  readonly level: number
  readonly msg?: string
  readonly [key: string]: unknown
}

export class World {
  nowMs = 0
  readonly scheduler: HandScheduler
  readonly runtime: Runtime
  readonly log: LogLine[] = []
  readonly #timers = new Set<PendingTimer>()
  #seed = 1

  constructor(options: WorldOptions = {}) {
    this.scheduler = new HandScheduler(options.pick, options.reductions)
    const clock = { now: () => this.nowMs, monotonic: () => this.nowMs }
    const system: System = {
      clock,
      timers: {
        set: (ms, callback) => {
          const timer: PendingTimer = { dueMs: this.nowMs + ms, callback }
          this.#timers.add(timer)
          return timer
        },
        clear: (handle: TimerHandle) => void this.#timers.delete(handle as PendingTimer),
      },
      random: () => this.#random(),
      randomFill: (buffer) =>
        void buffer.forEach((_, i) => {
          buffer[i] = Math.floor(this.#random() * 256)
        }),
      createScheduler: () => this.scheduler,
    }
    this.runtime = new Runtime({
      logger: this.#logger(),
      system,
      ...(options.name === undefined ? {} : { name: options.name }),
    })
  }

  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Runs until nothing is runnable and no promise is about to settle. */
  async settle(): Promise<void> {
    do {
      this.scheduler.drain()
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.scheduler.runQueueLength > 0)
  }

  /** Lets `ms` pass; timers fire in order of their time, and everything settles between them. */
  async advance(ms: number): Promise<void> {
    await this.settle()
    const until = this.nowMs + ms
    for (let timer = this.#nextTimer(until); timer !== undefined; timer = this.#nextTimer(until)) {
      this.#timers.delete(timer)
      this.nowMs = Math.max(this.nowMs, timer.dueMs)
      timer.callback()
      await this.settle()
    }
    this.nowMs = until
  }

  /** Settles a promise that needs this world to run, letting time pass if it has to. */
  async run<T>(promise: PromiseLike<T>, withinMs = 600_000): Promise<T> {
    let done = false
    const finished = Promise.resolve(promise).finally(() => {
      done = true
    })
    finished.catch(() => {})
    const until = this.nowMs + withinMs
    await this.settle()
    while (!done) {
      const timer = this.#nextTimer(until)
      if (timer === undefined) throw new Error('the promise never settles: nothing runs and no timer is due')
      this.#timers.delete(timer)
      this.nowMs = Math.max(this.nowMs, timer.dueMs)
      timer.callback()
      await this.settle()
    }
    return finished
  }

  process(name: string): Process | undefined {
    const pid = this.runtime.whereis(name)
    return pid === undefined ? undefined : this.runtime.process(pid)
  }

  #nextTimer(until: number): PendingTimer | undefined {
    let next: PendingTimer | undefined
    for (const timer of this.#timers) {
      if (timer.dueMs <= until && (next === undefined || timer.dueMs < next.dueMs)) next = timer
    }
    return next
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return this.#seed / 2 ** 32
  }

  #logger(): Logger {
    return pino({ level: 'trace' }, { write: (line: string) => void this.log.push(JSON.parse(line) as LogLine) })
  }
}

/** A behaviour that notes what it is sent. */
export function recorder(into: unknown[]): { receive(message: unknown): void } {
  return { receive: (message) => void into.push(message) }
}
