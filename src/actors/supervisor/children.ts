/**
 * What a supervisor does with its children, as `supervisor` asks it; see static-children.ts and dynamic-children.ts.
 */

import type { ExitReason } from '../errors.ts'
import type { Pid } from '../pid.ts'
import type { AnyChildSpec, FullChildSpec } from './child-spec.ts'

/** Outcome of `startChild` and `restartChild`; no pid when the start function answered `ignore`. */
export type StartChildResult =
  | { readonly ok: true; readonly pid: Pid | undefined }
  | { readonly ok: false; readonly reason: ExitReason }

/** Why a request about a child failed: OTP's error values. */
export type ChildRequestError = 'not_found' | 'running' | 'restarting' | 'simple_one_for_one'

/** Outcome of `terminateChild` and `deleteChild`. */
export type ChildRequestResult = { readonly ok: true } | { readonly ok: false; readonly reason: ChildRequestError }

/** Outcome of `getChildSpec`. */
export type GetChildSpecResult =
  | { readonly ok: true; readonly spec: FullChildSpec }
  | { readonly ok: false; readonly reason: 'not_found' }

/** A child as `whichChildren` tells of it. */
export interface ChildInfo {
  /** Undefined for the children of a `simple_one_for_one`. */
  readonly id: string | undefined
  /** Its pid; `restarting` while its restart has failed so far; undefined when it does not run. */
  readonly child: Pid | 'restarting' | undefined
  readonly type: 'worker' | 'supervisor'
}

/** What `countChildren` counts. */
export interface ChildCounts {
  /** Specifications, of which a `simple_one_for_one` has one. */
  readonly specs: number
  /** Children that run. */
  readonly active: number
  readonly supervisors: number
  readonly workers: number
}

/** Whether the supervisor goes on or ends after what happened to a child. */
export type Verdict = 'ok' | 'shutdown'

/** The children of one supervisor. Nothing of this throws or rejects for what children do. */
export interface Children {
  startChild(specOrArgs: AnyChildSpec | readonly unknown[]): StartChildResult | Promise<StartChildResult>
  terminateChild(target: string | Pid): ChildRequestResult | Promise<ChildRequestResult>
  restartChild(id: string): StartChildResult | Promise<StartChildResult>
  deleteChild(id: string): ChildRequestResult
  getChildSpec(target: string | Pid): GetChildSpecResult
  /** The one started last comes first, as in OTP. */
  whichChildren(): ChildInfo[]
  countChildren(): ChildCounts
  /** A linked process has ended; it need not be a child. */
  childExited(pid: Pid, reason: ExitReason): Verdict | Promise<Verdict>
  /** The restart of a child had failed; other messages have had their turn since, and it is tried again. */
  tryAgainRestart(idOrPidKey: string): Verdict | Promise<Verdict>
  /** Ends all. */
  terminate(): unknown
}
