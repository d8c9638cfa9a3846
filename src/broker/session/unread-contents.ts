/** The messages of a stored session that was found, which stay on the disc until they are needed. */
import type { Pid } from '../../actors/pid.ts'
import type { SessionEnvironment } from '../publish.ts'
import { restoredSessionState, takeContents } from './session-restored.ts'
import { type SessionSnapshot, snapshot } from './session-snapshot.ts'
import type { SessionEvent } from './session-state.ts'
import { type Contents, readContents } from './stored/contents.ts'
import { messageSpace } from './stored/forms.ts'
import type { FoundSession } from './stored/session-store.ts'

export class UnreadContents {
  readonly #environment: SessionEnvironment
  readonly #found: FoundSession

  constructor(environment: SessionEnvironment, found: FoundSession) {
    this.#environment = environment
    this.#found = found
  }

  /** Reads them. A row that cannot be read is reported, and left where it is. */
  read(): Contents {
    const { journal } = this.#found
    const store = this.#environment.sessionStore!
    return readContents(store.messages(journal), (key, error) => {
      store.unreadable(journal.clientId, messageSpace(journal.name), key, error)
    })
  }

  /** What the session `self` would hold with them. */
  snapshot(self: Pid): SessionSnapshot {
    const { limits, nextMessageId, sessionStore } = this.#environment
    const state = restoredSessionState({ self, limits, nextMessageId, found: this.#found })
    state.journal = undefined
    const contents = readContents(sessionStore!.messages(this.#found.journal), () => {})
    takeContents(state, contents, [], [])
    return snapshot(state)
  }
}

/** Whether an event is about the messages of a session, which are read when it comes. */
export function concernsMessages(event: SessionEvent): boolean {
  switch (event.tag) {
    case 'deliver':
    case 'attach':
    case 'discard':
      return true
    case 'timeout':
      return event.timer === 'expiry'
    default:
      return false
  }
}
