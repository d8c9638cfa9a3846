import { expect, test } from 'vitest'
import type { ProtocolVersion, QoS } from '../../src/broker/packet.ts'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { CONFIG, catchUp, leave, startTraffic } from '../support/sim/traffic.ts'
import { startWorld, type World } from '../support/sim/world.ts'

const FRONTS = ['a', 'c']
const SEEDS = 60

/** A subscriber that is connected over `a` and does not come back by itself, and a publisher connected over `c`. */
async function pair(world: World): Promise<{ subscriber: SimClient; publisher: SimClient }> {
  const { random } = world.sim
  const version = random.pick([4, 5] as const) as ProtocolVersion
  const qos = random.pick([1, 2] as const) as QoS
  const subscriber = new SimClient(world, {
    id: 'subscriber',
    version,
    isPersistent: true,
    subscriptions: [{ filter: 't/#', qos }],
    reconnectMs: Number.POSITIVE_INFINITY,
  })
  const publisher = new SimClient(world, { id: 'publisher', version, isPersistent: true })
  subscriber.connect('a')
  publisher.connect('c')
  await world.pass('1s')
  return { subscriber, publisher }
}

function publishSome(publisher: SimClient, world: World): number {
  const { random } = world.sim
  const count = 5 + random.below(20)
  for (let i = 0; i < count; i++) publisher.publish('t/1', random.pick([1, 2] as const))
  return count
}

test('when the node of its connection dies, a session stays, queues, and is resumed over another node', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await startWorld({ seed, fronts: FRONTS, config: CONFIG })
    const { subscriber, publisher } = await pair(world)
    publishSome(publisher, world)
    await world.pass(world.sim.random.next() * 40)
    world.kill('a')
    await world.pass('100ms')
    expect(world.sessions().get('subscriber')!.connected).toBe(false)
    expect(subscriber.isUp).toBe(false)
    const count = publishSome(publisher, world)
    await world.pass('2s')
    const { messageQueue, inflightQueue } = world.sessions().get('subscriber')!
    expect(messageQueue + inflightQueue).toBeGreaterThanOrEqual(count)
    subscriber.connect('c')
    await catchUp({ world, clients: [subscriber, publisher] })
    expect(subscriber.sessionPresent).toBe(true)
    world.sim.stop()
  })
})

test('when the node of the sessions dies, connections elsewhere are closed, and nothing of them stays', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await startWorld({ seed, fronts: FRONTS, config: CONFIG })
    const { subscriber, publisher } = await pair(world)
    publishSome(publisher, world)
    await world.pass(world.sim.random.next() * 40)
    world.kill('b')
    publisher.isWanted = false
    // The connection lingers until its client has closed as well.
    await world.pass('10s')
    expect(world.countOf('connection')).toBe(0)
    expect([subscriber.isUp, publisher.isUp]).toEqual([false, false])
    await world.startCore(world.sim.start('b'))
    subscriber.connect('a')
    publisher.connect('c')
    await world.pass('2s')
    expect([subscriber.sessionPresent, publisher.sessionPresent]).toEqual([false, false])
    publishSome(publisher, world)
    await catchUp({ world, clients: [subscriber, publisher] })
    world.sim.stop()
  })
})

test('a partition closes the connections across it, sessions queue, and clients resume them when it is healed', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await startWorld({ seed, fronts: FRONTS, config: CONFIG })
    const { subscriber, publisher } = await pair(world)
    publishSome(publisher, world)
    await world.pass(world.sim.random.next() * 40)
    await world.sim.partition(['a'], ['b'])
    await world.pass('100ms')
    expect(world.sessions().get('subscriber')!.connected).toBe(false)
    expect(subscriber.isUp).toBe(false)
    const count = publishSome(publisher, world)
    subscriber.connect('a')
    // Nobody answers; the connection gives up when its time is over.
    await world.pass('20s')
    expect(subscriber.isUp).toBe(false)
    expect(subscriber.lastCode).toBe(subscriber.options.version === 5 ? 0x89 : 3)
    const { messageQueue, inflightQueue } = world.sessions().get('subscriber')!
    expect(messageQueue + inflightQueue).toBeGreaterThanOrEqual(count)
    await world.sim.heal()
    subscriber.connect('a')
    await catchUp({ world, clients: [subscriber, publisher] })
    expect(subscriber.sessionPresent).toBe(true)
    await leave({ world, clients: [subscriber, publisher] })
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})

test('nothing is lost and nothing left behind over any number of partitions', async () => {
  await underSeeds(SEEDS, async (seed) => {
    let isCut = false
    const traffic = await startTraffic({ seed, fronts: FRONTS }, 4, (world, round) => {
      const { network, random } = world.sim
      if (random.below(2) === 0 || round === 11) {
        if (isCut) network.mendAll()
        else if (round < 11) network.cut(`${random.pick(FRONTS)}@sim`, 'b@sim')
        isCut = !isCut && round < 11
      }
    })
    traffic.world.sim.network.mendAll()
    await catchUp(traffic)
    await leave(traffic)
    expect({ seed, ...traffic.world.footprints() }).toEqual({ seed, ...traffic.world.atStart })
    traffic.world.sim.stop()
  })
})

test('nothing is lost when nodes of connections die under traffic', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const traffic = await startTraffic({ seed, fronts: FRONTS }, 4, (world, round) => {
      if (round === 4) world.kill('a')
    })
    await catchUp(traffic)
    await leave(traffic)
    const { world } = traffic
    expect({ seed, ...world.footprints().b }).toEqual({ seed, ...world.atStart.b })
    world.sim.stop()
  })
})
