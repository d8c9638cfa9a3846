import { expect, test } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { msOf } from '../../../src/mnesia/shared/clock.ts'
import { SmallWorld } from './small-world.ts'

interface Row {
  readonly key: string
  readonly n: number
}

const T = table<Row>('t', { type: 'set', key: 'key', replication: 'shared', copies: 'disc_copies' })
const LIMITS = { progressMs: 200, reportMs: 1000, checkMs: 5000 }

test('what a node writes after a restart is later than all that others have of it, though its disc was slow and its clock was set back', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new SmallWorld<Row>({ seed, table: T, limits: LIMITS, flushMs: [50, 60] })
    for (const name of ['a', 'b']) world.start(name)
    await world.advance(5000)
    world.write('b', { key: 'k', n: 1 })
    await world.advance(20)
    world.network.cut('a', 'b')
    world.kill('b')
    world.start('b', { skewMs: -90_000 })
    await world.advance(200)
    world.write('b', { key: 'k', n: 2 })
    world.network.mendAll()
    await world.advance(10_000)
    for (const name of ['a', 'b']) expect([seed, name, world.table(name).get('k')?.n]).toEqual([seed, name, 2])
    world.stop()
  }
})

test('a node that stopped in order, or joins another cluster, does not begin ahead of time', async () => {
  const world = new SmallWorld<Row>({ seed: 1, table: T, limits: LIMITS })
  world.start('a')
  await world.advance(100)
  const aheadMs = () => {
    world.write('a', { key: 'k', n: 1 })
    const [, , , clock] = world.replication('a').vector.at(-1)!
    return msOf(clock) - world.network.time.now()
  }
  expect(aheadMs()).toBe(0)
  world.replication('a').stop()
  await world.advance(10)
  world.kill('a')
  world.start('a')
  await world.advance(100)
  expect(aheadMs()).toBe(0)
  world.replication('a').reset()
  await world.advance(100)
  expect(aheadMs()).toBe(0)
  world.stop()
})
