/**
 * What the connection side of MQTT is made of: its state, the events that it takes, the effects that it asks for, and
 * the few ways in which a connection ends. The handlers of the packet kinds build on this file; protocol.ts dispatches.
 *
 * Nothing here reads a clock, does I/O or waits: events carry the time, effects are performed by the process that owns
 * the socket (connection.ts). The state object belongs to the machine and is changed in place.
 *
 *     waiting ─ CONNECT ─▶ authenticating ⇄ challenged (5.0 AUTH)
 *                               └─ accepted ─▶ opening ─ session opened ─▶ connected
 *     any ─▶ closed: exactly one `close` effect, preceded by at most one `detach`, and nothing after it, except the
 *     `detach` of a session that opens when its connection has already ended.
 */
import type { Pid } from '../actors/pid.ts'
import type { DecodeError } from './codec.ts'
import type { KeepAlive } from './keepalive.ts'
import type {
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  Packet,
  PingPacket,
  ProtocolVersion,
  QoS,
  SubscribeEntry,
  UserProperties,
} from './packet.ts'
import type { ClientInfo, OutPacket, SessionPacket, ToConnection, Will } from './process-messages.ts'
import { connackReturnCode, disconnectCode, RC } from './reason-codes.ts'
import type { TopicLimits } from './topic.ts'
import type { InboundAliases } from './topic-alias.ts'

/** What the broker allows a client, and tells it in CONNACK where MQTT 5.0 has a property for it. */
export interface ProtocolLimits {
  /** Protocol levels that are served: 3 (MQTT 3.1), 4 (3.1.1), 5 (5.0). */
  readonly protocolVersions: readonly ProtocolVersion[]
  /** From the opening of the socket to CONNACK, authentication included. */
  readonly connectTimeoutMs: number
  readonly maxClientIdBytes: number
  /** Greatest packet that the broker takes, in bytes. The decoder enforces it; CONNACK announces it. */
  readonly maxPacketBytes: number
  /** Packets that wait here for the answer to CONNECT; the connection process holds back what it can before it is decoded. */
  readonly maxPipelinedPackets: number
  readonly topics: TopicLimits
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  /** QoS 1 and 2 publishes of one client that may be unacknowledged at a time. The session enforces it. */
  readonly receiveMaximum: number
  /** Aliases that a client may use for its publishes; 0 for none. */
  readonly topicAliasMaximum: number
  /** Aliases that the broker uses towards a client that allows them; 0 for none. */
  readonly outboundTopicAliasMaximum: number
  /** 5.0: longer session expiry intervals are cut to this; 0xFFFFFFFF for no limit. */
  readonly maxSessionExpirySec: number
  /** 3.1 and 3.1.1: expiry of a session that is not clean. */
  readonly persistentSessionExpirySec: number
  /** 5.0: longer keep alives, and none at all, are overridden by this; 0 never overrides. */
  readonly maxKeepAliveSec: number
  /** What becomes of a client whose PUBLISH is denied: the message is acknowledged and dropped, or the client is cut off. */
  readonly denyAction: 'ignore' | 'disconnect'
  /** 5.0: refuse a payload that is declared to be UTF-8 and is not. Costs a scan of each such payload. */
  readonly validatePayloadFormat: boolean
  /** The session is asked to confirm after this many messages … */
  readonly syncEveryMessages: number
  /** … or this many bytes, whichever comes first. */
  readonly syncEveryBytes: number
  /** Reading pauses while more confirmations than this are outstanding. */
  readonly maxUnsynced: number
  /** A client whose socket has been over its high mark for this long is cut off. */
  readonly slowConsumerMs: number
}

/** Dropped, refused and forced ends, for the counters of the broker. */
export type ProtocolCounter =
  | 'publish_denied'
  | 'publish_topic_invalid'
  | 'subscribe_denied'
  | 'malformed'
  | 'protocol_error'
  | 'keep_alive_timeout'
  | 'connect_timeout'
  | 'slow_consumer'

/** What the machine asks of its surroundings. Called synchronously; none of these may call back into the machine. */
export interface ProtocolEnvironment {
  readonly limits: ProtocolLimits
  /** A client id that no other client has, for one that sent none. */
  assignClientId(): string
  /** Whether the client may publish to a topic or subscribe to a filter; asked only after it has been accepted. */
  authorize(action: 'publish' | 'subscribe', topic: string): boolean
  count(counter: ProtocolCounter): void
  /** Hooks may change or deny the filters of a SUBSCRIBE; undefined when nobody listens. */
  subscribing?(entries: readonly SubscribeEntry[]): readonly (SubscribeEntry | 'deny')[] | undefined
  /** Hooks may change the filters of an UNSUBSCRIBE; undefined when nobody listens. */
  unsubscribing?(filters: readonly string[]): readonly string[] | undefined
}

