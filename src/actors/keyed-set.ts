/**
 * A set whose members are found by a key that is part of them: the monitors and timers of a process.
 *
 * Nearly every process has one or two, so few members are kept in an array of exactly their number, which is replaced at
 * every change (a `Map` with one entry takes four times the memory, measured 230 bytes; a process has three of these); a
 * router monitors a hundred thousand sessions, so from then on it is a map.
 */
const FEW = 8
const NONE: readonly never[] = []

/** A copy with one more at its end. `push`, spreading and `filter` leave room for 16 more, 128 bytes of each process. */
export function withMember<V>(members: readonly V[], member: V): readonly V[] {
  return members.length === 0 ? [member] : members.concat([member])
}

/** A copy without the member at `at`, and without spare room. */
export function without<V>(members: readonly V[], at: number): readonly V[] {
  return members.slice(0, at).concat(members.slice(at + 1))
}

export class KeyedSet<K, V> implements Iterable<V> {
  readonly #keyOf: (member: V) => K
  #few: readonly V[] = NONE
  #many: Map<K, V> | undefined = undefined

  constructor(keyOf: (member: V) => K) {
    this.#keyOf = keyOf
  }

  get size(): number {
    return this.#many?.size ?? this.#few.length
  }

  get(key: K): V | undefined {
    if (this.#many !== undefined) return this.#many.get(key)
    const at = this.#indexOf(key)
    return at < 0 ? undefined : this.#few[at]
  }

  /** Adds a member whose key no other member has. */
  add(member: V): void {
    if (this.#many !== undefined) {
      this.#many.set(this.#keyOf(member), member)
    } else if (this.#few.length < FEW) {
      this.#few = withMember(this.#few, member)
    } else {
      const many = new Map<K, V>()
      for (const each of this.#few) many.set(this.#keyOf(each), each)
      this.#many = many.set(this.#keyOf(member), member)
      this.#few = NONE
    }
  }

  /** Returns true when there was a member with this key. */
  delete(key: K): boolean {
    if (this.#many !== undefined) return this.#many.delete(key)
    const at = this.#indexOf(key)
    if (at < 0) return false
    this.#few = this.#few.length === 1 ? NONE : without(this.#few, at)
    return true
  }

  /** While they are few, in the state of this moment, whatever is changed meanwhile. */
  [Symbol.iterator](): Iterator<V> {
    return (this.#many?.values() ?? this.#few)[Symbol.iterator]()
  }

  #indexOf(key: K): number {
    const few = this.#few
    for (let i = 0; i < few.length; i++) if (this.#keyOf(few[i]!) === key) return i
    return -1
  }
}
