/**
 * What a node keeps on disc: spaces of key and value, written in groups.
 *
 * A space holds the rows of one table, or the node's own records. Values are bytes that the store does not understand. What is
 * given to `commit` in one call reaches the disc as a whole or not at all, and calls reach it in their order; a crash at any instant
 * leaves some prefix of them, at least all that `flushed` has vouched for. An error of the disc never loses anything
 * silently: it makes `flushed` reject, and whoever watches is told.
 */
import type { StoreError } from '../errors.ts'
import type { Damage } from './damage.ts'

export interface StoreOperation {
  readonly space: string
  readonly key: string
  /** Undefined removes the key. */
  readonly value: Uint8Array | undefined
}

export interface Store {
  /** False for a store that lives in memory only; `flushed` then says nothing. */
  readonly isDurable: boolean
  /** What has been found damaged and not been forgotten. */
  readonly damage: readonly Damage[]
  /** Forgets what was found damaged: what was lost has been replaced, or nobody has it. Rejects with a `StoreError`. */
  forgetDamage(): Promise<void>
  /**
   * Calls `listener` when the disc begins to refuse, again when it refuses for another reason, and with undefined when all that
   * waited is on disc after all; at once when it refuses now. It must not throw.
   */
  watch(listener: (failure: StoreError | undefined) => void): void
  get(space: string, key: string): Uint8Array | undefined
  /** Everything in a space, in the order of its keys; empty when it has never been written. */
  entries(space: string): IterableIterator<readonly [key: string, value: Uint8Array]>
  /** Number of keys. */
  count(space: string): number
  /** Names of the spaces that hold something. */
  spaces(): readonly string[]
  /** Adds to the group that is written next. `get` and `entries` see it at once. */
  commit(operations: readonly StoreOperation[]): void
  /** Removes all of a space, in order with the commits. */
  clear(space: string): void
  /** Resolves when all that was committed before is on disc; rejects with a `StoreError` when it cannot be brought there. */
  flushed(): Promise<void>
  /** Flushes and closes; nothing may be called after. */
  close(): Promise<void>
}
