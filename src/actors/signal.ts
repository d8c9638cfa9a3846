/**
 * The messages that signals become in a mailbox, and the addresses that a message can be sent to.
 *
 * Exit signals and monitors follow Erlang: a signal from one process to another overtakes nothing that the first sent the
 * second before. Signals that are not messages (link, unlink, monitor, an exit signal to a process that does not trap)
 * act at once; those that become messages enter the one ordered mailbox.
 */
import type { ExitReason } from './errors.ts'
import { Pid } from './pid.ts'
import { Ref } from './ref.ts'

/** A registered name on a node. */
export interface RemoteName {
  readonly name: string
  readonly node: string
}

/** Where a message can go: a process, a name on this node, a name on a node, or an alias. */
export type Destination = Pid | string | RemoteName | Ref

/** How a message is sent [OTP erlang:send/3]. */
export interface SendOptions {
  /**
   * The message does not connect to its node, and is dropped when that is neither connected nor about to be: for what is about a
   * connection, and means nothing without it. @default false
   */
  readonly noconnect?: boolean
}

/** What a process that traps exits receives for an exit signal: Erlang's `{'EXIT', From, Reason}`. */
export interface ExitMessage {
  readonly tag: 'EXIT'
  readonly from: Pid
  readonly reason: ExitReason
}

/** What a monitoring process receives once: Erlang's `{'DOWN', Ref, process, Object, Reason}`. */
export interface DownMessage {
  readonly tag: 'DOWN'
  readonly ref: Ref
  readonly type: 'process'
  /** What was monitored: the pid, or the name and node when it was monitored by name. */
  readonly pid: Pid | RemoteName
  readonly reason: ExitReason
}

/** What a timer of `startTimer` delivers: Erlang's `{timeout, TimerRef, Msg}`. */
export interface TimeoutMessage {
  readonly tag: 'timeout'
  readonly ref: Ref
  readonly message: unknown
}

/** True when a message in a mailbox is a trapped exit signal. */
export function isExitMessage(message: unknown): message is ExitMessage {
  return hasTag(message, 'EXIT') && (message as ExitMessage).from instanceof Pid
}

/** True when a message in a mailbox reports the end of a monitored process. */
export function isDownMessage(message: unknown): message is DownMessage {
  return hasTag(message, 'DOWN') && (message as DownMessage).ref instanceof Ref
}

function hasTag(message: unknown, tag: string): boolean {
  return typeof message === 'object' && message !== null && (message as { tag?: unknown }).tag === tag
}
