/** Tables of every kind against a map of lists, over random operations; and their events, replayed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LocalTables } from '../../src/broker/tables/local-table.ts'
import { type TableDefinition, type TableEvent, type TableOperation, table } from '../../src/broker/tables.ts'

interface Row {
  readonly k: string
  readonly id: number
  readonly v: number
}

const SET = table<Row>('set', { type: 'set', key: 'k', replication: 'shared', copies: 'ram_copies' })
const BAG = table<Row>('bag', { ...SET, type: 'bag' })

/** A definition, and what makes two rows of one key the same row. */
const KINDS: readonly { definition: TableDefinition<Row>; identity: (row: Row) => unknown }[] = [
  { definition: SET, identity: () => '' },
  { definition: table<Row>('ordered', { ...SET, type: 'ordered_set' }), identity: () => '' },
  { definition: BAG, identity: (row) => `${row.id}/${row.v}` },
  { definition: table<Row>('identified', { ...BAG, identity: (row) => String(row.id) }), identity: (row) => row.id },
  {
    definition: table<Row>('compact', {
      ...BAG,
      compact: () => ({
        pack: ({ id, v }) => id * 10 + v,
        unpack: (k, n) => ({ k, id: Math.floor(n / 10), v: n % 10 }),
      }),
    }),
    identity: (row) => `${row.id}/${row.v}`,
  },
]

const row = fc.record({ k: fc.constantFrom('a', 'b', 'c'), id: fc.nat(3), v: fc.nat(2) })
const operation: fc.Arbitrary<TableOperation<Row>> = fc.oneof(
  { weight: 5, arbitrary: row.map((each) => ({ op: 'write' as const, row: each })) },
  { weight: 2, arbitrary: row.map((each) => ({ op: 'delete_object' as const, row: each })) },
  { weight: 1, arbitrary: row.map(({ k }) => ({ op: 'delete' as const, key: k })) },
)

const sorted = (rows: Iterable<Row>) => [...rows].sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))

test.each(KINDS)('a table of the kind $definition.name holds what its operations say', ({ definition, identity }) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const rows = new LocalTables().open(definition)
      const replayed: Row[] = []
      const same = (a: Row) => (b: Row) => a.k === b.k && identity(a) === identity(b)
      rows.subscribe((event: TableEvent<Row>) => {
        const at = replayed.findIndex(same(event.row))
        if (event.type === 'write') {
          expect(event.old).toEqual(at < 0 ? undefined : replayed[at])
          if (at >= 0) replayed[at] = event.row
          else replayed.push(event.row)
        } else expect(replayed.splice(at, 1)).toEqual([event.row])
      })
      let model: Row[] = []
      for (const each of operations) {
        expect(rows.batch([each], {})).toBeUndefined()
        if (each.op === 'delete') model = model.filter(({ k }) => k !== each.key)
        else {
          const others = model.filter((one) => !same(each.row)(one))
          model = each.op === 'write' ? [...others, each.row] : others
        }
        expect(sorted(rows.rows())).toEqual(sorted(model))
        expect(sorted(replayed)).toEqual(sorted(model))
        const keys = [...new Set(model.map(({ k }) => k))].sort()
        expect([rows.size, rows.keyCount, [...rows.keys()].sort()]).toEqual([model.length, keys.length, keys])
        for (const k of ['a', 'b', 'c']) {
          expect(rows.has(k)).toBe(keys.includes(k))
          expect(sorted(rows.read(k))).toEqual(sorted(model.filter((one) => one.k === k)))
          expect(rows.get(k)).toEqual(rows.read(k)[0])
        }
      }
    }),
  )
})
