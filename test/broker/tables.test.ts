import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { byCodeUnits, SortedKeys } from '../../src/actors/sorted-keys.ts'
import { LocalTables } from '../../src/broker/tables/local-table.ts'
import { LOCAL_ROUTE, ROUTE, type RouteRow, type TableEvent, table } from '../../src/broker/tables.ts'

interface Row {
  readonly k: string
  readonly v: number
}

const SET = table<Row>('s', { type: 'set', key: 'k', replication: 'shared', copies: 'ram_copies' })
const ORDERED = table<Row>('o', { ...SET, type: 'ordered_set' })
const BAG = table<Row>('b', { ...SET, type: 'bag' })

const route = (filter: string, node: string, durable = false, group = false): RouteRow => ({
  filter,
  node,
  durable,
  group,
})

describe('tables', () => {
  test('a set has one row per key, and tells what a write replaced', () => {
    const rows = new LocalTables().open(SET)
    const events: TableEvent<Row>[] = []
    rows.subscribe((event) => events.push(event))
    rows.write({ k: 'a', v: 1 })
    rows.write({ k: 'a', v: 2 })
    expect(rows.read('a')).toEqual([{ k: 'a', v: 2 }])
    expect(rows.get('a')).toEqual({ k: 'a', v: 2 })
    rows.delete('a')
    rows.delete('a')
    expect([rows.size, rows.keyCount, rows.version, rows.has('a')]).toEqual([0, 0, 3, false])
    expect(events).toEqual([
      { type: 'write', row: { k: 'a', v: 1 }, old: undefined },
      { type: 'write', row: { k: 'a', v: 2 }, old: { k: 'a', v: 1 } },
      { type: 'delete', row: { k: 'a', v: 2 } },
    ])
  })

  test('a bag has every different row of a key once', () => {
    const rows = new LocalTables().open(BAG)
    for (const v of [1, 2, 2, 3]) rows.write({ k: 'a', v })
    expect([rows.size, rows.keyCount]).toEqual([3, 1])
    rows.deleteObject({ k: 'a', v: 2 })
    rows.deleteObject({ k: 'a', v: 9 })
    expect(rows.read('a')).toEqual([
      { k: 'a', v: 1 },
      { k: 'a', v: 3 },
    ])
    rows.delete('a')
    expect([rows.size, rows.keyCount, rows.read('a').length]).toEqual([0, 0, 0])
  })

  test('a batch is applied in order', () => {
    const rows = new LocalTables().open(SET)
    expect(
      rows.batch(
        [
          { op: 'write', row: { k: 'a', v: 1 } },
          { op: 'delete', key: 'a' },
          { op: 'write', row: { k: 'b', v: 2 } },
          { op: 'write', row: { k: 'c', v: 2 } },
          { op: 'delete_object', row: { k: 'c', v: 2 } },
        ],
        { wait: 'members' },
      ),
    ).toBeUndefined()
    expect([...rows.rows()]).toEqual([{ k: 'b', v: 2 }])
  })

  test('a subscription ends when it is told so, and no other with it', () => {
    const rows = new LocalTables().open(SET)
    let count = 0
    const listener = () => {
      count++
    }
    const end = rows.subscribe(listener)
    rows.subscribe(listener)
    rows.write({ k: 'a', v: 1 })
    end()
    rows.write({ k: 'a', v: 2 })
    expect(count).toBe(3)
  })

  test('one definition is one table, and a name cannot be defined twice', () => {
    const tables = new LocalTables()
    expect(tables.open(SET)).toBe(tables.open(SET))
    expect(() => tables.open({ ...BAG, name: 's' })).toThrow(TypeError)
    expect(tables.all().map((each) => each.definition.name)).toEqual(['s'])
  })

  test('order is asked of an ordered_set only', () => {
    const rows = new LocalTables().open(SET)
    expect(() => rows.first()).toThrow(TypeError)
    expect(() => rows.next('a')).toThrow(TypeError)
    expect(() => rows.ceiling('a')).toThrow(TypeError)
  })

  test('an ordered_set is walked in key order, while it changes too', () => {
    const rows = new LocalTables().open(ORDERED)
    for (const k of ['b', 'a/b', 'a', 'c']) rows.write({ k, v: 0 })
    expect([...rows.keys()]).toEqual(['a', 'a/b', 'b', 'c'])
    expect([rows.first(), rows.next('a'), rows.next('aa'), rows.next('c')]).toEqual(['a', 'a/b', 'b', undefined])
    expect([rows.ceiling('b'), rows.ceiling('bb'), rows.ceiling('d')]).toEqual(['b', 'c', undefined])
    const seen: string[] = []
    for (const key of rows.keys()) {
      seen.push(key)
      if (key === 'a') rows.delete('a/b')
      if (key === 'b') rows.write({ k: 'bb', v: 0 })
    }
    expect(seen).toEqual(['a', 'b', 'bb', 'c'])
  })

  test('routes read back as they were written, though they are kept as numbers', () => {
    const tables = new LocalTables()
    const routes = tables.open(ROUTE)
    const written = [route('t', 'n1'), route('t', 'n2', true), route('t', 'n1', true, true), route('u', 'n2')]
    for (const row of [...written, ...written]) routes.write(row)
    expect(routes.read('t')).toEqual(written.slice(0, 3))
    expect([routes.size, routes.keyCount]).toEqual([4, 2])
    routes.deleteObject(route('t', 'n2'))
    expect(routes.size).toBe(4)
    routes.deleteObject(route('t', 'n2', true))
    routes.deleteObject(route('t', 'n1'))
    expect(routes.read('t')).toEqual([written[2]])
    routes.delete('t')
    routes.delete('u')
    expect([routes.size, routes.keyCount]).toEqual([0, 0])
    expect(tables.open(LOCAL_ROUTE).definition).toMatchObject({ name: 'local_route', replication: 'local_content' })
  })

  test('sorted keys agree with a sorted array', () => {
    const key = fc.string({ maxLength: 3, unit: fc.constantFrom('a', 'b', '/', '-', '0') })
    fc.assert(
      fc.property(fc.array(fc.record({ key, add: fc.boolean() }), { maxLength: 60 }), key, (steps, probe) => {
        const sorted = new SortedKeys<string>(byCodeUnits)
        const model = new Set<string>()
        for (const step of steps) {
          if (step.add && !model.has(step.key)) sorted.insert(step.key)
          if (!step.add && model.has(step.key)) sorted.delete(step.key)
          if (step.add) model.add(step.key)
          else model.delete(step.key)
          const list = [...model].sort()
          expect(sorted.first()).toBe(list[0])
          expect(sorted.ceiling(probe)).toBe(list.find((each) => each >= probe))
          expect(sorted.next(step.key)).toBe(list.find((each) => each > step.key))
        }
        expect(sorted.size).toBe(model.size)
      }),
    )
  })

  test('sorted keys stay sorted through splits and merges of blocks', () => {
    const sorted = new SortedKeys<string>(byCodeUnits)
    const keys = Array.from({ length: 5000 }, (_, i) => `k${(i * 7919) % 5000}`)
    for (const key of keys) sorted.insert(key)
    const walk = () => {
      const seen: string[] = []
      for (let key = sorted.first(); key !== undefined; key = sorted.next(key)) seen.push(key)
      return seen
    }
    expect(walk()).toEqual([...keys].sort())
    const gone = keys.filter((_, i) => i % 10 !== 0)
    for (const key of gone) sorted.delete(key)
    expect(walk()).toEqual(keys.filter((_, i) => i % 10 === 0).sort())
    for (const key of walk()) sorted.delete(key)
    expect([sorted.size, sorted.first(), sorted.ceiling('')]).toEqual([0, undefined, undefined])
  })
})
