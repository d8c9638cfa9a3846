/** When an origin is settled: what members say of it while it lives, or while their copies have different parts of it, is not enough. */
import { expect, test } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { SmallWorld } from './small-world.ts'

interface Row {
  readonly key: string
}

const T = table<Row>('t', { type: 'set', key: 'key', replication: 'shared', copies: 'disc_copies' })
const LIMITS = { progressMs: 200, reportMs: 1000, checkMs: 30_000 }

test('what one member alone has of a node that is lost is not missed by the others', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new SmallWorld<Row>({ seed, table: T, limits: LIMITS, flushMs: [50, 60] })
    for (const name of ['a', 'b', 'c']) world.start(name)
    world.write('c', { key: 'k' })
    await world.advance(5000)
    // So the ceiling of its clock is on disc, and what it writes is sent at once; the others have told of this before the end.
    world.write('c', { key: 'other' })
    await world.advance(1500)
    world.network.cut('a', 'b')
    world.network.cut('a', 'c')
    world.delete('c', 'k')
    await world.advance(20)
    world.network.cut('b', 'c')
    world.kill('c')
    world.network.mend('a', 'c')
    world.start('c')
    await world.advance(10_000)
    world.network.mendAll()
    await world.advance(60_000)
    for (const name of ['a', 'b', 'c']) expect([seed, name, world.keys(name)]).toEqual([seed, name, ['other']])
    expect([seed, world.repaired]).toEqual([seed, 0])
    world.stop()
  }
})

test('what a copy lacks of a node that is lost comes from the member whose copy has it', async () => {
  // The log of the one in between does not reach back, and neither it nor the lost node has a copy.
  const world = new SmallWorld<Row>({ seed: 1, table: T, limits: LIMITS, without: ['b', 'd'] })
  for (const name of ['a', 'c', 'd']) world.start(name)
  world.start('b', { limits: { logBytes: 1 << 10 } })
  await world.advance(2000)
  for (const name of ['a', 'b', 'd']) world.network.cut('c', name)
  for (let n = 0; n < 100; n++) world.write('d', { key: `k${n}` })
  await world.advance(2000)
  world.kill('d')
  world.start('d')
  world.network.mend('b', 'c')
  await world.advance(20_000)
  expect(world.keys('a').length).toBe(100)
  expect(world.keys('c').length).toBeLessThan(100)
  world.network.mendAll()
  await world.advance(10_000)
  expect([world.gone, world.repaired, world.keys('c').length]).toEqual([[], 0, 100])
  world.stop()
})
