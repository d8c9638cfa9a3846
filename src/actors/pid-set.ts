/**
 * A set of pids: an array while it is small, since most processes have one or two links, a map by key from then on, since
 * a supervisor may have a hundred thousand.
 */
import { withMember, without } from './keyed-set.ts'
import type { Pid } from './pid.ts'

const SMALL = 8

export class PidSet implements Iterable<Pid> {
  #few: readonly Pid[] | undefined = []
  #many: Map<string, Pid> | undefined = undefined

  get size(): number {
    return this.#many?.size ?? this.#few!.length
  }

  has(pid: Pid): boolean {
    return this.#many === undefined ? this.#indexOf(pid) >= 0 : this.#many.has(pid.key)
  }

  add(pid: Pid): void {
    if (this.#many !== undefined) {
      this.#many.set(pid.key, pid)
    } else if (this.#indexOf(pid) < 0) {
      this.#few = withMember(this.#few!, pid)
      if (this.#few.length > SMALL) {
        this.#many = new Map(this.#few.map((member) => [member.key, member]))
        this.#few = undefined
      }
    }
  }

  /** Returns true when the pid was a member. */
  delete(pid: Pid): boolean {
    if (this.#many !== undefined) return this.#many.delete(pid.key)
    const at = this.#indexOf(pid)
    if (at >= 0) this.#few = without(this.#few!, at)
    return at >= 0
  }

  [Symbol.iterator](): Iterator<Pid> {
    return (this.#many?.values() ?? this.#few!)[Symbol.iterator]()
  }

  #indexOf(pid: Pid): number {
    const few = this.#few!
    for (let i = 0; i < few.length; i++) if (few[i]!.equals(pid)) return i
    return -1
  }
}
