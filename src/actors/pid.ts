/**
 * Process identifiers and the identity of the node that made them.
 *
 * A pid names one process for ever: node, creation (which incarnation of the node), id and serial are never used twice
 * together. Ids are slots of the node's process table and are used again; the serial of a slot then grows by one.
 * Two pid objects may name the same process (one of them may have travelled): compare with `equals`, use `key` in maps.
 */

/** A node's incarnation: its name, `nonode@nohost` when it is not distributed, and the creation that epmd gave it. */
export interface NodeIdentity {
  readonly name: string
  /** 32 bits, never 0 on a distributed node; differs for each start of a node of the same name. */
  readonly creation: number
}

export class Pid {
  readonly owner: NodeIdentity
  readonly id: number
  readonly serial: number
  #key: string | undefined

  constructor(owner: NodeIdentity, id: number, serial: number) {
    this.owner = owner
    this.id = id
    this.serial = serial
  }

  /** Name of the node on which the process lives or lived. */
  get node(): string {
    return this.owner.name
  }

  get creation(): number {
    return this.owner.creation
  }

  /** A string that is equal for equal pids and different for different ones. */
  get key(): string {
    // Joined, since a template leaves a chain of six string objects behind (about 250 bytes for each pid, measured).
    this.#key ??= [this.owner.name, this.owner.creation, this.id, this.serial].join('/')
    return this.#key
  }

  equals(other: unknown): boolean {
    return (
      this === other ||
      (other instanceof Pid &&
        this.id === other.id &&
        this.serial === other.serial &&
        this.owner.creation === other.owner.creation &&
        this.owner.name === other.owner.name)
    )
  }

  /** As Erlang prints it on its own node: `<0.12.0>`. */
  toString(): string {
    return `<0.${this.id}.${this.serial}>`
  }

  toJSON(): string {
    return this.node === 'nonode@nohost' ? this.toString() : `<${this.node}.${this.id}.${this.serial}>`
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
