/**
 * What goes into the handshake's state machine and what comes out: options, events, effects, and why it may fail.
 */
import type { Challenges } from './challenge.ts'
import type { BadMessage, HeaderBytes, Introduction } from './handshake-messages.ts'

/** For the whole handshake, as in Erlang (`net_setuptime`). */
export const HANDSHAKE_TIMEOUT_MS = 7000

/** What both roles need. */
export interface HandshakeOptions {
  /** Name, creation and flags of our node. */
  readonly own: Introduction
  /** What to check a peer against; for some peers it may be another than the node's own. */
  readonly cookie: string | ((peer: string) => string)
  readonly challenges: Challenges
  /** 2 over TCP, 4 over TLS. */
  readonly headerBytes: HeaderBytes
}

/** What an acceptor may answer to a name. */
export type Decision =
  | 'ok'
  /** Both have begun to connect, and the peer's attempt is the one that counts: ours is to be dropped. */
  | 'ok_simultaneous'
  /** Both have begun to connect, and ours is the one that counts. */
  | 'nok'
  | 'not_allowed'
  /** There is a connection to a node of this name: the peer says whether it is gone. */
  | 'alive'

/** What happens to a handshake. */
export type HandshakeEvent =
  | { readonly tag: 'bytes'; readonly chunk: Buffer }
  /** The answer to the effect `decide`. */
  | { readonly tag: 'decision'; readonly decision: Decision }
  /** The answer to the effect `asked_if_new`. */
  | { readonly tag: 'is_new'; readonly isNew: boolean }
  | { readonly tag: 'timeout' }
  /** The stream is gone. */
  | { readonly tag: 'closed'; readonly reason: string }

/** A peer whose cookie is right. */
export interface HandshakePeer {
  readonly name: string
  readonly creation: number
  /** What both nodes have. */
  readonly flags: bigint
  /** Whether it is a visible node. */
  readonly isPublished: boolean
}

/** Why a handshake has failed. */
export type HandshakeFailure =
  /** The acceptor has answered `nok`: it connects to the initiator itself, and that connection is about to come up. */
  | 'nok'
  /** The peer has refused us, by `not_allowed`. */
  | 'not_allowed'
  /** We have refused the peer. */
  | 'refused'
  /** The peer holds a connection to us that it knows to be alive. */
  | 'alive'
  /** The answer to our challenge is wrong. */
  | 'bad_cookie'
  | 'missing_flags'
  /** The peer asked us our own challenge. */
  | 'reflected_challenge'
  /** Who answered is not who was called. */
  | 'wrong_name'
  /** A status that there is not, or `named:`, which is for nodes without a name. */
  | 'bad_status'
  | 'too_large'
  | 'timeout'
  /** The peer has closed; after our reply that means, as a rule, that the cookies differ. */
  | 'closed'
  | BadMessage

/** What the caller has to do, in this order. */
export type HandshakeEffect =
  | { readonly tag: 'send'; readonly bytes: Buffer }
  /** Acceptor: look at the table of connections and answer by the event `decision`. */
  | { readonly tag: 'decide'; readonly peer: Introduction }
  /** Initiator: the acceptor asks whether its old connection to us is gone; answer by the event `is_new`. */
  | { readonly tag: 'asked_if_new' }
  /** `rest` came after the handshake and is the beginning of the frames. An older connection of the name is to be replaced now. */
  | { readonly tag: 'connected'; readonly peer: HandshakePeer; readonly rest: Buffer }
  /** Close the stream, after what was sent has left. `peer` is as it called itself and may be a lie. */
  | {
      readonly tag: 'failed'
      readonly reason: HandshakeFailure
      readonly peer: string | undefined
      readonly detail: string
    }
