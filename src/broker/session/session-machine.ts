/**
 * The session: a pure state machine from (state, time, event) to effects. All of MQTT's delivery state is here, for 3.1, 3.1.1
 * and 5.0; no input or output is, no clock, no randomness. It changes the state object that it is given, which nobody else does.
 *
 * session-inbound.ts takes what the client publishes, session-outbound.ts what it is to get, session-subscriptions.ts its
 * subscriptions; this file has the life of a session: connections come, are taken over, go; the session waits, expires, ends; and
 * the will is published or not.
 *
 * A session ends with its connection when its expiry is 0. Whether a new connection resumes a session is decided from the expiry
 * of the session that is there, not from what the new connection asks for: one without expiry ends when it is taken over.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ClientInfo, SessionPacket } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import { drop } from './session-effects.ts'
import { accepted, closeIntake, deferred, type Intake, published, released, unsafe } from './session-inbound.ts'
import {
  acknowledged,
  deliver,
  deliverRetained,
  drain,
  dropQoS0Offline,
  redeliver,
  redispatch,
  redispatched,
} from './session-outbound.ts'
import { restore, takeContents } from './session-restored.ts'
import { type Effect, type EndReason, NEVER_SEC, type SessionEvent, type SessionState } from './session-state.ts'
import { subscribe, subscribed, unsubscribe, unsubscribed } from './session-subscriptions.ts'
import { willDelaySec, willMessage } from './will.ts'

const MAX_PACKET_IDS = 65_535

/**
 * Takes one event at `nowMs` (wall clock, ms) and returns the effects to perform, in order. An ended session does nothing.
 */
export function handle(state: SessionState, nowMs: number, event: SessionEvent): Effect[] {
  const effects: Effect[] = []
  if (state.ended) return effects
  switch (event.tag) {
    case 'deliver':
      deliver(state, nowMs, event.runs, effects)
      break
    case 'packets':
      if (isConnection(state, event.from)) takePackets(state, nowMs, event.packets, event.sync, effects)
      break
    case 'accepted':
      accepted(state, event.ticket, event.codes, effects)
      break
    case 'unsafe':
      unsafe(state, event.ticket, effects)
      break
    case 'deferred':
      deferred(state, effects)
      break
    case 'congested':
      if (isConnection(state, event.from)) {
        state.congested = event.on
        drain(state, nowMs, effects)
      }
      break
    case 'redispatched':
      redispatched(state, nowMs, event, effects)
      break
    case 'drain':
      state.draining = false
      drain(state, nowMs, effects)
      break
    case 'subscribed':
      subscribed(state, event.ticket, event.codes, effects)
      goOn(state, nowMs, effects)
      break
    case 'unsubscribed':
      unsubscribed(state, event.ticket, effects)
      goOn(state, nowMs, effects)
      break
    case 'retained':
      deliverRetained(state, nowMs, effects, event.ticket, event.messages, event.done)
      break
    case 'attach':
      attach(state, nowMs, event.client, effects)
      break
    case 'detach':
      if (isConnection(state, event.from)) {
        detach(state, nowMs, event.publishWill, event.expirySec, event.reason, effects)
      }
      break
    case 'kick':
      if (state.connection !== undefined && !state.closing) {
        takeAllHeld(state, nowMs, effects)
        state.closing = true
        effects.push({ tag: 'close', to: state.connection, reasonCode: event.reasonCode, reason: event.reason })
      }
      break
    case 'discard':
      if (event.isHandedOver === true) state.queue?.extract(({ qos, share }) => qos > 0 && share === undefined)
      end(state, nowMs, 'kicked', event.reasonCode, event.reason, effects)
      break
    case 'timeout':
      if (state.connection !== undefined) break
      if (event.timer === 'will') {
        publishWill(state, nowMs, effects)
        state.journal?.session(state)
      } else end(state, nowMs, 'expired', RC.success, 'expired', effects)
      break
    case 'will_settled':
      if (state.connection !== undefined || state.will === undefined) break
      state.will = undefined
      effects.push({ tag: 'cancel_timer', timer: 'will' })
      state.journal?.session(state)
      break
    case 'stamped':
      // One that nobody has opened yet is not on disc.
      if (state.attachment === 0 || event.connectedAtMs <= state.client.connectedAtMs) break
      state.client = { ...state.client, connectedAtMs: event.connectedAtMs }
      state.journal?.session(state)
      break
    case 'restore':
      restore(state, nowMs, event.othersRun, effects)
      break
    case 'contents':
      takeContents(state, event.contents, event.volatile ?? [], effects)
      break
    case 'leave':
      leave(state, nowMs, effects)
      break
    case 'mark':
      state.moved = event.moved
      state.journal?.session(state)
      if (state.moved === undefined && state.connection === undefined) startExpiry(state, effects)
      break
    case 'gone':
      forgetMoved(state, event.upTo)
      end(state, nowMs, 'moved', RC.session_taken_over, 'moved', effects)
      break
  }
  return effects
}

