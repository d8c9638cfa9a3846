import { expect, test } from 'vitest'
import { LocalTables } from '../../src/broker/tables/local-table.ts'
import { events, sendEvents, type TableEventMessage } from '../../src/broker/tables/table-events.ts'
import { type TableEvent, table } from '../../src/broker/tables.ts'
import { simulate } from '../../src/testing/index.ts'

interface Row {
  readonly k: string
}

const SET = table<Row>('s', { type: 'set', key: 'k', replication: 'shared', copies: 'ram_copies' })

function fixture() {
  const sim = simulate({ seed: 1 })
  return { sim, runtime: sim.node('a'), rows: new LocalTables().open(SET) }
}

test('a process gets the events of a table as messages, until it ends the subscription', async () => {
  const { sim, runtime, rows } = fixture()
  const got: TableEventMessage<Row>[] = []
  let end = () => {}
  runtime.spawn({
    create: (self) => {
      end = sendEvents(self, rows)
      return { receive: (message) => void got.push(message as TableEventMessage<Row>) }
    },
  })
  await sim.run()
  rows.write({ k: 'a' })
  rows.delete('a')
  await sim.run()
  end()
  rows.write({ k: 'b' })
  await sim.run()
  expect(got).toEqual([
    { tag: 'table_event', table: 's', event: { type: 'write', row: { k: 'a' }, old: undefined } },
    { tag: 'table_event', table: 's', event: { type: 'delete', row: { k: 'a' } } },
  ])
})

test('an iteration gives all events in order and ends with its process', async () => {
  const { sim, runtime, rows } = fixture()
  const got: TableEvent<Row>[] = []
  let ended = false
  const pid = runtime.spawn(async (self) => {
    for await (const event of events(self, rows)) got.push(event)
    ended = true
  })
  await sim.run()
  for (const k of ['a', 'b', 'c']) rows.write({ k })
  await sim.run()
  rows.write({ k: 'd' })
  await sim.run()
  expect(got.map(({ row }) => row.k)).toEqual(['a', 'b', 'c', 'd'])
  runtime.exit(pid, 'kill')
  await sim.run()
  rows.write({ k: 'e' })
  await sim.run()
  expect([got.length, ended]).toEqual([4, true])
})

test('leaving the loop ends the subscription', async () => {
  const { sim, runtime, rows } = fixture()
  let seen = 0
  runtime.spawn(async (self) => {
    for await (const _ of events(self, rows)) {
      seen++
      break
    }
  })
  await sim.run()
  rows.write({ k: 'a' })
  rows.write({ k: 'b' })
  await sim.run()
  expect(seen).toBe(1)
})

test('a reader that falls too far behind gets what waited, then an error', async () => {
  const { sim, runtime, rows } = fixture()
  let seen = 0
  let error: unknown
  runtime.spawn(async (self) => {
    const all = events(self, rows, 2)
    for (const k of ['a', 'b', 'c']) rows.write({ k })
    try {
      for await (const _ of all) seen++
    } catch (thrown) {
      error = thrown
    }
  })
  await sim.run()
  expect([seen, error]).toEqual([2, expect.any(RangeError)])
})
