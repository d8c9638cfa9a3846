import { expect, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { CONFIG } from '../support/sim/traffic.ts'
import { startWorld } from '../support/sim/world.ts'

test('what a client does not read waits in its session, not in its connection, and reaches it when it reads on', async () => {
  await underSeeds(100, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'], config: CONFIG })
    const { random } = world.sim
    const subscriber = new SimClient(world, {
      id: 'subscriber',
      version: random.pick([4, 5] as const),
      isPersistent: true,
      subscriptions: [{ filter: 't/#', qos: 0 }],
    })
    const publisher = new SimClient(world, { id: 'publisher', version: 4, isPersistent: false })
    subscriber.connect(world.doors[0], { holdsBytes: 100 })
    publisher.connect()
    await world.pass('1s')
    const { near } = subscriber.link!.wire
    subscriber.stall(true)
    let most = 0
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 10; i++) publisher.publish('t/1', 0)
      await world.pass(20 + random.next() * 20)
      most = Math.max(most, near.writableLength)
    }
    expect(subscriber.receipts[0]!.counts.size).toBe(0)
    // What was on its way when the connection passed its mark, of some 12,000 bytes.
    expect(most).toBeLessThan(2500)
    expect(world.sessions().get('subscriber')!.messageQueue).toBeGreaterThan(300)
    subscriber.stall(false)
    await world.pass('10s')
    expect(subscriber.receipts[0]!.counts.size).toBe(400)
    world.sim.stop()
  })
})