function isConnection(state: SessionState, from: Pid): boolean {
  return state.connection !== undefined && (state.connection === from || state.connection.equals(from))
}

function takePackets(
  state: SessionState,
  nowMs: number,
  packets: readonly SessionPacket[],
  sync: boolean,
  effects: Effect[],
): void {
  takeAll(state, nowMs, packets, effects)
  if (sync) confirm(state, 1, effects)
}

function takeAll(state: SessionState, nowMs: number, packets: readonly SessionPacket[], effects: Effect[]): void {
  const intake: Intake = { publish: undefined, pending: undefined }
  for (const packet of packets) {
    if (state.closing) break
    if (state.asking > 0 && mustWait(state, packet)) {
      if (state.held === undefined) state.held = [packet]
      else state.held.push(packet)
      continue
    }
    switch (packet.cmd) {
      case 'publish':
        published(state, nowMs, packet, intake, effects)
        break
      case 'pubrel':
        released(state, packet.messageId, effects)
        break
      case 'subscribe':
        // What was published before it is routed before it.
        closeIntake(state, intake, effects)
        state.subscribedAfter ??= state.nextMessageId(nowMs)
        subscribe(state, packet, effects)
        break
      case 'unsubscribe':
        closeIntake(state, intake, effects)
        unsubscribe(state, packet, effects)
        break
      default:
        acknowledged(state, nowMs, packet, effects)
    }
  }
  closeIntake(state, intake, effects)
}

/**
 * While a SUBSCRIBE or UNSUBSCRIBE has no answer from the router, whether a packet has to wait for it. A client that
 * subscribes and publishes in one go wants its own messages; so a PUBLISH waits, and what is behind one keeps its place.
 * Acknowledgements never wait.
 */
function mustWait(state: SessionState, { cmd }: SessionPacket): boolean {
  if (cmd === 'publish') return true
  return state.held !== undefined && (cmd === 'pubrel' || cmd === 'subscribe' || cmd === 'unsubscribe')
}

/** Takes what waited for the router, up to the next request that needs it. */
function takeHeld(state: SessionState, nowMs: number, effects: Effect[]): void {
  const { held } = state
  if (held === undefined || state.asking > 0) return
  state.held = undefined
  takeAll(state, nowMs, held, effects)
}

/** Takes all that waits, answer or no answer: what a client sent before it went counts. */
function takeAllHeld(state: SessionState, nowMs: number, effects: Effect[]): void {
  while (state.held !== undefined) {
    state.asking = 0
    takeHeld(state, nowMs, effects)
  }
  state.asking = 0
}

/** A client whose requests wait, for the router or to be taken over, is read no further: `synced` comes with their answers. */
function confirm(state: SessionState, syncs: number, effects: Effect[]): void {
  const last = state.pendingAcks.at(-1)
  if (state.pendingSubscribes !== undefined) state.owedSyncs += syncs
  else if (last !== undefined && last.attachment === state.attachment) last.syncs += syncs
  else for (let i = 0; i < syncs; i += 1) effects.push({ tag: 'synced', from: state.self })
}

/** The router has answered a request. */
function goOn(state: SessionState, nowMs: number, effects: Effect[]): void {
  takeHeld(state, nowMs, effects)
  if (state.pendingSubscribes !== undefined || state.owedSyncs === 0) return
  const syncs = state.owedSyncs
  state.owedSyncs = 0
  confirm(state, syncs, effects)
}

function attach(state: SessionState, nowMs: number, client: ClientInfo, effects: Effect[]): void {
  const former = state.connection
  const present = state.attachment > 0
  if (present) {
    if (client.cleanStart || state.expirySec === 0) {
      // [MQTT5-3.1.2-4] [MQTT311-3.1.2-6]
      end(state, nowMs, 'discarded', RC.session_taken_over, 'session_taken_over', effects)
      return
    }
    part(state, nowMs, effects)
  }
  state.client = client
  state.connection = client.connection
  state.attachment += 1
  state.version = client.protocolVersion
  state.expirySec = client.expirySec
  state.will = client.will
  state.detachedAtMs = 0
  state.congested = false
  state.closing = false
  state.awaitingAccept = 0
  state.owedSyncs = 0
  state.asking = 0
  state.window = Math.min(client.receiveMaximum, state.limits.maxInflight, MAX_PACKET_IDS)
  // Identifiers of a former connection are no burden on this one's quota, which begins anew [MQTT5-4.9].
  const limit =
    client.protocolVersion === 5 ? state.limits.maxAwaitingRel : (state.limits.maxAwaitingRelV3 ?? MAX_PACKET_IDS)
  state.receiveLimit = limit + state.awaitingRel.size
  if (state.expirySec === 0) unstore(state)
  else state.journal?.session(state)
  effects.push({ tag: 'attached', present, takenOver: former !== undefined })
  if (present) redeliver(state, nowMs, effects)
}

