import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Origins } from '../../../src/mnesia/shared/origin.ts'
import { Vector } from '../../../src/mnesia/shared/vector.ts'

/** Clocks of the entries of an origin, the first one being number 1. */
const clocksArb = fc
  .array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 })
  .map((steps) => steps.map((_, i) => steps.slice(0, i + 1).reduce((sum, by) => sum + by, 0)))

const stepArb = fc.record({
  do: fc.constantFrom('advance' as const, 'learn' as const, 'delete' as const, 'copy' as const),
  origin: fc.nat(3),
  /** Number of an entry, and how far its fact reaches on to the next one; as parts of what there is. */
  seq: fc.double({ min: 0, max: 1, noNaN: true }),
  reach: fc.double({ min: 0, max: 1, noNaN: true }),
})

test('what a vector says is true of the numbering of each origin, whatever true things it was told, and what is sent is in order', () => {
  fc.assert(
    fc.property(fc.array(clocksArb, { minLength: 4, maxLength: 4 }), fc.array(stepArb), (clocks, steps) => {
      const origins = new Origins()
      const all = [origins.of('b', 2), origins.of('a', 10), origins.of('b', 1), origins.of('a', 9)]
      let vector = new Vector()
      const taken = new Map(all.map((origin) => [origin, 0]))
      for (const step of steps) {
        const origin = all[step.origin]!
        const own = clocks[step.origin]!
        const seq = Math.round(step.seq * own.length)
        const least = own[seq - 1] ?? 0
        const most = (own[seq] ?? least + 10) - 1
        const clock = least + Math.floor(step.reach * (most - least))
        const before = vector.get(origin)
        if (step.do === 'advance') {
          vector.advance(origin, seq, clock)
          taken.set(origin, Math.max(taken.get(origin)!, seq))
          expect(vector.has(origin)).toBe(true)
        } else if (step.do === 'learn') {
          const had = vector.has(origin)
          const isNews = vector.learn(origin, seq, clock)
          expect([vector.has(origin), isNews]).toEqual([had, vector.get(origin).clock > before.clock])
        } else if (step.do === 'delete') {
          vector.delete(origin)
          taken.set(origin, 0)
        } else {
          const copy = vector.copy()
          vector.delete(origin)
          vector = copy
        }
        const now = vector.get(origin)
        if (step.do !== 'delete') expect([now.seq >= before.seq, now.clock >= before.clock]).toEqual([true, true])
        // All operations up to its clock are in entries up to its number, and those are what was taken in.
        expect(own.filter((each) => each <= now.clock).length).toBeLessThanOrEqual(now.seq)
        expect(now.seq).toBe(taken.get(origin))
      }
      const sent = vector.toSent()
      const sorted = [...sent].sort((x, y) => (x[0] === y[0] ? x[1] - y[1] : x[0] < y[0] ? -1 : 1))
      expect(sent).toEqual(sorted)
      expect(sent.map(([node, epoch, seq, clock]) => [origins.of(node, epoch), { seq, clock }])).toEqual(
        sorted.map(([node, epoch]) => [origins.of(node, epoch), vector.get(origins.of(node, epoch))]),
      )
      expect(sent.length).toBe(vector.size)
    }),
    { numRuns: 500 },
  )
})
