import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeysInOrder } from '../../src/mnesia/keys-in-order.ts'

test('keys come in the order of their code units, each as often as it was given', () => {
  const key = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.string({ unit: 'binary', maxLength: 3 }),
    fc.nat(50_000).map(String),
  )
  fc.assert(
    fc.property(fc.array(key), fc.nat(20_000), fc.integer({ min: 1, max: 5000 }), (some, many, steps) => {
      const keys = [...some, ...Array.from({ length: many }, (_, i) => String((i * 7919) % 30_011))]
      const inOrder = new KeysInOrder(keys)
      let prepared = 0
      while (!inOrder.prepare(steps)) prepared++
      expect(prepared).toBe(Math.floor(keys.length / steps))
      const given: string[] = []
      for (let next = inOrder.next(); next !== undefined; next = inOrder.next()) given.push(next)
      expect(given.length === keys.length && keys.sort().every((each, i) => each === given[i])).toBe(true)
      expect(inOrder.next()).toBeUndefined()
    }),
    { numRuns: 60 },
  )
})
