/**
 * `agner/actors`: OTP on one node. Processes, links, monitors, behaviours, supervisors.
 *
 * For users; code of this project imports the files by name.
 */

export type { Application, RestartType } from './application.ts'
export * as application from './application.ts'
export { BadArgError, type ErrorReason, Exit, type ExitReason, isOrderly, ProcessExitedError } from './errors.ts'
export { Ets, type EtsInfo, type EtsKey, type EtsOptions, type EtsTransfer } from './ets.ts'
export type { HandlerResult, TerminateArg } from './event-handlers.ts'
export type { Caller, From, ServerRef, Timeout } from './gen.ts'
export {
  type EventHandler,
  type GenEvent,
  type GenEventExit,
  genEvent,
  keepHandler,
  removeHandler,
} from './gen-event.ts'
export {
  type GenServer,
  genServer,
  ignore,
  initStop,
  noreply,
  ok,
  reply,
  replyTo,
  type ServerContext,
  type ServerDefinition,
  stop,
  stopReply,
} from './gen-server.ts'
export * from './gen-statem.ts'
export type { NactReference } from './nact.ts'
export { nactForProcess, processForNact } from './nact-adapter.ts'
export { type NodeIdentity, Pid } from './pid.ts'
export { type Pool, type PoolDefinition, type PoolWorkerArg, pool } from './pool.ts'
export type { StartOptions, StartResult } from './proc-lib.ts'
export type { Behaviour, BehaviourFactory, ProcessContext, Script, ScriptContext, SpawnOptions } from './process.ts'
export { Ref } from './ref.ts'
export { Runtime, type RuntimeOptions, startRuntime } from './runtime.ts'
export type { Destination, DownMessage, ExitMessage, RemoteName, SendOptions, TimeoutMessage } from './signal.ts'
export { isDownMessage, isExitMessage } from './signal.ts'
export type { AutoShutdown, ChildSpec, Restart, Shutdown, Strategy } from './supervisor/child-spec.ts'
export {
  type ChildOptions,
  child,
  childTemplate,
  countChildren,
  deleteChild,
  getChildSpec,
  restartChild,
  type Startable,
  type Supervisor,
  type SupervisorDefinition,
  startChild,
  supervisor,
  terminateChild,
  whichChildren,
} from './supervisor.ts'
export * as sys from './sys.ts'
export { type Clock, realSystem, type System, type Timers } from './system.ts'
export * as task from './task.ts'
