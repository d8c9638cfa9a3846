/**
 * Children of a `simple_one_for_one` supervisor: any number of one specification [OTP supervisor].
 *
 * There may be a hundred thousand of them, such as the sessions of a broker, so they are kept by pid alone: the start and the
 * death of one cost the same however many there are, and all are ended together.
 */

import { type ExitReason, formatReason } from '../errors.ts'
import { cast } from '../gen.ts'
import { Pid } from '../pid.ts'
import type { StartResult } from '../proc-lib.ts'
import type { Process } from '../process.ts'
import type { AnyChildSpec, AutoShutdown, FullChildSpec, SupervisorFlags } from './child-spec.ts'
import type {
  ChildCounts,
  ChildInfo,
  ChildRequestResult,
  Children,
  GetChildSpecResult,
  StartChildResult,
  Verdict,
} from './children.ts'
import { RestartIntensity } from './restart-intensity.ts'
import { endsWith, isExpectedEnd, isReported, isRestarted } from './restart-plan.ts'
import { runSteps, type Steps, settled } from './steps.ts'
import { report, shutDown, shutDownAll, startProcess } from './supervised.ts'

const NO_ARGS: readonly never[] = []

export class DynamicChildren implements Children {
  readonly #self: Process
  readonly #spec: FullChildSpec
  readonly #autoShutdown: AutoShutdown
  readonly #intensity: RestartIntensity
  /** Those that run, by the key of their pid. */
  readonly #running = new Map<string, Pid>()
  /** Arguments of those that would be restarted, by the same key; temporary children leave none. */
  readonly #args = new Map<string, readonly unknown[]>()
  /** Those whose restart failed so far, by the key of the pid that they had. */
  readonly #restarting = new Map<string, Pid>()

  constructor(self: Process, flags: Required<SupervisorFlags>, spec: FullChildSpec) {
    this.#self = self
    this.#spec = spec
    this.#autoShutdown = flags.autoShutdown
    this.#intensity = new RestartIntensity(flags.intensity, flags.periodSec)
  }

  startChild(args: AnyChildSpec | readonly unknown[]): StartChildResult | Promise<StartChildResult> {
    const list = Array.isArray(args) ? (args as readonly unknown[]) : NO_ARGS
    const started = startProcess(this.#self, this.#spec, list)
    return started instanceof Promise ? started.then((result) => this.#add(list, result)) : this.#add(list, started)
  }

  terminateChild(target: string | Pid): ChildRequestResult | Promise<ChildRequestResult> {
    if (!(target instanceof Pid)) return { ok: false, reason: 'simple_one_for_one' }
    if (this.#running.has(target.key)) return runSteps(this.#terminateOne(target))
    if (this.#restarting.has(target.key)) {
      this.#forget(target)
      return { ok: true }
    }
    const { runtime } = this.#self
    // A process that has ended may have been a child [OTP supervisor:find_child/2].
    return runtime.isForeign(target) || runtime.isAlive(target) ? { ok: false, reason: 'not_found' } : { ok: true }
  }

  restartChild(): StartChildResult {
    return { ok: false, reason: 'simple_one_for_one' }
  }

  deleteChild(): ChildRequestResult {
    return { ok: false, reason: 'simple_one_for_one' }
  }

  getChildSpec(target: string | Pid): GetChildSpecResult {
    return target instanceof Pid && (this.#running.has(target.key) || this.#restarting.has(target.key))
      ? { ok: true, spec: this.#spec }
      : { ok: false, reason: 'not_found' }
  }

  whichChildren(): ChildInfo[] {
    const { type } = this.#spec
    const children = Array.from(this.#running.values(), (child): ChildInfo => ({ id: undefined, child, type }))
    for (const _ of this.#restarting) children.push({ id: undefined, child: 'restarting', type })
    return children.reverse()
  }

  countChildren(): ChildCounts {
    const active = this.#running.size
    const all = active + this.#restarting.size
    return this.#spec.type === 'supervisor'
      ? { specs: 1, active, supervisors: all, workers: 0 }
      : { specs: 1, active, supervisors: 0, workers: all }
  }

  childExited(pid: Pid, reason: ExitReason): Verdict | Promise<Verdict> {
    if (!this.#running.has(pid.key)) return 'ok'
    const { restart, significant } = this.#spec
    if (isReported(restart, reason)) report(this.#self, 'child_terminated', reason, this.#spec, { pid })
    if (isRestarted(restart, reason)) return runSteps(this.#restart(pid))
    this.#forget(pid)
    const isLast = this.#running.size + this.#restarting.size === 0
    return endsWith(this.#autoShutdown, significant, !isLast) ? 'shutdown' : 'ok'
  }

  tryAgainRestart(pidKey: string): Verdict | Promise<Verdict> {
    const pid = this.#restarting.get(pidKey)
    return pid === undefined ? 'ok' : runSteps(this.#restart(pid))
  }

  /** Ends all children together and reports once for each reason that was not expected. */
  terminate(): Promise<void> | undefined {
    const pids = [...this.#running.values()]
    this.#running.clear()
    this.#args.clear()
    this.#restarting.clear()
    if (pids.length === 0) return undefined
    const errors = new Map<string, { reason: ExitReason; children: number }>()
    const onEnd = (_: Pid, reason: ExitReason): void => {
      if (isExpectedEnd(this.#spec, reason)) return
      const key = formatReason(reason)
      errors.set(key, { reason, children: (errors.get(key)?.children ?? 0) + 1 })
    }
    return shutDownAll(this.#self, pids, this.#spec, onEnd).then(() => {
      for (const { reason, children } of errors.values()) {
        report(this.#self, 'shutdown_error', reason, this.#spec, { children })
      }
    })
  }

  #add(args: readonly unknown[], result: StartResult): StartChildResult {
    if (result.ok && result.pid !== undefined) {
      this.#running.set(result.pid.key, result.pid)
      if (this.#spec.restart !== 'temporary') this.#args.set(result.pid.key, args)
    }
    return result.ok ? { ok: true, pid: result.pid } : result
  }

  *#restart(pid: Pid): Steps<Verdict> {
    const args = this.#args.get(pid.key) ?? NO_ARGS
    this.#forget(pid)
    if (!this.#intensity.add(this.#self.runtime.clock.monotonic())) {
      report(this.#self, 'shutdown', 'reached_max_restart_intensity', this.#spec, { pid })
      return 'shutdown'
    }
    const result = this.#add(args, yield* settled(startProcess(this.#self, this.#spec, args)))
    if (!result.ok) {
      this.#args.set(pid.key, args)
      this.#restarting.set(pid.key, pid)
      report(this.#self, 'start_error', result.reason, this.#spec, { pid })
      // Leaves the turn to other requests, such as one to shut down, before the restart is tried again.
      cast(this.#self, this.#self.pid, ['try_again_restart', pid.key])
    }
    return 'ok'
  }

  *#terminateOne(pid: Pid): Steps<ChildRequestResult> {
    const reason = yield* settled(shutDown(this.#self, pid, this.#spec))
    if (!isExpectedEnd(this.#spec, reason)) report(this.#self, 'shutdown_error', reason, this.#spec, { pid })
    this.#forget(pid)
    return { ok: true }
  }

  #forget(pid: Pid): void {
    this.#running.delete(pid.key)
    this.#args.delete(pid.key)
    this.#restarting.delete(pid.key)
  }
}
