/**
 * The table `subscription`: the subscriptions of the sessions of this node, as a table that can be read.
 *
 * It stores nothing: a million subscriptions are kept once, in the form in which routing needs them (`Subscribers`), and
 * turned into rows for those who look. Two sessions of one client id can be alive for a moment; the later one is shown.
 */

import type { TableReader } from '../../mnesia/table.ts'
import { SUBSCRIPTION, type SubscriptionRow } from '../tables.ts'
import { type Subscribers, subscriptionRows } from './subscribers.ts'

type Readable = Pick<
  TableReader<SubscriptionRow>,
  'definition' | 'size' | 'keyCount' | 'version' | 'has' | 'get' | 'read' | 'keys' | 'rows'
>

export class SubscriptionTable implements Readable {
  readonly definition = SUBSCRIPTION
  readonly #subscribers: Subscribers

  constructor(subscribers: Subscribers) {
    this.#subscribers = subscribers
  }

  get size(): number {
    return this.#subscribers.subscriptionCount
  }

  get keyCount(): number {
    return this.#subscribers.subscriberCount
  }

  get version(): number {
    return this.#subscribers.version
  }

  has(clientId: string): boolean {
    return (this.#subscribers.client(clientId)?.count ?? 0) > 0
  }

  /** The oldest subscription of a client. */
  get(clientId: string): SubscriptionRow | undefined {
    return this.read(clientId)[0]
  }

  /** The subscriptions of a client, oldest first. */
  read(clientId: string): readonly SubscriptionRow[] {
    const subscriber = this.#subscribers.client(clientId)
    return subscriber === undefined ? [] : subscriptionRows(subscriber)
  }

  *keys(): IterableIterator<string> {
    for (const clientId of this.#subscribers.clients()) if (this.has(clientId)) yield clientId
  }

  *rows(): IterableIterator<SubscriptionRow> {
    for (const clientId of this.keys()) yield* this.read(clientId)
  }
}
