/**
 * Which homes say nothing: nodes that stand still, and have not been given up yet.
 *
 * A home may have its reasons to let a claim wait. So it is asked whether it is there, and one that does not answer that is silent until it does: meanwhile the
 * next home decides in its place. When it goes on it may find a claim in its mailbox whose connection has long been served, or closed; so a home does not take a claim
 * that has been on its way for too long, and has its manager ask again if it still wants to.
 */
import type { ProcessContext } from '../../actors/process.ts'
import type { RemoteName } from '../../actors/signal.ts'
import type { Homes } from './home.ts'

/** What session managers say to each other about that. */
export type Probe =
  | { readonly tag: 'probe'; readonly manager: RemoteName }
  | { readonly tag: 'probed'; readonly node: string }

/** The message of this part to its own process. */
export interface ProbeTick {
  readonly tag: 'probe_tick'
}

/** How often it is looked for whom somebody waits. */
export const TICK_MS = 500
/** A home that has not answered for so long is silent. */
const SILENT_MS = 1000
/** A claim that took so much longer than others of its node is late. */
const LATE_MS = 1000
/** Clocks of two machines drift apart by less. */
const DRIFT = 2e-4

/** A home that has not answered yet. Monotonic, ms */
interface Asked {
  readonly firstAtMs: number
  readonly lastAtMs: number
}

/** How far the monotonic clock of another node is behind this one, at most. */
interface Offset {
  readonly ms: number
  readonly atMs: number
}

export class SilentHomes {
  readonly #self: ProcessContext
  readonly #manager: RemoteName
  readonly #homes: Homes
  readonly #asked = new Map<string, Asked>()
  /** By node. */
  readonly #offsets = new Map<string, Offset>()
  #isTicking = false

  /** `manager`: whom homes answer. */
  constructor(self: ProcessContext, manager: RemoteName, homes: Homes) {
    this.#self = self
    this.#manager = manager
    this.#homes = homes
  }

  /** A claim has been sent to another home. */
  watch(): void {
    if (this.#isTicking) return
    this.#isTicking = true
    this.#self.sendAfter(TICK_MS, this.#self.pid, { tag: 'probe_tick' } satisfies ProbeTick)
  }

  /** `slow`: homes that have let somebody wait for longer than a tick. */
  tick(slow: ReadonlySet<string>, isSomebodyWaiting: boolean): void {
    this.#isTicking = false
    const nowMs = this.#self.runtime.clock.monotonic()
    for (const home of slow) {
      if (!this.#asked.has(home) && this.#homes.answers(home)) this.#ask(home, nowMs, nowMs)
    }
    for (const [home, { firstAtMs, lastAtMs }] of this.#asked) {
      if (!this.#homes.answers(home)) this.#asked.delete(home)
      else if (nowMs - firstAtMs >= SILENT_MS) {
        this.#homes.silence(home)
        if (nowMs - lastAtMs >= SILENT_MS) this.#ask(home, firstAtMs, nowMs)
      }
    }
    if (isSomebodyWaiting || this.#asked.size > 0) this.watch()
  }

  /** A home answers. */
  answered(home: string): void {
    this.#asked.delete(home)
    this.#homes.heard(home)
  }

  /** Whether a claim that a node has sent, at that time of its monotonic clock, has come late. */
  isLate(node: string, sentAtMs: number): boolean {
    const nowMs = this.#self.runtime.clock.monotonic()
    const ms = nowMs - sentAtMs
    const known = this.#offsets.get(node)
    const leastMs = known === undefined ? ms : known.ms + (nowMs - known.atMs) * DRIFT
    if (ms <= leastMs) this.#offsets.set(node, { ms, atMs: nowMs })
    return ms > leastMs + LATE_MS
  }

  /** Other nodes run than before: one that starts anew has another clock. */
  homesChanged(): void {
    for (const node of this.#offsets.keys()) if (!this.#homes.isRunning(node)) this.#offsets.delete(node)
  }

  #ask(home: string, firstAtMs: number, nowMs: number): void {
    this.#asked.set(home, { firstAtMs, lastAtMs: nowMs })
    const probe: Probe = { tag: 'probe', manager: this.#manager }
    this.#self.send({ name: this.#manager.name, node: home }, probe)
  }
}
