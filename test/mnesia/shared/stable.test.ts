/** What is stable, all members have seen: deletes up to there are forgotten, and what is older is not kept beside what is written to a merged row. */
import { expect, test } from 'vitest'
import { SmallWorld, VOTES, type Votes } from './small-world.ts'

const LIMITS = { progressMs: 200, reportMs: 1000, checkMs: 5000 }

/** While there are tombstones, members tell up to where they have seen everything. */
function leaveTombstone(world: SmallWorld<Votes>, name: string): void {
  world.write(name, { key: 'gone', by: [] })
  world.delete(name, 'gone')
}

test('a tombstone that a member has not had is kept while it is down, so that it need not compare its tables', async () => {
  let lacked = 0
  for (let seed = 1; seed <= 8; seed++) {
    const world = new SmallWorld({ seed, table: VOTES, limits: LIMITS })
    for (const name of ['a', 'b', 'c']) world.start(name)
    world.write('c', { key: 'k', by: ['c'] })
    await world.advance(5000)
    for (const name of ['b', 'c']) world.write(name, { key: `of ${name}`, by: [] })
    await world.advance(1200)
    world.network.cut('b', 'c')
    world.delete('c', 'k')
    world.network.advance(2)
    // Later than the delete, so that it seems that the writer could have had that.
    world.write('b', { key: 'later', by: ['b'] })
    world.network.advance(2)
    world.network.cut('a', 'b')
    await world.advance(100)
    const isLacked = world.table('b').has('k')
    world.kill('b')
    await world.advance(10_000)
    if (isLacked && world.table('a').has('later')) lacked++
    if (isLacked) expect([seed, world.replication('a').info().tombstones]).toEqual([seed, 1])
    world.network.mendAll()
    world.start('b')
    await world.advance(20_000)
    for (const name of ['a', 'b', 'c']) expect([seed, world.table(name).has('k')]).toEqual([seed, false])
    expect([seed, world.replication('b').info().counters.syncs]).toEqual([seed, 0])
    world.stop()
  }
  expect(lacked).toBeGreaterThan(0)
})

test('a node has not seen what its copy lacks, whatever it has passed on', async () => {
  // The log of the one in between does not reach back, and it has no copy.
  const world = new SmallWorld({ seed: 1, table: VOTES, limits: LIMITS, without: ['b'] })
  for (const name of ['a', 'c']) world.start(name)
  world.start('b', { limits: { logBytes: 1 << 10 } })
  await world.advance(2000)
  world.network.cut('a', 'c')
  world.network.cut('b', 'c')
  world.write('a', { key: 'k', by: ['a'] })
  for (let n = 0; n < 100; n++) world.write('a', { key: `k${n}`, by: [] })
  await world.advance(1000)
  world.network.mend('b', 'c')
  leaveTombstone(world, 'a')
  await world.advance(10_000)
  expect(world.table('c').get('k')).toBeUndefined()
  world.write('c', { key: 'k', by: ['c'] })
  world.network.mendAll()
  await world.advance(20_000)
  for (const name of ['a', 'c']) expect([name, world.table(name).get('k')?.by]).toEqual([name, ['a', 'c']])
  world.stop()
})
