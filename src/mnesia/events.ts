/**
 * Subscriptions of processes: what changes in a table, or in the cluster, as messages [OTP mnesia:subscribe/1].
 *
 * They end with the process. A message is sent in the turn of the change, in the order of the changes; a process that is behind has
 * them in its mailbox, and can have that bounded (`max_mailbox`). Code that has to see each change at once, and is short, calls
 * `subscribe` of the table itself.
 */
import type { ProcessContext } from '../actors/process.ts'
import type { Mnesia } from './mnesia.ts'
import type { SystemEvent } from './system-events.ts'
import type { Table, TableEvent } from './table.ts'

/** OTP's `{mnesia_system_event, Event}`. */
export interface SystemEventMessage {
  readonly tag: 'mnesia_system_event'
  readonly event: SystemEvent
}

/** OTP's `{mnesia_table_event, Event}`. */
export interface TableEventMessage<Row> {
  readonly tag: 'mnesia_table_event'
  readonly table: string
  readonly event: TableEvent<Row>
}

/** The process receives a `SystemEventMessage` for each event of the cluster. Returns what ends that. */
export function subscribeSystem(self: ProcessContext, mnesia: Pick<Mnesia, 'subscribe'>): () => void {
  const { runtime, pid } = self
  const end = mnesia.subscribe((event) => {
    runtime.send(pid, { tag: 'mnesia_system_event', event } satisfies SystemEventMessage)
  })
  self.onExit(end)
  return end
}

/** The process receives a `TableEventMessage` for each change of a table. Returns what ends that. */
export function subscribeTable<Row>(self: ProcessContext, table: Table<Row>): () => void {
  const { runtime, pid } = self
  const { name } = table.definition
  const end = table.subscribe((event) => {
    runtime.send(pid, { tag: 'mnesia_table_event', table: name, event } satisfies TableEventMessage<Row>)
  })
  self.onExit(end)
  return end
}
