/**
 * What a route table says about a topic: its filters, its remote nodes, its groups.
 *
 * Exact filters are looked up in the table itself; wildcards in a trie that the events of the table keep up to date, so a
 * row that another node wrote is matched like one of ours. A node has two of these: one for the routes that all nodes
 * share, one for `$local/…` subscriptions.
 */

import type { Table } from '../../mnesia/table.ts'
import type { RouteRow, SharedMemberRow } from '../tables.ts'
import { SharedGroups } from './shared-sub.ts'
import type { Subscribers } from './subscribers.ts'
import { isWildcard } from './topic.ts'
import { Trie } from './trie.ts'

/** The wildcard that concerns every topic. */
const ALL = '#'

export class RouteIndex {
  readonly routes: Table<RouteRow>
  readonly members: Table<SharedMemberRow>
  readonly trie = new Trie()
  readonly groups: SharedGroups
  readonly #unsubscribe: () => void

  /** `onChange` is called with a filter whenever what is known of it has changed; `isLocal`: of `$local/…` subscriptions. */
  constructor(
    routes: Table<RouteRow>,
    members: Table<SharedMemberRow>,
    subscribers: Subscribers,
    onChange: (filter: string) => void,
    isLocal = false,
  ) {
    this.routes = routes
    this.members = members
    this.groups = new SharedGroups(members, subscribers, onChange, isLocal)
    for (const filter of routes.keys()) if (isWildcard(filter)) this.trie.insert(filter)
    this.#unsubscribe = routes.subscribe((event) => {
      if (event.type === 'write' || event.type === 'delete') {
        const { filter } = event.row
        this.#follow(filter)
        onChange(filter)
      } else {
        for (const row of routes.rowsOf(event.owner)) this.#follow(row.filter)
        onChange(ALL)
      }
    })
  }

  /** The filters with a route that match a topic. */
  match(topic: string): string[] {
    const found = this.trie.match(topic)
    if (this.routes.has(topic)) found.push(topic)
    return found
  }

  #follow(filter: string): void {
    if (!isWildcard(filter)) return
    if (this.routes.has(filter)) this.trie.insert(filter)
    else this.trie.delete(filter)
  }

  /** Stops following the tables. */
  close(): void {
    this.#unsubscribe()
    this.groups.close()
  }
}