/** How the authentication chain answers. */
export type AuthResult =
  | {
      readonly outcome: 'accept'
      /** Replace what the client sent, e.g. by the subject of its certificate. */
      readonly username?: string | undefined
      readonly clientId?: string | undefined
      /** Last data of an enhanced authentication. */
      readonly data?: Buffer | undefined
      /** For a client that asked for it [MQTT5-3.1.2-28]. */
      readonly responseInformation?: string | undefined
      readonly userProperties?: UserProperties | undefined
    }
  | { readonly outcome: 'continue'; readonly data?: Buffer | undefined; readonly reason?: string | undefined }
  | {
      readonly outcome: 'refuse'
      readonly reasonCode: number
      readonly reason: string
      /** With 0x9C or 0x9D: where to go instead. */
      readonly serverReference?: string | undefined
    }

export type ProtocolTimer = 'connect' | 'keep_alive' | 'slow_consumer'

/** What happens to a connection. `nowMs` is a clock that only goes forward; its origin does not matter. */
export type ProtocolEvent =
  /** The socket is open. */
  | { readonly tag: 'start' }
  /** The packets of one chunk, and how many bytes it had. */
  | { readonly tag: 'packets'; readonly packets: readonly Packet[]; readonly bytes: number; readonly nowMs: number }
  /** The bytes that follow are no packet. Comes after the packets of the same chunk. */
  | { readonly tag: 'malformed'; readonly error: DecodeError }
  | { readonly tag: 'auth'; readonly result: AuthResult }
  | { readonly tag: 'opened'; readonly session: Pid; readonly present: boolean; readonly nowMs: number }
  | { readonly tag: 'refused'; readonly reasonCode: number; readonly reason: string }
  | { readonly tag: 'session'; readonly message: ToConnection }
  /** The session's process has ended. */
  | { readonly tag: 'session_down'; readonly nodeDown: boolean }
  /** The socket's buffer has passed its high mark, or has drained. */
  | { readonly tag: 'congested'; readonly on: boolean }
  | { readonly tag: 'timer'; readonly timer: ProtocolTimer; readonly nowMs: number }
  /** The client sends no more; while `isWritable`, what it is to get can still be sent. */
  | { readonly tag: 'socket_closed'; readonly reason: string; readonly isWritable: boolean }
  /** Ordered by an operator or by the shutdown of the node. */
  | {
      readonly tag: 'disconnect'
      readonly reasonCode: number
      readonly reason: string
      readonly serverReference?: string | undefined
    }

/** The client as the machine knows it; the process adds its own pid, the address of the peer and the wall clock. */
export type OpeningClient = Omit<ClientInfo, 'connection' | 'peer' | 'connectedAtMs'>

/** Packets that the connection itself sends. */
export type ControlPacket = ConnackPacket | PingPacket | DisconnectPacket | AuthPacket

export type ProtocolEffect =
  /** Encode for this version and within these limits of the client from now on. Comes before everything that is sent. */
  | {
      readonly tag: 'version'
      readonly version: ProtocolVersion
      /** Bytes. */
      readonly maxPacketBytes: number
      readonly topicAliasMaximum: number
      /** Whether reason strings and user properties may be sent in acknowledgements [MQTT5-3.1.2-29]. */
      readonly problemInformation: boolean
    }
  | { readonly tag: 'send'; readonly packet: ControlPacket }
  | { readonly tag: 'deliver'; readonly packets: readonly OutPacket[] }
  /** Ask who the client is; answered by the event `auth`. `clientId` is the assigned one when the client sent none. */
  | { readonly tag: 'authenticate'; readonly connect: ConnectPacket; readonly clientId: string }
  /** The next step of an enhanced authentication, or the first of a new one; answered by the event `auth`. */
  | { readonly tag: 'auth_step'; readonly method: string; readonly data: Buffer | undefined; readonly isFirst: boolean }
  /** Answered by `opened` or `refused`. */
  | { readonly tag: 'open'; readonly client: OpeningClient }
  /** CONNACK has been sent. */
  | { readonly tag: 'connected'; readonly present: boolean }
  /** CONNACK has been sent, with this code of its version. */
  | { readonly tag: 'refused'; readonly connect: ConnectPacket; readonly clientId: string; readonly code: number }
  | { readonly tag: 'to_session'; readonly packets: readonly SessionPacket[]; readonly sync: boolean }
  | { readonly tag: 'session_congested'; readonly on: boolean }
  | {
      readonly tag: 'detach'
      readonly session: Pid
      readonly publishWill: boolean
      readonly expirySec: number | undefined
      readonly reason: string
    }
  /** The session died and cannot do it: publish the will of its client [MQTT5-3.1.2-8]. */
  | { readonly tag: 'publish_will'; readonly will: Will }
  | { readonly tag: 'arm'; readonly timer: ProtocolTimer; readonly delayMs: number }
  | { readonly tag: 'disarm'; readonly timer: ProtocolTimer }
  | { readonly tag: 'pause' }
  | { readonly tag: 'resume' }
  /** Flush what has been sent and close; `abort` closes without waiting for anything. */
  | { readonly tag: 'close'; readonly reason: string; readonly abort: boolean }

