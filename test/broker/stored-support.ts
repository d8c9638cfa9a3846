/** A session machine whose journal goes to a store, and what is found there. */
import type { Message } from '../../src/broker/message.ts'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { movingOf } from '../../src/broker/session/moving/departure.ts'
import { Luggage, Unpacking } from '../../src/broker/session/moving/luggage.ts'
import { arrivingSessionState, restoredSessionState } from '../../src/broker/session/session-restored.ts'
import type { Effect, SessionEvent, SessionLimits, SessionState } from '../../src/broker/session/session-state.ts'
import { readContents } from '../../src/broker/session/stored/contents.ts'
import { SessionStore, type UnreadableRow } from '../../src/broker/session/stored/session-store.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import type { Store } from '../../src/mnesia/store/store.ts'
import { Machine, pid } from './session-support.ts'

/** A store of sessions that must have no reason to complain, unless `unreadable` takes it. */
function sessionStore(store: Store, unreadable?: (row: UnreadableRow) => void): SessionStore {
  const fail = (what: unknown): never => {
    throw new Error(JSON.stringify(what))
  }
  let nowMs = 0
  return new SessionStore(store, {
    // Each write of the store is some time after the one before.
    clock: { monotonic: () => (nowMs += 4) },
    timers: { set: () => ({}), clear: () => {} },
    send: () => {},
    onFailure: fail,
    onRecovery: () => {},
    onUnreadable: unreadable ?? fail,
  })
}

/** As the process does it: what an event has brought about is committed before its effects are performed. */
export class StoredMachine extends Machine {
  readonly #limits: SessionLimits
  readonly #store: SessionStore
  /** No other member of a group is there. */
  isAlone = false

  /** `state`: of a session that is there already. */
  constructor(store: Store | SessionStore, limits: SessionLimits, info: ClientInfo, state?: SessionState) {
    const sessions = store instanceof SessionStore ? store : sessionStore(store)
    super(limits, info, {
      state,
      journal: state === undefined ? sessions.begin(info.clientId) : undefined,
      commit: (journal) => sessions.commit(journal),
    })
    this.#limits = limits
    this.#store = sessions
  }

  /** As `Machine`; another member of the groups is there for every other message. */
  override event(event: SessionEvent): Effect[] {
    const effects = super.event(event)
    const more = effects.flatMap((effect) => {
      if (effect.tag !== 'redispatch' || this.state.ended) return []
      const { inflight, queued } = effect
      const hasOther = ({ payload }: Message): boolean => !this.isAlone && payload.at(-1)! % 2 === 0
      const taken = inflight.filter(({ message }) => hasOther(message)).map(({ messageId }) => messageId)
      const passed = queued.filter(({ message }) => hasOther(message))
      return super.event({ tag: 'redispatched', taken, passed })
    })
    return [...effects, ...more]
  }

  /** The store takes what has been committed. */
  write(all: boolean): void {
    this.#store.writer.write(all)
  }

  /** The session as another start finds it in a store, with its messages; the connection is gone. */
  found(store: Store): StoredMachine {
    this.write(true)
    const { clientId, client } = this.state
    const sessions = sessionStore(store)
    for (const _ of sessions.sessions());
    const state = foundState(sessions, this.#limits, clientId)
    const found = new StoredMachine(sessions, this.#limits, { ...client, clientId }, state)
    found.nowMs = this.nowMs
    found.event({ tag: 'restore', othersRun: false })
    found.load()
    return found
  }

  /** The session where it has moved to, in parts, without a connection. With `inMemory` it is taken for one that is not stored. */
  moved(inMemory: boolean): StoredMachine {
    const luggage = new Luggage(this.state, inMemory ? undefined : this.#store)
    const unpacking = new Unpacking()
    for (let more = true; more; ) {
      const part = luggage.take()
      for (const row of part.rows) unpacking.add(row)
      more = part.more
    }
    const store = sessionStore(new MemoryStore())
    const moving = movingOf(this.state)
    const common = { self: pid(1), limits: this.#limits, nextMessageId: () => 'own' }
    const moved = new StoredMachine(
      store,
      this.#limits,
      this.state.client,
      arrivingSessionState({ ...common, moving, store }),
    )
    moved.nowMs = this.nowMs
    moved.event({ tag: 'contents', ...unpacking.unpacked() })
    return moved
  }

  /** All that it holds is in the store of another node, where it is not yet a session. */
  comeTo(store: Store): void {
    const sessions = sessionStore(store)
    const journal = sessions.begin(this.state.clientId)
    journal.arriving()
    for (const subscription of this.state.subscriptions.values()) journal.subscribed(subscription)
    const luggage = new Luggage(this.state, this.#store)
    for (let more = true; more; ) {
      const part = luggage.take()
      for (const [key, value] of part.rows) journal.copied(key, value)
      more = part.more
    }
    sessions.commit(journal)
    sessions.writer.write(true)
  }

  load(): Effect[] {
    return this.event({ tag: 'contents', contents: this.contents() } satisfies SessionEvent)
  }

  /** What is in the store of the session's messages. */
  contents() {
    const { journal } = this.state
    const fail = (key: string, error: unknown): never => {
      throw new Error(`${key}: ${JSON.stringify(error)}`)
    }
    return readContents(journal === undefined ? [] : this.#store.messages(journal), fail)
  }
}

/** Client ids of the sessions that a start finds in a store. */
export function storedIn(store: Store): string[] {
  return [...sessionStore(store).sessions()].map(({ session }) => session.client.clientId)
}

function foundState(sessions: SessionStore, limits: SessionLimits, clientId: string) {
  const found = sessions.find(clientId)
  if (found === undefined) throw new Error(`${clientId} is not stored`)
  return restoredSessionState({ self: pid(1), limits, nextMessageId: () => 'own', found })
}
