/**
 * The connection side of MQTT 3.1, 3.1.1 and 5.0 as a pure machine: (state, event) → effects.
 *
 * It decides everything between the bytes of a socket and the client's session: who may connect and how that is
 * answered, what is a protocol error and how it is answered, keep alive, topic aliases, access control, when reading
 * pauses and how a connection ends. Subscriptions, delivery and acknowledgements are the session's. States, events and
 * effects are in protocol-state.ts, one file per packet kind in handlers/; connection.ts runs the machine.
 */

import type { Packet } from '../packet.ts'
import type { ToConnection } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import { willDelaySec } from '../session/will.ts'
import { handleAuth, handleReauthentication } from './handlers/auth.ts'
import { handleConnect, handleConnectAuth, handleOpened } from './handlers/connect.ts'
import { handleDisconnect } from './handlers/disconnect.ts'
import { handlePublish } from './handlers/publish.ts'
import { handleSubscribe, handleUnsubscribe } from './handlers/subscribe.ts'
import { KeepAlive } from './keepalive.ts'
import {
  type AuthResult,
  disconnect,
  fail,
  finish,
  PAUSED_CONNECTING,
  PAUSED_UNSYNCED,
  type ProtocolEffect,
  type ProtocolEnvironment,
  type ProtocolEvent,
  type ProtocolState,
  type ProtocolTimer,
  passToSession,
  protocolError,
  refuse,
  resume,
} from './protocol-state.ts'
import { InboundAliases } from './topic-alias.ts'

const PINGRESP: ProtocolEffect = { tag: 'send', packet: { cmd: 'pingresp' } }
const NO_ALIASES = new InboundAliases(0)

/** Makes the state of a connection whose socket has just been accepted; the first event is `start`. */
export function createProtocol(environment: ProtocolEnvironment): ProtocolState {
  return {
    environment,
    phase: 'waiting',
    version: 4,
    client: undefined,
    connect: undefined,
    authMethod: undefined,
    reauthentication: 'none',
    accepted: undefined,
    session: undefined,
    isOpenPending: false,
    pipelined: [],
    pipelinedBytes: 0,
    malformed: undefined,
    early: [],
    isSocketClosed: false,
    keepAlive: new KeepAlive(0, 0),
    inboundAliases: NO_ALIASES,
    requestedExpirySec: 0,
    forSession: undefined,
    messagesSinceSync: 0,
    bytesSinceSync: 0,
    unsynced: 0,
    pausedFor: 0,
    isCongested: false,
    checkedTopic: undefined,
    checkedCode: 0,
    authorizedTopic: undefined,
    isAuthorized: false,
  }
}

/** Takes an event, changes the state and returns what is to be done, in order. */
export function handle(state: ProtocolState, event: ProtocolEvent): ProtocolEffect[] {
  const effects: ProtocolEffect[] = []
  if (state.phase === 'closed') {
    if (event.tag === 'opened' && state.isOpenPending) detachLate(state, effects, event)
    return effects
  }
  switch (event.tag) {
    case 'packets':
      takePackets(state, effects, event.packets, event.bytes, event.nowMs)
      break
    case 'session':
      takeFromSession(state, effects, event.message)
      break
    case 'start':
      effects.push({ tag: 'arm', timer: 'connect', delayMs: state.environment.limits.connectTimeoutMs })
      break
    case 'malformed':
      takeMalformed(state, effects, event)
      break
    case 'auth':
      if (state.phase === 'authenticating') takeConnectAuth(state, effects, event.result)
      else if (state.phase === 'connected') handleReauthentication(state, effects, event.result)
      break
    case 'opened':
      takeOpened(state, effects, event)
      break
    case 'refused':
      if (state.phase !== 'opening') break
      state.isOpenPending = false
      refuse(state, effects, event.reasonCode, event.reason)
      break
    case 'session_down':
      takeSessionDown(state, effects, event.nodeDown)
      break
    case 'congested':
      takeCongested(state, effects, event.on)
      break
    case 'timer':
      takeTimer(state, effects, event.timer, event.nowMs)
      break
    case 'socket_closed':
      // What a client sent before it left counts, also when its session is only being opened.
      if (state.pipelined.length > 0) state.isSocketClosed = true
      else finish(state, effects, { reason: event.reason, publishWill: true, abort: !event.isWritable })
      break
    case 'disconnect':
      if (state.phase === 'connected') {
        const ending = { reason: event.reason, publishWill: true }
        disconnect(state, effects, event.reasonCode, ending, event.serverReference)
      } else {
        fail(state, effects, event.reasonCode, event.reason)
      }
  }
  return effects
}

