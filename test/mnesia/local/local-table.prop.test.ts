/** local_content tables of every kind against a list of rows, in memory and on disc, across restarts and kills. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { type CopyKind, type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import { NoCopyError } from '../../../src/mnesia/errors.ts'
import type { LocalTable } from '../../../src/mnesia/local/local-table.ts'
import { LocalTables } from '../../../src/mnesia/local/local-tables.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import type { Store } from '../../../src/mnesia/store/store.ts'
import type { TableEvent, TableOperation } from '../../../src/mnesia/table.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'

interface Row {
  readonly k: string
  readonly id: number
  readonly v: string
}

const SET = table<Row>('rows', {
  type: 'set',
  key: 'k',
  replication: 'local_content',
  copies: 'disc_copies',
  index: ['v'],
})
const KINDS: readonly { what: string; definition: TableDefinition<Row>; identity: (row: Row) => unknown }[] = [
  { what: 'set', definition: SET, identity: () => '' },
  { what: 'ordered_set', definition: { ...SET, type: 'ordered_set' }, identity: () => '' },
  { what: 'bag', definition: { ...SET, type: 'bag' }, identity: ({ id, v }) => `${id}/${v}` },
  {
    what: 'bag with identities',
    definition: { ...SET, type: 'bag', identity: ({ id }) => String(id) },
    identity: ({ id }) => id,
  },
  {
    what: 'bag of integers',
    definition: {
      ...SET,
      type: 'bag',
      compact: () => ({
        pack: ({ id, v }) => id * 3 + Number(v),
        unpack: (k, n) => ({ k, id: Math.floor(n / 3), v: String(n % 3) }),
      }),
    },
    identity: ({ id, v }) => `${id}/${v}`,
  },
]

const row = fc.record(
  { k: fc.constantFrom('a', 'b', '1:a', 'é\ud800'), id: fc.nat(3), v: fc.constantFrom('0', '1', '2') },
  { noNullPrototype: true },
)
const operation: fc.Arbitrary<TableOperation<Row>> = fc.oneof(
  { weight: 4, arbitrary: row.map((each) => ({ op: 'write' as const, row: each })) },
  row.map((each) => ({ op: 'delete_object' as const, row: each })),
  row.map(({ k }) => ({ op: 'delete' as const, key: k })),
)
const step = fc.oneof(
  { weight: 8, arbitrary: fc.array(operation, { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom<'restart' | CopyKind>('restart', 'ram_copies', 'disc_copies') },
)

function tablesOn(store: Store, time = new VirtualTime()): LocalTables {
  const setTimer = (ms: number, callback: () => void) => {
    const handle = time.set(ms, callback)
    return () => time.clear(handle)
  }
  return new LocalTables({ links: { node: 'a@h', setTimer }, store, logger: pino({ level: 'silent' }) })
}

const plain = (rows: Iterable<Row>) => [...rows].map(({ k, id, v }) => JSON.stringify([k, id, v])).sort()

class Model {
  rows: Row[] = []
  readonly #identity: (row: Row) => unknown

  constructor(identity: (row: Row) => unknown) {
    this.#identity = identity
  }

  apply(operation: TableOperation<Row>): void {
    if (operation.op === 'delete') this.rows = this.rows.filter(({ k }) => k !== operation.key)
    else {
      const { row: each } = operation
      const isOther = (old: Row) => old.k === each.k && !isDeepStrictEqual(old, each)
      if (operation.op === 'delete_object' && this.#identity(each) === '' && this.rows.some(isOther)) return
      this.rows = this.rows.filter((old) => old.k !== each.k || this.#identity(old) !== this.#identity(each))
      if (operation.op === 'write') this.rows.push(each)
    }
  }

  follow(event: TableEvent<Row>): void {
    if (event.type === 'write') this.apply({ op: 'write', row: event.row })
    else if (event.type === 'delete') this.apply({ op: 'delete_object', row: event.row })
  }
}

describe.each(KINDS)('a local_content $what', ({ definition, identity }) => {
  test('holds what operations made of it, tells each change, and finds on disc what was there', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const store = new MemoryStore()
        const time = new VirtualTime()
        const model = new Model(identity)
        let followed = new Model(identity)
        let tables = tablesOn(store, time)
        let copy: CopyKind = 'disc_copies'
        const open = (): LocalTable<Row> => {
          const opened = tables.open(definition, copy)
          followed = new Model(identity)
          followed.rows = [...opened.rows()]
          opened.subscribe((event) => followed.follow(event))
          return opened
        }
        let opened = open()
        for (const each of steps) {
          if (Array.isArray(each)) {
            const [first] = each
            if (each.length > 1) void opened.batch(each, {})
            else if (first!.op === 'write') opened.write(first!.row)
            else if (first!.op === 'delete') opened.delete(first!.key)
            else opened.deleteObject(first!.row)
            for (const one of each) model.apply(one)
          } else if (each === 'restart') {
            while (time.nextInMs !== undefined) time.fireNext()
            tables.stop()
            tables = tablesOn(store, time)
            if (copy === 'ram_copies') model.rows = []
            opened = open()
          } else {
            copy = each
            tables.setCopy('rows', each)
          }
          expect(plain(opened.rows())).toEqual(plain(model.rows))
          expect(plain(followed.rows)).toEqual(plain(model.rows))
          expect(opened.size).toBe(model.rows.length)
          for (const v of ['0', '1', '2']) {
            expect(plain(opened.match({ v }))).toEqual(plain(model.rows.filter((one) => one.v === v)))
          }
        }
        if (definition.type === 'ordered_set') {
          expect([...opened.keys()]).toEqual([...new Set(model.rows.map(({ k }) => k))].sort())
        }
      }),
      { numRuns: 200 },
    )
  })

  test('has on disc, after a kill, whole batches and all that was flushed', () => {
    fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.array(operation, { minLength: 1, maxLength: 4 })),
        async (seed, batches) => {
          const time = new VirtualTime()
          const disc = new LossyDisc({ timers: time, random: new SeededRandom(seed) })
          const opened = tablesOn(disc.open(), time).open(definition, 'disc_copies')
          const prefixes = [[] as string[]]
          const model = new Model(identity)
          let durable = 0
          for (const [i, batch] of batches.entries()) {
            void opened.batch(batch, { wait: 'durable' })?.then(() => {
              durable = i + 1
            })
            for (const one of batch) model.apply(one)
            prefixes.push(plain(model.rows))
            if (seed % 3 === 0 && time.nextInMs !== undefined) time.fireNext()
            await Promise.resolve()
          }
          await Promise.resolve()
          disc.kill()
          const again = tablesOn(disc.open(), time).open(definition, 'disc_copies')
          expect(prefixes.slice(durable)).toContainEqual(plain(again.rows()))
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('a local_content table', () => {
  test('without a copy here is neither read nor written, and one with a copy is', () => {
    const tables = tablesOn(new MemoryStore())
    const opened = tables.open(SET, 'none')
    expect(() => opened.get('a')).toThrow(NoCopyError)
    expect(() => opened.write({ k: 'a', id: 1, v: '0' })).toThrow('table rows has no copy on this node')
    tables.setCopy('rows', 'ram_copies')
    opened.write({ k: 'a', id: 1, v: '0' })
    expect(opened.size).toBe(1)
    const events: string[] = []
    opened.subscribe(({ type }) => events.push(type))
    tables.setCopy('rows', 'none')
    expect(events).toEqual(['delete'])
  })

  test('that is dropped leaves nothing on disc', () => {
    const store = new MemoryStore()
    const tables = tablesOn(store)
    tables.open(SET, 'disc_copies').write({ k: 'a', id: 1, v: '0' })
    expect(store.spaces()).toEqual(['local/rows'])
    tables.drop('rows')
    expect(store.spaces()).toEqual([])
  })

  test('of many rows goes to disc in chunks, while it is written to', () => {
    const store = new MemoryStore()
    const time = new VirtualTime()
    const tables = tablesOn(store, time)
    const opened = tables.open(SET, 'ram_copies')
    for (let i = 0; i < 10_000; i++) opened.write({ k: String(i), id: i, v: '0' })
    tables.setCopy('rows', 'disc_copies')
    expect(store.count('local/rows')).toBeLessThan(2000)
    for (let chunks = 0; time.nextInMs !== undefined; chunks++) {
      opened.write({ k: String(chunks * 7), id: chunks, v: '1' })
      opened.delete(String(9999 - chunks))
      time.fireNext()
    }
    expect(plain(tablesOn(store).open(SET, 'disc_copies').rows())).toEqual(plain(opened.rows()))
  })

  test('leaves out a value on disc that is no row', () => {
    const store = new MemoryStore()
    tablesOn(store).open(SET, 'disc_copies').write({ k: 'a', id: 1, v: '0' })
    store.commit([{ space: 'local/rows', key: 'b', value: Buffer.from('nonsense') }])
    expect([...tablesOn(store).open(SET, 'disc_copies').keys()]).toEqual(['a'])
  })

  test('keeps nothing of a row that it cannot encode', () => {
    const store = new MemoryStore()
    const opened = tablesOn(store).open(SET, 'disc_copies')
    const bad = { k: 'b', id: 1, v: (() => '0') as unknown as string }
    expect(() =>
      opened.batch(
        [
          { op: 'write', row: { k: 'a', id: 1, v: '0' } },
          { op: 'write', row: bad },
        ],
        {},
      ),
    ).toThrow('function')
    expect([opened.size, store.count('local/rows')]).toEqual([0, 0])
  })
})
