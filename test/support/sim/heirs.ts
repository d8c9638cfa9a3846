/**
 * Sessions that follow others of their client, as after an outage of the former one's node: what waits in the former one is handed to the
 * one that follows when both meet, as far as that subscribes it by then.
 */
import type { Interest } from './ledger.ts'

/** A subscription of a session that has given way, and that of the one that follows. */
export interface Inheritance {
  readonly former: Interest
  readonly heir: Interest
}

export class Heirs {
  /** By session: the one that it follows, and what that subscribed. */
  readonly #formers = new Map<string, { readonly session: string; readonly interests: readonly Interest[] }>()
  readonly inheritances: Inheritance[] = []
  /** Sessions that follow another one, with a filter that has stood in them. */
  readonly #subscribed = new Set<string>()

  /** A client has a session in place of another one, of which these subscriptions stood. */
  follows(session: string, former: string, interests: readonly Interest[]): void {
    if (!this.#formers.has(session)) this.#formers.set(session, { session: former, interests })
  }

  /**
   * A subscription stands. It inherits what `isApart` says has not met yet: whatever is handed over comes after it. One that stands anew inherits nothing:
   * the sessions may have met in between.
   */
  subscribed(heir: Interest, isApart: (session: string, former: string) => boolean): void {
    const former = this.#formers.get(heir.session)
    if (former === undefined) return
    const key = `${heir.session} ${heir.filter}`
    const isAnew = this.#subscribed.has(key)
    this.#subscribed.add(key)
    if (isAnew || !isApart(heir.session, former.session)) return
    for (const interest of former.interests) {
      const isSame = interest.filter === heir.filter && interest.qos > 0 && heir.qos > 0
      // Messages of a group go to its other members.
      if (isSame && interest.isPersistent && !interest.filter.startsWith('$share/'))
        this.inheritances.push({ former: interest, heir })
    }
  }
}
