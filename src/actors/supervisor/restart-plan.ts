/**
 * The decisions of a supervisor, apart from the process that carries them out: what the end of a child means for it, for
 * its siblings and for the supervisor itself [OTP supervisor, design principles "Restart Strategy"].
 */

import { type ExitReason, isOrderly } from '../errors.ts'
import type { AutoShutdown, FullChildSpec, Restart, Strategy } from './child-spec.ts'

/** True when a child that ended with `reason` is to be started again. */
export function isRestarted(restart: Restart, reason: ExitReason): boolean {
  return restart === 'permanent' || (restart === 'transient' && !isOrderly(reason))
}

/** True when the end of a child is worth a report: a permanent child must not end at all, the others not out of order. */
export function isReported(restart: Restart, reason: ExitReason): boolean {
  return restart === 'permanent' || !isOrderly(reason)
}

/**
 * The children, of all in start order, that are started again when `failed` is restarted, in start order; those that run
 * are terminated before, in reverse order.
 */
export function restartedWith(strategy: Strategy, all: Iterable<string>, failed: string): string[] {
  switch (strategy) {
    case 'one_for_all':
      return [...all]
    case 'rest_for_one': {
      const ids = [...all]
      return ids.slice(ids.indexOf(failed))
    }
    case 'one_for_one':
    case 'simple_one_for_one':
      return [failed]
  }
}

/** True when the supervisor ends because a child ended by itself for good. `significantLeft`: others that are significant and not at rest. */
export function endsWith(autoShutdown: AutoShutdown, significant: boolean, significantLeft: boolean): boolean {
  if (!significant || autoShutdown === 'never') return false
  return autoShutdown === 'any_significant' || !significantLeft
}

/** True when a child that was told to end ended as it should have; anything else is reported as `shutdown_error`. */
export function isExpectedEnd(spec: Pick<FullChildSpec, 'restart' | 'shutdownMs'>, reason: ExitReason): boolean {
  if (spec.shutdownMs === 'brutal_kill') {
    return reason === 'killed' || (spec.restart !== 'permanent' && isOrderly(reason))
  }
  return reason === 'shutdown' || (spec.restart !== 'permanent' && isOrderly(reason))
}
