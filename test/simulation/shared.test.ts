import { expect, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { CONFIG, catchUp, leave } from '../support/sim/traffic.ts'
import { startWorld } from '../support/sim/world.ts'

test('of a shared subscription some member gets each message, however the members come and go', async () => {
  await underSeeds(100, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'], config: CONFIG })
    const { random } = world.sim
    const members = Array.from({ length: 3 }, (_, i) => {
      return new SimClient(world, {
        id: `m${i}`,
        version: random.pick([4, 5] as const),
        // One that stays, so that there is somebody to give messages to.
        isPersistent: i === 0 || random.below(2) === 0,
        subscriptions: [{ filter: '$share/g/t/#', qos: random.pick([1, 2] as const) }],
      })
    })
    const publisher = new SimClient(world, { id: 'publisher', version: 5, isPersistent: true })
    for (const client of [...members, publisher]) client.connect()
    await world.pass('1s')
    const published = []
    for (let round = 0; round < 10; round++) {
      const member = random.pick(members)
      const disturbance = random.below(4)
      if (disturbance < 2) member.lose()
      else if (disturbance === 2) member.halfClose()
      for (let i = 0; i < 3; i++) published.push(publisher.publish('t/1', random.pick([1, 2] as const)))
      await world.pass(random.next() * 60)
    }
    await catchUp({ world, clients: [...members, publisher] })
    const lost = published.filter(({ key }) => {
      return !members.some(({ receipts }) => receipts.some(({ counts }) => counts.has(key)))
    })
    // What is in flight to a session that ends at QoS 2 may not be given to another member [MQTT5-4.8.2-5].
    const isExpected = ({ qos }: { qos: number }) => qos === 2 && members.some(({ options }) => !options.isPersistent)
    expect({ seed, lost: lost.filter((message) => !isExpected(message)) }).toEqual({ seed, lost: [] })
    await leave({ world, clients: [...members, publisher] })
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})
