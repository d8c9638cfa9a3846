/** The messages by which sessions are opened, restored and ended: between connections, session managers (sm.ts) and sessions. */
import type { Pid } from '../../actors/pid.ts'
import type { RemoteName } from '../../actors/signal.ts'
import type { ClientInfo, OpenedSession, Will } from '../process-messages.ts'
import type { InDoubt } from './moving/messages.ts'

/** The message with which a connection learns what became of its wish for a session. */
export type OpenAnswer =
  | ({ readonly tag: 'opened' } & OpenedSession)
  /** With the reason code for CONNACK. */
  | { readonly tag: 'refused'; readonly reasonCode: number; readonly reason: string }

/** What a session manager tells a session. */
export type FromManager =
  /** A connection wants the session; it gets the answer, the home of the client id and the manager `opened`. */
  | { readonly tag: 'open'; readonly home: RemoteName; readonly client: ClientInfo }
  /** Another session of the client id stays: hand it what waits, close the connection, and end. */
  | { readonly tag: 'give_way'; readonly to: Pid }
  /** Nobody else has it, although it was given to another node. */
  | { readonly tag: 'stay' }
  /** It counts as opened later than its client was, since another node has one that was not there before it: a restart is to know that. */
  | { readonly tag: 'stamped'; readonly connectedAtMs: number }
  /** Its will was published while the node was down. */
  | { readonly tag: 'will_settled' }
  /** End the session now. */
  | { readonly tag: 'discard'; readonly reasonCode: number; readonly reason: string }
  /** Close its connection. */
  | { readonly tag: 'kick'; readonly reasonCode: number; readonly reason: string }

/** What a session tells its manager. */
export type ToManager =
  | { readonly tag: 'opened'; readonly session: Pid; readonly client: ClientInfo }
  /** It was stored, and its routes stand again. */
  | { readonly tag: 'restored'; readonly session: Pid; readonly clientId: string }
  /** It does not serve the client, since it may be on another node. To the home. */
  | { readonly tag: 'unavailable'; readonly client: ClientInfo; readonly reason: string }
  | InDoubt
  /** `will` is still to be published, at the end of its delay or of the session; undefined: it is settled. */
  | {
      readonly tag: 'detached'
      readonly session: Pid
      readonly clientId: string
      readonly expirySec: number
      readonly will: Will | undefined
    }
