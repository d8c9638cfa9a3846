/** What becomes of a store of sessions is told here: to the log, and as alarms to whoever looks after the node. */
import type { Logger } from 'pino'
import type { Alarms } from '../../monitor/alarm.ts'
import type { SessionStoreOptions } from './session-store.ts'

/** Active while the disc takes nothing. */
const SESSION_STORE_ALARM = 'session_store'
/** Active when something of a session could not be read since the node has started; the client id is appended. */
const UNREADABLE_ALARM = 'unreadable_session.'

/** The listeners of a store of sessions. */
export function reportStore(
  alarms: Alarms,
  logger: Logger,
): Pick<SessionStoreOptions, 'onFailure' | 'onRecovery' | 'onUnreadable'> {
  return {
    onFailure: (error) => {
      const title = 'sessions are not stored'
      logger.error({ report: 'session_store', err: error }, `${title}: ${error.message}`)
      alarms.alert({ id: SESSION_STORE_ALARM, severity: 'critical', title, summary: error.message })
    },
    onRecovery: () => {
      logger.info({ report: 'session_store' }, 'sessions are stored again')
      alarms.clear(SESSION_STORE_ALARM)
    },
    onUnreadable: ({ clientId, space, key, reason }) => {
      const title = `something of the session of ${clientId} cannot be read`
      logger.error({ report: 'unreadable_session', clientId, space, key, reason }, `${title}: ${reason}`)
      const summary = `${space} ${key}: ${reason}`
      alarms.alert({ id: `${UNREADABLE_ALARM}${clientId}`, severity: 'error', title, summary })
    },
  }
}
