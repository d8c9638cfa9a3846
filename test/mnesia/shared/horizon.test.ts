import { expect, test } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { SmallWorld, VOTES, type Votes } from './small-world.ts'

interface Row {
  readonly key: string
  readonly by: string
}

const T = table<Row>('t', { type: 'set', key: 'key', replication: 'shared', copies: 'disc_copies' })
/** Tombstones are kept for three seconds. */
const LIMITS = { progressMs: 200, reportMs: 1000, checkMs: 5000, horizonMs: 3000 }

async function threeNodes(seed: number): Promise<SmallWorld<Row>> {
  const world = new SmallWorld<Row>({ seed, table: T, limits: LIMITS })
  for (const name of ['a', 'b', 'c']) world.start(name)
  await world.advance(2000)
  return world
}

function write(world: SmallWorld<Row>, by: string, ...keys: readonly string[]): void {
  world.write(by, ...keys.map((key) => ({ key, by })))
}

test('a member that was away for longer than tombstones are kept brings nothing back, and what others have never had of it stays', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = await threeNodes(seed)
    write(world, 'a', 'old', 'kept')
    write(world, 'b', 'old of b')
    await world.advance(3000)
    world.network.cut('a', 'b')
    world.network.cut('b', 'c')
    write(world, 'b', 'own')
    await world.advance(500)
    world.kill('b')
    for (const key of ['old', 'old of b']) world.delete('a', key)
    await world.advance(8000)
    expect(['a', 'c'].map((name) => world.replication(name).info().tombstones)).toEqual([0, 0])
    world.start('b')
    await world.advance(500)
    world.network.mendAll()
    write(world, 'c', 'later')
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c'])
      expect([seed, name, world.keys(name)]).toEqual([seed, name, ['kept', 'later', 'own']])
    world.stop()
  }
})

test('an entry that comes when the delete of its row has been forgotten does not bring it back', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = await threeNodes(seed)
    const { network } = world
    // The writer reaches one member, which deletes the row; the other one hears of neither, and of the delete first.
    network.cut('b', 'c')
    network.cut('a', 'b')
    write(world, 'c', 'old')
    await world.advance(500)
    world.delete('a', 'old')
    await world.advance(500)
    world.kill('c')
    await world.advance(8000)
    expect(world.replication('a').info().tombstones).toBe(0)
    network.mend('a', 'b')
    await world.advance(3000)
    world.start('c')
    network.mendAll()
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c']) expect([seed, name, world.keys(name)]).toEqual([seed, name, []])
    world.stop()
  }
})

test('what a member wrote while it was away stays, also where others have deleted later what they had of its key', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = await threeNodes(seed)
    world.network.cut('a', 'c')
    world.network.cut('b', 'c')
    write(world, 'c', 'own')
    await world.advance(500)
    write(world, 'a', 'own')
    world.delete('a', 'own')
    await world.advance(8000)
    expect(['a', 'b'].map((name) => world.replication(name).info().tombstones)).toEqual([0, 0])
    world.network.mendAll()
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c']) expect([seed, name, world.keys(name)]).toEqual([seed, name, ['own']])
    expect([seed, world.repaired]).toEqual([seed, 0])
    world.stop()
  }
})

test.each([
  ['before', 'b', 'c'],
  ['after', 'c', 'b'],
])('of a merged row stays what a member wrote %s what was deleted meanwhile, and nothing else', async (_, ...order) => {
  let happened = 0
  for (let seed = 1; seed <= 20; seed++) {
    const world = new SmallWorld<Votes>({ seed, table: VOTES, limits: LIMITS })
    const { network } = world
    for (const name of ['a', 'b', 'c']) world.start(name)
    await world.advance(2000)
    network.cut('a', 'b')
    network.cut('b', 'c')
    for (const name of order) {
      world.write(name, { key: 'k', by: [name] })
      await world.advance(500)
    }
    // The member gets what the other one wrote, and is cut off before its own has got there.
    network.mend('b', 'c')
    while (world.table('b').get('k')?.by.includes('c') !== true) network.step()
    network.cut('b', 'c')
    await world.advance(500)
    if (world.table('c').get('k')?.by.includes('b') === true) continue
    happened++
    world.delete('a', 'k')
    await world.advance(8000)
    expect(['a', 'c'].map((name) => world.replication(name).info().tombstones)).toEqual([0, 0])
    network.mendAll()
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c'])
      expect([seed, name, world.table(name).get('k')?.by]).toEqual([seed, name, ['b']])
    expect([seed, world.repaired]).toEqual([seed, 0])
    world.stop()
  }
  expect(happened).toBeGreaterThan(0)
})
