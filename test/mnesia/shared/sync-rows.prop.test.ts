import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BUCKETS, bucketOf } from '../../../src/mnesia/rows/bucket-digest.ts'
import { hashOf } from '../../../src/mnesia/rows/key-hash.ts'
import { MergedCell } from '../../../src/mnesia/shared/merged-cell.ts'
import { Origins } from '../../../src/mnesia/shared/origin.ts'
import { Replica } from '../../../src/mnesia/shared/replica.ts'
import { CellWriter, cellsOfBucket, PartDigests, partOf, readCells } from '../../../src/mnesia/shared/sync-rows.ts'

const TEXT = { encode: (row: string) => Buffer.from(row), decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() }
const ALL = new Set(Array.from({ length: BUCKETS }, (_, bucket) => bucket))

type Kind = 'set' | 'bag' | 'merged'

function replicaOf(kind: Kind): Replica<string> {
  const nothing = () => undefined
  const merge = kind === 'merged' ? (a: string, b: string) => `${a}+${b}` : undefined
  const options = { name: 't', bytes: TEXT, merge, isMerged: kind === 'merged', isBag: kind === 'bag', disc: undefined }
  return new Replica({ ...options, changed: nothing, run: nothing, touch: nothing })
}

interface Put {
  readonly key: string
  readonly identity: string
  readonly value: string | undefined
  readonly clock: number
  readonly node: string
}

const putArb: fc.Arbitrary<Put> = fc.record({
  key: fc.oneof(fc.nat(60).map(String), fc.string()),
  identity: fc.constantFrom('p', 'q'),
  value: fc.option(fc.string(), { nil: undefined }),
  clock: fc.integer({ min: 1, max: 50 }),
  node: fc.constantFrom('a', 'b'),
})
/** Operations are stamped, so of one stamp there are no two. */
const putsArb = fc.uniqueArray(putArb, { selector: ({ clock, node }) => `${clock} ${node}` })
const kindArb = fc.constantFrom<Kind>('set', 'bag', 'merged')

function fill(kind: Kind, puts: readonly Put[], origins: Origins): Replica<string> {
  const replica = replicaOf(kind)
  for (const { key, identity, value, clock, node } of puts) {
    const operation = {
      kind: value === undefined ? ('delete' as const) : ('write' as const),
      table: 't',
      key,
      identity: kind === 'bag' ? identity : undefined,
      isOwnIdentity: false,
      bytes: value === undefined ? undefined : TEXT.encode(value),
      seen: kind === 'merged' ? { all: 0, of: [] } : undefined,
    }
    replica.apply(operation, value, clock, origins.of(node, 1))
  }
  return replica
}

function contentsOf(replica: Replica<string>): string[] {
  const found: string[] = []
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    for (const cells of cellsOfBucket(replica, bucket, 0)) {
      for (const [key, cell] of cells) {
        expect(bucketOf(hashOf(key))).toBe(bucket)
        const { identity, clock, origin, value } = cell
        const versions = cell instanceof MergedCell ? cell.versions.map((each) => `${each.clock} ${each.origin}`) : []
        found.push(JSON.stringify([key, identity, clock, origin.node, value, versions]))
      }
    }
  }
  return found.sort()
}

test('cells that are sent are the same at the other end, in chunks of any size', () => {
  fc.assert(
    fc.property(kindArb, putsArb, fc.integer({ min: 1, max: 20 }), (kind, puts, chunkRows) => {
      const source = fill(kind, puts, new Origins())
      const receiver = replicaOf(kind)
      // Its origins have other numbers.
      const origins = new Origins()
      origins.of('z', 9)
      origins.of('b', 1)
      const writer = new CellWriter(source)
      const take = () => {
        for (const [key, cell] of readCells(receiver, ALL, writer.take(), origins)) receiver.join(key, cell)
      }
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        for (const cells of cellsOfBucket(source, bucket, 0)) {
          for (const [key, cell] of cells) {
            writer.add(key, cell)
            if (writer.count >= chunkRows) take()
          }
        }
      }
      if (writer.count > 0) take()
      expect(contentsOf(receiver)).toEqual(contentsOf(source))
      expect(receiver.cells.digest.total).toBe(source.cells.digest.total)
    }),
  )
})

