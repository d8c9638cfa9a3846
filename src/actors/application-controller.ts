/**
 * The process `application_controller`: knows the loaded applications and their environments, and starts and stops them.
 *
 * It never waits: the start and the stop of an application are answered when they are done, so the code that starts an
 * application may itself ask the controller. Each running application is a *master* process, linked to the controller, in
 * which the `start` of the application runs. A master ends with the reason of its top supervisor; the controller, which traps
 * exits, then decides by the restart type whether the node goes down: it stops all other applications and calls the
 * `onTermination` that it was given [OTP application, "RestartType"].
 *
 * Environments and running applications are in the controller's process dictionary, as OTP has them in an ets table of it, so
 * that everyone can read them at once.
 */
import type { Application, ApplicationInfo, ApplicationResult, RestartType } from './application.ts'
import { type ExitReason, isOrderly } from './errors.ts'
import { type Caller, type From, reply as sendReply, type Timeout } from './gen.ts'
import { genServer, initStop, noreply, ok, reply, stop } from './gen-server.ts'
import type { Pid } from './pid.ts'
import type { StartResult } from './proc-lib.ts'
import type { Process, ProcessContext } from './process.ts'
import type { Runtime } from './runtime.ts'
import { isExitMessage } from './signal.ts'
import { runSteps, settled } from './supervisor/steps.ts'
import { resultOf, shutDown } from './supervisor/supervised.ts'

export interface ControllerOptions {
  /** Environment by application and key; goes before the environments of the applications themselves. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Called when an application has ended with which the node ends, after all others were stopped; stops the runtime by default. */
  readonly onTermination?: (runtime: Runtime, application: string, reason: ExitReason) => void
}

/** The requests of the controller. */
export type Controller = {
  load: (application: Application) => ApplicationResult
  unload: (name: string) => ApplicationResult
  start: (name: string, type: RestartType) => ApplicationResult
  stop: (name: string, timeoutMs: Timeout) => ApplicationResult
  stop_all: (timeoutMs: Timeout) => ApplicationResult
  dependencies: (name: string) => readonly (string | Application)[] | undefined
  which_applications: () => ApplicationInfo[]
  loaded_applications: () => ApplicationInfo[]
  set_env: (application: string, key: string, value: unknown) => 'ok'
  unset_env: (application: string, key: string) => 'ok'
}

type Environments = Map<string, Map<string, unknown>>

interface Running {
  readonly application: Application
  readonly type: RestartType
  readonly master: Pid
  /** Called when the master has ended, if it is being stopped. */
  readonly onStopped: (() => void)[]
  killTimer: object | undefined
}

const ENVIRONMENTS = 'environments'
const RUNNING = 'running'

/** The running applications with their masters, in the order in which they were started [OTP application_controller:get_master/1]. */
export function runningApplications(runtime: Runtime): (ApplicationInfo & { readonly master: Pid })[] {
  const controller = runtime.whereis('application_controller')
  const running = controller && runtime.process(controller)?.dictionary?.get(RUNNING)
  if (running === undefined) return []
  return Array.from((running as ReadonlyMap<string, Running>).values(), ({ application, master }) => ({
    ...infoOf(application),
    master,
  }))
}

/** The environments of a node, undefined before its application controller has started. */
export function environmentOf(runtime: Runtime): Environments | undefined {
  const pid = runtime.whereis('application_controller')
  return pid && (runtime.process(pid)?.dictionary?.get(ENVIRONMENTS) as Environments | undefined)
}

class ControllerState {
  readonly #self: Process
  readonly #options: ControllerOptions
  readonly #environments: Environments = new Map()
  readonly #loaded = new Map<string, Application>()
  /** Applications whose start goes on, with those who wait for it. */
  readonly #starting = new Map<string, From[]>()
  /** By name, in the order in which they were started. */
  readonly #running = new Map<string, Running>()
  #terminating = false

