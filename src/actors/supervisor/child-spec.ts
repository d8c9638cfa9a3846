/**
 * Child specifications and supervisor flags: their keys, defaults and checks [OTP supervisor, "Child specification"].
 *
 * What is wrong with a specification is returned with OTP's words (`invalid_restart_type`, `duplicate_child_name` …): a
 * supervisor that is given a bad one does not start, and `startChild` answers with the error.
 */
import type { Pid } from '../pid.ts'
import type { StartResult } from '../proc-lib.ts'
import type { ProcessContext } from '../process.ts'

/** When a child that ended is started again: always, only after an end that was not in order, or never. */
export type Restart = 'permanent' | 'transient' | 'temporary'

/** How long a child has to end when it is told to, in milliseconds; `brutal_kill` does not ask. */
export type Shutdown = number | 'infinity' | 'brutal_kill'

/** `simple_one_for_one` has one specification, of which children are made by `startChild`. */
export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one' | 'simple_one_for_one'

/** Whether a supervisor ends, with reason `shutdown`, when significant children end by themselves. */
export type AutoShutdown = 'never' | 'any_significant' | 'all_significant'

/**
 * Starts a child, as the supervisor, and links it to it: a pid or the outcome of a start, at once or as a promise, which the
 * supervisor awaits. Throwing, or rejecting, fails the start with what was thrown as the reason.
 */
export type StartFunction<Args extends readonly unknown[] = []> = (
  self: ProcessContext,
  ...args: Args
) => Pid | StartResult | PromiseLike<Pid | StartResult>

/** A child as a supervisor is told about it. `Args`: what `start` takes from `startChild` of a `simple_one_for_one`. */
export interface ChildSpec<Args extends readonly unknown[] = []> {
  /** Unique within the supervisor. */
  readonly id: string
  readonly start: StartFunction<Args>
  /** Defaults to `permanent`. */
  readonly restart?: Restart
  /** See `AutoShutdown`; defaults to false. */
  readonly significant?: boolean
  /** Defaults to 5000 ms for a worker and `infinity` for a supervisor. */
  readonly shutdownMs?: Shutdown
  /** Defaults to `worker`. */
  readonly type?: 'worker' | 'supervisor'
}

/** A specification that was checked, with every default filled in. */
export type FullChildSpec = Required<ChildSpec<readonly unknown[]>>

/** A specification of any kind of child, as a supervisor handles it. */
export type AnyChildSpec = ChildSpec<never>

/** How a supervisor works. */
export interface SupervisorFlags {
  /** Defaults to `one_for_one`. */
  readonly strategy?: Strategy
  /** Restarts within `periodSec` that are still allowed; defaults to 1. */
  readonly intensity?: number
  /** Defaults to 5 seconds. */
  readonly periodSec?: number
  /** Defaults to `never`. */
  readonly autoShutdown?: AutoShutdown
}

/** What is wrong with a specification or with flags: OTP's error terms. */
export type SpecError = { readonly [key: string]: unknown } | 'missing_id' | 'missing_start'

type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: SpecError }

const STRATEGIES: readonly unknown[] = ['one_for_one', 'one_for_all', 'rest_for_one', 'simple_one_for_one']
const RESTARTS: readonly unknown[] = ['permanent', 'transient', 'temporary']
const TYPES: readonly unknown[] = ['worker', 'supervisor']
const AUTO_SHUTDOWNS: readonly unknown[] = ['never', 'any_significant', 'all_significant']

/** Fills in the defaults of flags, or tells what is wrong with them. */
export function checkFlags(flags: SupervisorFlags): Checked<Required<SupervisorFlags>> {
  const { strategy = 'one_for_one', intensity = 1, periodSec = 5, autoShutdown = 'never' } = flags
  if (!STRATEGIES.includes(strategy)) return bad({ invalid_strategy: strategy })
  if (!Number.isInteger(intensity) || intensity < 0) return bad({ invalid_intensity: intensity })
  if (!(periodSec > 0) || !Number.isFinite(periodSec)) return bad({ invalid_period: periodSec })
  if (!AUTO_SHUTDOWNS.includes(autoShutdown)) return bad({ invalid_auto_shutdown: autoShutdown })
  return { ok: true, value: { strategy, intensity, periodSec, autoShutdown } }
}

/**
 * Fills in the defaults of a child specification, or tells what is wrong with it. With `autoShutdown` it also checks that
 * a significant child is allowed there.
 */
export function checkChildSpec(spec: AnyChildSpec, autoShutdown?: AutoShutdown): Checked<FullChildSpec> {
  if (typeof spec !== 'object' || spec === null) return bad({ invalid_child_spec: spec })
  const { id, start, restart = 'permanent', significant = false, type = 'worker' } = spec
  if (id === undefined) return bad('missing_id')
  if (start === undefined) return bad('missing_start')
  if (typeof start !== 'function') return bad({ invalid_mfa: start })
  if (!RESTARTS.includes(restart)) return bad({ invalid_restart_type: restart })
  if (typeof significant !== 'boolean') return bad({ invalid_significant: significant })
  if (significant && autoShutdown === 'never') {
    return bad({ bad_combination: { auto_shutdown: 'never', significant: true } })
  }
  if (significant && restart === 'permanent') {
    return bad({ bad_combination: { restart: 'permanent', significant: true } })
  }
  if (!TYPES.includes(type)) return bad({ invalid_child_type: type })
  const { shutdownMs = type === 'worker' ? 5000 : 'infinity' } = spec
  if (shutdownMs !== 'infinity' && shutdownMs !== 'brutal_kill' && !(shutdownMs >= 0)) {
    return bad({ invalid_shutdown: shutdownMs })
  }
  return {
    ok: true,
    value: { id, start: start as unknown as FullChildSpec['start'], restart, significant, shutdownMs, type },
  }
}

/** Checks a list of specifications: each by itself, and that no id comes twice. OTP's `check_childspecs`. */
export function checkChildSpecs(specs: readonly AnyChildSpec[], autoShutdown?: AutoShutdown): Checked<FullChildSpec[]> {
  const checked = new Map<string, FullChildSpec>()
  for (const spec of specs) {
    const result = checkChildSpec(spec, autoShutdown)
    if (!result.ok) return result
    if (checked.has(result.value.id)) return bad({ duplicate_child_name: result.value.id })
    checked.set(result.value.id, result.value)
  }
  return { ok: true, value: [...checked.values()] }
}

function bad(reason: SpecError): { ok: false; reason: SpecError } {
  return { ok: false, reason }
}
