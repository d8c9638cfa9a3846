/**
 * task: one async function in a process of its own, whose result the caller may wait for [Elixir Task].
 *
 * `async` links the task to its caller, so that neither outlives a crash of the other; `asyncNolink` only monitors it. Both
 * return a `Task`, of which `awaitTask` gives the result within a time or ends the caller's wait with `timeout`, `yieldTask` looks
 * and leaves the task alone, `shutdownTask` ends it. A task belongs to the process that started it.
 */
import { BadArgError, Exit, type ExitReason } from './errors.ts'
import { type Caller, callerProcess, type Timeout } from './gen.ts'
import type { Pid } from './pid.ts'
import type { Process, ScriptContext } from './process.ts'
import type { Ref } from './ref.ts'
import { runSteps, settled } from './supervisor/steps.ts'
import { shutDown } from './supervisor/supervised.ts'

/** What became of a task. */
export type TaskResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: ExitReason }

/** A task that was started. */
export interface Task<T> {
  readonly pid: Pid
  readonly owner: Pid
  /** The result so far, undefined while it runs. */
  readonly outcome: TaskResult<T> | undefined
  /** Resolves when the task has ended; never rejects. */
  readonly ended: Promise<TaskResult<T>>
}

/** Code of a task: the context of its own process. */
export type TaskFunction<T> = (self: ScriptContext) => T | Promise<T>

/** Default of `awaitTask` and `yieldTask`, ms. */
const AWAIT_TIMEOUT_MS = 5000

/** Starts a task linked to the caller: a crash of the task ends a caller that does not trap exits. */
export function async<T>(caller: Caller, run: TaskFunction<T>): Task<T> {
  return begin(caller, run, true)
}

/** Starts a task that the caller only monitors. */
export function asyncNolink<T>(caller: Caller, run: TaskFunction<T>): Task<T> {
  return begin(caller, run, false)
}

/** Starts a task for its effects, linked to the caller, of which no result is wanted. */
export function startLink(caller: Caller, run: TaskFunction<unknown>): Pid {
  return callerProcess(caller).spawnLink(async (self) => run(self), { label: 'task' })
}

/** Resolves with the result. Rejects with `Exit`: the reason the task ended with, or `timeout`, which leaves the task running. */
export async function awaitTask<T>(caller: Caller, task: Task<T>, timeoutMs: Timeout = AWAIT_TIMEOUT_MS): Promise<T> {
  const outcome = await yieldTask(caller, task, timeoutMs)
  if (outcome === undefined) throw new Exit('timeout')
  if (!outcome.ok) throw new Exit(outcome.reason)
  return outcome.value
}

/** Resolves with what became of the task, or undefined when it still runs after the time. */
export async function yieldTask<T>(
  caller: Caller,
  task: Task<T>,
  timeoutMs: Timeout = AWAIT_TIMEOUT_MS,
): Promise<TaskResult<T> | undefined> {
  const process = ownerOf(caller, task)
  if (task.outcome !== undefined || timeoutMs === 'infinity') return task.ended
  const { timers } = process.runtime
  return new Promise((resolve) => {
    const timer = timers.set(timeoutMs, () => resolve(undefined))
    void task.ended.then((outcome) => {
      timers.clear(timer)
      resolve(outcome)
    })
  })
}

/**
 * Ends a task with `shutdown`, after `timeoutMs` by killing it, or at once with `brutal_kill`; resolves with its result if it
 * had one by then, else with undefined.
 */
export async function shutdownTask<T>(
  caller: Caller,
  task: Task<T>,
  timeoutMs: Timeout | 'brutal_kill' = AWAIT_TIMEOUT_MS,
): Promise<TaskResult<T> | undefined> {
  const process = ownerOf(caller, task)
  if (task.outcome !== undefined) return task.outcome
  process.runtime.unlink(process, task.pid)
  await runSteps(settled(shutDown(process, task.pid, { shutdownMs: timeoutMs })))
  const outcome = task.outcome as TaskResult<T> | undefined
  if (outcome === undefined || outcome.ok) return outcome
  return outcome.reason === 'shutdown' || outcome.reason === 'killed' ? undefined : outcome
}

function begin<T>(caller: Caller, run: TaskFunction<T>, link: boolean): Task<T> {
  const owner = callerProcess(caller)
  const { runtime } = owner
  let resolve: (outcome: TaskResult<T>) => void = () => {}
  const task: { outcome: TaskResult<T> | undefined } & Omit<Task<T>, 'outcome' | 'pid'> & { pid: Pid | undefined } = {
    pid: undefined,
    owner: owner.pid,
    outcome: undefined,
    ended: new Promise((done) => {
      resolve = done
    }),
  }
  const end = (outcome: TaskResult<T>): void => {
    if (task.outcome !== undefined) return
    task.outcome = outcome
    resolve(outcome)
  }
  const pid = owner.spawn(
    async (self) => {
      const value = await run(self)
      if (runtime.process(self.pid) === undefined) return
      runtime.demonitor(owner, ref)
      end({ ok: true, value })
    },
    { label: 'task', link },
  )
  const ref: Ref = runtime.monitor(owner, pid, (reason) => end({ ok: false, reason }))
  task.pid = pid
  return task as Task<T>
}

function ownerOf(caller: Caller, task: Task<unknown>): Process {
  const process = callerProcess(caller)
  if (!process.pid.equals(task.owner)) throw new BadArgError(`task ${task.pid} belongs to ${task.owner}`)
  return process
}
