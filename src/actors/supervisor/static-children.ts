/**
 * Children of a supervisor that have a specification each: `one_for_one`, `one_for_all`, `rest_for_one` [OTP supervisor].
 *
 * They are kept by id in start order, which is the order in which the strategies look at them.
 */

import type { ExitReason } from '../errors.ts'
import { cast } from '../gen.ts'
import type { Pid } from '../pid.ts'
import type { StartResult } from '../proc-lib.ts'
import type { Process } from '../process.ts'
import { type AnyChildSpec, checkChildSpec, type FullChildSpec, type SupervisorFlags } from './child-spec.ts'
import type {
  ChildCounts,
  ChildInfo,
  ChildRequestError,
  ChildRequestResult,
  Children,
  GetChildSpecResult,
  StartChildResult,
  Verdict,
} from './children.ts'
import { RestartIntensity } from './restart-intensity.ts'
import { endsWith, isExpectedEnd, isReported, isRestarted, restartedWith } from './restart-plan.ts'
import { runSteps, type Steps, settled } from './steps.ts'
import { report, reportProgress, shutDown, startProcess } from './supervised.ts'

interface Child {
  readonly spec: FullChildSpec
  /** Undefined when it does not run. */
  pid: Pid | undefined
  /** It ended, and starting it again has failed so far. */
  restarting: boolean
}

const NO_ARGS: readonly never[] = []

export class StaticChildren implements Children {
  readonly #self: Process
  readonly #flags: Required<SupervisorFlags>
  readonly #intensity: RestartIntensity
  /** By id, in start order. */
  readonly #children = new Map<string, Child>()
  /** Those that run, by the key of their pid. */
  readonly #byPid = new Map<string, Child>()

  constructor(self: Process, flags: Required<SupervisorFlags>, specs: readonly FullChildSpec[]) {
    this.#self = self
    this.#flags = flags
    this.#intensity = new RestartIntensity(flags.intensity, flags.periodSec)
    for (const spec of specs) this.#children.set(spec.id, { spec, pid: undefined, restarting: false })
  }

  /** Starts the children in order; when one fails, ends those started and returns why the supervisor cannot start. */
  *initialise(): Steps<ExitReason> {
    const failed = yield* this.#startAll([...this.#children.keys()])
    if (failed === undefined) return undefined
    yield* this.#terminateAll([...this.#children.keys()])
    return { shutdown: { failed_to_start_child: failed.id, reason: failed.reason } }
  }