function takePackets(
  state: ProtocolState,
  effects: ProtocolEffect[],
  packets: readonly Packet[],
  bytes: number,
  nowMs: number,
): void {
  if (packets.length === 0) return
  state.keepAlive.lastPacketMs = nowMs
  state.authorizedTopic = undefined
  for (let i = 0; i < packets.length; i++) {
    const packet = packets[i]!
    switch (state.phase) {
      case 'connected':
        takePacket(state, effects, packet)
        break
      case 'waiting':
        if (packet.cmd === 'connect') handleConnect(state, effects, packet)
        // [MQTT311-3.1.0-1] [MQTT5-3.1.0-1]
        else protocolError(state, effects, 'first packet is not CONNECT')
        break
      case 'authenticating':
      case 'challenged':
      case 'opening':
        takePipelined(state, effects, packet)
        break
      case 'closed':
        // [MQTT5-4.13.1-1] [MQTT311-3.14.4-2]: nothing that follows the end is looked at.
        return
    }
  }
  if (state.phase === 'connected') passToSession(state, effects, bytes)
  else state.pipelinedBytes += bytes
}

/** A packet that comes before CONNECT has been answered. */
function takePipelined(state: ProtocolState, effects: ProtocolEffect[], packet: Packet): void {
  if (state.phase === 'challenged') {
    takeChallenged(state, effects, packet)
    return
  }
  if (state.pipelined.length >= state.environment.limits.maxPipelinedPackets) {
    fail(state, effects, RC.quota_exceeded, 'too many packets before CONNACK')
    return
  }
  // [MQTT311-3.1.4-5] [MQTT5-3.1.4-5]
  state.pipelined.push(packet)
}

/** What answers a challenge. */
function takeChallenged(state: ProtocolState, effects: ProtocolEffect[], packet: Packet): void {
  // [MQTT5-3.1.2-30]: until CONNACK such a client may send nothing else.
  if (packet.cmd === 'auth') handleAuth(state, effects, packet)
  else if (packet.cmd === 'disconnect') handleDisconnect(state, effects, packet)
  else protocolError(state, effects, 'packet before the end of the authentication')
}

/** The authentication chain has answered; packets that came meanwhile are looked at as far as that goes. */
function takeConnectAuth(state: ProtocolState, effects: ProtocolEffect[], result: AuthResult): void {
  handleConnectAuth(state, effects, result)
  // The compiler takes the phase for what the caller has seen.
  const phase = state.phase as ProtocolState['phase']
  const early = phase === 'challenged' ? state.pipelined.shift() : undefined
  if (early !== undefined) takeChallenged(state, effects, early)
  if (phase === 'opening' && state.authMethod !== undefined && state.pipelined.length > 0) {
    // [MQTT5-3.1.2-30]
    protocolError(state, effects, 'packet before the end of the authentication')
  }
}

/** A packet of a connected client. */
function takePacket(state: ProtocolState, effects: ProtocolEffect[], packet: Packet): void {
  switch (packet.cmd) {
    case 'publish':
      handlePublish(state, effects, packet)
      break
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      if (state.forSession === undefined) state.forSession = [packet]
      else state.forSession.push(packet)
      break
    case 'pingreq':
      // [MQTT311-3.12.4-1] [MQTT5-3.12.4-1]
      effects.push(PINGRESP)
      break
    case 'subscribe':
      handleSubscribe(state, effects, packet)
      break
    case 'unsubscribe':
      handleUnsubscribe(state, effects, packet)
      break
    case 'disconnect':
      handleDisconnect(state, effects, packet)
      break
    case 'auth':
      handleAuth(state, effects, packet)
      break
    case 'connect':
      handleConnect(state, effects, packet)
      break
    default:
      protocolError(state, effects, `${packet.cmd.toUpperCase()} from a client`)
  }
}

function takeMalformed(
  state: ProtocolState,
  effects: ProtocolEffect[],
  event: Extract<ProtocolEvent, { tag: 'malformed' }>,
): void {
  const { error } = event
  if (state.phase === 'opening' || state.phase === 'authenticating') {
    // The packets before it are answered first.
    state.malformed ??= error
    return
  }
  state.environment.count(error.reasonCode === RC.protocol_error ? 'protocol_error' : 'malformed')
  if (state.phase === 'waiting' && error.answer === 'connack') {
    state.version = error.version
    effects.push({
      tag: 'version',
      version: error.version,
      maxPacketBytes: Number.POSITIVE_INFINITY,
      topicAliasMaximum: 0,
      problemInformation: true,
    })
    refuse(state, effects, error.reasonCode, error.reason)
    return
  }
  fail(state, effects, error.reasonCode, error.reason)
}

