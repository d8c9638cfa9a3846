/**
 * What is said when a session moves to the node on which its client has connected.
 *
 *     session ─ arrive ─▶ manager there, which starts another process for it
 *     session ◀─ arrival_ready ─ newcomer          it gets what is published from now on: all nodes route to it
 *     session ─ moving_part ─▶ newcomer ─ moving_part_taken ─▶ session …       the last one is answered when all is on disc
 *     session ─ move_in ─▶ newcomer ─ moved_in ─▶ session          the newcomer is the session; the other one ends
 *     session ─ move_off ─▶ newcomer,  newcomer ─ move_refused ─▶ session      as long as `move_in` has not been said: all stays as it is
 *
 * `move` is the number that the session has given to the attempt.
 */
import type { Pid } from '../../../actors/pid.ts'
import type { RemoteName } from '../../../actors/signal.ts'
import type { ClientInfo } from '../../process-messages.ts'
import type { SessionCounters, Subscription } from '../session-state.ts'
import type { StoredSession } from '../stored/forms.ts'

/** A session without its messages, as it was. */
export interface MovingSession {
  readonly session: StoredSession
  readonly subscriptions: readonly Subscription[]
  readonly counters: SessionCounters
  readonly beganCleanAtMs: number | undefined
  /** It is on disc, and has to be where it goes. */
  readonly isStored: boolean
}

/** To the session manager of the node to which a session wants to move. */
export interface Arrive {
  readonly tag: 'arrive'
  readonly from: Pid
  readonly move: number
  readonly moving: MovingSession
}

/** A row of the messages of a session, in the form of its disc (stored/forms.ts). */
export type LuggageRow = readonly [key: string, value: Uint8Array]

/** Part of what a session holds. */
export interface MovingPart {
  readonly tag: 'moving_part'
  readonly from: Pid
  readonly part: number
  readonly rows: readonly LuggageRow[]
  /** Others follow when this one has been taken. */
  readonly more: boolean
}

/** From the session to the newcomer. */
export type ToNewcomer =
  | MovingPart
  /** It is the session from now on. */
  | { readonly tag: 'move_in'; readonly from: Pid; readonly homes: readonly RemoteName[]; readonly client: ClientInfo }
  /** The session stays where it was. */
  | { readonly tag: 'move_off'; readonly from: Pid }

/** From the newcomer, or its manager, to the session. */
export type ToMoving =
  | { readonly tag: 'arrival_ready'; readonly from: Pid; readonly move: number }
  | { readonly tag: 'moving_part_taken'; readonly from: Pid; readonly part: number }
  | { readonly tag: 'moved_in'; readonly from: Pid }
  | { readonly tag: 'move_refused'; readonly move: number; readonly reason: string }

/** Between a session that may be on another node by now, and its manager. */
export interface InDoubt {
  readonly tag: 'in_doubt'
  readonly session: Pid
  readonly clientId: string
  readonly node: string
}

/** What moving needs of the node. */
export interface MovingSettings {
  /** How long a session tries. ms */
  readonly waitMs: number
  /** How long a client waits for a session of which nobody knows where it is. ms */
  readonly homeWaitMs: number
  /** Whether the session of a client can move to a node: all members run, that one takes sessions, and the client has no other. */
  readonly canReach: (node: string, clientId: string) => boolean
}
