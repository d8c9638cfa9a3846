/**
 * Static subscriptions: what an operator has subscribed for a client id [emqttd_backend]. A session has them as soon as its client
 * connects, without a SUBSCRIBE and without a SUBACK; the client may take them back with UNSUBSCRIBE until it connects again.
 *
 * They are rows of a shared table, so they hold on every member of the cluster. A change takes effect at the client's next CONNECT.
 */
import type { Table, Tables } from '../../mnesia/table.ts'
import type { QoS } from '../packet.ts'
import type { AuthorizedSubscribe } from '../process-messages.ts'
import { parseFilter } from '../routing/topic.ts'
import { BACKEND_SUBSCRIPTION, type StaticSubscriptionRow } from '../tables.ts'

/** The packet identifier of a SUBSCRIBE that no client has sent: nobody waits for its SUBACK. No client can use it [MQTT5-2.2.1-3]. */
export const NOT_OF_CLIENT = 0

/** Send retained messages of filters that the session did not have before [MQTT5-3.3.1-10]: not at each CONNECT again. */
const RETAINED_IF_NEW = 1

export class StaticSubscriptions {
  readonly #table: Table<StaticSubscriptionRow>

  constructor(tables: Tables) {
    this.#table = tables.open(BACKEND_SUBSCRIPTION)
  }

  /** Number of subscriptions, of all clients. */
  get count(): number {
    return this.#table.size
  }

  /** Client ids that have some, sorted. */
  clientIds(): string[] {
    return [...this.#table.keys()].sort()
  }

  of(clientId: string): readonly StaticSubscriptionRow[] {
    return this.#table.read(clientId)
  }

  /** What a session of the client takes first when the client connects; undefined for nothing. */
  subscribeOf(clientId: string): AuthorizedSubscribe | undefined {
    const rows = this.#table.read(clientId)
    if (rows.length === 0) return undefined
    const subscriptions = rows.map(
      ({ filter, qos }) => ({ topic: filter, qos, nl: false, rap: false, rh: RETAINED_IF_NEW }) as const,
    )
    return { cmd: 'subscribe', messageId: NOT_OF_CLIENT, subscriptions, denied: [] }
  }

  /** `existed`: the client has this filter already, whatever its QoS. */
  add(clientId: string, filter: string, qos: QoS): 'added' | 'existed' | 'bad_filter' {
    const parsed = parseFilter(filter)
    if (!parsed.ok) return 'bad_filter'
    const { key } = parsed.value
    if (this.of(clientId).some((row) => row.filter === key)) return 'existed'
    this.#table.write({ clientId, filter: key, qos })
    return 'added'
  }

  /** Deletes one filter, or all of a client. */
  delete(clientId: string, filter?: string): void {
    if (filter === undefined) this.#table.delete(clientId)
    else for (const row of this.of(clientId)) if (row.filter === filter) this.#table.deleteObject(row)
  }
}
