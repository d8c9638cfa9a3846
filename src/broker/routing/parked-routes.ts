/**
 * The filters that sessions with more life than their connection subscribe on members that are away: what is published to them meanwhile is kept for
 * those members.
 *
 * A member is away from the moment at which its routes are hidden, or this node starts, until it says that it is ready: one that has been restarted is a
 * member again before its sessions have been read from the disc.
 */
import type { Table } from '../../mnesia/table.ts'
import type { Share } from '../session/delivery.ts'
import type { DurableRouteRow } from '../tables.ts'
import { filterKey, isWildcard, partsOf } from './topic.ts'
import { Trie } from './trie.ts'

/** Some filters. */
class Filters {
  readonly #exact = new Set<string>()
  readonly #wildcards = new Trie()

  get isEmpty(): boolean {
    return this.#exact.size === 0 && this.#wildcards.size === 0
  }

  add(filter: string): void {
    if (isWildcard(filter)) this.#wildcards.insert(filter)
    else this.#exact.add(filter)
  }

  /** Those that match a topic. */
  match(topic: string): readonly string[] {
    const found = this.#wildcards.match(topic)
    return this.#exact.has(topic) ? [topic, ...found] : found
  }
}

/** The filters of one member. */
class Away {
  readonly plain = new Filters()
  readonly #shared = new Filters()
  /** By filter. */
  readonly #groups = new Map<string, Set<string>>()

  get isEmpty(): boolean {
    return this.plain.isEmpty && this.#shared.isEmpty
  }

  /** A filter as it stands in the table. */
  add(key: string): void {
    const { filter, group } = partsOf(key)
    if (group === undefined) {
      this.plain.add(filter)
      return
    }
    this.#shared.add(filter)
    const groups = this.#groups.get(filter)
    if (groups === undefined) this.#groups.set(filter, new Set([group]))
    else groups.add(group)
  }

  shares(topic: string): Share[] {
    return this.#shared
      .match(topic)
      .flatMap((filter) => [...this.#groups.get(filter)!].map((group) => ({ group, filter })))
  }
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
    this.#refresh()
    if (this.#away.size === 0) return NONE
    return [...this.#away].filter(([, { plain }]) => plain.match(topic).length > 0).map(([node]) => node)
  }

  /** The groups that members that are away would be chosen from for messages of a topic. */
  shares(topic: string): readonly Share[] {
    this.#refresh()
    if (this.#away.size === 0) return NONE
    const found = new Map<string, Share>()
    for (const away of this.#away.values()) {
      for (const share of away.shares(topic)) found.set(filterKey(share.filter, share.group, false), share)
    }
    return [...found.values()]
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
    if (this.#stale.size === 0) return
    for (const node of this.#stale) this.#add(node)
    this.#stale.clear()
  }

  #add(node: string): void {
    const away = this.#away.get(node) ?? new Away()
    for (const { filter } of this.#routes.rowsOf(node)) away.add(filter)
    if (!away.isEmpty) this.#away.set(node, away)
  }
}
