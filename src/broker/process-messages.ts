/**
 * The messages between the processes of one client: its connection (owns the socket) and its session (owns
 * subscriptions, inflight window and queue). They know each other by pid only and may live on different nodes, so
 * everything here is plain data.
 *
 *     socket ─ chunk ─▶ connection ─ packets ─▶ session ─ deliver ─▶ other sessions
 *     socket ◀─ bytes ─ connection ◀── out ─── session ◀─ deliver ─ other sessions
 *
 * Every message names its sender, so that a session ignores a connection that it has already let go, and a connection
 * a session that is no longer its own.
 */
import type { Pid } from '../actors/pid.ts'
import type { Batch, Message, PlainBatch, Run } from './message.ts'
import type {
  AckPacket,
  ForwardedProperties,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubackPacket,
  SubscribePacket,
  UnsubackPacket,
  UnsubscribePacket,
} from './packet.ts'

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly delaySec: number
  readonly expirySec: number | undefined
  readonly properties: ForwardedProperties | undefined
}

/** What a connection tells the session manager, and through it the session, about a client that has authenticated. */
export interface ClientInfo {
  readonly clientId: string
  readonly username: string | undefined
  /** `address:port` of the peer. */
  readonly peer: string
  readonly connection: Pid
  readonly protocolVersion: ProtocolVersion
  readonly cleanStart: boolean
  /** Seconds; 0 ends with the connection; 0xFFFFFFFF never. 3.1.1: 0 when clean, else the configured expiry. */
  readonly expirySec: number
  readonly receiveMaximum: number
  readonly keepAliveSec: number
  readonly will: Will | undefined
  readonly connectedAtMs: number
}

/** Answer of the session manager to a connection that opens a session. */
export interface OpenedSession {
  readonly session: Pid
  readonly present: boolean
}

/** A SUBSCRIBE on its way to the session; `denied[i]` is the reason code with which filter i is refused, 0 when allowed. */
export interface AuthorizedSubscribe extends SubscribePacket {
  readonly denied: readonly number[]
}

/** A PUBLISH on its way to the session, topic alias resolved; `denied` is a reason code ≥ 0x80 when it must not be routed. */
export interface AuthorizedPublish extends PublishPacket {
  readonly denied: number
}

/** What a connection passes on to its session. The rest of the protocol ends at the connection. */
export type SessionPacket = AuthorizedPublish | AckPacket | AuthorizedSubscribe | UnsubscribePacket

/** Messages that a session takes from its connection, from publishers and from the router. */
export type ToSession =
  /** The packets of one socket chunk, in order. With `sync`, the session answers `synced` when it has handled them. */
  | { tag: 'packets'; from: Pid; packets: readonly SessionPacket[]; sync: boolean }
  /** The socket takes no more (`on`) or takes again. While it is on, the session queues, and sheds QoS 0 past its limit. */
  | { tag: 'congested'; from: Pid; on: boolean }
  /** The connection ends. `expirySec` is the new session expiry of a 5.0 DISCONNECT, if it had one. */
  | { tag: 'detach'; from: Pid; publishWill: boolean; expirySec: number | undefined; reason: string }
  /** Messages for this session; runs in the publisher's order. */
  | { tag: 'deliver'; runs: readonly Run[] }

/** A PUBLISH for the client, one message. */
export interface OutPublish {
  readonly cmd: 'publish'
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 0 when qos is 0. */
  readonly messageId: number
  readonly ids: readonly number[] | undefined
}

/** A whole batch for the client at QoS 0, RETAIN 0, without subscription identifiers: its encoding is shared by all such clients. */
export interface OutBatch {
  readonly cmd: 'batch'
  /** Plain when it came from another node; `batchOf` gives the batch. */
  readonly batch: Batch | PlainBatch
}

export type OutPacket = OutPublish | OutBatch | AckPacket | SubackPacket | UnsubackPacket

/** Messages that a connection takes from its session. */
export type ToConnection =
  | { tag: 'out'; from: Pid; packets: readonly OutPacket[] }
  | { tag: 'synced'; from: Pid }
  /** Close the socket; in 5.0 after a DISCONNECT with this reason code (0x8E session taken over, 0x93, 0x97, 0x98 …). */
  | { tag: 'close'; from: Pid; reasonCode: number; reason: string }
