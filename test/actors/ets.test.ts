import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EtsTransfer } from '../../src/actors/ets.ts'
import { isDownMessage } from '../../src/actors/signal.ts'
import { deferred } from '../support/deferred.ts'
import { testRuntime } from '../support/runtime.ts'

interface Row {
  readonly k: number
  readonly v: string
}

function ownedTable(type: 'set' | 'ordered_set' | 'bag') {
  const { runtime } = testRuntime()
  const owner = runtime.process(runtime.spawn({ receive: () => {} }))!
  return { runtime, owner, table: runtime.ets.create<Row>(owner, 'rows', { type, key: 'k', named: true }) }
}

const operation = fc.oneof(
  fc.record({ op: fc.constant('insert'), k: fc.nat(20), v: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ op: fc.constant('delete'), k: fc.nat(20), v: fc.constant('') }),
  fc.record({ op: fc.constant('deleteObject'), k: fc.nat(20), v: fc.constantFrom('a', 'b', 'c') }),
)

test.each(['set', 'ordered_set', 'bag'] as const)('a %s behaves as a list of rows', (type) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const { table, runtime } = ownedTable(type)
      let model: Row[] = []
      for (const { op, k, v } of operations) {
        if (op === 'insert') {
          table.insert({ k, v })
          if (type !== 'bag') model = model.filter((row) => row.k !== k)
          if (!model.some((row) => row.k === k && row.v === v)) model.push({ k, v })
        } else if (op === 'delete') {
          table.delete(k)
          model = model.filter((row) => row.k !== k)
        } else {
          table.deleteObject({ k, v })
          model = model.filter((row) => row.k !== k || row.v !== v)
        }
      }
      const order = (a: Row, b: Row) => a.k - b.k || a.v.localeCompare(b.v)
      expect(table.size).toBe(model.length)
      expect(table.toList().sort(order)).toEqual([...model].sort(order))
      for (let k = 0; k <= 20; k++) {
        expect([...table.lookup(k)].sort(order)).toEqual(model.filter((row) => row.k === k).sort(order))
      }
      if (type === 'ordered_set') {
        const keys = model.map(({ k }) => k).sort((a, b) => a - b)
        expect(table.toList().map(({ k }) => k)).toEqual(keys)
        expect(table.first()).toBe(keys[0])
        expect(table.last()).toBe(keys.at(-1))
        for (let k = -1; k <= 21; k++) {
          expect(table.next(k)).toBe(keys.find((key) => key > k))
          expect(table.prev(k)).toBe(keys.findLast((key) => key < k))
        }
      }
      runtime.stop()
    }),
    { numRuns: 50 },
  )
})

test('a table ends with its owner', () => {
  const { runtime, owner, table } = ownedTable('set')
  table.insert({ k: 1, v: 'x' })
  runtime.exit(owner.pid, 'kill')
  expect(() => table.lookup(1)).toThrow('does not exist')
  expect(runtime.ets.whereis('rows')).toBeUndefined()
  expect(runtime.ets.all()).toEqual([])
})

test('a protected table is read by everybody and written by its owner only', () => {
  const { runtime, table } = ownedTable('set')
  table.insert({ k: 1, v: 'x' })
  const reader = runtime.ets.whereis<Row>('rows')!
  expect(reader.get(1)).toEqual({ k: 1, v: 'x' })
  expect(() => reader.insert({ k: 2, v: 'y' })).toThrow('written by its owner')
})

test('an heir gets the table, with its rows, when the owner ends', async () => {
  const { runtime } = testRuntime()
  const transferred = deferred<EtsTransfer<Row>>()
  const heir = runtime.spawn({ receive: (message) => transferred.resolve(message as EtsTransfer<Row>) })
  const owner = runtime.process(runtime.spawn({ receive: () => {} }))!
  const table = runtime.ets.create<Row>(owner, 'rows', { key: 'k', heir: { pid: heir, data: 'yours' } })
  table.insert({ k: 1, v: 'x' })
  runtime.exit(owner.pid, 'kill')
  const { table: inherited, data, from } = await transferred.promise
  expect([data, from]).toEqual(['yours', owner.pid])
  inherited.insert({ k: 2, v: 'y' })
  expect(inherited.size).toBe(2)
  expect(() => table.insert({ k: 3, v: 'z' })).toThrow('written by its owner')
})

test('pids are keys by value', async () => {
  const { runtime } = testRuntime()
  const owner = runtime.process(runtime.spawn({ receive: () => {} }))!
  const table = runtime.ets.create<{ pid: typeof owner.pid; n: number }>(owner, 'by_pid', { key: 'pid' })
  table.insert({ pid: owner.pid, n: 1 })
  expect(table.updateCounter(owner.pid, 'n', 2)).toBe(3)
  const down = deferred<unknown>()
  const watcher = runtime.process(runtime.spawn({ receive: (message) => down.resolve(message) }))!
  watcher.monitor(owner.pid)
  runtime.exit(owner.pid, 'kill')
  const message = await down.promise
  expect(isDownMessage(message) && message.pid).toEqual(owner.pid)
})
