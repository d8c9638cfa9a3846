/**
 * A store that lives in memory, for a node without a data directory and for tests: what was committed is there until the
 * process ends, and `flushed` says nothing about durability.
 *
 * Its spaces keep their keys unsorted and sort them when they are iterated, since that happens at a start and hardly ever else.
 */
import type { Damage } from './damage.ts'
import type { Store, StoreOperation } from './store.ts'

export class MemoryStore implements Store {
  readonly isDurable: boolean = false
  readonly damage: readonly Damage[] = []
  readonly #spaces = new Map<string, Map<string, Uint8Array>>()

  get(space: string, key: string): Uint8Array | undefined {
    return this.#spaces.get(space)?.get(key)
  }

  /** Rows that are removed meanwhile are left out, rows that are added may be. */
  *entries(space: string): IterableIterator<readonly [key: string, value: Uint8Array]> {
    const rows = this.#spaces.get(space)
    if (rows === undefined) return
    for (const key of [...rows.keys()].sort()) {
      const value = rows.get(key)
      if (value !== undefined) yield [key, value]
    }
  }

  count(space: string): number {
    return this.#spaces.get(space)?.size ?? 0
  }

  spaces(): readonly string[] {
    return [...this.#spaces.keys()].sort()
  }

  commit(operations: readonly StoreOperation[]): void {
    for (const { space, key, value } of operations) {
      if (value === undefined) this.#remove(space, key)
      else this.#put(space, key, value)
    }
  }

  clear(space: string): void {
    this.#spaces.delete(space)
  }

  async forgetDamage(): Promise<void> {}

  watch(): void {}

  async flushed(): Promise<void> {}

  async close(): Promise<void> {}

  #put(space: string, key: string, value: Uint8Array): void {
    let rows = this.#spaces.get(space)
    if (rows === undefined) {
      rows = new Map()
      this.#spaces.set(space, rows)
    }
    // A copy: the bytes given are often a view of something that is large or is written to again.
    rows.set(key, Buffer.from(value))
  }

  #remove(space: string, key: string): void {
    const rows = this.#spaces.get(space)
    if (rows?.delete(key) && rows.size === 0) this.#spaces.delete(space)
  }
}
