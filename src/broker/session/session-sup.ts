/** The sessions' supervisor: one temporary child for each client id that has a session, started by sm.ts. */
import { childTemplate, supervisor } from '../../actors/supervisor.ts'
import { session } from './session.ts'

/** Registered name of the supervisor. */
export const SESSION_SUP = 'session_sup'

/** A session is never restarted: its state is gone, and its client opens another when it comes back. */
export const sessionSup = supervisor({
  label: 'session_sup',
  strategy: 'simple_one_for_one',
  children: () => [childTemplate('session', session, { restart: 'temporary', shutdownMs: 5000 })],
})
