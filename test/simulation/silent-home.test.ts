/** CONNECTs whose home stands still: the next one decides, and what the first finds in its mailbox when it goes on does no harm. */
import { expect, onTestFinished, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { ClusterWorld } from '../support/sim/cluster-world.ts'
import { underSeeds } from '../support/sim/seeds.ts'

const SEEDS = 8

/** Three nodes, and clients of which some have their home on c. */
async function threeNodes(seed: number) {
  const world = new ClusterWorld({ seed, config: { broker: { sysIntervalMs: 0 } } })
  onTestFinished(() => world.sim.stop())
  await world.settle(world.start('a'))
  for (const name of ['b', 'c']) await world.settle(world.start(name, 'a'))
  await world.pass('15s')
  const clients = Array.from({ length: 12 }, (_, i) => {
    return new SimClient(world, { id: `c${i}`, version: 5, isPersistent: i % 2 === 0, expirySec: 300 })
  })
  // The clocks of the nodes are known to each other from the first of these.
  const early = ['x', 'y', 'z'].map((id) => new SimClient(world, { id, version: 5, isPersistent: false }))
  for (const client of early) for (const node of ['a', 'b', 'c']) client.connect(node)
  await world.pass('2s')
  return { world, clients }
}

const areUp = (clients: readonly SimClient[]) => clients.every(({ isUp }) => isUp)

test('clients are let in while a node stands still, at first after two seconds, then at once', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const { world, clients } = await threeNodes(seed)
    const [early, late] = [clients.slice(0, 6), clients.slice(6)]
    world.freeze('c')
    for (const client of early) client.connect('a')
    await world.pass('2500ms')
    expect(areUp(early)).toBe(true)
    for (const client of late) client.connect('a')
    await world.pass('300ms')
    expect(areUp(late)).toBe(true)
  })
})

test('a claim that a home finds when it goes on does not close the connection that has come after it', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const { world, clients } = await threeNodes(seed)
    world.freeze('c')
    for (const client of clients) client.connect('a')
    // Each gives up, and tries again on another node.
    await world.pass('800ms')
    for (const client of clients) {
      client.vanish()
      client.connect('b')
    }
    await world.pass('3s')
    expect(areUp(clients)).toBe(true)
    const connects = clients.map((client) => client.connects)
    world.thaw('c')
    await world.pass('5s')
    expect(areUp(clients)).toBe(true)
    expect(clients.map((client) => client.connects)).toEqual(connects)
  })
})