export type Phase = 'waiting' | 'authenticating' | 'challenged' | 'opening' | 'connected' | 'closed'

/** Bits of `pausedFor`. */
export const PAUSED_CONNECTING = 1
export const PAUSED_UNSYNCED = 2

/** The state of one connection. Made by `createProtocol`. */
export interface ProtocolState {
  readonly environment: ProtocolEnvironment
  phase: Phase
  /** 4 until CONNECT says otherwise. */
  version: ProtocolVersion
  /** The accepted CONNECT, its client id and keep alive as they are in force; undefined before. */
  client: OpeningClient | undefined
  /** The CONNECT while it is being answered. */
  connect: ConnectPacket | undefined
  /** Authentication method of the CONNECT. */
  authMethod: string | undefined
  /** Where a re-authentication stands. */
  reauthentication: 'none' | 'pending' | 'challenged'
  accepted: Extract<AuthResult, { outcome: 'accept' }> | undefined
  session: Pid | undefined
  /** The session manager has been asked and has not answered. */
  isOpenPending: boolean
  /** Packets that came behind CONNECT before the session was open; emptied then [MQTT311-3.1.4-5]. */
  pipelined: Packet[]
  pipelinedBytes: number
  /** What was wrong with the bytes behind those packets; the connection ends when they have been handled. */
  malformed: DecodeError | undefined
  /** Messages of sessions that overtook the answer of the session manager; emptied when it comes. */
  early: ToConnection[]
  /** The peer closed while its session was being opened; what it sent before that is still handled. */
  isSocketClosed: boolean
  keepAlive: KeepAlive
  inboundAliases: InboundAliases
  /** Of the CONNECT, before it was cut to the limit: decides whether DISCONNECT may change it. */
  requestedExpirySec: number
  /** What is collected for the session from the current chunk; undefined when there is nothing. */
  forSession: SessionPacket[] | undefined
  /** Since the session was last asked to confirm. */
  messagesSinceSync: number
  bytesSinceSync: number
  unsynced: number
  pausedFor: number
  isCongested: boolean
  /** The topic name that was checked last and its reason code, since topics come in runs. */
  checkedTopic: string | undefined
  checkedCode: number
  /** The same for the access control, whose verdict holds for the chunk in which it was given. */
  authorizedTopic: string | undefined
  isAuthorized: boolean
}

/** Makes the reader stop for one more reason. */
export function pause(state: ProtocolState, effects: ProtocolEffect[], why: number): void {
  if (state.pausedFor === 0) effects.push({ tag: 'pause' })
  state.pausedFor |= why
}

/** Takes back one reason to pause; reading goes on when it was the last. */
export function resume(state: ProtocolState, effects: ProtocolEffect[], why: number): void {
  if ((state.pausedFor & why) === 0) return
  state.pausedFor &= ~why
  if (state.pausedFor === 0) effects.push({ tag: 'resume' })
}

