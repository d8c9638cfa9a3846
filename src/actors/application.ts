/**
 * application: a part of the system that is started and stopped as a unit, after those that it depends on [OTP application].
 *
 * An application is declared as data: its name, what it depends on, its environment, and a `start` that returns its top
 * supervisor. The process `application_controller` (application-controller.ts) starts one *master* per running application,
 * which owns the top supervisor: when that ends, the application has ended. It is started with the first use of a function of
 * this file, or by `startController`, which tells it what configuration overrides the environments.
 */
import { type Controller, type ControllerOptions, controllerServer, environmentOf } from './application-controller.ts'
import { BadArgError, type ExitReason } from './errors.ts'
import { type Caller, call, callerProcess, type Timeout } from './gen.ts'
import type { Pid } from './pid.ts'
import type { StartResult } from './proc-lib.ts'
import type { ProcessContext } from './process.ts'
import type { Runtime } from './runtime.ts'

export type { ControllerOptions }

/** What the end of an application means: `permanent` takes the node down, `transient` when it ended abnormally, `temporary` never. */
export type RestartType = 'permanent' | 'transient' | 'temporary'

/** An application; `State` is what `start` leaves for `stop`. */
export interface Application {
  readonly name: string
  readonly description?: string
  readonly version?: string
  /** Those that must run before this one is started: their names, or themselves, which also loads them. */
  readonly applications?: readonly (string | Application)[]
  /** Defaults of its environment; the node's configuration goes before them. */
  readonly env?: Readonly<Record<string, unknown>>
  /** Starts the top supervisor, linked to the context, which is the application's master. Without it there are no processes. */
  readonly start?: (self: ProcessContext, type: 'normal') => Pid | StartResult | PromiseLike<Pid | StartResult>
  /** Called before the top supervisor is told to end, when the application is stopped. */
  readonly prepStop?: (self: ProcessContext) => unknown
  /** Called after the application has ended, to clean up. */
  readonly stop?: (self: ProcessContext) => unknown
}

/** An application as `whichApplications` tells of it. */
export interface ApplicationInfo {
  readonly name: string
  readonly description: string
  readonly version: string
}

export type ApplicationResult = { readonly ok: true } | { readonly ok: false; readonly reason: ExitReason }

/** Outcome of `ensureAllStarted`: the names of those that were started by it, in order. */
export type EnsureResult =
  | { readonly ok: true; readonly started: string[] }
  | { readonly ok: false; readonly reason: { readonly application: string; readonly reason: ExitReason } }

/** Starts the process `application_controller` with a configuration; fails with `BadArgError` when it runs already. */
export async function startController(runtime: Runtime, options: ControllerOptions = {}): Promise<Pid> {
  if (runtime.whereis('application_controller') !== undefined) {
    throw new BadArgError('the application controller has been started')
  }
  return controllerServer.start(runtime, options, { name: 'application_controller' })
}

/** Makes an application known, with its environment. Fails with `{ already_loaded }`. */
export function load(caller: Caller, application: Application): Promise<ApplicationResult> {
  if (typeof application?.name !== 'string') throw new BadArgError('an application has a name')
  return request(caller, 'load', application)
}

/** Forgets an application that does not run. Fails with `{ not_loaded }` or `{ running }`. */
export function unload(caller: Caller, name: string): Promise<ApplicationResult> {
  return request(caller, 'unload', name)
}

/**
 * Starts an application, which is loaded if it is given itself. Fails with `{ already_started }`, `{ not_loaded }`,
 * `{ not_started: dependency }`, or with why its `start` failed.
 */
export async function start(
  caller: Caller,
  application: string | Application,
  type: RestartType = 'temporary',
): Promise<ApplicationResult> {
  if (typeof application !== 'string') await load(caller, application)
  return request(caller, 'start', nameOf(application), type)
}

/**
 * Starts an application and before it, in order, all that it depends on and that does not run. When one does not start,
 * those that this call has started are stopped again.
 */
