/** Containers of every kind against a list of rows, over random operations: reads, indexes, order, chunks. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pid } from '../../../src/actors/pid.ts'
import { type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import { hashOf } from '../../../src/mnesia/rows/key-hash.ts'
import { createRows, type RowChunk } from '../../../src/mnesia/rows/rows.ts'

interface Row {
  readonly k: string
  readonly id: number
  readonly v: string
  readonly pid: Pid | undefined
}

const SET = table<Row>('set', { type: 'set', key: 'k', replication: 'owned', copies: 'ram_copies' })
const BAG = table<Row>('bag', { ...SET, type: 'bag' })
const VALUES = ['x', 'y', 'z']

/** A new object each time, as a pid is that has travelled. */
const pidOf = (id: number): Pid | undefined => (id === 0 ? undefined : new Pid({ name: 'a@h', creation: 1 }, id, 0))

const KINDS: readonly { definition: TableDefinition<Row>; identity: (row: Row) => unknown }[] = [
  { definition: SET, identity: () => '' },
  { definition: table<Row>('ordered', { ...SET, type: 'ordered_set' }), identity: () => '' },
  { definition: BAG, identity: (row) => `${row.id}/${row.v}` },
  { definition: table<Row>('identified', { ...BAG, identity: (row) => String(row.id) }), identity: (row) => row.id },
  {
    definition: table<Row>('compact', {
      ...BAG,
      compact: (owner) => ({
        pack: ({ id, v }) => id * VALUES.length + VALUES.indexOf(v),
        unpack: (k, n) => {
          expect(owner).toBe('a@h')
          const id = Math.floor(n / VALUES.length)
          return { k, id, v: VALUES[n % VALUES.length]!, pid: pidOf(id) }
        },
      }),
    }),
    identity: (row) => `${row.id}/${row.v}`,
  },
]
const INDEXED = KINDS.map(({ definition, identity }) => ({
  definition: table<Row>(`indexed ${definition.name}`, { ...definition, index: ['v', 'id', 'pid'] }),
  identity,
}))

type Operation = readonly ['write' | 'delete_object' | 'delete' | 'clear', Row]

const row = fc
  .record({ k: fc.constantFrom('a', 'b', 'c'), id: fc.nat(3), v: fc.constantFrom(...VALUES) })
  .map((each): Row => ({ ...each, pid: pidOf(each.id) }))
const name = fc.constantFrom(
  ...(['write', 'write', 'write', 'write', 'delete_object', 'delete_object', 'delete'] as const),
)

const plain = (rows: Iterable<Row>) => [...rows].map(({ k, id, v, pid }) => `${k}/${id}/${v}/${pid?.key}`).sort()

test.each([...KINDS, ...INDEXED])(
  'rows of the kind $definition.name are what operations made of them',
  ({ definition, identity }) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, row) as fc.Arbitrary<Operation>, { maxLength: 60 }), (operations) => {
        const rows = createRows(definition, 'a@h', { isMarked: true })
        let model: Row[] = []
        const same = (a: Row) => (b: Row) => a.k === b.k && identity(a) === identity(b)
        for (const [op, each] of operations) {
          const replaced = model.filter(same(each))
          const others = model.filter((one) => !same(each)(one))
          if (op === 'write') {
            expect(plain([rows.write(each.k, each)].flatMap((old) => old ?? []))).toEqual(plain(replaced))
            model = [...others, each]
            rows.marks?.setMark(each.k, hashOf(each.k), each.id)
          } else if (op === 'delete_object') {
            expect(plain([rows.deleteObject(each.k, each)].flatMap((old) => old ?? []))).toEqual(plain(replaced))
            model = others
          } else {
            expect(plain(rows.delete(each.k))).toEqual(plain(model.filter(({ k }) => k === each.k)))
            model = model.filter(({ k }) => k !== each.k)
          }
          const keys = [...new Set(model.map(({ k }) => k))].sort()
          expect([rows.size, rows.keyCount, [...rows.keys()].sort()]).toEqual([model.length, keys.length, keys])
          expect([...rows.keysAfter(undefined)].sort()).toEqual(keys)
          expect(plain(rows.chunk(0).rows)).toEqual(plain(model))
          for (const k of ['a', 'b', 'c']) {
            expect(rows.has(k)).toBe(keys.includes(k))
            expect(plain(rows.read(k))).toEqual(plain(model.filter((one) => one.k === k)))
            expect(rows.get(k)).toEqual(rows.read(k)[0])
            const mark = definition.type === 'bag' ? undefined : model.find((one) => one.k === k)?.id
            expect(rows.marks?.markOf(k, hashOf(k))).toBe(mark)
          }
          for (const field of definition.index ?? []) {
            for (const value of [...VALUES, 0, 1, 2, 3, ...[0, 1, 2, 3].map(pidOf)]) {
              const expected = model.filter((one) => JSON.stringify({ v: one[field] }) === JSON.stringify({ v: value }))
              expect(plain(rows.indexed(field, value))).toEqual(plain(expected))
            }
          }
          if (definition.type === 'ordered_set') {
            expect([rows.order?.first(), rows.order?.last()]).toEqual([keys[0], keys.at(-1)])
            expect([...rows.keys()]).toEqual(keys)
            expect([...rows.keysAfter('a')]).toEqual(keys.filter((key) => key > 'a'))
          }
        }
        rows.clear()
        expect([rows.size, rows.keyCount, [...rows.keys()], rows.chunk(0).rows]).toEqual([0, 0, [], []])
        expect(plain((definition.index ?? []).flatMap((field) => [...rows.indexed(field, 'x')]))).toEqual([])
      }),
    )
  },
)

test.each(KINDS)(
  'rows of the kind $definition.name that stay are read once in chunks while others come and go',
  ({ definition }) => {
    const rows = createRows(definition, 'a@h')
    const write = (k: string) => rows.write(k, { k, id: 1, v: 'x', pid: pidOf(1) })
    for (let i = 0; i < 5000; i++) write(`stay/${i}`)
    const seen: Row[] = []
    let written = 0
    for (let chunk: RowChunk<Row> = rows.chunk(0); ; chunk = rows.chunk(chunk.next!)) {
      seen.push(...chunk.rows)
      if (chunk.next === undefined) break
      for (let i = 0; i < 700; i++) write(`new/${written++}`)
      for (let i = 0; i < 300; i++) rows.delete(`new/${written - i * 3}`)
    }
    expect(written).toBeGreaterThan(3000)
    expect(seen.filter(({ k }) => k.startsWith('stay/'))).toHaveLength(5000)
    expect(new Set(seen.map(({ k }) => k)).size).toBe(seen.length)
  },
)