  constructor(self: Process, options: ControllerOptions) {
    this.#self = self
    this.#options = options
    self.dictionary ??= new Map()
    self.dictionary.set(ENVIRONMENTS, this.#environments)
    self.dictionary.set(RUNNING, this.#running)
    for (const [name, values] of Object.entries(options.config ?? {})) {
      this.#environments.set(name, new Map(Object.entries(values)))
    }
  }

  load(application: Application): ApplicationResult {
    const { name } = application
    if (this.#loaded.has(name)) return failed({ already_loaded: name })
    this.#loaded.set(name, application)
    const values = this.#environment(name)
    for (const [key, value] of Object.entries(application.env ?? {})) if (!values.has(key)) values.set(key, value)
    return OK
  }

  unload(name: string): ApplicationResult {
    if (this.#running.has(name) || this.#starting.has(name)) return failed({ running: name })
    if (!this.#loaded.delete(name)) return failed({ not_loaded: name })
    this.#environments.delete(name)
    return OK
  }

  dependencies(name: string): readonly (string | Application)[] | undefined {
    const application = this.#loaded.get(name)
    return application && (application.applications ?? [])
  }

  whichApplications(): ApplicationInfo[] {
    return Array.from(this.#running.values(), ({ application }) => infoOf(application)).reverse()
  }

  loadedApplications(): ApplicationInfo[] {
    return Array.from(this.#loaded.values(), infoOf)
  }

  setEnv(application: string, key: string, value: unknown): void {
    this.#environment(application).set(key, value)
  }

  unsetEnv(application: string, key: string): void {
    this.#environment(application).delete(key)
  }

  /** Starts a master; `from` is answered when the application runs or has failed to. */
  start(name: string, type: RestartType, from: From): void {
    const waiting = this.#starting.get(name)
    if (waiting !== undefined) {
      waiting.push(from)
      return
    }
    const application = this.#loaded.get(name)
    const refusal = this.#refusal(name, application)
    if (application === undefined || refusal !== undefined) {
      this.#answer(from, failed(refusal))
      return
    }
    this.#starting.set(name, [from])
    const started = masterServer.starter(application, { label: `application_master ${name}` })(this.#self)
    if (started instanceof Promise) void started.then((result) => this.#started(application, type, result))
    else this.#started(application, type, started)
  }

  #refusal(name: string, application: Application | undefined): ExitReason {
    if (application === undefined) return { not_loaded: name }
    if (this.#running.has(name)) return { already_started: name }
    if (this.#terminating) return 'terminating'
    const missing = (application.applications ?? []).map(nameOf).find((other) => !this.#running.has(other))
    return missing === undefined ? undefined : { not_started: missing }
  }

  /** Stops an application and calls `onStopped` when it has ended; returns false when it does not run. */
  stop(name: string, timeoutMs: Timeout, onStopped: () => void): boolean {
    const running = this.#running.get(name)
    if (running === undefined) return false
    const { runtime, pid } = this.#self
    running.onStopped.push(onStopped)
    if (running.onStopped.length > 1) return true
    runtime.exitFrom(pid, running.master, 'shutdown')
    if (timeoutMs !== 'infinity') {
      running.killTimer = runtime.timers.set(timeoutMs, () => {
        runtime.logger.error({ application: name, timeoutMs }, 'application did not stop in time and is killed')
        runtime.exitFrom(pid, running.master, 'kill')
      })
    }
    return true
  }

  stopAll(timeoutMs: Timeout, onStopped: () => void): void {
    const [last] = [...this.#running.keys()].reverse()
    if (last === undefined) onStopped()
    else this.stop(last, timeoutMs, () => this.stopAll(timeoutMs, onStopped))
  }

  exited(pid: Pid, reason: ExitReason): void {
    for (const [name, running] of this.#running) {
      if (!running.master.equals(pid)) continue
      this.#running.delete(name)
      this.#ended(name, running, reason)
      return
    }
  }

  #ended(name: string, { type, onStopped, killTimer }: Running, reason: ExitReason): void {
    const { runtime } = this.#self
    if (killTimer !== undefined) runtime.timers.clear(killTimer)
    if (onStopped.length > 0) {
      runtime.logger.debug({ report: 'application', application: name, exited: reason, type }, `${name} stopped`)
      for (const callback of onStopped) callback()
      return
    }
    const isFatal = type === 'permanent' || (type === 'transient' && reason !== 'normal')
    runtime.logger[isFatal || !isOrderly(reason) ? 'error' : 'info'](
      { report: 'application', application: name, exited: reason, type },
      `application ${name} ended`,
    )
    if (!isFatal || this.#terminating) return
    this.#terminating = true
    this.stopAll('infinity', () => {
      const { onTermination = (ending: Runtime) => ending.stop() } = this.#options
      onTermination(runtime, name, reason)
    })
  }

  #started(application: Application, type: RestartType, result: StartResult): void {
    const { name } = application
    const waiting = this.#starting.get(name) ?? []
    this.#starting.delete(name)
    if (!this.#self.alive) return
    if (result.ok && result.pid !== undefined) {
      this.#running.set(name, { application, type, master: result.pid, onStopped: [], killTimer: undefined })
      this.#self.runtime.logger.debug({ report: 'progress', application: name }, `application ${name} started`)
      // It may have ended since, before its EXIT could be understood.
      if (!this.#self.runtime.isAlive(result.pid)) this.exited(result.pid, 'noproc')
    }
    const answer = result.ok ? OK : failed(result.reason)
    if (!result.ok) {
      this.#self.runtime.logger.error(
        { report: 'application', application: name, exited: result.reason, type },
        `application ${name} did not start`,
      )
    }
    for (const from of waiting) this.#answer(from, answer)
  }

  #environment(application: string): Map<string, unknown> {
    let values = this.#environments.get(application)
    if (values === undefined) {
      values = new Map()
      this.#environments.set(application, values)
    }
    return values
  }

  #answer(from: From, value: ApplicationResult): void {
    sendReply(this.#self, from, value)
  }
}

const OK: ApplicationResult = { ok: true }

function failed(reason: ExitReason): ApplicationResult {
  return { ok: false, reason }
}

function nameOf(application: string | Application): string {
  return typeof application === 'string' ? application : application.name
}

function infoOf({ name, description = '', version = '' }: Application): ApplicationInfo {
  return { name, description, version }
}

export const controllerServer = genServer<ControllerState, Controller, Record<never, never>, ControllerOptions>({
  label: 'application_controller',
  init: (options, self) => {
    self.processFlag('trap_exit', true)
    return ok(new ControllerState(self as Process, options))
  },
  calls: {
    load: ({ state }, application) => reply(state.load(application), state),
    unload: ({ state }, name) => reply(state.unload(name), state),
    start: ({ state, from }, name, type) => {
      state.start(name, type, from)
      return noreply(state)
    },
    stop: ({ state, self, from }, name, timeoutMs) => {
      const stops = state.stop(name, timeoutMs, () => sendReply(self as Caller, from, OK))
      return stops ? noreply(state) : reply(failed({ not_started: name }), state)
    },
    stop_all: ({ state, self, from }, timeoutMs) => {
      state.stopAll(timeoutMs, () => sendReply(self as Caller, from, OK))
      return noreply(state)
    },
    dependencies: ({ state }, name) => reply(state.dependencies(name), state),
    which_applications: ({ state }) => reply(state.whichApplications(), state),
    loaded_applications: ({ state }) => reply(state.loadedApplications(), state),
    set_env: ({ state }, application, key, value) => {
      state.setEnv(application, key, value)
      return reply('ok', state)
    },
    unset_env: ({ state }, application, key) => {
      state.unsetEnv(application, key)
      return reply('ok', state)
    },
  },
  info: ({ state }, message) => {
    if (isExitMessage(message)) state.exited(message.from, message.reason)
  },
  formatState: (state) => ({ running: state.whichApplications(), loaded: state.loadedApplications() }),
})

interface Master {
  readonly application: Application
  /** The top supervisor, undefined for an application without processes. */
  readonly top: Pid | undefined
  /** The top supervisor has ended by itself. */
  ended: boolean
}

const masterServer = genServer<Master, Record<never, never>, Record<never, never>, Application>({
  label: 'application_master',
  behaviour: 'application_master',
  init: (application, self) => {
    self.processFlag('trap_exit', true)
    if (application.start === undefined) return ok<Master>({ application, top: undefined, ended: false })
    const begin = application.start
    return runSteps(
      (function* () {
        const result = resultOf(yield* settled(begin(self, 'normal')))
        if (!result.ok) return initStop(result.reason)
        return ok<Master>({ application, top: result.pid, ended: false })
      })(),
    )
  },
  info: ({ state }, message) => {
    if (!isExitMessage(message) || !state.top?.equals(message.from)) return
    state.ended = true
    return stop(message.reason, state)
  },
  terminate: async ({ state, self }) => {
    const { application, top, ended } = state
    await attempt(self, application, 'prepStop', ended)
    if (top !== undefined && !ended) await shutDown(self as Process, top, { shutdownMs: 'infinity' })
    await attempt(self, application, 'stop', false)
  },
})

/** Calls a callback of the application; what it throws is logged, since the application has to end all the same. */
async function attempt(
  self: ProcessContext,
  application: Application,
  callback: 'prepStop' | 'stop',
  skip: boolean,
): Promise<void> {
  if (skip) return
  try {
    await application[callback]?.(self)
  } catch (error) {
    self.runtime.logger.error({ err: error, application: application.name }, `${callback} of an application failed`)
  }
}
