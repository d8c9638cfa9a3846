/**
 * supervisor: a process that starts its children, restarts them when they end and ends them when it ends [OTP supervisor].
 *
 * A supervisor is declared once, as data; `children` is called with the argument of the start and returns the child
 * specifications, which are started in order and ended in reverse. It traps exits, is linked to its children, and is a
 * gen_server underneath: the functions of this file are calls to it (`start_child`, `which_children` … of OTP). It waits for a
 * child that starts or ends, and takes no request meanwhile, as in OTP; a child that starts synchronously costs no promise.
 *
 * The work is in static-children.ts and dynamic-children.ts, the decisions are in restart-plan.ts, specifications in child-spec.ts.
 */

import { type Caller, call, type ServerRef } from './gen.ts'
import {
  type CallResult,
  type CastResult,
  type GenServer,
  genServer,
  type InitResult,
  ignore,
  initStop,
  noreply,
  ok,
  reply,
  stop,
} from './gen-server.ts'
import type { Pid } from './pid.ts'
import type { StartOptions, StartResult } from './proc-lib.ts'
import type { Process, ProcessContext } from './process.ts'
import { isExitMessage } from './signal.ts'
import {
  type AnyChildSpec,
  type ChildSpec,
  checkChildSpecs,
  checkFlags,
  type SupervisorFlags,
} from './supervisor/child-spec.ts'
import type {
  ChildCounts,
  ChildInfo,
  ChildRequestResult,
  Children,
  GetChildSpecResult,
  StartChildResult,
  Verdict,
} from './supervisor/children.ts'
import { DynamicChildren } from './supervisor/dynamic-children.ts'
import { StaticChildren } from './supervisor/static-children.ts'
import { runSteps, type Steps } from './supervisor/steps.ts'

/** What a supervisor is made of. */
export interface SupervisorDefinition<Arg, Args extends readonly unknown[]> extends SupervisorFlags {
  /** Names the supervisor in reports and observers. */
  readonly label?: string
  /** The child specifications, in start order; `simple_one_for_one` has exactly one. `ignore`: nothing is to run. */
  readonly children: (arg: Arg, self: ProcessContext) => readonly ChildSpec<Args>[] | 'ignore'
}

