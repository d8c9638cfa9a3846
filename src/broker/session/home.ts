/**
 * Which node decides about a client id: the one with the greatest hash of both names among those whose session manager runs (rendezvous hashing).
 * Every node that sees the same members finds the same one, and when a node comes or goes only the client ids that it gains or had move.
 *
 * A member runs before its broker does, and a program may be a member and have no broker; so each session manager says that it is there, in the
 * table `session_manager`.
 *
 * One that stands still is a member until it is given up, which takes `dist.net_ticktime`. When it has not answered for a second (silent-homes.ts) this node asks the next one in its
 * place.
 */
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { Table, Tables } from '../../mnesia/table.ts'
import { SESSION_MANAGER, type SessionManagerRow } from '../tables.ts'

/** What it needs of the tables. */
export type Members = Pick<Mnesia, 'status' | 'subscribe'>

/** A node and the hash of its name. */
interface Ranked {
  readonly name: string
  readonly hash: number
}

export class Homes {
  readonly #members: Members
  readonly #managers: Table<SessionManagerRow>
  readonly #node: string
  #running: readonly string[] = []
  #hasOthers = false
  /** Those that decide, be they silent or not. */
  #nodes: readonly Ranked[] = []
  readonly #silent = new Set<string>()
  readonly #listeners = new Set<() => void>()
  readonly #unsubscribe: () => void

  constructor(members: Members & Tables) {
    this.#members = members
    this.#managers = members.open(SESSION_MANAGER)
    this.#node = members.status().node
    this.#read()
    const fromMembers = members.subscribe(({ tag }) => {
      if (tag === 'mnesia_up' || tag === 'mnesia_down' || tag === 'members' || tag === 'cluster') this.#changed()
    })
    const fromManagers = this.#managers.subscribe(() => this.#changed())
    this.#unsubscribe = () => {
      fromMembers()
      fromManagers()
    }
  }

  /** This node decides from now on; returns what ends that. */
  join(): () => void {
    this.#managers.write({ node: this.#node, answers: true })
    return () => void this.#managers.delete(this.#node)
  }

  /** The node that decides about a client id, of those that are not silent. */
  of(clientId: string): string {
    return this.#first(clientId, this.#silent)
  }

  /** The node that decides about a client id when all answer. */
  appointedOf(clientId: string): string {
    return this.#first(clientId, NONE)
  }

  /** Whether a node decides about client ids, and is not silent. */
  decides(node: string): boolean {
    return this.hasManager(node) && !this.#silent.has(node)
  }

  /** Whether a node is to answer when it is asked whether it is there. */
  answers(node: string): boolean {
    return this.hasManager(node) && this.#managers.get(node)?.answers === true
  }

  /** A node does not answer. */
  silence(node: string): void {
    if (this.#silent.has(node)) return
    this.#silent.add(node)
    this.#tell()
  }

  /** A node answers. */
  heard(node: string): void {
    if (this.#silent.delete(node)) this.#tell()
  }

  /** The nodes that decide about client ids. */
  get nodes(): string[] {
    return this.#nodes.map(({ name }) => name)
  }

  /** Whether other members run. */
  get othersRun(): boolean {
    return this.#nodes.length > 1
  }

  /** Whether there are other members, be they here or not. */
  get hasOthers(): boolean {
    return this.#hasOthers
  }

  /** Whether a node is a member that runs. */
  isRunning(node: string): boolean {
    return this.#running.includes(node)
  }

  /** Whether a node is a member that runs and has a session manager. */
  hasManager(node: string): boolean {
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

  #first(clientId: string, silent: ReadonlySet<string>): string {
    const nodes = this.#nodes
    if (nodes.length === 1) return nodes[0]!.name
    let best = this.#node
    let most = -1
    for (const { name, hash } of nodes) {
      const weight = mix(fnv(clientId, hash))
      if (weight <= most || silent.has(name)) continue
      most = weight
      best = name
    }
    return best
  }

  #changed(): void {
    this.#read()
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #read(): void {
    const { running, stopped, partitioned } = this.#members.status()
    this.#running = running
    for (const name of this.#silent) if (!running.includes(name)) this.#silent.delete(name)
    this.#hasOthers = running.length + stopped.length + partitioned.length > 1
    const deciding = this.#running.filter((name) => this.#managers.has(name))
    this.#nodes = deciding.map((name) => ({ name, hash: fnv(name, 0x811c9dc5) }))
  }
}

const NONE: ReadonlySet<string> = new Set()

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
