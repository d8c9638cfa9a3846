/**
 * A disc for simulations: it keeps what was flushed, and forgets the rest when its node is killed.
 *
 * A `LossyDisc` outlives the incarnations of its node; each of them opens a `LossyStore` on it. A flush takes virtual time. At
 * `kill` the groups that were not flushed are lost but for a prefix that the seed chooses, since a real disc may have
 * written more than it has vouched for. What a killed node still does in its last turns changes nothing any more. A
 * full disc refuses every flush, and takes the groups that waited once there is room.
 */
import type { Timers } from '../actors/system.ts'
import { StoreError } from '../mnesia/errors.ts'
import type { Damage } from '../mnesia/store/damage.ts'
import { MemoryStore } from '../mnesia/store/memory-store.ts'
import type { Store, StoreOperation } from '../mnesia/store/store.ts'
import type { SeededRandom } from './random.ts'

export interface LossyDiscOptions {
  readonly timers: Timers
  readonly random: SeededRandom
  /** How long a flush takes, ms: at least, and less than. @default [0, 5] */
  readonly flushMs?: readonly [number, number]
  /** How long a store waits after a flush that failed, ms. @default 100 */
  readonly retryMs?: number
}

/** One call of `commit` or `clear`: reaches the disc as a whole or not at all. */
type Group = (store: MemoryStore) => void

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: StoreError) => void
}

/** What a node has on disc. */
export class LossyDisc {
  readonly options: LossyDiscOptions
  /** Flushed, and found by the next incarnation. */
  readonly contents = new MemoryStore()
  /** What the next incarnation is told that it may have lost. */
  damage: readonly Damage[] = []
  #isFull = false
  #opened: LossyStore | undefined

  constructor(options: LossyDiscOptions) {
    this.options = options
  }

  get isFull(): boolean {
    return this.#isFull
  }

  /** The store of a new incarnation. Throws a `StoreError` while the one before is neither closed nor killed. */
  open(options: { readonly onFailure?: (error: StoreError) => void } = {}): LossyStore {
    if (this.#opened?.isOpen) throw new StoreError('in_use', 'the disc is in use by an earlier incarnation')
    this.#opened = new LossyStore(this, options.onFailure)
    return this.#opened
  }

  /** Loses power: forgets what was not flushed, but for a prefix that the seed chooses. */
  kill(): void {
    this.#opened?.kill()
  }

  /** Makes every flush fail, or lets them succeed again. */
  setFull(isFull: boolean): void {
    this.#isFull = isFull
  }
}

export class LossyStore implements Store {
  readonly isDurable = true
  readonly #disc: LossyDisc
  readonly #onFailure: ((error: StoreError) => void) | undefined
  /** What the node sees: the disc's contents and the groups that wait. */
  readonly #seen = new MemoryStore()
  readonly #waiting: Group[] = []
  /** Those who wait for the flush that is under way, and for the one after it. */
  #current: Waiter[] = []
  #next: Waiter[] = []
  #isFlushing = false
  #isOpen = true
  #isRefusing = false
  readonly #watchers: ((failure: StoreError | undefined) => void)[] = []

  constructor(disc: LossyDisc, onFailure: ((error: StoreError) => void) | undefined) {
    this.#disc = disc
    this.#onFailure = onFailure
    for (const space of disc.contents.spaces()) {
      for (const [key, value] of disc.contents.entries(space)) this.#seen.commit([{ space, key, value }])
    }
  }

  get damage(): readonly Damage[] {
    return this.#disc.damage
  }

  async forgetDamage(): Promise<void> {
    this.#disc.damage = []
  }

  watch(listener: (failure: StoreError | undefined) => void): void {
    this.#watchers.push(listener)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Number of groups that a kill could lose. */
  get unflushed(): number {
    return this.#waiting.length
  }

  get(space: string, key: string): Uint8Array | undefined {
    return this.#seen.get(space, key)
  }

  entries(space: string): IterableIterator<readonly [key: string, value: Uint8Array]> {
    return this.#seen.entries(space)
  }

  count(space: string): number {
    return this.#seen.count(space)
  }

  spaces(): readonly string[] {
    return this.#seen.spaces()
  }

  commit(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) return
    const copied = operations.map(({ space, key, value }) => ({ space, key, value: value && Buffer.from(value) }))
    this.#add((store) => store.commit(copied))
  }

  clear(space: string): void {
    this.#add((store) => store.clear(space))
  }

  flushed(): Promise<void> {
    if (!this.#isOpen || (this.#waiting.length === 0 && !this.#isFlushing)) return this.#nothingToWaitFor()
    return new Promise((resolve, reject) => {
      this.#next.push({ resolve, reject })
      this.#startFlush(0)
    })
  }

  async close(): Promise<void> {
    try {
      await this.flushed()
    } finally {
      this.#isOpen = false
    }
  }

  kill(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const survivors = this.#disc.options.random.below(this.#waiting.length + 1)
    for (const group of this.#waiting.splice(0).slice(0, survivors)) group(this.#disc.contents)
  }

  /** A killed node is never told anything: its promises stay as they are. */
  #nothingToWaitFor(): Promise<void> {
    return this.#isOpen ? Promise.resolve() : new Promise(() => undefined)
  }

  #add(group: Group): void {
    if (!this.#isOpen) return
    group(this.#seen)
    this.#waiting.push(group)
    this.#startFlush(0)
  }

  #startFlush(delayMs: number): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    const { timers, random, flushMs = [0, 5] } = this.#disc.options
    const [least, most] = flushMs
    // Groups and waiters of the turn in which the flush began belong to it, as they would in a group commit.
    timers.set(delayMs, () => {
      const groups = this.#waiting.length
      this.#current = this.#next
      this.#next = []
      timers.set(least + random.next() * (most - least), () => this.#endFlush(groups))
    })
  }

  #endFlush(groups: number): void {
    if (!this.#isOpen) return
    const told = this.#current
    this.#current = []
    this.#isFlushing = false
    if (this.#disc.isFull) {
      const error = new StoreError('disc_full', 'the disc is full')
      this.#onFailure?.(error)
      if (!this.#isRefusing) this.#tell(error)
      for (const { reject } of told) reject(error)
      this.#startFlush(this.#disc.options.retryMs ?? 100)
      return
    }
    for (const group of this.#waiting.splice(0, groups)) group(this.#disc.contents)
    for (const { resolve } of told) resolve()
    if (this.#isRefusing) this.#tell(undefined)
    if (this.#waiting.length > 0 || this.#next.length > 0) this.#startFlush(0)
  }

  #tell(failure: StoreError | undefined): void {
    this.#isRefusing = failure !== undefined
    for (const listener of this.#watchers) listener(failure)
  }
}
