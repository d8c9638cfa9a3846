/**
 * The hook by which signals leave this node. `dist` fills it in; without distribution every other node is unreachable.
 *
 * Each method is one control message of the Erlang distribution protocol, from a process of this node to one elsewhere. The
 * answers and the signals of other nodes come in through `Runtime.incoming`. None of these methods throws or waits.
 */
import type { ExitReason } from './errors.ts'
import type { Pid } from './pid.ts'
import type { Ref } from './ref.ts'
import type { RemoteName, SendOptions } from './signal.ts'

export interface Remote {
  send(from: Pid, to: Pid | RemoteName | Ref, message: unknown, options?: SendOptions): void
  /** The link is already noted here; an unreachable node answers through `incoming.exit` with `noconnection`. */
  link(from: Pid, to: Pid): void
  unlink(from: Pid, to: Pid): void
  /** A linked process of this node died, or its link is broken: the exit signal that a link carries. */
  exitLinked(from: Pid, to: Pid, reason: ExitReason): void
  /** `exit/2`. */
  exit(from: Pid, to: Pid, reason: ExitReason): void
  /** The answer, `noconnection` included, comes through `incoming.down`. */
  monitor(from: Pid, to: Pid | RemoteName, ref: Ref): void
  demonitor(from: Pid, to: Pid | RemoteName, ref: Ref): void
  /** A process of this node that `watcher` monitors died. `object` is what was monitored: its pid, or its name. */
  down(object: Pid | string, watcher: Pid, ref: Ref, reason: ExitReason): void
}

/** What the runtime offers to an implementation of `Remote`: signals that come in from other nodes. */
export interface Incoming {
  /** A message for a process, a registered name or an alias of this node; dropped when there is none. */
  deliver(to: Pid | string | Ref, message: unknown): void
  /** Returns false when `to` is not alive: the caller answers with an exit signal, `noproc`. */
  link(from: Pid, to: Pid): boolean
  unlink(from: Pid, to: Pid): void
  /** An exit signal that a link carries: honoured only while the link exists here. */
  exitLinked(from: Pid, to: Pid, reason: ExitReason): void
  exit(from: Pid, to: Pid, reason: ExitReason): void
  /** Returns false when there is no such process: the caller answers `noproc`. */
  monitor(watcher: Pid, to: Pid | string, ref: Ref): boolean
  demonitor(watcher: Pid, ref: Ref): void
  /** A process elsewhere that `watcher`, of this node, monitors under `ref` is gone or unreachable. */
  down(watcher: Pid, ref: Ref, reason: ExitReason): void
}

/** The `Remote` of a node without distribution: messages vanish, links and monitors end with `noconnection`. */
export function noDistribution(incoming: Incoming): Remote {
  return {
    send: () => {},
    link: (from, to) => incoming.exitLinked(to, from, 'noconnection'),
    unlink: () => {},
    exitLinked: () => {},
    exit: () => {},
    monitor: (from, _to, ref) => incoming.down(from, ref, 'noconnection'),
    demonitor: () => {},
    down: () => {},
  }
}
