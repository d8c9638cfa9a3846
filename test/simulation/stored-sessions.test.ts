import { expect, test } from 'vitest'
import { underSeeds } from '../support/sim/seeds.ts'
import { catchUp, leave, startTraffic } from '../support/sim/traffic.ts'
import type { World } from '../support/sim/world.ts'

/** The node loses power, and comes back some time later with what its disc had taken. */
async function restart(world: World): Promise<void> {
  world.kill('b')
  await world.pass(world.sim.random.next() * 1000)
  await world.startCore(world.sim.start('b'))
}

const OFTEN = (world: World) => (world.sim.random.below(4) === 0 ? restart(world) : undefined)

test('what was acknowledged reaches every stored session, in order and at QoS 2 once, although the node dies again and again', async () => {
  await underSeeds(100, async (seed) => {
    const traffic = await startTraffic({ seed, disc: true }, 8, OFTEN)
    await catchUp(traffic)
    traffic.world.sim.stop()
  })
})

test('the same holds when connections are on other nodes', async () => {
  await underSeeds(60, async (seed) => {
    const traffic = await startTraffic({ seed, fronts: ['a', 'c'], disc: true }, 8, OFTEN)
    await catchUp(traffic)
    traffic.world.sim.stop()
  })
})

test('sessions that have expired leave nothing on the disc', async () => {
  await underSeeds(40, async (seed) => {
    const traffic = await startTraffic({ seed, disc: true }, 8, OFTEN)
    const { world } = traffic
    await catchUp(traffic)
    await leave(traffic)
    const { contents } = world.disc!
    expect({ seed, spaces: contents.spaces() }).toEqual({ seed, spaces: ['number'] })
    world.sim.stop()
  })
})
