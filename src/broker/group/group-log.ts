/**
 * Messages that are kept for groups (shared subscriptions) on the disc of this node until a member has taken them over: what was published while all members
 * were on nodes that are away, and what is left of members of this node that have ended, or whose clients have gone.
 *
 * For each group the log is bounded as that for a node which is away is (forward/hints.ts): by bytes, where those that were kept first go first, and by age. What goes
 * without having been given to anybody is counted. group-keeper.ts gives them.
 */
import { Damaged } from '../../mnesia/binary.ts'
import type { Store } from '../../mnesia/store/store.ts'
import type { HintLimits } from '../forward/hints.ts'
import type { Message } from '../message.ts'
import type { Share } from '../session/delivery.ts'
import { groupSpace, isSame, type KeptMessage, keeping, readKept, releasing, shareOf } from './rows.ts'

export interface GroupLogOptions extends HintLimits {
  readonly store: Store
  /** Has the store take what sessions have noted. */
  readonly catchUp: () => void
  /** Wall clock, ms. */
  readonly now: () => number
  /** So many messages are given up. */
  readonly onDropped: (messages: number) => void
  /** A row cannot be read, and is left where it is. */
  readonly onUnreadable: (space: string, id: string, reason: string) => void
}

/** What is kept for one group. */
interface Kept {
  readonly share: Share
  /** Bytes of rows by the ids of their messages, in the order in which they were kept, after a restart in that of the ids. */
  readonly rows: Map<string, number>
  bytes: number
}

export class GroupLog {
  readonly #options: GroupLogOptions
  /** By space. */
  readonly #groups = new Map<string, Kept>()

  constructor(options: GroupLogOptions) {
    this.#options = options
    const { store } = options
    for (const space of store.spaces()) {
      const share = shareOf(space)
      if (share === undefined) continue
      for (const [id, value] of store.entries(space)) this.#note(share, id, value.length)
    }
  }

  /** Groups for which something is kept. */
  shares(): Share[] {
    return [...this.#groups.values()].map(({ share }) => share)
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  /** Ids of the messages that are kept for a group, in order. */
  idsFor(share: Share): IterableIterator<string> {
    return (this.#groups.get(groupSpace(share))?.rows ?? NONE).keys()
  }

  /** Whether a message is kept for a group. */
  has(share: Share, id: string): boolean {
    return this.#row(groupSpace(share), id) !== undefined
  }

  /** Keeps messages. Resolves when they are on disc; rejects with a `StoreError` when the disc refuses. */
  add(share: Share, messages: readonly Message[]): Promise<void> {
    const { store, now } = this.#options
    const keptAtMs = now()
    // One that is published again after a restart of the node may be on its way to a member.
    const news = messages.filter(({ id }) => !this.has(share, id))
    const operations = news.map((message) => keeping(share, { message, keptAtMs }))
    if (operations.length > 0) store.commit(operations)
    for (const { key, value } of operations) this.#note(share, key, value!.length)
    this.#bound(share)
    return store.flushed()
  }

  /** A session has kept messages with a commit of its own. */
  found(share: Share, ids: readonly string[]): void {
    const space = groupSpace(share)
    for (const id of ids) {
      const value = this.#row(space, id)
      if (value !== undefined) this.#note(share, id, value.length)
    }
    this.#bound(share)
  }

  /** A message that is kept; undefined when it is not any more, is too old, or cannot be read. */
  read(share: Share, id: string): KeptMessage | undefined {
    const { now, maxAgeMs, onUnreadable } = this.#options
    const space = groupSpace(share)
    const bytes = this.#row(space, id)
    if (bytes === undefined) {
      this.#forget(space, id)
      return undefined
    }
    try {
      const kept = readKept(bytes)
      if (kept.keptAtMs >= now() - maxAgeMs) return kept
      this.#drop(share, id)
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      this.#forget(space, id)
      onUnreadable(space, id, error.reason)
    }
    return undefined
  }

  /** Notes which node may have a message from now on; undefined: none has. Resolves when that is on disc, or the disc refuses. */
  mark(share: Share, kept: KeptMessage, mayHave: string | undefined): Promise<void> {
    const { store } = this.#options
    store.commit([keeping(share, { ...kept, mayHave })])
    return store.flushed().catch(() => {})
  }

  /** A message is not to be kept any longer. `kept`: unless it has come back, and is kept anew. */
  remove(share: Share, id: string, kept?: KeptMessage): void {
    const { store } = this.#options
    const space = groupSpace(share)
    const bytes = this.#row(space, id)
    if (bytes !== undefined) {
      if (kept !== undefined && !isSame(kept, bytes)) return
      store.commit([releasing(share, id)])
    }
    this.#forget(space, id)
  }

  /** A session may have taken a message off the disc. */
  settle(share: Share, id: string): void {
    if (!this.has(share, id)) this.#forget(groupSpace(share), id)
  }

  /** By group: messages and their bytes. */
  status(): Record<string, { readonly messages: number; readonly bytes: number }> {
    const status: ReturnType<GroupLog['status']> = {}
    for (const [space, { rows, bytes }] of this.#groups) status[space] = { messages: rows.size, bytes }
    return status
  }

  #row(space: string, id: string): Uint8Array | undefined {
    const { store, catchUp } = this.#options
    catchUp()
    return store.get(space, id)
  }

  #note(share: Share, id: string, bytes: number): void {
    const space = groupSpace(share)
    let kept = this.#groups.get(space)
    if (kept === undefined) {
      kept = { share, rows: new Map(), bytes: 0 }
      this.#groups.set(space, kept)
    }
    kept.bytes += bytes - (kept.rows.get(id) ?? 0)
    kept.rows.set(id, bytes)
  }

  #bound(share: Share): void {
    const kept = this.#groups.get(groupSpace(share))
    while (kept !== undefined && kept.bytes > this.#options.maxBytes && kept.rows.size > 1) {
      for (const id of kept.rows.keys()) {
        this.#drop(share, id)
        break
      }
    }
  }

  #drop(share: Share, id: string): void {
    // One that a session has on its disc by now has been given.
    const isGiven = !this.has(share, id)
    this.remove(share, id)
    if (!isGiven) this.#options.onDropped(1)
  }

  #forget(space: string, id: string): void {
    const kept = this.#groups.get(space)
    if (kept === undefined) return
    kept.bytes -= kept.rows.get(id) ?? 0
    kept.rows.delete(id)
    if (kept.rows.size === 0) this.#groups.delete(space)
  }
}

const NONE: ReadonlyMap<string, number> = new Map()
