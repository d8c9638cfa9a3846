/**
 * Which node decides about a client id: the one with the greatest hash of both names among those that run (rendezvous hashing). Every node that sees
 * the same members finds the same one, and when a node comes or goes only the client ids that it gains or had move.
 */
import type { Mnesia } from '../../mnesia/mnesia.ts'

/** What it needs of the tables. */
export type Members = Pick<Mnesia, 'status' | 'subscribe'>

export class Homes {
  readonly #members: Members
  #nodes: readonly { readonly name: string; readonly hash: number }[] = []
  readonly #listeners = new Set<() => void>()
  readonly #unsubscribe: () => void

  constructor(members: Members) {
    this.#members = members
    this.#read()
    this.#unsubscribe = members.subscribe(({ tag }) => {
      if (tag !== 'mnesia_up' && tag !== 'mnesia_down' && tag !== 'members' && tag !== 'cluster') return
      this.#read()
      for (const listener of [...this.#listeners]) listener()
    })
  }

  /** The node that decides about a client id. */
  of(clientId: string): string {
    const nodes = this.#nodes
    if (nodes.length === 1) return nodes[0]!.name
    let best = ''
    let most = -1
    for (const { name, hash } of nodes) {
      const weight = mix(fnv(clientId, hash))
      if (weight <= most) continue
      most = weight
      best = name
    }
    return best
  }

  /** Whether other members run. */
  get othersRun(): boolean {
    return this.#nodes.length > 1
  }

  /** Whether a node is a member that runs. */
  isRunning(node: string): boolean {
    return this.#nodes.some(({ name }) => name === node)
  }

  /** Calls `listener` when some client ids may have another home; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Stops following the members. */
  close(): void {
    this.#unsubscribe()
  }

  #read(): void {
    this.#nodes = this.#members.status().running.map((name) => ({ name, hash: fnv(name, 0x811c9dc5) }))
  }
}

/** FNV-1a, begun with another hash. */
export function fnv(text: string, start: number): number {
  let hash = start
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Spreads the bits, since FNV alone ranks similar names alike [MurmurHash3, finalizer]. */
function mix(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
