import { expect, test } from 'vitest'
import { guidGenerator, guidTimeMs } from '../../src/broker/guid.ts'
import { simulate } from '../../src/testing/index.ts'

const NODE = { name: 'a@sim', creation: 1 }

function generator(clock: { now: () => number }, node = NODE, byte = 7) {
  const { system } = simulate({ seed: 1 }).node('a')
  return guidGenerator({
    clock: { ...clock, monotonic: () => 0 },
    node,
    system: { ...system, randomFill: (bytes) => void bytes.fill(byte) },
  })
}

test('ids are 16 bytes of hex, all different, and sort as they were made', () => {
  let ms = 1_700_000_000_000
  const next = generator({ now: () => ms })
  const ids = Array.from({ length: 100_000 }, (_, i) => {
    if (i % 1000 === 0) ms += 0.25
    return next()
  })
  expect(ids.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
  expect(new Set(ids).size).toBe(ids.length)
  expect([...ids].sort()).toEqual(ids)
})

test('order and uniqueness survive a clock that goes back', () => {
  const times = [10, 11, 5, 5, 11, 12, 3]
  const next = generator({ now: () => times.shift()! })
  const ids = Array.from({ length: 7 }, next)
  expect(new Set(ids).size).toBe(7)
  expect([...ids].sort()).toEqual(ids)
  expect(ids.map(guidTimeMs)).toEqual([10, 11, 11, 11, 11, 12, 12])
})

test('nodes, incarnations and generators differ, whatever the random source says', () => {
  const clock = { now: () => 1 }
  const made = [
    generator(clock),
    generator(clock, { name: 'b@sim', creation: 1 }),
    generator(clock, { name: 'a@sim', creation: 2 }),
    generator(clock, NODE, 8),
  ].map((next) => next())
  expect(new Set(made).size).toBe(4)
})