  startChild(specOrArgs: AnyChildSpec | readonly unknown[]): StartChildResult | Promise<StartChildResult> {
    const checked = checkChildSpec(specOrArgs as AnyChildSpec, this.#flags.autoShutdown)
    return checked.ok ? runSteps(this.#addChild(checked.value)) : checked
  }

  terminateChild(target: string | Pid): ChildRequestResult | Promise<ChildRequestResult> {
    const child = typeof target === 'string' ? this.#children.get(target) : undefined
    if (child === undefined) return { ok: false, reason: 'not_found' }
    return runSteps(this.#terminateAndForget(child))
  }

  restartChild(id: string): StartChildResult | Promise<StartChildResult> {
    const child = this.#atRest(id)
    if (typeof child === 'string') return { ok: false, reason: child }
    return runSteps(this.#startAgain(child))
  }

  deleteChild(id: string): ChildRequestResult {
    const child = this.#atRest(id)
    if (typeof child === 'string') return { ok: false, reason: child }
    this.#children.delete(id)
    return { ok: true }
  }

  getChildSpec(target: string | Pid): GetChildSpecResult {
    const spec = typeof target === 'string' ? this.#children.get(target)?.spec : undefined
    return spec === undefined ? { ok: false, reason: 'not_found' } : { ok: true, spec }
  }

  whichChildren(): ChildInfo[] {
    return Array.from(this.#children.values(), ({ spec: { id, type }, pid, restarting }): ChildInfo => {
      return { id, child: restarting ? 'restarting' : pid, type }
    }).reverse()
  }

  countChildren(): ChildCounts {
    const children = [...this.#children.values()]
    const supervisors = children.filter(({ spec }) => spec.type === 'supervisor').length
    return {
      specs: children.length,
      active: children.filter(({ pid }) => pid !== undefined && this.#runs(pid)).length,
      supervisors,
      workers: children.length - supervisors,
    }
  }

  childExited(pid: Pid, reason: ExitReason): Verdict | Promise<Verdict> {
    const child = this.#byPid.get(pid.key)
    if (child === undefined) return 'ok'
    const { spec } = child
    if (isReported(spec.restart, reason)) report(this.#self, 'child_terminated', reason, spec, { pid })
    if (isRestarted(spec.restart, reason)) return runSteps(this.#restart(child))
    this.#forget(child)
    return this.#endsWith(spec) ? 'shutdown' : 'ok'
  }

  tryAgainRestart(id: string): Verdict | Promise<Verdict> {
    const child = this.#children.get(id)
    return child?.restarting ? runSteps(this.#restart(child)) : 'ok'
  }

  terminate(): unknown {
    return runSteps(this.#terminateAll([...this.#children.keys()]))
  }

  *#addChild(spec: FullChildSpec): Steps<StartChildResult> {
    const present = this.#children.get(spec.id)
    if (present?.pid !== undefined) return { ok: false, reason: { already_started: present.pid } }
    if (present !== undefined) return { ok: false, reason: 'already_present' }
    const child: Child = { spec, pid: undefined, restarting: false }
    const result = yield* this.#start(child)
    if (!result.ok) {
      const failed = result.reason
      const isStarted = typeof failed === 'object' && failed !== null && 'already_started' in failed
      return { ok: false, reason: isStarted ? failed : { failed_to_start_child: spec.id, reason: failed } }
    }
    if (child.pid !== undefined || spec.restart !== 'temporary') this.#children.set(spec.id, child)
    return { ok: true, pid: child.pid }
  }

  #runs(pid: Pid): boolean {
    const { runtime } = this.#self
    return runtime.isForeign(pid) || runtime.isAlive(pid)
  }

  *#startAgain(child: Child): Steps<StartChildResult> {
    const result = yield* this.#start(child)
    return result.ok ? { ok: true, pid: child.pid } : result
  }

  *#terminateAndForget(child: Child): Steps<ChildRequestResult> {
    yield* this.#terminate(child)
    this.#forget(child)
    return { ok: true }
  }

  #atRest(id: string): Child | ChildRequestError {
    const child = this.#children.get(id)
    if (child === undefined) return 'not_found'
    if (child.restarting) return 'restarting'
    return child.pid === undefined ? child : 'running'
  }

  *#start(child: Child): Steps<StartResult> {
    const { spec } = child
    const result = yield* settled(startProcess(this.#self, spec, NO_ARGS))
    if (result.ok) {
      child.restarting = false
      this.#setPid(child, result.pid)
      if (result.pid !== undefined) reportProgress(this.#self, spec, result.pid)
    }
    return result
  }

  /** Starts children in order; stops at the first that fails. */
  *#startAll(ids: readonly string[]): Steps<{ id: string; reason: ExitReason } | undefined> {
    for (const id of ids) {
      const child = this.#children.get(id)
      if (child === undefined) continue
      const result = yield* this.#start(child)
      if (!result.ok) {
        report(this.#self, 'start_error', result.reason, child.spec, { pid: undefined })
        return { id, reason: result.reason }
      }
      if (child.pid === undefined && child.spec.restart === 'temporary') this.#children.delete(id)
    }
    return undefined
  }

  /** Ends children in reverse order; temporary ones are forgotten. */
  *#terminateAll(ids: readonly string[]): Steps<void> {
    for (const id of [...ids].reverse()) {
      const child = this.#children.get(id)
      if (child === undefined) continue
      yield* this.#terminate(child)
      this.#forget(child)
    }
  }

  *#terminate(child: Child): Steps<void> {
    const { pid, spec } = child
    if (pid === undefined) return
    const reason = yield* settled(shutDown(this.#self, pid, spec))
    if (!isExpectedEnd(spec, reason)) report(this.#self, 'shutdown_error', reason, spec, { pid })
  }

  *#restart(failed: Child): Steps<Verdict> {
    const { spec } = failed
    const { strategy } = this.#flags
    const { pid } = failed
    if (!this.#intensity.add(this.#self.runtime.clock.monotonic())) {
      report(this.#self, 'shutdown', 'reached_max_restart_intensity', spec, { pid })
      this.#forget(failed)
      return 'shutdown'
    }
    this.#setPid(failed, undefined)
    failed.restarting = false
    const ids = restartedWith(strategy, this.#children.keys(), spec.id)
    if (strategy !== 'one_for_one') yield* this.#terminateAll(ids)
    const failure = yield* this.#startAll(ids)
    if (failure !== undefined) {
      this.#children.get(failure.id)!.restarting = true
      this.#tryAgainLater(failure.id)
    }
    return 'ok'
  }

  /** Leaves the turn to other requests, such as one to shut down, before the restart is tried again. */
  #tryAgainLater(id: string): void {
    cast(this.#self, this.#self.pid, ['try_again_restart', id])
  }

  /** The child does not run; a temporary one is then no child any more. */
  #forget(child: Child): void {
    this.#setPid(child, undefined)
    child.restarting = false
    if (child.spec.restart === 'temporary') this.#children.delete(child.spec.id)
  }

  #setPid(child: Child, pid: Pid | undefined): void {
    if (child.pid !== undefined) this.#byPid.delete(child.pid.key)
    child.pid = pid
    if (pid !== undefined) this.#byPid.set(pid.key, child)
  }

  #endsWith(ended: FullChildSpec): boolean {
    const { autoShutdown } = this.#flags
    if (autoShutdown === 'never' || !ended.significant) return false
    let left = false
    for (const { spec, pid, restarting } of this.#children.values()) {
      if (spec.significant && (pid !== undefined || restarting)) left = true
    }
    return endsWith(autoShutdown, true, left)
  }
}
