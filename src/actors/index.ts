/**
 * `agner/actors`: OTP on one node. Processes, links, monitors, behaviours, supervisors.
 *
 * For users; code of this project imports the files by name.
 */

export { BadArgError, type ErrorReason, Exit, type ExitReason, isOrderly, ProcessExitedError } from './errors.ts'
export { Ets, type EtsInfo, type EtsKey, type EtsOptions, type EtsTransfer } from './ets.ts'
export type { Caller, From, ServerRef, Timeout } from './gen.ts'
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
export type { NactReference } from './nact.ts'
export { nactForProcess, processForNact } from './nact-adapter.ts'
export { type NodeIdentity, Pid } from './pid.ts'
export type { StartOptions, StartResult } from './proc-lib.ts'
export type { Behaviour, BehaviourFactory, ProcessContext, Script, ScriptContext, SpawnOptions } from './process.ts'
export { Ref } from './ref.ts'
export { Runtime, type RuntimeOptions, startRuntime } from './runtime.ts'
export type { Destination, DownMessage, ExitMessage, RemoteName, TimeoutMessage } from './signal.ts'
export { isDownMessage, isExitMessage } from './signal.ts'
export * as sys from './sys.ts'
export { type Clock, realSystem, type System, type Timers } from './system.ts'