/** A declared supervisor. */
export interface Supervisor<Arg, Args extends readonly unknown[]> {
  readonly definition: SupervisorDefinition<Arg, Args>
  /**
   * Starts the supervisor and its children, linked to the caller. When a child cannot start, those started are ended and the
   * promise rejects with `Exit`, reason `{ shutdown: { failed_to_start_child, reason } }`.
   */
  startLink(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** How a supervisor starts it as a child. */
  starter(arg: Arg, options?: StartOptions): (parent: ProcessContext) => StartResult | Promise<StartResult>
  /** `startChild` of this `simple_one_for_one` supervisor, with the arguments that its specification takes. */
  startChild(caller: Caller, supervisor: ServerRef, ...args: Args): Promise<StartChildResult>
}

type Calls = {
  start_child: (specOrArgs: AnyChildSpec | readonly unknown[]) => StartChildResult
  terminate_child: (child: string | Pid) => ChildRequestResult
  restart_child: (id: string) => StartChildResult
  delete_child: (id: string) => ChildRequestResult
  get_childspec: (child: string | Pid) => GetChildSpecResult
  which_children: () => ChildInfo[]
  count_children: () => ChildCounts
}

type Casts = { try_again_restart: (id: string) => void }

/** Declares a supervisor. */
export function supervisor<Arg = undefined, Args extends readonly unknown[] = []>(
  definition: SupervisorDefinition<Arg, Args>,
): Supervisor<Arg, Args> {
  const server = serverOf(definition as SupervisorDefinition<Arg, never>)
  return {
    definition,
    startLink: server.startLink,
    starter: server.starter,
    startChild: (caller, to, ...args) => request(caller, to, 'start_child', args),
  }
}

/** What `child` can start: a gen_server, a gen_statem, a supervisor, or anything alike. */
export interface Startable<Arg> {
  starter(arg: Arg, options?: StartOptions): (parent: ProcessContext) => StartResult | Promise<StartResult>
}

/** The keys of a child specification that `child` does not set. */
export type ChildOptions = Omit<ChildSpec, 'id' | 'start'>

/** Argument and start options of a child; the argument may be left out when the server takes none. */
export type StartArgs<Arg> = undefined extends Arg
  ? readonly [arg?: Arg, options?: StartOptions]
  : readonly [arg: Arg, options?: StartOptions]

/**
 * A child specification for a server or supervisor; the argument is checked against what its `init` takes.
 *
 * @example child('listener', listener, [config.tcp, { name: 'listener' }], { restart: 'transient' })
 */
export function child<Arg>(
  id: string,
  server: Startable<Arg>,
  [arg, options]: StartArgs<Arg>,
  childOptions: ChildOptions = {},
): ChildSpec {
  const start = server.starter(arg as Arg, options)
  return { id, start, ...childOptions }
}

/** As `child`, for `simple_one_for_one`: argument and start options come from each `startChild`. */
export function childTemplate<Arg>(
  id: string,
  server: Startable<Arg>,
  childOptions: ChildOptions = {},
): ChildSpec<StartArgs<Arg>> {
  return { id, start: (self, ...[arg, options]) => server.starter(arg as Arg, options)(self), ...childOptions }
}

/**
 * Adds a child and starts it. For `simple_one_for_one`, an array of what its start function takes after the context is given
 * instead of a specification.
 *
 * Fails with `{ already_started: pid }` or `already_present` when the supervisor has a child of that id, with
 * `{ failed_to_start_child, reason }` when it does not start, which leaves no specification behind, or with what is wrong
 * with the specification. A start function that answers `ignore` leaves the specification, unless temporary, and no pid.
 */
export function startChild(
  caller: Caller,
  supervisor: ServerRef,
  specOrArgs: ChildSpec | readonly unknown[],
): Promise<StartChildResult> {
  return request(caller, supervisor, 'start_child', specOrArgs)
}

/**
 * Ends a child, by id, or by pid for `simple_one_for_one`; the specification stays, unless the child is temporary. Resolves
 * when it has ended. Fails with `not_found`, or `simple_one_for_one` when such a one is given an id.
 */
export function terminateChild(
  caller: Caller,
  supervisor: ServerRef,
  child: string | Pid,
): Promise<ChildRequestResult> {
  return request(caller, supervisor, 'terminate_child', child)
}

/** Starts a child that has ended. Fails with `running`, `restarting`, `not_found`, `simple_one_for_one` or as it failed to start. */
export function restartChild(caller: Caller, supervisor: ServerRef, id: string): Promise<StartChildResult> {
  return request(caller, supervisor, 'restart_child', id)
}

/** Removes the specification of a child that has ended. Fails with `running`, `restarting`, `not_found` or `simple_one_for_one`. */
export function deleteChild(caller: Caller, supervisor: ServerRef, id: string): Promise<ChildRequestResult> {
  return request(caller, supervisor, 'delete_child', id)
}

/** The specification of a child with every default filled in. */
export function getChildSpec(caller: Caller, supervisor: ServerRef, child: string | Pid): Promise<GetChildSpecResult> {
  return request(caller, supervisor, 'get_childspec', child)
}

/** All children, the one started last first, as in OTP; those of a `simple_one_for_one` without an id. */
export function whichChildren(caller: Caller, supervisor: ServerRef): Promise<ChildInfo[]> {
  return request(caller, supervisor, 'which_children')
}

/** How many children a supervisor has: specifications, running children, supervisors and workers among them. */
export function countChildren(caller: Caller, supervisor: ServerRef): Promise<ChildCounts> {
  return request(caller, supervisor, 'count_children')
}

/** A supervisor may wait long for a child: its callers do, too [OTP supervisor:call/2]. */
function request<K extends keyof Calls>(
  caller: Caller,
  to: ServerRef,
  name: K,
  ...args: Parameters<Calls[K]>
): Promise<ReturnType<Calls[K]>> {
  return call(caller, to, [name, ...args], 'infinity', '$supervisor') as Promise<ReturnType<Calls[K]>>
}

function serverOf<Arg>(definition: SupervisorDefinition<Arg, never>): GenServer<Children, Calls, Casts, Arg> {
  return genServer<Children, Calls, Casts, Arg>({
    behaviour: 'supervisor',
    label: definition.label ?? 'supervisor',
    init: (arg, self) => {
      self.processFlag('trap_exit', true)
      const specs = definition.children(arg, self)
      return specs === 'ignore' ? ignore() : initialise(self as Process, definition, specs)
    },
    calls: {
      start_child: ({ state }, specOrArgs) => answer(state, state.startChild(specOrArgs)),
      terminate_child: ({ state }, target) => answer(state, state.terminateChild(target)),
      restart_child: ({ state }, id) => answer(state, state.restartChild(id)),
      delete_child: ({ state }, id) => reply(state.deleteChild(id), state),
      get_childspec: ({ state }, target) => reply(state.getChildSpec(target), state),
      which_children: ({ state }) => reply(state.whichChildren(), state),
      count_children: ({ state }) => reply(state.countChildren(), state),
    },
    casts: {
      try_again_restart: ({ state }, id) => goOn(state, state.tryAgainRestart(id)),
    },
    info: ({ state, self }, message) => {
      if (isExitMessage(message)) return goOn(state, state.childExited(message.from, message.reason))
      self.runtime.logger.error({ supervisor: self.pid, message }, 'supervisor received unexpected message')
    },
    terminate: ({ state }) => state.terminate(),
    formatState: (state) => state.countChildren(),
  })
}

function initialise(
  self: Process,
  definition: SupervisorFlags,
  specs: readonly AnyChildSpec[],
): InitResult<Children> | Promise<InitResult<Children>> {
  const flags = checkFlags(definition)
  if (!flags.ok) return initStop({ supervisor_data: flags.reason })
  const checked = checkChildSpecs(specs, flags.value.autoShutdown)
  if (!checked.ok) return initStop({ start_spec: checked.reason })
  if (flags.value.strategy !== 'simple_one_for_one') {
    return runSteps(startStatic(new StaticChildren(self, flags.value, checked.value)))
  }
  const [spec, ...others] = checked.value
  if (spec === undefined || others.length > 0) return initStop({ bad_start_spec: checked.value.map(({ id }) => id) })
  return ok<Children>(new DynamicChildren(self, flags.value, spec))
}

function* startStatic(children: StaticChildren): Steps<InitResult<Children>> {
  const failure = yield* children.initialise()
  return failure === undefined ? ok<Children>(children) : initStop(failure)
}

type Answer<R> = CallResult<R, Children>

function answer<R>(state: Children, result: R | Promise<R>): Answer<R> | Promise<Answer<R>> {
  return result instanceof Promise ? result.then((value) => reply(value, state)) : reply(result, state)
}

/** Stops the supervisor when the end of a child was too much. */
function goOn(
  state: Children,
  verdict: Verdict | Promise<Verdict>,
): CastResult<Children> | Promise<CastResult<Children>> {
  if (verdict instanceof Promise) return verdict.then((value) => goOn(state, value))
  return verdict === 'ok' ? noreply(state) : stop('shutdown', state)
}
