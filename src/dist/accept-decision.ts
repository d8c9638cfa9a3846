/**
 * What to answer to a node that connects [OTP net_kernel, accept_pending].
 *
 * When two nodes begin to connect to each other at once, exactly one of the two attempts must survive, and both have to
 * choose the same: the one that the greater name has begun. A connection that there already is may be dead without
 * our knowing; the peer is asked, and the old one falls only when the new one's cookie has been checked, since anyone can
 * claim a name.
 */
import type { Decision } from './handshake-types.ts'

/** What the table of connections says of a peer. */
export type PeerState =
  | 'none'
  /** Our own attempt to connect to it is under way. */
  | 'connecting'
  /** One that it has begun is already being accepted. */
  | 'accepting'
  | 'connected'

/** The answer to a node that is allowed to connect. Names are compared as Erlang compares atoms: by code points. */
export function decide(own: string, peer: string, state: PeerState): Decision {
  switch (state) {
    case 'none':
      return 'ok'
    case 'connecting':
      return own > peer ? 'nok' : 'ok_simultaneous'
    case 'accepting':
      // The earlier one may be somebody else's who uses its name. Both go on; the first with the cookie wins.
      return 'ok'
    case 'connected':
      return 'alive'
  }
}
