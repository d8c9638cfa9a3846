import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Cells } from '../../../src/mnesia/shared/cells.ts'
import { MergedCell, NO_KNOWLEDGE } from '../../../src/mnesia/shared/merged-cell.ts'
import { type Origin, Origins } from '../../../src/mnesia/shared/origin.ts'

const origins = new Origins()
const ORIGINS = [origins.of('a', 1), origins.of('b', 1), origins.of('b', 2)]

interface Operation {
  readonly kind: 'write' | 'delete' | 'clear'
  readonly key: string
  readonly identity: string
  readonly clock: number
  readonly origin: Origin
}

/** Operations, no two of them with the same stamp. */
const operationsArb = fc.uniqueArray(
  fc.record({
    kind: fc.constantFrom('write', 'write', 'write', 'delete', 'delete', 'clear') as fc.Arbitrary<Operation['kind']>,
    key: fc.constantFrom('k', 'l', 'm'),
    identity: fc.constantFrom('p', 'q'),
    clock: fc.integer({ min: 1, max: 12 }),
    origin: fc.constantFrom(...ORIGINS),
  }),
  { selector: ({ clock, origin }) => `${clock} ${origin}`, maxLength: 25 },
)

const byStamp = (a: Operation, b: Operation) =>
  a.clock - b.clock ||
  (a.origin.node === b.origin.node ? a.origin.epoch - b.origin.epoch : a.origin.node < b.origin.node ? -1 : 1)

const textOf = ({ clock, origin }: Operation) => `${clock} by ${origin}`

/** The rule, as simply as can be: of the operations on a row that come after the last clear, the last one says what is there. */
function rowsOf(operations: readonly Operation[], isBag: boolean): Map<string, string> {
  const rows = new Map<string, string>()
  for (const operation of [...operations].sort(byStamp)) {
    const { kind, key, identity } = operation
    if (kind === 'clear') rows.clear()
    else if (kind === 'write') rows.set(isBag ? `${key}/${identity}` : key, textOf(operation))
    else rows.delete(isBag ? `${key}/${identity}` : key)
  }
  return rows
}