export async function ensureAllStarted(
  caller: Caller,
  application: string | Application,
  type: RestartType = 'temporary',
): Promise<EnsureResult> {
  const started: string[] = []
  const failure = await ensure(caller, application, type, started, [])
  if (failure === undefined) return { ok: true, started }
  for (const name of started.reverse()) await stop(caller, name)
  return { ok: false, reason: failure }
}

/**
 * Stops an application: `prepStop`, the end of its top supervisor, `stop`. Resolves when it has ended; after `timeoutMs` it is
 * killed. Fails with `{ not_started }`.
 */
export function stop(caller: Caller, name: string, timeoutMs: Timeout = 'infinity'): Promise<ApplicationResult> {
  return request(caller, 'stop', name, timeoutMs)
}

/** Stops all applications, the one started last first, each with a bound: for the end of the node. */
export async function stopAll(caller: Caller, timeoutMs: Timeout = 'infinity'): Promise<void> {
  if (runtimeOf(caller).whereis('application_controller') === undefined) return
  await request(caller, 'stop_all', timeoutMs)
}

/** Ends a node in order: stops all applications, each within `timeoutMs`, then the runtime [OTP init:stop/0]. */
export async function stopRuntime(runtime: Runtime, timeoutMs: Timeout = 'infinity'): Promise<void> {
  try {
    await stopAll(runtime, timeoutMs)
  } finally {
    runtime.stop()
  }
}

/** The running applications, the one started last first. */
export function whichApplications(caller: Caller): Promise<ApplicationInfo[]> {
  return request(caller, 'which_applications')
}

export function loadedApplications(caller: Caller): Promise<ApplicationInfo[]> {
  return request(caller, 'loaded_applications')
}

/** A value of the environment of an application; `fallback` when there is none. Reads at once, without a message. */
export function getEnv(caller: Caller, application: string, key: string, fallback?: unknown): unknown {
  const values = environmentOf(runtimeOf(caller))?.get(application)
  return values?.has(key) ? values.get(key) : fallback
}

/** The whole environment of an application. */
export function getAllEnv(caller: Caller, application: string): Readonly<Record<string, unknown>> {
  return Object.fromEntries(environmentOf(runtimeOf(caller))?.get(application) ?? [])
}

/** Sets a value of the environment of an application, which need not be loaded yet. */
export async function setEnv(caller: Caller, application: string, key: string, value: unknown): Promise<void> {
  await request(caller, 'set_env', application, key, value)
}

export async function unsetEnv(caller: Caller, application: string, key: string): Promise<void> {
  await request(caller, 'unset_env', application, key)
}

async function ensure(
  caller: Caller,
  application: string | Application,
  type: RestartType,
  started: string[],
  path: readonly string[],
): Promise<{ application: string; reason: ExitReason } | undefined> {
  const name = nameOf(application)
  if (path.includes(name)) return { application: name, reason: { circular_dependencies: [...path, name] } }
  if (typeof application !== 'string') await load(caller, application)
  const dependencies = await request(caller, 'dependencies', name)
  if (dependencies === undefined) return { application: name, reason: { not_loaded: name } }
  for (const dependency of dependencies) {
    const failure = await ensure(caller, dependency, type, started, [...path, name])
    if (failure !== undefined) return failure
  }
  const result = await start(caller, name, type)
  if (result.ok) started.push(name)
  else if (!isAlreadyStarted(result.reason)) return { application: name, reason: result.reason }
  return undefined
}

function isAlreadyStarted(reason: ExitReason): boolean {
  return typeof reason === 'object' && reason !== null && 'already_started' in reason
}

function nameOf(application: string | Application): string {
  return typeof application === 'string' ? application : application.name
}

function runtimeOf(caller: Caller): Runtime {
  return callerProcess(caller).runtime
}

async function request<K extends keyof Controller>(
  caller: Caller,
  name: K,
  ...args: Parameters<Controller[K]>
): Promise<ReturnType<Controller[K]>> {
  const runtime = runtimeOf(caller)
  if (runtime.whereis('application_controller') === undefined) await startController(runtime)
  return call(caller, 'application_controller', [name, ...args], 'infinity') as Promise<ReturnType<Controller[K]>>
}