/** The former connection of a client that has another one is closed, or what was to happen without one is not. */
function part(state: SessionState, nowMs: number, effects: Effect[]): void {
  const former = state.connection
  if (former !== undefined) {
    takeAllHeld(state, nowMs, effects)
    // [MQTT5-3.1.4-3] [MQTT311-3.1.4-2]
    effects.push({
      tag: 'close',
      to: former,
      reasonCode: RC.session_taken_over,
      reason: 'session_taken_over',
    })
    // Its connection is closed without DISCONNECT: a will without delay is due [MQTT5-3.1.2-8].
    if (state.will !== undefined && state.will.delaySec === 0) publishWill(state, nowMs, effects)
  } else {
    effects.push({ tag: 'cancel_timer', timer: 'expiry' })
    // The client is back in time [MQTT5-3.1.3-9].
    if (state.will !== undefined) effects.push({ tag: 'cancel_timer', timer: 'will' })
  }
}

function leave(state: SessionState, nowMs: number, effects: Effect[]): void {
  part(state, nowMs, effects)
  const wasConnected = state.connection !== undefined
  disconnect(state)
  state.will = undefined
  if (wasConnected) state.detachedAtMs = nowMs
  state.journal?.session(state)
  effects.push({ tag: 'detached', reason: 'moves' })
}

/** What belongs to a connection goes with it. */
function disconnect(state: SessionState): void {
  state.connection = undefined
  state.congested = false
  state.closing = false
  state.awaitingAccept = 0
  state.owedSyncs = 0
  state.resend = []
}

/** What another node has is no loss. */
function forgetMoved({ inflight, queue }: SessionState, upTo: number): void {
  inflight.clear()
  queue?.extract(({ share, number }) => share === undefined || number <= upTo)
}

function detach(
  state: SessionState,
  nowMs: number,
  willIsDue: boolean,
  expirySec: number | undefined,
  reason: string,
  effects: Effect[],
): void {
  takeAllHeld(state, nowMs, effects)
  disconnect(state)
  state.detachedAtMs = nowMs
  // [MQTT5-3.1.2-10]
  if (!willIsDue) state.will = undefined
  // [MQTT5-3.14.2-2]: from 0 it cannot be raised any more.
  if (expirySec !== undefined && state.expirySec !== 0) state.expirySec = expirySec
  if (state.expirySec === 0) {
    end(state, nowMs, 'disconnected', RC.success, reason, effects)
    return
  }
  if (state.will !== undefined) {
    const delaySec = willDelaySec(state.will, state.expirySec)
    if (delaySec === 0) publishWill(state, nowMs, effects)
    else effects.push({ tag: 'start_timer', timer: 'will', delayMs: delaySec * 1000 })
  }
  redispatch(state, nowMs, effects)
  dropQoS0Offline(state, effects)
  startExpiry(state, effects)
  state.journal?.session(state)
  effects.push({ tag: 'detached', reason })
}

function startExpiry({ expirySec }: SessionState, effects: Effect[]): void {
  if (expirySec !== NEVER_SEC) effects.push({ tag: 'start_timer', timer: 'expiry', delayMs: expirySec * 1000 })
}

/** Nothing of the session is to be found when the node is started again. */
function unstore(state: SessionState): void {
  state.journal?.ended(state.subscriptions.keys())
  state.journal = undefined
}

function publishWill(state: SessionState, nowMs: number, effects: Effect[]): void {
  const { will } = state
  if (will === undefined) return
  state.will = undefined
  const message = willMessage(will, state.clientId, state.nextMessageId(nowMs), nowMs)
  effects.push({ tag: 'publish', ticket: 0, messages: [message] })
}

function end(
  state: SessionState,
  nowMs: number,
  why: EndReason,
  reasonCode: number,
  reason: string,
  effects: Effect[],
): void {
  takeAllHeld(state, nowMs, effects)
  const { connection } = state
  state.ended = true
  state.connection = undefined
  if (connection !== undefined) effects.push({ tag: 'close', to: connection, reasonCode, reason })
  // The session's end makes a will due that is still there [MQTT5-3.1.3-9].
  publishWill(state, nowMs, effects)
  redispatch(state, nowMs, effects)
  for (const { message } of state.queue?.extract(() => true) ?? []) drop(state, effects, 'session_ended', message)
  state.queue = undefined
  unstore(state)
  for (const { ticket } of state.retainedReads) effects.push({ tag: 'forget_retained', ticket })
  state.retainedReads = []
  effects.push({ tag: 'cancel_timer', timer: 'will' }, { tag: 'cancel_timer', timer: 'expiry' })
  effects.push({ tag: 'ended', reason: why })
}
