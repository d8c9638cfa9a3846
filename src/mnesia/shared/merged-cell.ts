/**
 * A cell of a table whose rows are merged: all versions of a row that were written without knowledge of each other.
 *
 * An operation tells what its writer had seen of the key. What it had seen it replaces; what it had not stays beside it. The row that is
 * read is made of the versions in the order of their stamps, so every node makes the same one, whatever the merge function is
 * like. A delete among the versions removes those before it. Of one origin there is at most one version, so there are never many.
 */
import { Cell } from './cell-map.ts'
import { compareStamps, type Origin } from './origin.ts'

/** All operations of an origin on a key up to a clock. */
export interface Seen {
  readonly origin: Origin
  readonly clock: number
}

/** What somebody had seen of a key: everything up to a clock, and of some origins more. */
export interface Knowledge {
  readonly all: number
  readonly of: readonly Seen[]
}

export interface Version<V> {
  /** Undefined for a delete. */
  readonly value: V | undefined
  readonly clock: number
  readonly origin: Origin
}

export const NO_KNOWLEDGE: Knowledge = { all: 0, of: [] }

// What a cell holds before it holds anything: never compared.
const NO_ORIGIN = undefined as unknown as Origin

export class MergedCell<V> extends Cell<V> {
  readonly #merge: ((a: V, b: V) => V) | undefined
  #versions: readonly Version<V>[] = []
  /** What this copy has seen of the key, the versions included. */
  #seen = NO_KNOWLEDGE

  /** Without a merge function the last version is the row: for a table whose definition is not known yet. */
  constructor(merge: ((a: V, b: V) => V) | undefined) {
    super(undefined, 0, NO_ORIGIN)
    this.#merge = merge
  }

  get versions(): readonly Version<V>[] {
    return this.#versions
  }

  get seen(): Knowledge {
    return this.#seen
  }

  get isEmpty(): boolean {
    return this.#versions.length === 0
  }

  /** Takes in an operation; false when it was known. */
  write(value: V | undefined, clock: number, origin: Origin, seen: Knowledge): boolean {
    if (isSeen(this.#seen, clock, origin)) return false
    this.#seen = joined(joined(this.#seen, seen), { all: 0, of: [{ origin, clock }] })
    // A writer has seen what it wrote before.
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

  /** Sets all of it, as it came from another copy or from the disc. */
  restore(versions: readonly Version<V>[], seen: Knowledge): void {
    this.#seen = joined(seen, { all: 0, of: versions })
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

function isSeen({ all, of }: Knowledge, clock: number, origin: Origin): boolean {
  return clock <= all || of.some((each) => each.origin === origin && each.clock >= clock)
}

function has<V>(versions: readonly Version<V>[], version: Version<V>): boolean {
  return versions.some(({ clock, origin }) => clock === version.clock && origin === version.origin)
}

function joined(a: Knowledge, b: Knowledge): Knowledge {
  const all = Math.max(a.all, b.all)
  const of = new Map<Origin, number>()
  for (const { origin, clock } of [...a.of, ...b.of]) {
    if (clock > all && clock > (of.get(origin) ?? 0)) of.set(origin, clock)
  }
  return { all, of: [...of].map(([origin, clock]) => ({ origin, clock })) }
}
