/**
 * How busy a node is, sampled once a second and kept for ten minutes, so that whoever begins to look has a history at once.
 *
 * A node is one JavaScript thread: it is as busy as its event loop. A simulated node has no event loop of its own, and is
 * given no probe.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Runtime } from '../../actors/runtime.ts'
import type { Load } from '../rows.ts'

const SAMPLE_MS = 1000
const SAMPLES_KEPT = 600
const DELAY_RESOLUTION_MS = 20
const NS_PER_MS = 1e6
const MIN_COUNTED_MS = 200

/** What is measured of the event loop. */
export interface LoopProbe {
  /** Milliseconds that the event loop was busy and idle since the start. */
  utilization(): { readonly active: number; readonly idle: number }
  /** Delays since it was asked last. */
  delays(): { readonly maxMs: number; readonly p99Ms: number }
  close(): void
}

/** The probe of the thread that runs this. */
export function realLoop(): LoopProbe {
  const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  delays.enable()
  // The histogram counts the time between its ticks, of which its resolution is part.
  const late = (ns: number): number => Math.max(0, Math.round((ns / NS_PER_MS - DELAY_RESOLUTION_MS) * 10) / 10)
  return {
    utilization: () => performance.eventLoopUtilization(),
    delays: () => {
      const measured = delays.count > 0 ? { maxMs: late(delays.max), p99Ms: late(delays.percentile(99)) } : NO_DELAYS
      delays.reset()
      return measured
    },
    close: () => void delays.disable(),
  }
}

const NO_DELAYS = { maxMs: 0, p99Ms: 0 }

interface Sample {
  readonly activeMs: number
  readonly totalMs: number
  readonly delays: { readonly maxMs: number; readonly p99Ms: number } | undefined
}

export class LoadHistory {
  readonly #runtime: Runtime
  readonly #probe: LoopProbe | undefined
  /** The oldest first. */
  readonly #samples: Sample[] = []
  #timer: object | undefined
  /** When the load was asked for last: counting goes through all processes, so it is done for those who ask only. */
  #counted: { readonly atMs: number; readonly reductions: number; readonly redsPerSec: number }

  constructor(runtime: Runtime, probe: LoopProbe | undefined) {
    this.#runtime = runtime
    this.#probe = probe
    this.#counted = { atMs: runtime.clock.monotonic(), reductions: reductionsOf(runtime), redsPerSec: 0 }
    this.#sample()
  }

  /** The load as of the last sample. */
  get load(): Load {
    const { scheduler, processes } = this.#runtime
    const last = this.#samples.at(-1)
    return {
      busy: this.#busy(1),
      busy1m: this.#busy(60),
      busy10m: this.#busy(600),
      ...(last?.delays === undefined ? {} : { delayMaxMs: last.delays.maxMs, delayP99Ms: last.delays.p99Ms }),
      runQueue: scheduler.runQueueLength,
      processes: processes.count,
      redsPerSec: this.#redsPerSec(),
    }
  }

  close(): void {
    if (this.#timer !== undefined) this.#runtime.timers.clear(this.#timer)
    this.#probe?.close()
  }

  #sample(): void {
    const { clock, timers } = this.#runtime
    const loop = this.#probe?.utilization()
    this.#samples.push({
      activeMs: loop?.active ?? 0,
      totalMs: loop === undefined ? clock.monotonic() : loop.active + loop.idle,
      delays: this.#probe?.delays(),
    })
    if (this.#samples.length > SAMPLES_KEPT + 1) this.#samples.shift()
    this.#timer = timers.set(SAMPLE_MS, () => this.#sample())
  }

  /** Since it was asked last; who asks again at once gets the same answer. */
  #redsPerSec(): number {
    const atMs = this.#runtime.clock.monotonic()
    const passedMs = atMs - this.#counted.atMs
    if (passedMs >= MIN_COUNTED_MS) {
      const reductions = reductionsOf(this.#runtime)
      const grown = reductions - this.#counted.reductions
      this.#counted = { atMs, reductions, redsPerSec: Math.round((grown * 1000) / passedMs) }
    }
    return this.#counted.redsPerSec
  }

  #busy(seconds: number): number {
    const total = this.#over(seconds, ({ totalMs }) => totalMs)
    return total > 0 ? Math.round((this.#over(seconds, ({ activeMs }) => activeMs) / total) * 1000) / 1000 : 0
  }

  /** How much a figure has grown within the last seconds, or since the start. */
  #over(seconds: number, figure: (sample: Sample) => number): number {
    const samples = this.#samples
    const [then, now] = [samples[Math.max(0, samples.length - 1 - seconds)], samples.at(-1)]
    return then === undefined || now === undefined ? 0 : figure(now) - figure(then)
  }
}

function reductionsOf({ processes, reductionsOfEnded }: Runtime): number {
  let reductions = reductionsOfEnded
  for (const process of processes) reductions += process.reductions
  return reductions
}
