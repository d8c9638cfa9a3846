/**
 * Sessions of this node that have given way to another one of their client (giving-way.ts), as long as other members may have something for them: what is under
 * way to this node, or kept for it, since they published it when the session was here.
 *
 * Of each is kept, on disc, what it subscribed, and the members that have not given all of that yet. What comes of one of these is passed on to the session that
 * the client has by then (forward/passing-on.ts).
 */
import type { Pid } from '../../actors/pid.ts'
import { termBytes } from '../../mnesia/row-bytes.ts'
import type { Store } from '../../mnesia/store/store.ts'
import { isWildcard } from '../routing/topic.ts'
import { Trie } from '../routing/trie.ts'
import type { SessionState } from './session-state.ts'

export interface FormerSession {
  readonly clientId: string
  /** When it was last opened, as its row said: a client that has begun anew since wants nothing of it. */
  readonly connectedAtMs: number
  /** What it subscribed at QoS 1 or 2, but for groups. */
  readonly filters: readonly string[]
  /** The node of the session to which it gave way. */
  readonly node: string
  /** When it did; wall clock. */
  readonly atMs: number
  /** Members that may have something for it. */
  readonly waitsFor: readonly string[]
}

export interface FormerSessionsOptions {
  /** Undefined: they are forgotten at a restart. */
  readonly store: Store | undefined
  /** Wall clock, ms. */
  readonly now: () => number
  /** Nothing is kept for longer. */
  readonly maxAgeMs: number
  /** The other members, be they here or not. */
  readonly others: () => readonly string[]
  /** Called when one has given way for which others may have something. */
  readonly onNoted: () => void
}

interface Known {
  former: FormerSession
  /** Its process; undefined since a restart. */
  readonly session: Pid | undefined
  /** The question that was the last one when it gave way. */
  readonly question: number
}

const SPACE = 'former'
const BYTES = termBytes<FormerSession>()
const NONE: readonly never[] = []

export class FormerSessions {
  readonly #options: FormerSessionsOptions
  /** By client id. */
  readonly #known = new Map<string, Known>()
  /** Client ids by filter. */
  readonly #clientIds = new Map<string, Set<string>>()
  readonly #wildcards = new Trie()
  #question = 0

  constructor(options: FormerSessionsOptions) {
    this.#options = options
    for (const [, value] of options.store?.entries(SPACE) ?? []) {
      this.#add({ former: BYTES.decode(value), session: undefined, question: 0 })
    }
  }

  get size(): number {
    return this.#known.size
  }

  /** A session gives way to one of another node. Resolves when that is on disc; rejects with a `StoreError` when the disc refuses. */
  note({ self, clientId, client, subscriptions }: SessionState, node: string): Promise<void> {
    const { now, onNoted, others, store } = this.#options
    this.forget(clientId)
    const filters = [...subscriptions.values()].flatMap(({ filter, qos }) => {
      return qos > 0 && filter.group === undefined && !filter.local ? filter.filter : NONE
    })
    const waitsFor = others()
    if (filters.length === 0 || waitsFor.length === 0) return Promise.resolve()
    const { connectedAtMs } = client
    const former: FormerSession = { clientId, connectedAtMs, filters, node, atMs: now(), waitsFor }
    this.#add({ former, session: self, question: this.#question })
    this.#write(clientId, former)
    onNoted()
    return store?.flushed() ?? Promise.resolve()
  }

  /** It has not given way after all, or nobody has anything for it any more. */
  forget(clientId: string): void {
    const known = this.#known.get(clientId)
    if (known === undefined) return
    this.#known.delete(clientId)
    for (const filter of known.former.filters) {
      const clientIds = this.#clientIds.get(filter)!
      clientIds.delete(clientId)
      if (clientIds.size > 0) continue
      this.#clientIds.delete(filter)
      if (isWildcard(filter)) this.#wildcards.delete(filter)
    }
    this.#write(clientId, undefined)
  }

  /** Those that would have got a message of a topic, and may get it from a member. */
  match(topic: string, from: string): readonly FormerSession[] {
    if (this.#known.size === 0) return NONE
    const clientIds = new Set<string>()
    for (const filter of [topic, ...this.#wildcards.match(topic)]) {
      for (const clientId of this.#clientIds.get(filter) ?? NONE) clientIds.add(clientId)
    }
    return [...clientIds]
      .map((clientId) => this.#known.get(clientId)!.former)
      .filter(({ waitsFor }) => waitsFor.includes(from))
  }

  /** Whether a session is the former one of its client, which may be about to end. */
  isFormer(clientId: string, session: Pid): boolean {
    return this.#known.get(clientId)?.session?.equals(session) === true
  }

  /** Begins a question to all members for which some wait; returns its number, and them. What cannot come any more is forgotten. */
  ask(): { readonly question: number; readonly nodes: ReadonlySet<string> } {
    const others = this.#options.others()
    const oldestMs = this.#options.now() - this.#options.maxAgeMs
    const nodes = new Set<string>()
    for (const known of [...this.#known.values()]) {
      const { atMs, waitsFor } = known.former
      this.#setWaitsFor(known, atMs < oldestMs ? NONE : waitsFor.filter((node) => others.includes(node)))
      for (const node of known.former.waitsFor) nodes.add(node)
    }
    this.#question += 1
    return { question: this.#question, nodes }
  }

  /** A member had given all that it had for this node when it got a question. It may not have known before the one before that a session had given way. */
  answered(node: string, question: number): void {
    for (const known of [...this.#known.values()]) {
      if (known.question + 1 >= question) continue
      this.#setWaitsFor(
        known,
        known.former.waitsFor.filter((each) => each !== node),
      )
    }
  }

  #setWaitsFor(known: Known, waitsFor: readonly string[]): void {
    const { clientId } = known.former
    if (waitsFor.length === known.former.waitsFor.length) return
    known.former = { ...known.former, waitsFor }
    if (waitsFor.length === 0) this.forget(clientId)
    else this.#write(clientId, known.former)
  }

  #add(known: Known): void {
    const { clientId, filters } = known.former
    this.#known.set(clientId, known)
    for (const filter of filters) {
      const clientIds = this.#clientIds.get(filter)
      if (clientIds !== undefined) clientIds.add(clientId)
      else {
        this.#clientIds.set(filter, new Set([clientId]))
        if (isWildcard(filter)) this.#wildcards.insert(filter)
      }
    }
  }

  #write(clientId: string, former: FormerSession | undefined): void {
    const value = former === undefined ? undefined : BYTES.encode(former)
    this.#options.store?.commit([{ space: SPACE, key: clientId, value }])
  }
}