/** Hands on what the current chunk had for the session. `bytes` is the size of the chunk. */
export function passToSession(state: ProtocolState, effects: ProtocolEffect[], bytes: number): void {
  const packets = state.forSession
  if (packets === undefined) return
  state.forSession = undefined
  const { limits } = state.environment
  state.messagesSinceSync++
  state.bytesSinceSync += bytes
  const sync = state.messagesSinceSync >= limits.syncEveryMessages || state.bytesSinceSync >= limits.syncEveryBytes
  if (sync) {
    state.messagesSinceSync = 0
    state.bytesSinceSync = 0
    state.unsynced++
  }
  effects.push({ tag: 'to_session', packets, sync })
  if (sync && state.unsynced > limits.maxUnsynced) pause(state, effects, PAUSED_UNSYNCED)
}

/** Why and how a connection ends. */
interface Ending {
  readonly reason: string
  readonly publishWill: boolean
  readonly expirySec?: number | undefined
  /** False when the session knows already, or is no more. */
  readonly tellSession?: boolean
  readonly abort?: boolean
}

/** Ends the connection without a word to the client. Every end of a connection comes through here, once. */
export function finish(state: ProtocolState, effects: ProtocolEffect[], ending: Ending): void {
  if (state.phase === 'closed') return
  passToSession(state, effects, 0)
  if (state.session !== undefined && ending.tellSession !== false) {
    const { publishWill, expirySec, reason } = ending
    effects.push({ tag: 'detach', session: state.session, publishWill, expirySec, reason })
  }
  state.phase = 'closed'
  state.session = undefined
  state.connect = undefined
  state.pipelined = []
  state.early = []
  effects.push({ tag: 'close', reason: ending.reason, abort: ending.abort === true })
}

/**
 * Answers CONNECT with a refusal and ends the connection. A reason that 3.1 and 3.1.1 have no return code for closes
 * without CONNACK there.
 */
export function refuse(
  state: ProtocolState,
  effects: ProtocolEffect[],
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  if (state.version === 5) {
    const properties: NonNullable<ConnackPacket['properties']> = { reasonString: reason }
    if (serverReference !== undefined) properties.serverReference = serverReference
    // [MQTT5-3.2.2-6]: no session present in a refusal.
    effects.push({ tag: 'send', packet: { cmd: 'connack', sessionPresent: false, reasonCode, properties } })
    reportRefusal(state, effects, reasonCode)
  } else {
    const returnCode = connackReturnCode(reasonCode)
    // [MQTT311-3.2.2-4]: no session present in a refusal.
    if (returnCode !== undefined) {
      effects.push({ tag: 'send', packet: { cmd: 'connack', sessionPresent: false, returnCode } })
      reportRefusal(state, effects, returnCode)
    }
  }
  finish(state, effects, { reason, publishWill: true })
}

function reportRefusal(state: ProtocolState, effects: ProtocolEffect[], code: number): void {
  const { connect, client } = state
  if (connect === undefined) return
  effects.push({ tag: 'refused', connect, clientId: client?.clientId ?? connect.clientId, code })
}

/** Ends a connection on the broker's own account, with DISCONNECT in 5.0 [MQTT5-4.13.1-1]. */
export function disconnect(
  state: ProtocolState,
  effects: ProtocolEffect[],
  reasonCode: number,
  ending: Ending,
  serverReference?: string,
): void {
  if (state.phase === 'connected' && state.version === 5) {
    const properties: NonNullable<DisconnectPacket['properties']> = { reasonString: ending.reason }
    if (serverReference !== undefined) properties.serverReference = serverReference
    passToSession(state, effects, 0)
    effects.push({ tag: 'send', packet: { cmd: 'disconnect', reasonCode: disconnectCode(reasonCode), properties } })
  }
  finish(state, effects, ending)
}

/**
 * Ends a connection for what the client or the broker did wrong, in the way that its phase has for it: CONNACK while
 * CONNECT is unanswered, DISCONNECT after CONNACK, nothing before CONNECT [MQTT5-3.14.0-1].
 */
export function fail(state: ProtocolState, effects: ProtocolEffect[], reasonCode: number, reason: string): void {
  switch (state.phase) {
    case 'authenticating':
    case 'challenged':
    case 'opening':
      refuse(state, effects, reasonCode, reason)
      break
    case 'waiting':
    case 'connected':
      disconnect(state, effects, reasonCode, { reason, publishWill: true })
      break
    case 'closed':
      break
  }
}

/** As `fail`, and counts it among the protocol errors. */
export function protocolError(
  state: ProtocolState,
  effects: ProtocolEffect[],
  reason: string,
  reasonCode: number = RC.protocol_error,
): void {
  state.environment.count('protocol_error')
  fail(state, effects, reasonCode, reason)
}
