/**
 * What a supervisor does with the process of one child, whatever its strategy: starts it, ends it, reports of it.
 *
 * A child is watched by a monitor while it is being ended, not by its link: one that has unlinked itself does not hold up its
 * supervisor [OTP supervisor, shutdown/1].
 */

import { Exit, type ExitReason, exitReasonOf } from '../errors.ts'
import { Pid } from '../pid.ts'
import type { StartResult } from '../proc-lib.ts'
import type { Process } from '../process.ts'
import { isExitMessage } from '../signal.ts'
import type { FullChildSpec } from './child-spec.ts'
import { isPromiseLike } from './steps.ts'

/** Why a supervisor reports: OTP's error contexts. */
export type ErrorContext = 'child_terminated' | 'start_error' | 'shutdown' | 'shutdown_error'

/** Calls a start function; never throws or rejects. */
export function startProcess(
  self: Process,
  spec: FullChildSpec,
  args: readonly unknown[],
): StartResult | Promise<StartResult> {
  try {
    const started = spec.start(self, ...args)
    return isPromiseLike(started) ? Promise.resolve(started).then(resultOf, failureOf) : resultOf(started)
  } catch (thrown) {
    return failureOf(thrown)
  }
}

/** Ends a child and returns the reason of its end; a promise unless it ends at once. */
export function shutDown(
  self: Process,
  pid: Pid,
  { shutdownMs }: Pick<FullChildSpec, 'shutdownMs'>,
): ExitReason | Promise<ExitReason> {
  const { runtime } = self
  let down: { reason: ExitReason } | undefined
  let resolve: ((reason: ExitReason) => void) | undefined
  let timer: object | undefined
  runtime.monitor(self, pid, (reason) => {
    if (timer !== undefined) runtime.timers.clear(timer)
    down = { reason }
    resolve?.(unlinkFlush(self, pid, reason))
  })
  runtime.exitFrom(self.pid, pid, shutdownMs === 'brutal_kill' ? 'kill' : 'shutdown')
  // A process that does not trap exits has ended by now, and the monitor has said so.
  const ended = down as { reason: ExitReason } | undefined
  if (ended !== undefined) return unlinkFlush(self, pid, ended.reason)
  if (typeof shutdownMs === 'number') {
    timer = runtime.timers.set(shutdownMs, () => {
      if (self.alive) runtime.exitFrom(self.pid, pid, 'kill')
    })
  }
  return new Promise((settle) => {
    resolve = settle
  })
}

/**
 * Ends many children of one specification together, and resolves when all have ended: one timer and one pass over the mailbox,
 * however many there are. `onEnd` is called for each.
 */
export function shutDownAll(
  self: Process,
  pids: readonly Pid[],
  { shutdownMs }: FullChildSpec,
  onEnd: (pid: Pid, reason: ExitReason) => void,
): Promise<void> {
  const { runtime } = self
  const earlier = exitsIn(self)
  const left = new Set(pids)
  if (left.size === 0) return Promise.resolve()
  return new Promise((resolve) => {
    let timer: object | undefined
    const ended = (pid: Pid, reason: ExitReason): void => {
      left.delete(pid)
      onEnd(pid, reason === 'noproc' ? (earlier.get(pid.key) ?? reason) : reason)
      if (left.size > 0) return
      if (timer !== undefined) runtime.timers.clear(timer)
      resolve()
    }
    if (typeof shutdownMs === 'number') {
      timer = runtime.timers.set(shutdownMs, () => {
        if (self.alive) for (const pid of left) runtime.exitFrom(self.pid, pid, 'kill')
      })
    }
    const signal = shutdownMs === 'brutal_kill' ? 'kill' : 'shutdown'
    for (const pid of pids) {
      runtime.monitor(self, pid, (reason) => ended(pid, reason))
      runtime.exitFrom(self.pid, pid, signal)
    }
  })
}

/** Logs a supervisor report of a child, or of `children` of them. */
export function report(
  self: Process,
  errorContext: ErrorContext,
  reason: ExitReason,
  spec: FullChildSpec,
  which: { pid: Pid | undefined } | { children: number },
): void {
  self.runtime.logger.error(
    {
      report: 'supervisor',
      supervisor: self.name ?? self.pid,
      errorContext,
      reason,
      offender: { ...which, ...described(spec) },
    },
    `supervisor ${self.name ?? self.pid}: ${errorContext} ${spec.id}`,
  )
}

/** Logs that a child has started. */
export function reportProgress(self: Process, spec: FullChildSpec, pid: Pid): void {
  self.runtime.logger.debug(
    { report: 'progress', supervisor: self.name ?? self.pid, started: { pid, ...described(spec) } },
    `supervisor ${self.name ?? self.pid}: started ${spec.id}`,
  )
}

function described({ start: _, ...spec }: FullChildSpec): Omit<FullChildSpec, 'start'> {
  return spec
}

/** The outcome of a start that a start function returned. */
export function resultOf(started: Pid | StartResult): StartResult {
  if (started instanceof Pid) return { ok: true, pid: started }
  // Erlang's `catch apply` takes anything else for an error as well; a supervisor must survive it.
  const isResult = typeof started === 'object' && started !== null && typeof started.ok === 'boolean'
  return isResult ? started : { ok: false, reason: { bad_return: started } }
}

function failureOf(thrown: unknown): StartResult {
  const reason = exitReasonOf(thrown)
  // What `startLink` of a server rejects with when its `init` declined.
  return thrown instanceof Exit && reason === 'ignore' ? { ok: true, pid: undefined } : { ok: false, reason }
}

/** The EXIT of a child that is dealt with is not to be taken for a new one; it may also tell more than `noproc`. */
function unlinkFlush(self: Process, pid: Pid, reason: ExitReason): ExitReason {
  const { mailbox } = self
  self.runtime.unlink(self, pid)
  const isIt = (message: unknown): boolean => isExitMessage(message) && message.from.equals(pid)
  // A death that was just watched has left its EXIT last; looking through all of a long mailbox each time would be quadratic.
  const newest = mailbox.takeNewestIf(isIt)
  if (isExitMessage(newest)) return newest.reason
  const earlier = mailbox.peek(mailbox.length).find(isIt)
  if (!isExitMessage(earlier)) return reason
  mailbox.removeFirst((message) => message === earlier)
  return earlier.reason
}

function exitsIn({ mailbox }: Process): Map<string, ExitReason> {
  const exits = mailbox.peek(mailbox.length).filter(isExitMessage)
  return new Map(exits.map(({ from, reason }) => [from.key, reason]))
}