function contentsOf(cells: Cells<string>, map: 'rows' | 'tombstones'): Map<string, string> {
  const found = new Map<string, string>()
  for (const key of cells[map].keys()) {
    for (const { identity, value, clock, origin } of cells[map].of(key)) {
      found.set(identity === '' ? key : `${key}/${identity}`, value ?? `${clock} by ${origin}`)
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

test('what is there depends on which operations there were, and not on their order or number', () => {
  fc.assert(
    fc.property(
      operationsArb.chain((operations) =>
        fc.tuple(
          fc.constant(operations),
          fc.shuffledSubarray([...operations, ...operations], {
            minLength: operations.length * 2,
            maxLength: operations.length * 2,
          }),
          fc.boolean(),
        ),
      ),
      ([operations, shuffled, isBag]) => {
        const [cells, other] = [operations, shuffled].map((order) => {
          const made = new Cells<string>({ isBag, merge: undefined })
          for (const operation of order) {
            const { kind, key, identity, clock, origin } = operation
            const before = contentsOf(made, 'rows')
            if (kind === 'clear') {
              const gone = new Map<string, string | undefined>()
              made.clear(clock, origin, (of, row, cell) => gone.set(isBag ? `${of}/${cell.identity}` : of, row))
              const after = contentsOf(made, 'rows')
              // Each row that is gone is told, and nothing else.
              const lost = [...before].filter(([of]) => !after.has(of))
              expect([...gone].filter(([, row]) => row !== undefined).sort()).toEqual(lost.sort())
            } else {
              const of = isBag ? identity : ''
              const value = kind === 'write' ? textOf(operation) : undefined
              if (made.apply(key, of, value, clock, origin) !== undefined) {
                expect(made.replaced).toBe(before.get(isBag ? `${key}/${identity}` : key))
              } else expect(contentsOf(made, 'rows')).toEqual(before)
            }
          }
          return made
        }) as [Cells<string>, Cells<string>]
        const rows = new Map([...rowsOf(operations, isBag)].sort(([a], [b]) => (a < b ? -1 : 1)))
        for (const each of [cells, other]) {
          expect(contentsOf(each, 'rows')).toEqual(rows)
          expect([each.rows.size, each.rows.keyCount]).toEqual([
            rows.size,
            new Set([...rows.keys()].map((k) => k[0])).size,
          ])
          const oldest = Math.min(
            ...[...each.tombstones.keys()].flatMap((k) => each.tombstones.of(k).map((c) => c.clock)),
          )
          expect(each.oldestTombstone).toBeLessThanOrEqual(oldest)
        }
        expect(contentsOf(other, 'tombstones')).toEqual(contentsOf(cells, 'tombstones'))
        expect(other.digest.total).toBe(cells.digest.total)
        // A digest is of what is there, however it came to be: without its cells nothing is left of it.
        for (const map of [cells.rows, cells.tombstones]) {
          for (const key of [...map.keys()]) for (const cell of [...map.of(key)]) cells.remove(key, cell)
        }
        expect(cells.digest.total).toBe(new Cells<string>({ isBag, merge: undefined }).digest.total)
      },
    ),
    { numRuns: 500 },
  )
})

const mergeSteps = fc.array(
  fc.record({
    do: fc.constantFrom('write' as const, 'write' as const, 'delete' as const, 'join' as const, 'tell' as const),
    at: fc.nat(2),
    to: fc.nat(2),
  }),
  { maxLength: 30 },
)

test('rows that are merged lose no write that no later one had seen, and are the same for all who have had the same', () => {
  fc.assert(
    fc.property(mergeSteps, (steps) => {
      const merge = (a: string, b: string) => [...new Set([...a.split(','), ...b.split(',')])].sort().join()
      const copies = ORIGINS.map(() => new Cells<string>({ isBag: false, merge }))
      const told: (() => void)[][] = ORIGINS.map(() => [])
      /** What each copy has had, and what each write had seen. */
      const had = ORIGINS.map(() => new Set<string>())
      const seenBy = new Map<string, ReadonlySet<string>>()
      let clock = 0
      const cellOf = (at: number) => copies[at]!.merged('k')
      for (const { do: what, at, to } of steps) {
        if (what === 'join') {
          const theirs = cellOf(to)
          if (theirs === undefined || at === to) continue
          const copy = new MergedCell<string>(merge)
          copy.restore(theirs.versions, theirs.seen)
          copies[at]!.join('k', copy)
          for (const each of had[to]!) had[at]!.add(each)
        } else if (what === 'tell') told[at]!.shift()?.()
        else {
          const origin = ORIGINS[at]!
          const n = String(++clock)
          const seen = cellOf(at)?.seen ?? NO_KNOWLEDGE
          const old = cellOf(at)?.value
          const value = what === 'delete' ? undefined : old === undefined ? n : merge(old, n)
          seenBy.set(n, new Set(had[at]))
          const stamp = { clock, origin }
          copies[at]!.applyMerged('k', value, stamp, seen)
          had[at]!.add(n)
          for (const other of [0, 1, 2]) {
            if (other === at) continue
            told[other]!.push(() => {
              copies[other]!.applyMerged('k', value, stamp, seen)
              had[other]!.add(n)
            })
          }
        }
        for (const each of [0, 1, 2]) {
          const isOvertaken = (n: string) => [...had[each]!].some((later) => seenBy.get(later)!.has(n))
          const versions = (cellOf(each)?.versions ?? []).map((version) => String(version.clock))
          const expected = [...had[each]!].filter((n) => !isOvertaken(n)).sort((a, b) => Number(a) - Number(b))
          expect(versions).toEqual(expected)
        }
      }
      for (const each of told) for (const tell of each) tell()
      const [first, ...others] = copies.map((cells) => [cells.merged('k')?.value, cells.digest.total])
      for (const other of others) expect(other).toEqual(first)
    }),
    { numRuns: 500 },
  )
})
