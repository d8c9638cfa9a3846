/**
 * Starting processes of behaviours, and reports of their crashes [OTP proc_lib].
 *
 * Starting a process of a behaviour means waiting until its `init` has answered. As long as `init` is synchronous it runs
 * inside the start, so that a supervisor starts a hundred thousand children without a promise for each: OTP's parent, too,
 * stands still until its child has answered. A promise from `init` makes the start wait for it, and the new process takes no
 * message before.
 */
import { Exit, type ExitReason, exitReasonOf, isOrderly } from './errors.ts'
import type { Pid } from './pid.ts'
import type { Behaviour, Process, SpawnOptions } from './process.ts'

/** Outcome of a start: `{ok, Pid}`, `ignore` (no pid) or `{error, Reason}` of OTP. */
export type StartResult =
  | { readonly ok: true; readonly pid: Pid | undefined }
  | { readonly ok: false; readonly reason: ExitReason }

/** What `init` of a behaviour answers to proc_lib: undefined when it goes on, `'ignore'`, or why it does not start. */
export type InitAnswer = undefined | 'ignore' | { readonly error: ExitReason }

/** The behaviour of a process that proc_lib starts. */
export interface StartableBehaviour extends Behaviour {
  /** Runs once, before any message. A throw is an error as well. */
  init(): InitAnswer | Promise<InitAnswer>
}

export interface StartOptions extends SpawnOptions {
  /** Milliseconds that `init` may take; unlimited by default. On a time-out the process is killed. */
  readonly timeoutMs?: number
}

/** Starts a process; with `link` a failed start also ends a parent that does not trap exits, as in OTP. */
export function start(
  parent: Process,
  create: (self: Process) => StartableBehaviour,
  options: StartOptions,
): StartResult | Promise<StartResult> {
  const { runtime } = parent
  const registered = options.name === undefined ? undefined : runtime.whereis(options.name)
  if (registered !== undefined) return { ok: false, reason: { already_started: registered } }
  const process = runtime.spawnFrom(parent, PENDING, { ...options, link: options.link ?? false })
  let answer: InitAnswer | Promise<InitAnswer>
  try {
    const behaviour = create(process)
    process.behaviour = behaviour
    answer = behaviour.init()
  } catch (thrown) {
    return failed(parent, process, exitReasonOf(thrown))
  }
  if (!(answer instanceof Promise)) return answered(parent, process, answer)
  return initialised(parent, process, answer, options.timeoutMs)
}

/** Resolves with the pid of a start; rejects with `Exit` when it failed, reason `ignore` when `init` declined. */
export async function pidOf(result: StartResult | Promise<StartResult>): Promise<Pid> {
  const outcome = await result
  if (!outcome.ok) throw new Exit(outcome.reason)
  if (outcome.pid === undefined) throw new Exit('ignore')
  return outcome.pid
}

/** Logs the end of a process that is not an orderly one: OTP's crash report. */
export function reportCrash(process: Process, reason: ExitReason, details: Readonly<Record<string, unknown>>): void {
  if (isOrderly(reason)) return
  process.runtime.logger.error(
    {
      report: 'crash',
      process: process.pid,
      name: process.name,
      label: process.label,
      parent: process.parent,
      reason,
      ...details,
    },
    `${process.label ?? 'process'} ${process.name ?? process.pid} crashed`,
  )
}

const PENDING: Behaviour = { receive: () => {} }

async function initialised(
  parent: Process,
  process: Process,
  answer: Promise<InitAnswer>,
  timeoutMs: number | undefined,
): Promise<StartResult> {
  process.hold(answer)
  const { runtime } = parent
  return new Promise((resolve) => {
    const timer =
      timeoutMs === undefined
        ? undefined
        : runtime.timers.set(timeoutMs, () => {
            runtime.unlink(parent, process.pid)
            runtime.terminate(process, 'killed')
            resolve({ ok: false, reason: 'timeout' })
          })
    const settle = (result: StartResult): void => {
      if (timer !== undefined) runtime.timers.clear(timer)
      resolve(result)
    }
    let hasAnswered = false
    process.onExit((reason) => {
      if (!hasAnswered) settle({ ok: false, reason })
    })
    const answerWith = (result: () => StartResult): void => {
      if (!process.alive) return
      // An answer may end the process, which then is no failure of its own.
      hasAnswered = true
      settle(result())
    }
    answer.then(
      (value) => answerWith(() => answered(parent, process, value)),
      (thrown: unknown) => answerWith(() => failed(parent, process, exitReasonOf(thrown))),
    )
  })
}

function answered(parent: Process, process: Process, answer: InitAnswer): StartResult {
  if (answer === undefined) {
    // Killed by its own init, or by a link made there.
    return process.alive ? { ok: true, pid: process.pid } : { ok: false, reason: 'noproc' }
  }
  if (answer === 'ignore') {
    parent.runtime.terminate(process, 'normal')
    return { ok: true, pid: undefined }
  }
  return failed(parent, process, answer.error)
}

function failed(parent: Process, process: Process, reason: ExitReason): StartResult {
  // A parent that traps exits learns of the failure from the result alone [OTP proc_lib:start_link/5].
  if (parent.trapExit) parent.runtime.unlink(parent, process.pid)
  reportCrash(process, reason, { during: 'init' })
  parent.runtime.terminate(process, reason)
  return { ok: false, reason }
}
