/**
 * Pids as a session writes and reads them: `<0.12.0>` on its own node, `<1.77.0>` on the first node that it has seen.
 *
 * As in Erlang the first number stands for a node as this session knows it. An incarnation of a node has a number of its own, so
 * a pid that was noted before a restart is never taken for a process of today.
 */
import { BadArgError } from '../../actors/errors.ts'
import { type NodeIdentity, Pid } from '../../actors/pid.ts'

/** A pid as it is written, anywhere in a line. */
export const PID_PATTERN = /<(\d+)\.(\d+)\.(\d+)>/y

/** Pids that are remembered for completion. */
const MAX_SEEN = 500

export class Pids {
  readonly #numbers = new Map<string, number>()
  readonly #nodes: NodeIdentity[] = []
  /** As written, the one seen last at the end. */
  readonly #seen = new Set<string>()

  constructor(own: NodeIdentity) {
    this.#numberOf(own)
  }

  /** Those that were written last, the latest first. */
  get seen(): string[] {
    return [...this.#seen].reverse()
  }

  write(pid: Pid): string {
    const text = `<${this.#numberOf(pid.owner)}.${pid.id}.${pid.serial}>`
    this.#seen.delete(text)
    this.#seen.add(text)
    const [oldest] = this.#seen
    if (this.#seen.size > MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest)
    return text
  }

  /** Throws `BadArgError` for the number of a node that was not seen. */
  make(node: number, id: number, serial: number): Pid {
    const owner = this.#nodes[node]
    if (owner === undefined) throw new BadArgError(`no pid of a node ${node} was shown in this session`)
    return new Pid(owner, id, serial)
  }

  /** Reads `<1.77.0>`; throws `BadArgError` for anything else. */
  read(text: string): Pid {
    const match = /^<(\d+)\.(\d+)\.(\d+)>$/.exec(text.trim())
    if (match === null) throw new BadArgError(`${text} is no pid: write it as <1.77.0>`)
    return this.make(Number(match[1]), Number(match[2]), Number(match[3]))
  }

  #numberOf(owner: NodeIdentity): number {
    const key = `${owner.name} ${owner.creation}`
    let number = this.#numbers.get(key)
    if (number === undefined) {
      number = this.#nodes.push(owner) - 1
      this.#numbers.set(key, number)
    }
    return number
  }
}
