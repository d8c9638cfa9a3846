/**
 * Exit reasons, and the errors that the actor layer throws.
 *
 * An exit reason is plain data, so that it can travel to other nodes: a string where OTP has an atom (`'normal'`,
 * `'noproc'`), `{ shutdown: term }` where it has `{shutdown, Term}`, `ErrorReason` for what a callback threw.
 */

/** Why a process ended: any plain value; see the well-known ones in this file. */
export type ExitReason = unknown

/** The reason of a process whose code threw an Error: OTP's `{Reason, Stacktrace}`. */
export interface ErrorReason {
  readonly error: string
  /** Name of the error class, or its `code` when it has one. */
  readonly name: string
  readonly stack: string | undefined
}

/** Misuse by the caller, OTP's `badarg`: thrown at once, never caught by this library. */
export class BadArgError extends Error {
  override readonly name = 'BadArgError'
  readonly code = 'badarg'
}

/**
 * Thrown to end the calling process with a reason, OTP's `exit/1`; and what the promise of a call rejects with, carrying
 * the reason that OTP's `gen_server:call` would exit with (`noproc`, `timeout`, `noconnection`, the reason it died of).
 */
export class Exit extends Error {
  override readonly name = 'Exit'
  readonly code = 'exit'
  readonly reason: ExitReason

  constructor(reason: ExitReason) {
    super(`exit: ${formatReason(reason)}`)
    this.reason = reason
  }
}

/** Thrown into code that runs on, after an `await`, in a process that has died: Erlang would have stopped it there. */
export class ProcessExitedError extends Error {
  override readonly name = 'ProcessExitedError'
  readonly code = 'process_exited'
}

/** The exit reason of a process whose code threw `thrown` or rejected with it. */
export function exitReasonOf(thrown: unknown): ExitReason {
  if (thrown instanceof Exit) return thrown.reason
  if (thrown instanceof Error) return errorReason(thrown)
  return { nocatch: thrown }
}

/** True for the reasons of an orderly end, which are not worth a crash report: normal, shutdown, {shutdown, _}. */
export function isOrderly(reason: ExitReason): boolean {
  return (
    reason === 'normal' ||
    reason === 'shutdown' ||
    (typeof reason === 'object' && reason !== null && 'shutdown' in reason && Object.keys(reason).length === 1)
  )
}

/** One line for logs and error texts. */
export function formatReason(reason: ExitReason): string {
  if (typeof reason === 'string') return reason
  if (isErrorReason(reason)) return `${reason.name}: ${reason.error}`
  try {
    return JSON.stringify(reason) ?? String(reason)
  } catch {
    return Object.prototype.toString.call(reason)
  }
}

function isErrorReason(reason: unknown): reason is ErrorReason {
  return typeof reason === 'object' && reason !== null && 'error' in reason && 'stack' in reason
}

function errorReason(error: Error): ErrorReason {
  // A hostile or broken error may throw from its own getters: the reason of a death must always be found.
  try {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
    return { error: String(error.message), name: code ?? String(error.name), stack: error.stack }
  } catch {
    return { error: 'unreadable error', name: 'Error', stack: undefined }
  }
}
