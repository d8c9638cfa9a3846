/**
 * A session's own side of the store: it commits what the machine has noted, and keeps back what must not be said before that is on disc.
 *
 * To the client waits what the machine says has to, such as SUBACK and PUBREC, and CONNACK; and all that is behind them, so that the order
 * stays. When that is much the session is to queue, as if the socket took no more. When the disc refuses nothing waits: the session
 * goes on in memory.
 *
 * To other nodes, and to what is kept for those that are away, waits what the client publishes at QoS 2, and all that is behind it: a repetition is known
 * only by what the disc has of it, and who is on this node loses that together with the message.
 *
 * To publishers: what the session was sent is `taken` when all of it is on disc or over, since its client has acknowledged it; `refused` when the disc
 * refuses.
 */
import type { Pid } from '../../../actors/pid.ts'
import type { ProcessContext } from '../../../actors/process.ts'
import type { OpenedSession, ToConnection, ToSession } from '../../process-messages.ts'
import type { HandOverAnswer } from '../giving-way.ts'
import type { ArrivalMark } from '../moving/arrival.ts'
import type { MoveMark } from '../moving/departure.ts'
import type { Effect } from '../session-state.ts'
import type { Journal } from './journal.ts'
import type { SessionStore } from './session-store.ts'
import type { Haste } from './session-writer.ts'

/** Messages to the client that are kept back before the session queues what else there is. */
const MAX_HELD = 64

/** What a connection is told by its session. */
export type ToClient = ToConnection | ({ readonly tag: 'opened' } & OpenedSession)

interface Held {
  /** What must be settled before it may go. */
  readonly commit: number
  readonly connection: Pid
  readonly message: ToClient
}

/** What a session was sent, or has done, of which somebody may wait to hear. */
export type Taken = Extract<ToSession, { tag: 'deliver' }> | HandOverAnswer | MoveMark | ArrivalMark

type Publish = Extract<Effect, { tag: 'publish' }>

interface Unpublished {
  readonly commit: number
  readonly effect: Publish
}

interface Owed {
  readonly commit: number
  /** The greatest number of its messages, if it is settled as well when all up to that are over. */
  readonly upTo: number
  readonly haste: Haste
  readonly message: Taken
}

/** Learns what has become of what a session was sent, and publishes what has waited. */
export interface Creditors {
  publish(effect: Publish): void
  /** All of it is on disc, or need not be any more. */
  taken(message: Taken): void
  /** The disc refuses; the session has it in memory. */
  refused(message: Taken): void
}

export class SessionStorage {
  readonly #self: ProcessContext
  readonly #store: SessionStore
  readonly #creditors: Creditors
  #journal: Journal | undefined
  /** The last commit that has something of this session. */
  #commit: number
  #held: Held[] = []
  #owed: Owed[] = []
  #unpublished: Unpublished[] = []
  /** When `SETTLED` comes. */
  #asked: Haste | undefined

  /** `commit`: what else has to be on disc before the client is told anything. */
  constructor(
    self: ProcessContext,
    store: SessionStore,
    journal: Journal | undefined,
    commit: number,
    creditors: Creditors,
  ) {
    this.#self = self
    this.#store = store
    this.#journal = journal
    this.#commit = commit
    this.#creditors = creditors
  }

  /** The session is stored. */
  get isStored(): boolean {
    return this.#journal !== undefined
  }

  /** So much is kept back that no more should come. */
  get isFull(): boolean {
    return this.#held.length > MAX_HELD
  }

  /** Somebody waits for what the session was sent. */
  get isOwing(): boolean {
    return this.#owed.length > 0
  }