test('keys in which two copies differ lie in buckets and parts that differ, and what is the same in none of them', () => {
  fc.assert(
    fc.property(kindArb, putsArb, fc.array(fc.nat(3), { minLength: 60, maxLength: 60 }), (kind, puts, whose) => {
      const origins = new Origins()
      const [one, two] = [1, 2].map((lacking) => {
        const own = puts.filter((_, i) => whose[i % whose.length] !== lacking)
        return fill(kind, own, origins)
      }) as [Replica<string>, Replica<string>]
      const [of, other] = [contentsOf(one), contentsOf(two)]
      const differing = [...of.filter((each) => !other.includes(each)), ...other.filter((each) => !of.includes(each))]
      const keys = new Set(differing.map((each) => (JSON.parse(each) as [string])[0]))
      const buckets = one.cells.digest.differing(two.cells.digest.toBytes())
      expect(new Set(buckets)).toEqual(new Set([...keys].map((key) => bucketOf(hashOf(key)))))
      for (const bucket of buckets) {
        const [own, theirs] = [one, two].map((replica) => {
          const digests = new PartDigests()
          for (const cells of cellsOfBucket(replica, bucket, 0)) for (const [key, cell] of cells) digests.add(key, cell)
          return digests
        })
        const parts = own!.differing(theirs!.toBytes()).flatMap((isOther, part) => (isOther ? [part] : []))
        const expected = [...keys].map(hashOf).filter((hash) => bucketOf(hash) === bucket)
        expect(new Set(parts)).toEqual(new Set(expected.map(partOf)))
      }
    }),
  )
})

test('tombstones that nobody needs are left out, and rows never', () => {
  fc.assert(
    fc.property(fc.constantFrom<Kind>('set', 'bag'), putsArb, fc.nat(50), (kind, puts, floor) => {
      const replica = fill(kind, puts, new Origins())
      const found = Array.from({ length: BUCKETS }, (_, bucket) => [...cellsOfBucket(replica, bucket, floor)]).flat(2)
      const rows = found.filter(([, { value }]) => value !== undefined).length
      const late = contentsOf(replica).filter((each) => {
        const [, , clock, , value] = JSON.parse(each) as [string, string, number, string, string | null]
        return value === null && clock > floor
      })
      expect([rows, found.length - rows]).toEqual([replica.cells.rows.size, late.length])
    }),
  )
})

test('bytes that are cut off, and keys of buckets that were not asked for, are refused', () => {
  fc.assert(
    fc.property(
      putsArb.filter(({ length }) => length > 0),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (puts, cut) => {
        const source = fill('set', puts, new Origins())
        const writer = new CellWriter(source)
        for (let bucket = 0; bucket < BUCKETS; bucket++) {
          for (const cells of cellsOfBucket(source, bucket, 0)) for (const [key, cell] of cells) writer.add(key, cell)
        }
        const bytes = writer.take()
        const read = (part: Uint8Array, buckets: ReadonlySet<number>) =>
          readCells(replicaOf('set'), buckets, part, new Origins())
        expect(() => read(bytes, new Set())).toThrow()
        // A cut between two cells leaves what is before it.
        const whole = read(bytes, ALL).map(([key]) => key)
        try {
          const keys = read(bytes.subarray(0, Math.floor(cut * bytes.length)), ALL).map(([key]) => key)
          expect(keys).toEqual(whole.slice(0, keys.length))
          if (cut < 1) expect(keys.length).toBeLessThan(whole.length)
        } catch (error) {
          expect(error).toMatchObject({ reason: expect.any(String) })
        }
      },
    ),
  )
})
