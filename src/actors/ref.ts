/**
 * References: unique values for calls, monitors, timers and aliases [OTP erlang:make_ref/0].
 *
 * A reference made here is a number that only grows, unique within the node's incarnation. One that comes from a foreign
 * node is up to five 32-bit words; `words` gives every reference in that form.
 */
import type { NodeIdentity } from './pid.ts'

const TWO_32 = 2 ** 32

export class Ref {
  readonly owner: NodeIdentity
  /** The number of a reference in the form of this runtime, or the words of a foreign one. */
  readonly id: number | readonly number[]
  #key: string | undefined

  constructor(owner: NodeIdentity, id: number | readonly number[]) {
    this.owner = owner
    this.id = id
  }

  get node(): string {
    return this.owner.name
  }

  get creation(): number {
    return this.owner.creation
  }

  /** The 32-bit words of the reference, least significant first, as they are encoded on the wire. */
  get words(): readonly number[] {
    return typeof this.id === 'number' ? [this.id % TWO_32, Math.floor(this.id / TWO_32), 0] : this.id
  }

  /** A string that is equal for equal references and different for different ones. */
  get key(): string {
    this.#key ??= `${this.owner.name}/${this.owner.creation}/${this.words.join('.')}`
    return this.#key
  }

  equals(other: unknown): boolean {
    return this === other || (other instanceof Ref && this.key === other.key)
  }

  toString(): string {
    return `#Ref<0.${[...this.words].reverse().join('.')}>`
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
