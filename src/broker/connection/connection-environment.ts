/**
 * What a connection needs of the rest of the broker, in its own words.
 *
 * The broker makes one of these for all connections of a listener (app.ts fits it to access control, hooks and session
 * manager); tests and programs that embed the broker may bring their own.
 */
import type { DownMessage, ExitMessage, TimeoutMessage } from '../../actors/signal.ts'
import type { Credentials } from '../access/access-control.ts'
import type { FrameReader } from '../codec.ts'
import type { Metrics } from '../monitor/metrics.ts'
import type { SubscribeEntry } from '../packet.ts'
import type { ClientInfo, OpenedSession, Will } from '../process-messages.ts'
import type { AuthResult, ProtocolLimits } from './protocol-state.ts'

/** Buffers and times of a connection. */
export interface ConnectionSettings {
  /** Unsent output, in bytes, above which the session is told to wait. */
  readonly highWatermarkBytes: number
  /**
   * Bytes by which unsent output may grow after the session was told to wait; then the client is cut off. What its
   * session sends at once when a client comes back is bounded by the session.
   */
  readonly maxUnsentBytes: number
  /** Received bytes that may wait for the connection's turn; above them the socket is not read. */
  readonly maxUnhandledBytes: number
  /** How long a connection that has been closed waits for its last bytes to leave and for the client to close as well. */
  readonly lingerMs: number
}

/** The data of a CONNECT or AUTH of a client that authenticates by a method [MQTT5-4.12]. */
export interface AuthStep {
  readonly credentials: Credentials
  readonly method: string
  readonly data: Buffer | undefined
  /** The first step of an exchange. */
  readonly isFirst: boolean
  /** True when a connected client authenticates again. */
  readonly reauthenticate: boolean
  /** Whoever knows the method keeps here what it needs from step to step; the same object for all steps of an exchange. */
  readonly exchange: Record<string, unknown>
}

/** Says what one client may do; answers at once. */
export interface Authorizer {
  isAllowed(action: 'publish' | 'subscribe', topic: string): boolean
}

/** How a session or its manager answers a connection that opens it. */
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
  /** Decides about a client that names no authentication method. */
  authenticate(credentials: Credentials): AuthResult | Promise<AuthResult>
  /** Takes one step of an enhanced authentication, at CONNECT or again later; refuses a method that is not known. */
  authStep(step: AuthStep): AuthResult | Promise<AuthResult>
  authorizer(clientId: string, username: string | undefined, host: string): Authorizer
  /** Hooks may change or deny the filters of a SUBSCRIBE; undefined when nobody listens. */
  subscribing?(client: ClientInfo, entries: readonly SubscribeEntry[]): readonly (SubscribeEntry | 'deny')[] | undefined
  /** Hooks may change the filters of an UNSUBSCRIBE; undefined when nobody listens. */
  unsubscribing?(client: ClientInfo, filters: readonly string[]): readonly string[] | undefined
  /** Opens the session of an accepted client, whose connection then gets an `OpenAnswer`, at any time. */
  openSession(client: ClientInfo): void
  /** CONNACK with a refusal has been sent; `code` is that of its version. */
  refused(credentials: Credentials, code: number): void
  /** CONNACK has been sent. */
  connected(client: ClientInfo, present: boolean): void
  /** A connection that was `connected` has ended. */
  disconnected(client: ClientInfo, reason: string): void
  /** The session of the client crashed, so that its will falls to whoever is left. */
  publishWill(client: ClientInfo, will: Will): void
}
