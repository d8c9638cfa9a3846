/**
 * A session that was stored and is there again after its process or its node has ended: the part of the session machine that makes it.
 *
 * First it is without its messages: subscriptions, will and expiry go on (event `restore`). When a client comes or a message
 * arrives, they are read and taken in (event `contents`), before anything else is done with them.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Delivery } from './delivery.ts'
import type { MovingSession } from './moving/messages.ts'
import { MessageQueue } from './mqueue.ts'
import { latestPacketId } from './packet-ids.ts'
import { shed } from './session-outbound.ts'
import {
  type Effect,
  NEVER_SEC,
  newSessionState,
  putSubscription,
  type SessionLimits,
  type SessionState,
} from './session-state.ts'
import type { Contents } from './stored/contents.ts'
import { storedClient } from './stored/forms.ts'
import type { FoundSession, SessionStore } from './stored/session-store.ts'
import { willDelaySec } from './will.ts'

/** What a session is made from that has been found in the store. */
export interface RestoredSession {
  readonly self: Pid
  readonly limits: SessionLimits
  readonly nextMessageId: (nowMs: number) => string
  readonly found: FoundSession
}

/** Returns the state of a session without connection and without its messages; the event `restore` comes next. */
export function restoredSessionState({ self, limits, nextMessageId, found }: RestoredSession): SessionState {
  const { session, subscriptions, journal } = found
  const client = storedClient(session, self)
  const state = newSessionState({ self, limits, nextMessageId, client, nowMs: session.createdAtMs })
  for (const subscription of subscriptions) {
    putSubscription(state, subscription)
    if (subscription.filter.group !== undefined) state.sharedCount += 1
  }
  state.journal = journal
  state.subscribedAfter = ''
  // There has been one.
  state.attachment = 1
  state.expirySec = session.expirySec
  state.will = session.will
  state.detachedAtMs = session.detachedAtMs
  state.moved = session.moved
  return state
}

/** What a session is made from that comes from another node. */
export interface ArrivingSession extends Omit<RestoredSession, 'found'> {
  readonly moving: MovingSession
  readonly store: SessionStore | undefined
}

/** Returns the state of a session that is not here yet; the event `contents` comes next. */
export function arrivingSessionState({ moving, store, ...common }: ArrivingSession): SessionState {
  const { session, subscriptions, counters, beganCleanAtMs } = moving
  const client = storedClient(session, common.self)
  const state = newSessionState({ ...common, client, nowMs: session.createdAtMs })
  for (const subscription of subscriptions) {
    putSubscription(state, subscription)
    if (subscription.filter.group !== undefined) state.sharedCount += 1
  }
  state.journal = store?.begin(session.client.clientId)
  state.beganCleanAtMs = beganCleanAtMs
  state.attachment = 1
  state.expirySec = session.expirySec
  state.detachedAtMs = session.detachedAtMs
  state.counters = { ...counters }
  return state
}

/** What runs out goes on from where it was, wherever the clock stands now. */
export function restore(state: SessionState, nowMs: number, othersRun: boolean, effects: Effect[]): void {
  if (state.detachedAtMs === 0) {
    // A connection that went down with the node has ended now, as far as this node knows.
    state.detachedAtMs = nowMs
    state.journal?.session(state)
  }
  // A clock that was set back meanwhile must not make it longer than it was to be.
  const awayMs = Math.max(0, nowMs - state.detachedAtMs)
  // What was due while this node was down the others have published.
  if (othersRun && state.will !== undefined && willDelaySec(state.will, state.expirySec) * 1000 <= awayMs) {
    state.will = undefined
    state.journal?.session(state)
  }
  if (state.will !== undefined) {
    const delayMs = willDelaySec(state.will, state.expirySec) * 1000 - awayMs
    effects.push({ tag: 'start_timer', timer: 'will', delayMs: Math.max(0, delayMs) })
  }
  if (state.expirySec !== NEVER_SEC) {
    const delayMs = state.expirySec * 1000 - awayMs
    effects.push({ tag: 'start_timer', timer: 'expiry', delayMs: Math.max(0, delayMs) })
  }
}

/** Takes in the messages, which the session does not have yet. */
export function takeContents(
  state: SessionState,
  contents: Contents,
  volatile: readonly Delivery[],
  effects: Effect[],
): void {
  const { queued, inflight, received, identifiers, arrivals, done, known } = contents
  state.journal?.found(identifiers)
  state.arrivals = arrivals
  state.done.push(...done)
  if (known.size > 0) state.known = new Set(known)
  for (const each of inflight) {
    if (each.phase === 'pubrel') {
      state.inflight.restorePubrel(each.messageId, each.order)
      state.releasing ??= new Map()
      state.releasing.set(each.messageId, each.id)
    } else state.inflight.restore(each.packet, each.share, each.order, each.number)
  }
  const sent = inflight.map((each) => (each.phase === 'pubrel' ? each.messageId : each.packet.messageId))
  // The ids of what is done are stored by these identifiers.
  state.inflight.goOnAfter(latestPacketId([...done, ...sent]))
  for (const [messageId, id] of received) {
    state.awaitingRel.add(messageId)
    if (id === undefined) continue
    state.unfinished ??= new Map()
    state.unfinished.set(messageId, id)
  }
  if (queued.length + volatile.length === 0) return
  state.queue = new MessageQueue(state.limits.queue)
  // The limits may be smaller than they were.
  for (const delivery of [...queued, ...volatile]) {
    for (const victim of state.queue.enqueue(delivery)) shed(state, effects, 'queue_full', victim)
  }
}
