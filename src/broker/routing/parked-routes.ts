/**
 * The filters that sessions with more life than their connection subscribe on members that are away: what is published to them meanwhile is kept for
 * those members.
 *
 * A member is away from the moment at which its routes are hidden until it says that it is ready: one that has been restarted is a member again before its
 * sessions have been read from the disc.
 */
import type { Table } from '../../mnesia/table.ts'
import type { RouteRow } from '../tables.ts'
import { isWildcard } from './topic.ts'
import { Trie } from './trie.ts'

/** The filters of one member. */
interface Away {
  readonly exact: Set<string>
  readonly wildcards: Trie
}

const NONE: readonly never[] = []

export class ParkedRoutes {
  readonly #away = new Map<string, Away>()
  readonly #onChange: () => void
  readonly #unsubscribe: () => void

  /** `onChange` is called when what is known has changed. */
  constructor(routes: Table<RouteRow>, onChange: () => void) {
    this.#onChange = onChange
    this.#unsubscribe = routes.subscribe((event) => {
      if (event.type === 'hidden') this.#park(event.owner, routes.rowsOf(event.owner))
    })
  }

  /** Members that are away and would get messages of a topic. */
  match(topic: string): readonly string[] {
    if (this.#away.size === 0) return NONE
    const found: string[] = []
    for (const [node, { exact, wildcards }] of this.#away) {
      if (exact.has(topic) || wildcards.match(topic).length > 0) found.push(node)
    }
    return found
  }

  /** Members that are away. */
  nodes(): string[] {
    return [...this.#away.keys()]
  }

  /** A member is back with all its sessions, or is none any more. */
  release(node: string): void {
    if (this.#away.delete(node)) this.#onChange()
  }

  /** Stops following the table. */
  close(): void {
    this.#unsubscribe()
  }

  #park(node: string, rows: Iterable<RouteRow>): void {
    const away: Away = this.#away.get(node) ?? { exact: new Set(), wildcards: new Trie() }
    for (const { durable, filter, group } of rows) {
      if (!durable || group) continue
      if (isWildcard(filter)) away.wildcards.insert(filter)
      else away.exact.add(filter)
    }
    if (away.exact.size === 0 && away.wildcards.size === 0) return
    this.#away.set(node, away)
    this.#onChange()
  }
}
