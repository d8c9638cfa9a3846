/** Cells of a set against a Map of cells: stamps move with their rows when shards are split, joined, and full of keys that collide. */
import { expect, test } from 'vitest'
import { hashOf } from '../../../src/mnesia/rows/key-hash.ts'
import { Cell } from '../../../src/mnesia/shared/cell-map.ts'
import { Origins } from '../../../src/mnesia/shared/origin.ts'
import { SetCells } from '../../../src/mnesia/shared/set-cells.ts'
import { SeededRandom } from '../../../src/testing/random.ts'

const origins = new Origins()
const ORIGINS = [origins.of('a', 1), origins.of('b', 1), origins.of('c', 7)]

/** Keys of all hashes, or only of those that lie in one shard. */
function keysOf(kind: 'spread' | 'colliding'): string[] {
  const keys: string[] = []
  for (let i = 0; keys.length < 6000; i++) {
    if (kind === 'spread' || hashOf(`key/${i}`) >>> 28 === 7) keys.push(`key/${i}`)
  }
  return keys
}

function contentsOf(cells: SetCells<number>): Map<string, Cell<number>> {
  const found: (readonly [string, Cell<number>])[] = []
  for (let from: number | undefined = 0; from !== undefined; ) {
    const chunk = cells.chunk(from)
    found.push(...chunk.cells)
    from = chunk.next
  }
  expect(new Set(found.map(([key]) => key)).size).toBe(found.length)
  return new Map(found)
}

test.each(['spread', 'colliding'] as const)('cells of keys that are %s are as they were set', (kind) => {
  const random = new SeededRandom(5)
  const keys = keysOf(kind)
  const cells = new SetCells<number>()
  const model = new Map<string, Cell<number>>()
  const change = (isGrowing: boolean) => {
    const key = keys[random.below(keys.length)]!
    if (random.next() < (isGrowing ? 0.85 : 0.1)) {
      // Every seventh is a tombstone.
      const value = random.below(7) === 0 ? undefined : random.below(1000)
      const cell = new Cell(value, 2 ** 50 + random.below(1e6), ORIGINS[random.below(3)]!)
      cells.set(key, cell)
      model.set(key, cell)
    } else expect(cells.delete(key)).toBe(model.delete(key))
  }
  for (const isGrowing of [true, false]) {
    for (let i = 0; i < 25_000; i++) change(isGrowing)
    expect(cells.size).toBe(model.size)
    expect(contentsOf(cells)).toEqual(model)
    for (const key of keys) expect(cells.get(key, '')).toEqual(model.get(key))
  }
})
