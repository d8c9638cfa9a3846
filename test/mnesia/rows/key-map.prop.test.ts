/** The maps of keys against a Map, over random operations that make them grow and shrink; and readers that read on meanwhile. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOf } from '../../../src/mnesia/rows/bucket-digest.ts'
import { hashOf } from '../../../src/mnesia/rows/key-hash.ts'
import { KeyMap } from '../../../src/mnesia/rows/key-map.ts'
import { KeyPages } from '../../../src/mnesia/rows/key-pages.ts'
import { END, type Position, positionOfBucket } from '../../../src/mnesia/rows/shards.ts'
import { SeededRandom } from '../../../src/testing/random.ts'

/** What both maps can do; the value is a number. */
interface Subject {
  readonly size: number
  get(key: string): number | undefined
  has(key: string): boolean
  set(key: string, value: number): void
  delete(key: string): void
  clear(): void
  keys(): Iterable<string>
  keysAfter(key: string | undefined): Iterable<string>
  chunk(from: Position, to?: Position): { entries: readonly (readonly [string, number])[]; next: Position | undefined }
}

class Pages implements Subject {
  readonly pages = new KeyPages()

  get size(): number {
    return this.pages.size
  }

  get(key: string): number | undefined {
    return this.pages.get(key)[0]
  }

  has(key: string): boolean {
    return this.pages.has(key)
  }

  set(key: string, value: number): void {
    // Of different lengths, so that records move.
    this.pages.set(key, value % 3 === 0 ? [value] : [value, value * 1000, value * 20_000])
  }

  delete(key: string): void {
    this.pages.set(key, [])
  }

  clear(): void {
    this.pages.clear()
  }

  keys(): Iterable<string> {
    return this.pages.keys()
  }

  keysAfter(key: string | undefined): Iterable<string> {
    return this.pages.keysAfter(key)
  }

  chunk(from: Position, to?: Position) {
    const { entries, next } = this.pages.chunk(from, to)
    return { entries: entries.map(([key, [value]]) => [key, value!] as const), next }
  }
}

const SUBJECTS: readonly { name: string; create: () => Subject }[] = [
  { name: 'KeyMap', create: () => new KeyMap<number>() },
  { name: 'KeyPages', create: () => new Pages() },
]

const KINDS = ['device/', 'grün/', '温度/', '\ud800', 'a long prefix that makes records of some length/']
const keyOf = (i: number): string => `${KINDS[i % KINDS.length]}${i}`

const byHash = (a: string, b: string) => (hashOf(a) >>> 0) - (hashOf(b) >>> 0) || (a < b ? -1 : a > b ? 1 : 0)

