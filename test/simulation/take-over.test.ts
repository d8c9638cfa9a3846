import { expect, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { CONFIG } from '../support/sim/traffic.ts'
import { startWorld } from '../support/sim/world.ts'

test('however many connections come at once with one client id, one connection and one session remain', async () => {
  await underSeeds(200, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'], config: CONFIG })
    const { random } = world.sim
    const client = new SimClient(world, {
      id: 'one',
      version: random.pick([4, 5] as const),
      isPersistent: random.below(2) === 0,
      subscriptions: [{ filter: 't/+', qos: 1 }],
      reconnectMs: Number.POSITIVE_INFINITY,
    })
    for (let i = 2 + random.below(6); i > 0; i--) {
      client.connect()
      await world.pass(random.next() * random.pick([0.5, 3, 30]))
      if (random.below(5) === 0) random.pick([...world.wires]).lose()
    }
    await world.pass('1s')
    const open = [...world.wires].filter((wire) => !wire.near.isClosed)
    const session = world.sessions().get('one')
    const seen = { connections: world.countOf('connection'), sessions: world.countOf('session'), open: open.length }
    if (session === undefined) expect({ seed, ...seen }).toEqual({ seed, connections: 0, sessions: 0, open: 0 })
    else {
      const connections = session.connected ? 1 : 0
      expect({ seed, ...seen }).toEqual({ seed, connections, sessions: 1, open: connections })
    }
    for (const wire of world.wires) wire.far.destroy()
    await world.pass('130s')
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})
