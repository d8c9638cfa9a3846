/**
 * The events of a table for a process: as messages in its mailbox, or as an async iterator. Both end with the process.
 *
 * `Table.subscribe` calls back in the turn of the writer, which suits what must be up to date at once (indexes). A process
 * that merely wants to know takes the events in its own time.
 */
import type { ProcessContext } from '../../actors/process.ts'
import type { Table, TableEvent } from '../tables.ts'

/** What `sendEvents` sends. */
export interface TableEventMessage<Row> {
  readonly tag: 'table_event'
  /** Name of the table. */
  readonly table: string
  readonly event: TableEvent<Row>
}

/** Sends each event of a table to the process, from now until it ends or the returned function is called. */
export function sendEvents<Row>(self: ProcessContext, table: Table<Row>): () => void {
  const { runtime, pid } = self
  const { name } = table.definition
  const end = table.subscribe((event) => {
    runtime.send(pid, { tag: 'table_event', table: name, event } satisfies TableEventMessage<Row>)
  })
  self.onExit(end)
  return end
}

/**
 * The events of a table from now on. The iteration ends when the process does, or when the loop is left. A reader that falls
 * behind by more than `maxWaiting` events gets an error instead of using up the memory.
 */
export function events<Row>(
  self: ProcessContext,
  table: Table<Row>,
  maxWaiting = 100_000,
): AsyncIterableIterator<TableEvent<Row>> {
  const waiting: TableEvent<Row>[] = []
  let wake: (() => void) | undefined
  let ended = false
  let overflown = false
  const unsubscribe = table.subscribe((event) => {
    if (waiting.length >= maxWaiting) {
      overflown = true
      end()
    } else waiting.push(event)
    wake?.()
  })
  function end(): void {
    ended = true
    unsubscribe()
    wake?.()
  }
  self.onExit(end)
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      while (waiting.length === 0 && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      wake = undefined
      const value = waiting.shift()
      if (value !== undefined) return { value, done: false }
      if (overflown) throw new RangeError(`more than ${maxWaiting} events of ${table.definition.name} waited`)
      return { value: undefined, done: true }
    },
    async return() {
      waiting.length = 0
      end()
      return { value: undefined, done: true }
    },
  }
}