function takeOpened(
  state: ProtocolState,
  effects: ProtocolEffect[],
  event: Extract<ProtocolEvent, { tag: 'opened' }>,
): void {
  if (state.phase !== 'opening') return
  state.isOpenPending = false
  handleOpened(state, effects, event)
  const { early, pipelined, malformed, pipelinedBytes } = state
  state.early = []
  state.pipelined = []
  for (const message of early) takeFromSession(state, effects, message)
  takePackets(state, effects, pipelined, pipelinedBytes, event.nowMs)
  if (malformed !== undefined) takeMalformed(state, effects, { tag: 'malformed', error: malformed })
  if (state.isSocketClosed) finish(state, effects, { reason: 'closed', publishWill: true })
  // Behind the packets that were kept, so that what follows them cannot overtake them.
  if (state.session !== undefined) resume(state, effects, PAUSED_CONNECTING)
}

/** The session has opened for a connection that is no more. */
function detachLate(
  state: ProtocolState,
  effects: ProtocolEffect[],
  event: Extract<ProtocolEvent, { tag: 'opened' }>,
): void {
  state.isOpenPending = false
  const { session } = event
  // Its CONNECT was never accepted, so its will was never stored [MQTT5-3.1.2-7].
  effects.push({ tag: 'detach', session, publishWill: false, expirySec: undefined, reason: 'closed' })
}

function takeFromSession(state: ProtocolState, effects: ProtocolEffect[], message: ToConnection): void {
  if (state.phase === 'opening') {
    // A session speaks to us directly, so it may overtake the session manager that opened it.
    state.early.push(message)
    return
  }
  if (state.session === undefined || !message.from.equals(state.session)) return
  switch (message.tag) {
    case 'out':
      effects.push({ tag: 'deliver', packets: message.packets })
      break
    case 'synced':
      if (state.unsynced > 0) state.unsynced--
      // Half of the allowance must be free again, so that reading does not stop and go at every message.
      if (state.unsynced * 2 <= state.environment.limits.maxUnsynced) resume(state, effects, PAUSED_UNSYNCED)
      break
    case 'close':
      disconnect(state, effects, message.reasonCode, {
        reason: message.reason,
        // Unless it has let us go already, the session waits for the word that we are gone.
        publishWill: true,
      })
      break
  }
}

function takeSessionDown(state: ProtocolState, effects: ProtocolEffect[], nodeDown: boolean): void {
  if (state.phase !== 'connected') return
  const { will, expirySec } = state.client!
  // One that waits is seen to by those who have the row of the session, or the session itself when it is there again.
  if (will !== undefined && willDelaySec(will, expirySec) === 0) effects.push({ tag: 'publish_will', will })
  const code = nodeDown ? RC.server_shutting_down : RC.implementation_specific_error
  const reason = nodeDown ? 'node of the session is down' : 'session failed'
  disconnect(state, effects, code, { reason, publishWill: false, tellSession: false })
}

function takeCongested(state: ProtocolState, effects: ProtocolEffect[], on: boolean): void {
  if (state.phase !== 'connected' || state.isCongested === on) return
  state.isCongested = on
  effects.push({ tag: 'session_congested', on })
  if (on) effects.push({ tag: 'arm', timer: 'slow_consumer', delayMs: state.environment.limits.slowConsumerMs })
  else effects.push({ tag: 'disarm', timer: 'slow_consumer' })
}

function takeTimer(state: ProtocolState, effects: ProtocolEffect[], timer: ProtocolTimer, nowMs: number): void {
  const { environment } = state
  switch (timer) {
    case 'connect':
      if (state.phase === 'connected') break
      environment.count('connect_timeout')
      if (state.phase === 'waiting') finish(state, effects, { reason: 'connect_timeout', publishWill: true })
      else refuse(state, effects, RC.server_busy, 'connect_timeout')
      break
    case 'keep_alive': {
      if (state.phase !== 'connected') break
      // While we do not read, the silence is ours.
      if (state.pausedFor !== 0) state.keepAlive.lastPacketMs = nowMs
      const delayMs = state.keepAlive.remainingMs(nowMs)
      if (delayMs > 0) {
        effects.push({ tag: 'arm', timer: 'keep_alive', delayMs })
        break
      }
      environment.count('keep_alive_timeout')
      // [MQTT311-3.1.2-24] [MQTT5-3.1.2-22]
      disconnect(state, effects, RC.keep_alive_timeout, { reason: 'keep_alive_timeout', publishWill: true })
      break
    }
    case 'slow_consumer':
      if (!state.isCongested) break
      environment.count('slow_consumer')
      finish(state, effects, { reason: 'slow_consumer', publishWill: true, abort: true })
      break
  }
}
