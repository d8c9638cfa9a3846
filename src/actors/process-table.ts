/**
 * The processes of one node, by pid.
 *
 * Ids are slots of an array, so that a send finds its process without hashing; a slot is used again only with a greater
 * serial, so a pid of a dead process never finds the next one. Slots that came free longest ago are used first, which keeps
 * serials low.
 */
import type { NodeIdentity, Pid } from './pid.ts'
import { Queue } from './queue.ts'

interface HasPid {
  readonly pid: Pid
}

/** Low ids are left out, as Erlang's first processes are its own. */
const FIRST_ID = 1

export class ProcessTable<P extends HasPid> implements Iterable<P> {
  count = 0
  /** Processes started since the beginning. */
  spawned = 0
  readonly #node: NodeIdentity
  readonly #slots: (P | undefined)[] = new Array(FIRST_ID).fill(undefined)
  readonly #serials: number[] = new Array(FIRST_ID).fill(0)
  readonly #free = new Queue<number>()

  constructor(node: NodeIdentity) {
    this.#node = node
  }

  /** Reserves a slot and returns its id and serial. */
  allocate(): { id: number; serial: number } {
    this.spawned++
    const free = this.#free.shift()
    if (free !== undefined) return { id: free, serial: ++this.#serials[free]! }
    this.#serials.push(0)
    return { id: this.#slots.push(undefined) - 1, serial: 0 }
  }

  set(process: P): void {
    this.#slots[process.pid.id] = process
    this.count++
  }

  /** The living process with this pid; undefined when it has died or belongs to another node or incarnation. */
  get(pid: Pid): P | undefined {
    const process = this.#slots[pid.id]
    if (process === undefined || process.pid.serial !== pid.serial) return undefined
    return pid.owner === this.#node || (pid.creation === this.#node.creation && pid.node === this.#node.name)
      ? process
      : undefined
  }

  delete(pid: Pid): void {
    this.#slots[pid.id] = undefined
    this.#free.push(pid.id)
    this.count--
  }

  /** True for a pid of another node; a pid of a former incarnation of this node is one of its dead. */
  isForeign(pid: Pid): boolean {
    return pid.owner !== this.#node && pid.node !== this.#node.name
  }

  *[Symbol.iterator](): Iterator<P> {
    for (const process of this.#slots) if (process !== undefined) yield process
  }
}
