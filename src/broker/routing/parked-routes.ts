/**
 * The filters that sessions with more life than their connection subscribe on members that are away: what is published to them meanwhile is kept for
 * those members.
 *
 * A member is away from the moment at which its routes are hidden, or this node starts, until it says that it is ready: one that has been restarted is a
 * member again before its sessions have been read from the disc.
 */
import type { Table } from '../../mnesia/table.ts'
import type { DurableRouteRow } from '../tables.ts'
import { isWildcard } from './topic.ts'
import { Trie } from './trie.ts'

/** The filters of one member. */
interface Away {
  readonly exact: Set<string>
  readonly wildcards: Trie
}

const NONE: readonly never[] = []

export class ParkedRoutes {
  readonly #routes: Table<DurableRouteRow>
  readonly #away = new Map<string, Away>()
  /** Members that have said that they are ready, and have not been lost since. */
  readonly #ready = new Set<string>()
  /** Members of which other filters have been heard while they are away. */
  readonly #stale = new Set<string>()
  readonly #onChange: () => void
  readonly #unsubscribe: () => void

  /** `onChange` is called when what is known has changed. */
  constructor(routes: Table<DurableRouteRow>, onChange: () => void) {
    this.#routes = routes
    this.#onChange = onChange
    this.#unsubscribe = routes.subscribe((event) => {
      if (event.type === 'hidden') this.park(event.owner)
      else if (event.type === 'parked' && !this.#ready.has(event.owner)) {
        this.#stale.add(event.owner)
        onChange()
      }
    })
  }

  /** Members that are away and would get messages of a topic. */
  match(topic: string): readonly string[] {
    if (this.#stale.size > 0) this.#refresh()
    if (this.#away.size === 0) return NONE
    const found: string[] = []
    for (const [node, { exact, wildcards }] of this.#away) {
      if (exact.has(topic) || wildcards.match(topic).length > 0) found.push(node)
    }
    return found
  }

  /** Members that are away. */
  nodes(): string[] {
    return [...new Set([...this.#away.keys(), ...this.#stale])]
  }

  /** A member is away. What was known of it before, and it has not said since that it is ready, stays. */
  park(node: string): void {
    this.#ready.delete(node)
    this.#add(node)
    this.#onChange()
  }

  /** A member says that all its sessions are there. */
  release(node: string): void {
    this.forget(node)
    this.#ready.add(node)
  }

  /** A node is no member any more. */
  forget(node: string): void {
    this.#ready.delete(node)
    this.#stale.delete(node)
    if (this.#away.delete(node)) this.#onChange()
  }

  /** Stops following the table. */
  close(): void {
    this.#unsubscribe()
  }

  #refresh(): void {
    for (const node of this.#stale) this.#add(node)
    this.#stale.clear()
  }

  #add(node: string): void {
    const away: Away = this.#away.get(node) ?? { exact: new Set(), wildcards: new Trie() }
    for (const { filter } of this.#routes.rowsOf(node)) {
      if (isWildcard(filter)) away.wildcards.insert(filter)
      else away.exact.add(filter)
    }
    if (away.exact.size > 0 || away.wildcards.size > 0) this.#away.set(node, away)
  }
}
