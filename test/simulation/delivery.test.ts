import { expect, test } from 'vitest'
import { underSeeds } from '../support/sim/seeds.ts'
import { catchUp, leave, startTraffic } from '../support/sim/traffic.ts'

test('what was acknowledged reaches every persistent session, in order, on one node', async () => {
  await underSeeds(150, async (seed) => {
    const traffic = await startTraffic({ seed }, 8)
    await catchUp(traffic)
    traffic.world.sim.stop()
  })
})

test('what was acknowledged reaches every persistent session, in order, when connections and sessions are on different nodes', async () => {
  await underSeeds(150, async (seed) => {
    const traffic = await startTraffic({ seed, fronts: ['a', 'c'] }, 8)
    await catchUp(traffic)
    traffic.world.sim.stop()
  })
})

test('clients that are gone leave nothing behind', async () => {
  await underSeeds(50, async (seed) => {
    const traffic = await startTraffic({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'] }, 8)
    const { world } = traffic
    await catchUp(traffic)
    await leave(traffic)
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})

test('runs of one seed have the same trace', async () => {
  const run = async (seed: number) => {
    const traffic = await startTraffic({ seed, fronts: ['a', 'c'] }, 8)
    await catchUp(traffic)
    traffic.world.sim.stop()
    return traffic.world.sim.trace.hash
  }
  const hashes = new Set<string>()
  for (let seed = 1; seed <= 10; seed++) {
    const first = await run(seed)
    expect(await run(seed), `seed ${seed}`).toBe(first)
    hashes.add(first)
  }
  expect(hashes.size).toBe(10)
})
