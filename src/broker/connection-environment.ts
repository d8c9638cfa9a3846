/**
 * What a connection needs of the rest of the broker, in its own words.
 *
 * The broker makes one of these for all connections of a listener (app.ts fits it to access control, hooks and session
 * manager); tests and programs that embed the broker may bring their own.
 */
import type { DownMessage, ExitMessage, TimeoutMessage } from '../actors/signal.ts'
import type { FrameReader } from './codec.ts'
import type { Metrics } from './metrics.ts'
import type { ConnectPacket, ProtocolVersion } from './packet.ts'
import type { ClientInfo, OpenedSession, Will } from './process-messages.ts'
import type { AuthResult, ProtocolLimits } from './protocol-state.ts'
import type { Peer } from './transport.ts'

/** Buffers and times of a connection. */
export interface ConnectionSettings {
  /** Unsent output, in bytes, above which the session is told to wait. */
  readonly highWatermarkBytes: number
  /** Unsent output, in bytes, above which the client is cut off at once. */
  readonly maxUnsentBytes: number
  /** Received bytes that may wait for the connection's turn; above them the socket is not read. */
  readonly maxUnhandledBytes: number
  /** How long a connection that has been closed waits for its last bytes to leave and for the client to close as well. */
  readonly lingerMs: number
}

/** Who asks to connect, and from where. */
export interface AuthenticationRequest {
  /** The assigned one when the client sent none. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly protocolVersion: ProtocolVersion
  readonly peer: Peer
  /** The whole packet, for enhanced authentication and for who wants more. */
  readonly connect: ConnectPacket
}

/** One AUTH of a client [MQTT5-4.12]. */
export interface AuthStep {
  readonly clientId: string
  readonly username: string | undefined
  readonly peer: Peer
  readonly method: string
  readonly data: Buffer | undefined
  /** True when a connected client authenticates again. */
  readonly reauthenticate: boolean
}

/** Says what one client may do; answers at once. */
export interface Authorizer {
  isAllowed(action: 'publish' | 'subscribe', topic: string): boolean
}

/** How the session manager answers. */
export type OpenAnswer =
  | ({ readonly tag: 'opened' } & OpenedSession)
  | { readonly tag: 'refused'; readonly reasonCode: number; readonly reason: string }

/** What a connection takes besides the chunks of its socket and the messages of its session. */
export type ConnectionMessage =
  | { readonly tag: 'auth'; readonly result: AuthResult }
  | OpenAnswer
  /** Ends the connection, in 5.0 with this reason code: for an operator, and to send the client to another server. */
  | {
      readonly tag: 'disconnect'
      readonly reasonCode: number
      readonly reason: string
      readonly serverReference?: string
    }
  | { readonly tag: 'drained' }
  | { readonly tag: 'socket_ended' }
  | { readonly tag: 'socket_closed'; readonly reason: string }
  | ExitMessage
  | DownMessage
  | TimeoutMessage

/** The broker, as its connections see it. None of the functions may throw; a promise must not reject. */
export interface ConnectionEnvironment {
  readonly limits: ProtocolLimits
  readonly settings: ConnectionSettings
  readonly metrics: Metrics
  /** Reader of rare frames, shared by all connections. */
  readonly frames: FrameReader
  /** A client id that no other client of the cluster has or will have. */
  assignClientId(): string
  authenticate(request: AuthenticationRequest): AuthResult | Promise<AuthResult>
  authStep(step: AuthStep): AuthResult | Promise<AuthResult>
  authorizer(clientId: string, username: string | undefined, peer: Peer): Authorizer
  /** Opens the session of an accepted client; calls `answer` once, at any time, from anywhere. */
  openSession(client: ClientInfo, answer: (answer: OpenAnswer) => void): void
  /** CONNACK has been sent. */
  connected(client: ClientInfo, present: boolean): void
  /** A connection that was `connected` has ended. */
  disconnected(client: ClientInfo, reason: string): void
  /** The session of the client crashed, so that its will falls to whoever is left. */
  publishWill(client: ClientInfo, will: Will): void
}
