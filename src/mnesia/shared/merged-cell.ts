/**
 * A cell of a table whose rows are merged: all versions of a row that were written without knowledge of each other.
 *
 * An operation tells what its writer had seen of the key, for each origin the clock of its last operation. What it had seen it
 * replaces; what it had not stays beside it. The row that is read is made of the versions in the order of their stamps, so every
 * node makes the same one, whatever the merge function is like. A delete among the versions removes those before it. Of one origin
 * there is at most one version, so there are never many.
 */
import { Cell } from './cell-map.ts'
import { compareStamps, type Origin } from './origin.ts'

/** All operations of an origin on a key up to a clock. */
export interface Seen {
  readonly origin: Origin
  readonly clock: number
}

export interface Version<V> {
  /** Undefined for a delete. */
  readonly value: V | undefined
  readonly clock: number
  readonly origin: Origin
}

// What a cell holds before it holds anything: never compared.
const NO_ORIGIN = undefined as unknown as Origin

export class MergedCell<V> extends Cell<V> {
  readonly #merge: ((a: V, b: V) => V) | undefined
  #versions: readonly Version<V>[] = []
  /** What this copy has seen of the key, the versions included. */
  #seen: readonly Seen[] = []

  /** Without a merge function the last version is the row: for a table whose definition is not known yet. */
  constructor(merge: ((a: V, b: V) => V) | undefined) {
    super(undefined, 0, NO_ORIGIN)
    this.#merge = merge
  }

  get versions(): readonly Version<V>[] {
    return this.#versions
  }

  get seen(): readonly Seen[] {
    return this.#seen
  }

  get isEmpty(): boolean {
    return this.#versions.length === 0
  }

  get greatestClock(): number {
    return this.clock
  }

  /** Takes in an operation; false when it was known. */
  write(value: V | undefined, clock: number, origin: Origin, seen: readonly Seen[]): boolean {
    if (isSeen(this.#seen, clock, origin)) return false
    this.#seen = joined(joined(this.#seen, seen), [{ origin, clock }])
    // What a writer wrote before it has seen, whether it has a copy or not.
    const kept = this.#versions.filter((held) => held.origin !== origin && !isSeen(seen, held.clock, held.origin))
    this.#hold([...kept, { value, clock, origin }])
    return true
  }

  /** Takes in another copy's cell; false when that changes nothing. */
  join(other: MergedCell<V>): boolean {
    const kept = this.#versions.filter(
      (held) => !isSeen(other.#seen, held.clock, held.origin) || has(other.#versions, held),
    )
    const added = other.#versions.filter((version) => !isSeen(this.#seen, version.clock, version.origin))
    const isChanged = added.length > 0 || kept.length < this.#versions.length
    this.#seen = joined(this.#seen, other.#seen)
    if (isChanged) this.#hold([...kept, ...added])
    return isChanged
  }

  /** Removes versions; false when there were none to remove. */
  drop(isDropped: (version: Version<V>) => boolean): boolean {
    const kept = this.#versions.filter((version) => !isDropped(version))
    if (kept.length === this.#versions.length) return false
    this.#hold(kept)
    return true
  }

  /**
   * Forgets what has been replaced: when every node has all of the versions, nothing that was replaced by them can
   * come again.
   */
  forget(stableClock: number): void {
    if (this.#versions.every(({ clock }) => clock <= stableClock)) {
      this.#seen = this.#versions.map(({ origin, clock }) => ({ origin, clock }))
    }
  }

  /** Sets all of it, as it came from another copy or from the disc. */
  restore(versions: readonly Version<V>[], seen: readonly Seen[]): void {
    this.#seen = joined(seen, versions)
    this.#hold(versions)
  }

  #hold(versions: readonly Version<V>[]): void {
    const sorted = [...versions].sort((a, b) => compareStamps(a.clock, a.origin, b.clock, b.origin))
    this.#versions = sorted
    const last = sorted.at(-1)
    this.clock = last?.clock ?? 0
    this.origin = last?.origin ?? NO_ORIGIN
    let value: V | undefined
    for (const version of sorted) {
      const isAlone = value === undefined || version.value === undefined || this.#merge === undefined
      value = isAlone ? version.value : this.#merge(value as V, version.value as V)
    }
    this.value = value
  }
}

function isSeen(seen: readonly Seen[], clock: number, origin: Origin): boolean {
  return seen.some((each) => each.origin === origin && each.clock >= clock)
}

function has<V>(versions: readonly Version<V>[], version: Version<V>): boolean {
  return versions.some(({ clock, origin }) => clock === version.clock && origin === version.origin)
}

function joined(a: readonly Seen[], b: readonly Seen[]): readonly Seen[] {
  const result = a.map(({ origin, clock }) => ({ origin, clock }))
  for (const { origin, clock } of b) {
    const held = result.find((each) => each.origin === origin)
    if (held === undefined) result.push({ origin, clock })
    else if (held.clock < clock) held.clock = clock
  }
  return result
}
