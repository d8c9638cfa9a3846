/**
 * What is logged of a handshake that has failed. A wrong cookie is told in Erlang's words, for which operators search.
 * What strangers can cause at will without knowing a name, such as a port scan, is told at level debug only.
 */
import type { HandshakeFailure } from './handshake-types.ts'

/** A line for the log. */
export interface FailureReport {
  readonly level: 'error' | 'warn' | 'debug'
  readonly text: string
}

/** The line for a failure; `own` is the name of our node. */
export function reportFailure(
  own: string,
  role: 'initiator' | 'acceptor',
  { reason, peer, detail }: { reason: HandshakeFailure; peer: string | undefined; detail: string },
): FailureReport {
  const attempt = `Connection attempt ${role === 'acceptor' ? 'from' : 'to'} node '${peer ?? 'unknown'}'`
  switch (reason) {
    case 'bad_cookie':
      return role === 'acceptor'
        ? { level: 'error', text: `** ${attempt} rejected. Invalid challenge reply. **` }
        : { level: 'error', text: `** ${attempt} aborted. Invalid challenge ack. **` }
    case 'missing_flags':
      return { level: 'error', text: `** '${own}': ${attempt} rejected since it cannot handle [${detail}]. **` }
    case 'reflected_challenge':
      return { level: 'error', text: `** ${attempt} rejected: it asked us our own challenge ${detail}. **` }
    case 'wrong_name':
      return { level: 'error', text: `** ${attempt} aborted: ${detail}. **` }
    case 'nok':
    case 'alive':
      return { level: 'debug', text: `${attempt} given up: ${detail}` }
    case 'closed':
      if (role === 'initiator' && detail.endsWith('await_ack')) {
        return { level: 'warn', text: `${attempt} failed: it closed after our challenge reply; the cookies may differ` }
      }
      return { level: peer === undefined ? 'debug' : 'warn', text: `${attempt} failed: closed, ${detail}` }
    default:
      return { level: peer === undefined ? 'debug' : 'warn', text: `${attempt} failed: ${reason}, ${detail}` }
  }
}
