import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memberKey, statusIn } from '../../../src/mnesia/schema/members.ts'
import { merged, Registry, type RegistryRow, registryRowsOf } from '../../../src/mnesia/schema/registry.ts'

const rowArb: fc.Arbitrary<RegistryRow> = fc.record({
  key: fc.constantFrom('member/a', 'member/b', 'table/t'),
  version: fc.integer({ min: 1, max: 3 }),
  value: fc.record(
    { status: fc.constantFrom('member', 'left', 'removed', 'deleted'), of: fc.integer({ min: 0, max: 2 }) },
    { requiredKeys: ['status'] },
  ),
})
const rowsArb = fc.uniqueArray(rowArb, { selector: ({ key }) => key })

function registryOf(...lists: readonly (readonly RegistryRow[])[]): RegistryRow[] {
  const registry = new Registry([], () => {})
  for (const rows of lists) registry.merge(rows)
  return registry.rows()
}

test('schemas that meet in any order, any number of times, are the same', () => {
  fc.assert(
    fc.property(rowsArb, rowsArb, rowsArb, (a, b, c) => {
      const all = registryOf(a, b, c)
      for (const order of [
        [c, b, a],
        [b, a, c],
        [a, registryOf(b, c)],
        [registryOf(c, a), b, b, a],
      ]) {
        expect(registryOf(...order)).toEqual(all)
      }
      const view = merged(registryOf(a, b), c)
      expect([...view.values()].sort((x, y) => (x.key < y.key ? -1 : 1))).toEqual(all)
    }),
  )
})

test('a merge tells exactly the rows that were new, and they are what is written to the disc', () => {
  fc.assert(
    fc.property(rowsArb, rowsArb, (a, b) => {
      const written: RegistryRow[] = []
      const registry = new Registry(a, (rows) => written.push(...rows))
      const before = new Map(registry.rows().map((row) => [row.key, row]))
      const newer = registry.merge(b)
      expect(written).toEqual(newer)
      for (const row of b) expect(newer.includes(row)).toBe(registry.row(row.key) === row)
      for (const row of registry.rows()) if (!newer.includes(row)) expect(before.get(row.key)).toBe(row)
      expect(registry.merge(b)).toEqual([])
    }),
  )
})

test('of changes that were made without knowledge of each other a removal stays, and a later join ends it', () => {
  const key = memberKey('b')
  const [a, c] = [new Registry([], () => {}), new Registry([], () => {})]
  for (const registry of [a, c]) registry.merge([{ key, version: 1, value: { status: 'left' } }])
  a.write(key, { status: 'member' })
  c.write(key, { status: 'removed' })
  const [ofA, ofC] = [a.rows(), c.rows()]
  a.merge(ofC)
  c.merge(ofA)
  expect([statusIn(a, 'b'), statusIn(c, 'b')]).toEqual(['removed', 'removed'])
  a.write(key, { status: 'member' })
  c.merge(a.rows())
  expect(statusIn(c, 'b')).toBe('member')
})

test('a row that says the same is no change, and fields of a later version stay', () => {
  let changes = 0
  const registry = new Registry([], () => changes++)
  registry.write('table/t', { type: 'set', key: 'k' })
  registry.write('table/t', { key: 'k', type: 'set' })
  expect([changes, registry.row('table/t')?.version]).toEqual([1, 1])
  registry.merge([{ key: 'table/t', version: 2, value: { type: 'set', key: 'k', fancy: { of: [1, 2] } } }])
  expect(registry.get('table/t')).toEqual({ type: 'set', key: 'k', fancy: { of: [1, 2] } })
})

test('what another node sends is rows or nothing', () => {
  const row = { key: 'member/a', version: 1, value: { status: 'member' } }
  expect(registryRowsOf([row])).toEqual([row])
  const wrong = [
    { ...row, key: 1 },
    { ...row, key: 'x'.repeat(2000) },
    { ...row, version: 0 },
    { ...row, version: 1.5 },
    { ...row, value: null },
    { ...row, value: [] },
    null,
    'row',
  ]
  for (const each of wrong) expect(registryRowsOf([row, each])).toBeUndefined()
  for (const each of [undefined, {}, 'rows']) expect(registryRowsOf(each)).toBeUndefined()
})
