/** All that a session process gets. */
import type { DownMessage } from '../../actors/signal.ts'
import type { Fenced } from '../forward/fences.ts'
import type { ToSession } from '../process-messages.ts'
import type { FromRouter } from '../routing/router.ts'
import type { RELIEVED } from './back-pressure.ts'
import type { HandOverAgain } from './giving-way.ts'
import type { HandedOver, HandOverTaken } from './hand-over.ts'
import type { DepartureTimer } from './moving/departure.ts'
import type { ToMoving, ToNewcomer } from './moving/messages.ts'
import type { GATE_TIMEOUT } from './publish-gate.ts'
import type { ReadRetained } from './retained-reads.ts'
import type { FromManager } from './session-messages.ts'
import type { TakenOver } from './session-publisher.ts'
import type { ASK_ROUTER_AGAIN } from './session-router.ts'
import type { TimerMessage } from './session-timers.ts'
import type { SETTLED } from './stored/session-writer.ts'

/** From its parts, and from those that work for it. */
export type Own =
  | TimerMessage
  | { readonly tag: 'drain' }
  | ReadRetained
  | TakenOver
  | typeof ASK_ROUTER_AGAIN
  | typeof GATE_TIMEOUT
  | typeof SETTLED
  | DepartureTimer
  | HandOverAgain

export type Incoming =
  | ToSession
  | FromManager
  | FromRouter
  /** From another session of its client id. */
  | HandedOver
  | HandOverTaken
  | ToMoving
  | ToNewcomer
  | Fenced
  | typeof RELIEVED
  | Own
  | DownMessage
