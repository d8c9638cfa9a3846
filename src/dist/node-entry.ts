/**
 * What this node has of another one: the signals to and from it, its connection, or the attempt to get one.
 *
 * It exists from the first signal or the first accepted handshake on, until the connection is lost or the attempt has failed; the next
 * signal makes a new one. Made and forgotten by distribution.ts; connector.ts runs the attempt.
 */
import type { Process } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { TimerHandle } from '../actors/system.ts'
import type { Connection } from './connection.ts'
import type { Negotiation } from './negotiate.ts'
import { Outbox, type OutboxLimits } from './outbox.ts'
import { Peer, type SpawnForPeer } from './peer.ts'

/** A link under constant load is full many times a second; the log tells of it once in this time. */
const BUSY_REPORT_PAUSE_MS = 10_000

export interface NodeEntryOptions {
  readonly runtime: Runtime
  /** Of the other node. */
  readonly name: string
  readonly limits: OutboxLimits
  readonly spawn: SpawnForPeer
  /** More waits to be sent than may. */
  readonly onOverflow: (entry: NodeEntry) => void
}

export class NodeEntry {
  readonly name: string
  readonly peer: Peer
  /** Undefined while the connection is coming up. */
  connection: Connection | undefined = undefined
  isHidden = false
  creation = 0
  /** Handshake of our own attempt. */
  negotiation: Negotiation | undefined = undefined
  /** Aborted when our own attempt is given up. */
  readonly giveUp = new AbortController()
  readonly #runtime: Runtime
  #setupTimer: TimerHandle | undefined = undefined
  #waiters: ((isUp: boolean) => void)[] = []
  /** How often its outbox became too full. */
  #busyTimes = 0
  #nextBusyReportMs = 0

  constructor({ runtime, name, limits, spawn, onOverflow }: NodeEntryOptions) {
    this.#runtime = runtime
    this.name = name
    const outbox = new Outbox(runtime.scheduler, limits, {
      onBusy: (sender) => this.#reportBusy(sender),
      onOverflow: () => onOverflow(this),
    })
    this.peer = new Peer({ runtime, name, outbox, spawn })
  }

  /** Calls back when the whole attempt, from epmd to the cookie, has taken too long. */
  limitSetup(ms: number, onTimeout: () => void): void {
    this.#setupTimer = this.#runtime.timers.set(ms, onTimeout)
  }

  /** Resolves with whether the attempt has led to a connection. */
  settled(): Promise<boolean> {
    return new Promise((resolve) => void this.#waiters.push(resolve))
  }

  /** The attempt is over: what is left of our own is given up, and those who wait are told. */
  settle(isUp: boolean): void {
    if (this.#setupTimer !== undefined) this.#runtime.timers.clear(this.#setupTimer)
    this.#setupTimer = undefined
    this.giveUp.abort()
    this.negotiation?.cancel()
    this.negotiation = undefined
    const waiters = this.#waiters
    this.#waiters = []
    for (const resolve of waiters) resolve(isUp)
  }

  #reportBusy(sender: Process | undefined): void {
    this.#busyTimes++
    const nowMs = this.#runtime.clock.monotonic()
    if (nowMs < this.#nextBusyReportMs) return
    this.#nextBusyReportMs = nowMs + BUSY_REPORT_PAUSE_MS
    this.#runtime.logger.warn(
      { report: 'busy_dist_port', node: this.name, process: sender?.pid, times: this.#busyTimes },
      `the link to ${this.name} is full`,
    )
  }
}
