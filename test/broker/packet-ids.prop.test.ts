import fc from 'fast-check'
import { expect, test } from 'vitest'
import { latestPacketId, nextPacketId, PacketIdSet } from '../../src/broker/session/packet-ids.ts'

// Few low bits, so that identifiers meet in the same cells.
const id = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.integer({ min: 1, max: 65_535 }),
  fc.constantFrom(16, 32, 48, 65_535),
)

test('a set of packet identifiers holds what a Set of numbers holds', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id, add: fc.boolean() }), { maxLength: 300, size: 'max' }), (steps) => {
      const ids = new PacketIdSet()
      const model = new Set<number>()
      for (const step of steps) {
        if (step.add) {
          expect(ids.add(step.id)).toBe(!model.has(step.id))
          model.add(step.id)
        } else expect(ids.delete(step.id)).toBe(model.delete(step.id))
        expect(ids.has(step.id)).toBe(model.has(step.id))
        expect(ids.size).toBe(model.size)
      }
      expect(new Set(ids.toArray())).toEqual(model)
      for (const each of model) expect(ids.has(each)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('a set can hold all packet identifiers', () => {
  const ids = new PacketIdSet()
  for (let each = 1; each <= 65_535; each += 1) ids.add(each)
  expect(ids.size).toBe(65_535)
  expect(ids.has(65_535)).toBe(true)
})

test('packet identifiers start again at 1 and are never 0 [MQTT5-2.2.1-2]', () => {
  expect(nextPacketId(0)).toBe(1)
  expect(nextPacketId(65_534)).toBe(65_535)
  expect(nextPacketId(65_535)).toBe(1)
})

test('of identifiers that were given out one after another, the latest is found, also past 65535', () => {
  fc.assert(
    fc.property(id, fc.uniqueArray(fc.nat(1000), { minLength: 1 }), (first, offsets) => {
      const after = (offset: number) => ((first - 1 + offset) % 65_535) + 1
      expect(latestPacketId(offsets.map(after))).toBe(after(Math.max(...offsets)))
    }),
  )
  expect(latestPacketId([])).toBe(0)
})