describe.each(SUBJECTS)('$name', ({ create }) => {
  test('holds what a Map holds while it grows to some thousand keys and shrinks again', () => {
    const random = new SeededRandom(1)
    const subject = create()
    const model = new Map<string, number>()
    for (let round = 0; round < 24_000; round++) {
      const isGrowing = round < 12_000
      const key = keyOf(random.below(5000))
      if (random.next() < (isGrowing ? 0.8 : 0.15)) {
        subject.set(key, round)
        model.set(key, round)
      } else {
        subject.delete(key)
        model.delete(key)
      }
      const other = keyOf(random.below(5000))
      if (subject.get(other) !== model.get(other) || subject.has(other) !== model.has(other)) expect.fail(other)
      if (round % 3000 !== 0) continue
      expect(subject.size).toBe(model.size)
      expect([...subject.keys()].sort()).toEqual([...model.keys()].sort())
      expect([...subject.keysAfter(undefined)]).toEqual([...model.keys()].sort(byHash))
      expect([...subject.keysAfter(other)]).toEqual(
        [...model.keys()].sort(byHash).filter((each) => byHash(each, other) > 0),
      )
    }
    for (const key of model.keys()) subject.delete(key)
    expect([subject.size, [...subject.keys()]]).toEqual([0, []])
  })

  test('holds what a Map holds under any short sequence of operations', () => {
    const operation = fc.tuple(
      fc.constantFrom('set', 'set', 'delete', 'clear'),
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.nat(3000),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 50 }), (operations) => {
        const subject = create()
        const model = new Map<string, number>()
        for (const [name, key, value] of operations) {
          if (name === 'set') {
            subject.set(key, value)
            model.set(key, value)
          } else if (name === 'delete') {
            subject.delete(key)
            model.delete(key)
          } else if (value < 300) {
            subject.clear()
            model.clear()
          }
          expect(subject.get(key)).toBe(model.get(key))
        }
        expect(new Map(subject.chunk(0).entries)).toEqual(model)
      }),
    )
  })

  test('reads each key that is there all the time exactly once, in chunks, whatever is written meanwhile', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 4000 }),
        fc.integer({ min: 0, max: 400 }),
        (seed, stay, churn) => {
          const random = new SeededRandom(seed)
          const subject = create()
          for (let i = 0; i < stay; i++) subject.set(`stay/${i}`, i)
          const coming = random.next() < 0.5
          if (!coming) for (let i = 0; i < 4000; i++) subject.set(`churn/${i}`, i)
          const seen: string[] = []
          let at: Position | undefined = 0
          while (at !== undefined) {
            const chunk: ReturnType<Subject['chunk']> = subject.chunk(at)
            for (const [key, value] of chunk.entries) {
              seen.push(key)
              expect(hashOf(key) >>> 0).toBeGreaterThanOrEqual(at)
              expect(hashOf(key) >>> 0).toBeLessThan(chunk.next ?? END)
              expect(value).toBe(Number(key.split('/')[1]))
            }
            at = chunk.next
            for (let i = 0; i < churn; i++) {
              const n = random.below(4000)
              if (random.next() < (coming ? 0.9 : 0.1)) subject.set(`churn/${n}`, n)
              else subject.delete(`churn/${n}`)
            }
          }
          const stayed = seen.filter((key) => key.startsWith('stay/'))
          expect(new Set(seen).size).toBe(seen.length)
          expect(stayed).toHaveLength(stay)
        },
      ),
      { numRuns: 25 },
    )
  })

  test('reads the keys of a bucket of a digest as one range', () => {
    const subject = create()
    for (let i = 0; i < 5000; i++) subject.set(keyOf(i), i)
    const found: string[] = []
    for (let bucket = 0; bucket < 256; bucket++) {
      let at: Position | undefined = positionOfBucket(bucket)
      while (at !== undefined) {
        const chunk: ReturnType<Subject['chunk']> = subject.chunk(at, positionOfBucket(bucket + 1))
        for (const [key] of chunk.entries) {
          expect(bucketOf(hashOf(key))).toBe(bucket)
          found.push(key)
        }
        at = chunk.next
      }
    }
    expect(found.sort()).toEqual([...subject.keys()].sort())
  })

  test('holds keys that somebody chose to collide', () => {
    const keys: string[] = []
    for (let i = 0; keys.length < 9000; i++) if (hashOf(`attack/${i}`) >>> 28 === 7) keys.push(`attack/${i}`)
    const subject = create()
    const model = new Map<string, number>()
    const write = (key: string, value: number) => {
      subject.set(key, value)
      model.set(key, value)
    }
    keys.forEach((key, i) => {
      write(key, i)
    })
    keys.forEach((key, i) => {
      if (i % 3 === 0) {
        subject.delete(key)
        model.delete(key)
      } else if (i % 3 === 1) write(key, i + 1)
    })
    keys.forEach((key, i) => {
      if (i % 6 === 0) write(key, i)
    })
    expect(subject.size).toBe(model.size)
    expect([...subject.keysAfter(undefined)]).toEqual([...model.keys()].sort(byHash))
    for (const key of keys) expect(subject.get(key)).toBe(model.get(key))
    for (const key of keys) subject.delete(key)
    expect(subject.size).toBe(0)
  })
})

test('KeyPages keeps integers of every size, and refuses what is none', () => {
  const pages = new KeyPages()
  const numbers = [0, 1, 127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1]
  pages.set('', numbers)
  pages.set('k'.repeat(20_000), [5])
  expect(pages.get('')).toEqual(numbers)
  expect(pages.get('k'.repeat(20_000))).toEqual([5])
  for (const bad of [-1, 2 ** 31, 1.5, Number.NaN]) expect(() => pages.set('x', [bad])).toThrow(RangeError)
  expect(pages.has('x')).toBe(false)
})
