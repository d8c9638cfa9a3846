/**
 * Brings the stored sessions back when a node starts: it has the session manager start one after the other, and its own start is
 * over when their rows, subscriptions and routes stand. So listeners, which are started after it, let nobody in before.
 */
import { genServer, ignore } from '../../../actors/gen-server.ts'
import type { Services } from '../../services.ts'

/** Sessions that are being started at a time: enough to keep the router busy with lists, too few to fill its mailbox. */
const AT_A_TIME = 500

/** The server, which is never there: its start ends with `ignore`. */
export const sessionRestorer = genServer<never, Record<never, never>, Record<never, never>, Services>({
  label: 'session_restorer',
  init: async ({ sessions, sessionStore, places, routing, runtime }) => {
    const beganAtMs = runtime.clock.monotonic()
    let restored = 0
    let underWay: Promise<void>[] = []
    for (const found of sessionStore?.sessions() ?? []) {
      underWay.push(sessions.restore(found))
      restored += 1
      if (underWay.length < AT_A_TIME) continue
      await Promise.all(underWay)
      underWay = []
    }
    await Promise.all(underWay)
    routing.forgetFormer()
    places.forgetFormer()
    if (restored > 0) {
      const tookMs = Math.round(runtime.clock.monotonic() - beganAtMs)
      runtime.logger.info({ report: 'sessions_restored', sessions: restored, tookMs }, `${restored} sessions restored`)
    }
    return ignore()
  },
})