  /** Hands over what an event has brought about; comes before its effects. */
  commit(): void {
    const journal = this.#journal
    if (journal === undefined) return
    const before = this.#store.writer.committed
    this.#store.commit(journal)
    if (this.#store.writer.committed !== before) this.#commit = this.#store.writer.committed
    if (journal.isOver) this.#journal = undefined
  }

  /** Keeps a message to the client back if it `waits` or is behind one that does; returns whether it is kept back. */
  holds(connection: Pid, message: ToClient, waits: boolean): boolean {
    if (this.#held.length === 0) {
      if (!waits || this.#store.writer.isSettled(this.#commit)) return false
    }
    this.#held.push({ commit: this.#commit, connection, message })
    this.#ask('now')
    return true
  }

  /** Keeps what the client publishes back if others may get it and it must not be forgotten, or is behind such; returns whether it is kept back. */
  holdsPublish(effect: Publish, hasOthers: boolean): boolean {
    if (this.#unpublished.length === 0) {
      const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)
      if (!waits || this.#store.writer.isSettled(this.#commit)) return false
    }
    this.#unpublished.push({ commit: this.#commit, effect })
    this.#ask('now')
    return true
  }

  /** Tickets of the client that are kept back. */
  get unpublished(): number {
    return this.#unpublished.length
  }

  /** Publishes all that is kept back: the session ends. */
  publishAll(): void {
    const unpublished = this.#unpublished
    this.#unpublished = []
    for (const { effect } of unpublished) this.#creditors.publish(effect)
  }

  /** Whether the connection that the session has does not know that yet, since CONNACK is kept back. */
  get isOpening(): boolean {
    return this.#held[0]?.message.tag === 'opened'
  }

  /** The connection has gone, or is another one: it gets nothing more. */
  forget(): void {
    this.#held = []
  }

  /** The session has handled this. Whoever waits is told in the order of the calls. */
  took(message: Taken): void {
    this.#took(message, Number.POSITIVE_INFINITY, 'now')
  }

  /** The session has handled a delivery, and the last message that it has is `upTo`. `isTaking`: its client may acknowledge it soon. */
  tookDelivery(message: Taken, upTo: number, isTaking: boolean): void {
    this.#took(message, upTo, isTaking ? 'soon' : 'now')
  }

  #took(message: Taken, upTo: number, haste: Haste): void {
    const journal = this.#journal
    if (haste === 'now' && journal?.hasMore) this.#commit = this.#store.writer.press(journal)
    this.#owed.push({ commit: this.#commit, upTo, haste, message })
    this.settle()
    if (this.#owed.length > 0) this.#ask(haste)
  }

  /** Takes `SETTLED`. */
  settled(): void {
    this.#asked = undefined
    this.#publish()
    this.#release()
    this.settle()
    const isUrgent = this.#held.length + this.#unpublished.length > 0 || this.#owed.some(({ haste }) => haste === 'now')
    if (isUrgent) this.#ask('now')
    else if (this.#owed.length > 0) this.#ask('soon')
  }

  #publish(): void {
    const unpublished = this.#unpublished
    let count = 0
    while (count < unpublished.length && this.#store.writer.isSettled(unpublished[count]!.commit)) count++
    if (count === 0) return
    this.#unpublished = unpublished.slice(count)
    for (const { effect } of unpublished.slice(0, count)) this.#creditors.publish(effect)
  }

  #release(): void {
    const held = this.#held
    let count = 0
    for (; count < held.length && this.#store.writer.isSettled(held[count]!.commit); count++) {
      const { connection, message } = held[count]!
      this.#self.send(connection, message)
    }
    if (count > 0) this.#held = held.slice(count)
  }

  /** Tells those who wait for what is on disc, or over, by now. */
  settle(): void {
    const owed = this.#owed
    if (owed.length === 0) return
    const { writer } = this.#store
    const firstUnsafe = this.#journal?.firstUnsafe(writer.written)
    let count = 0
    for (; count < owed.length; count++) {
      const { commit, upTo, message } = owed[count]!
      const isByCommit = firstUnsafe === undefined || upTo === Number.POSITIVE_INFINITY
      if (isByCommit ? writer.isFlushed(commit) : upTo < firstUnsafe) this.#creditors.taken(message)
      else if (writer.isFailing) this.#creditors.refused(message)
      else break
    }
    if (count > 0) this.#owed = owed.slice(count)
  }

  #ask(haste: Haste): void {
    if (this.#asked === haste || this.#asked === 'now') return
    this.#asked = haste
    this.#store.writer.notify(this.#self.pid, haste)
  }
}
