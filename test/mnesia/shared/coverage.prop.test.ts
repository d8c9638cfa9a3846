import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Coverage, Settled } from '../../../src/mnesia/shared/coverage.ts'
import { type Origin, Origins } from '../../../src/mnesia/shared/origin.ts'
import { Vector } from '../../../src/mnesia/shared/vector.ts'

const COPIES = 3
const CLOCKS_PER_ENTRY = 10

const stepArb = fc.record({
  do: fc.constantFrom(
    'write' as const,
    'take' as const,
    'gap' as const,
    'sync' as const,
    'lose' as const,
    'send' as const,
  ),
  copy: fc.nat(COPIES - 1),
  other: fc.nat(COPIES - 1),
  origin: fc.nat(1),
  by: fc.integer({ min: 1, max: 4 }),
})

/** A copy of a table, and which entries it really has had. */
class Copy {
  readonly vector = new Vector()
  readonly had = new Map<Origin, Set<number>>()
  coverage = new Coverage()

  has(origin: Origin): Set<number> {
    const had = this.had.get(origin) ?? new Set()
    this.had.set(origin, had)
    return had
  }

  /** Goes on in the vector, with the entries or without. */
  reach(origin: Origin, seq: number, isTaken: boolean): void {
    const held = this.vector.get(origin)
    if (seq <= held.seq) return
    if (!isTaken) this.coverage.open(origin, held, seq)
    for (let each = held.seq + 1; isTaken && each <= seq; each++) this.has(origin).add(each)
    this.vector.set(origin, seq, isTaken ? seq * CLOCKS_PER_ENTRY : held.clock)
  }
}

test('what a copy says that it covers it has had, and what is outside its holes as well, whoever it was compared with', () => {
  let closed = 0
  fc.assert(
    fc.property(fc.array(stepArb, { minLength: 20, maxLength: 100 }), (steps) => {
      const origins = new Origins()
      const both = [origins.of('x', 1), origins.of('y', 1)]
      const written = new Map(both.map((origin) => [origin, 0]))
      const copies = Array.from({ length: COPIES }, () => new Copy())
      const settled = new Settled()
      for (const step of steps) {
        const copy = copies[step.copy]!
        const origin = both[step.origin]!
        const last = written.get(origin)!
        const reached = Math.min(last, copy.vector.seqOf(origin) + step.by)
        if (step.do === 'write') written.set(origin, last + step.by)
        else if (step.do === 'take') copy.reach(origin, reached, true)
        else if (step.do === 'gap') copy.reach(origin, reached, false)
        else if (step.do === 'lose') {
          // As a copy in memory after a restart of its node.
          copy.coverage.openAll(copy.vector)
          copy.had.clear()
        } else if (step.do === 'send') {
          const { lacksSettled } = copy.coverage
          copy.coverage = Coverage.fromSent(copy.coverage.toSent(), lacksSettled, origins)
        } else {
          const other = copies[step.other]!
          const worth = copy.coverage.worthOf(other.coverage, other.vector)
          const before = copy.coverage.holes.size
          const isMore = copy.coverage.take(other.coverage, other.vector, settled)
          expect(isMore).toBe(worth > 0)
          closed += before - copy.coverage.holes.size
          for (const each of both) for (const seq of other.has(each)) copy.has(each).add(seq)
        }
        for (const { vector, coverage, had } of copies) {
          for (const each of both) {
            const hole = coverage.holes.get(each)
            for (let seq = 1; seq <= vector.seqOf(each); seq++) {
              const isThere = had.get(each)?.has(seq) === true
              const isOutside = hole === undefined || seq <= hole.covered.seq || seq > hole.until
              if (isOutside) expect([step, seq, isThere]).toEqual([step, seq, true])
              if (coverage.covers(seq * CLOCKS_PER_ENTRY, each, vector, settled)) expect(isThere).toBe(true)
            }
          }
        }
      }
      // A copy that has had everything closes all holes of the others.
      const source = new Copy()
      for (const origin of both) source.reach(origin, written.get(origin)!, true)
      for (const { coverage } of copies) {
        coverage.take(source.coverage, source.vector, settled)
        expect([coverage.isWhole, coverage.worthOf(source.coverage, source.vector)]).toEqual([true, 0])
      }
    }),
    { numRuns: 500 },
  )
  expect(closed).toBeGreaterThan(50)
})

test('a hole is vain when no other copy has more of it, and not while one of them may still get it', () => {
  const origins = new Origins()
  const origin = origins.of('x', 1)
  const [one, two] = [new Copy(), new Copy()]
  one.reach(origin, 2, true)
  one.reach(origin, 5, false)
  two.reach(origin, 2, true)
  const others = [two]
  expect(one.coverage.vain(others)).toBeUndefined()
  two.reach(origin, 5, false)
  expect([...one.coverage.vain(others)!.keys()]).toEqual([origin])
  one.coverage.closeVain(others)
  expect([one.coverage.isWhole, one.coverage.vain(others)]).toEqual([true, undefined])
  two.coverage.lacksSettled = true
  one.coverage.lacksSettled = true
  expect(one.coverage.vain(others)?.size).toBe(0)
  one.coverage.closeVain(others)
  expect([one.coverage.isWhole, two.coverage.vain([one])]).toEqual([true, undefined])
})
