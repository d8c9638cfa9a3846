import { expect, test } from 'vitest'
import type { QoS } from '../../src/broker/packet.ts'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { startWorld, type World } from '../support/sim/world.ts'

const CONFIG = {
  session: { maxInflight: 5, expirySec: 120, queue: { maxLength: 20 } },
  listeners: { tcp: { highWatermarkBytes: 10_000 } },
} as const

/** Clients of which most publish and subscribe, to each other and to themselves, with windows larger than any queue. */
function crowd(world: World): SimClient[] {
  const { random } = world.sim
  return Array.from({ length: 5 }, (_, i) => {
    const version = random.pick([4, 5] as const)
    const filters = new Set([`t/${(i + 1) % 5}`, ...(random.below(2) === 0 ? [`t/${random.below(5)}`] : [])])
    // Its own messages are another matter: nobody can hold itself up.
    filters.delete(`t/${i}`)
    return new SimClient(world, {
      id: `c${i}`,
      version,
      isPersistent: true,
      subscriptions: [...filters].map((filter) => ({ filter, qos: random.pick([1, 2] as const) as QoS })),
      ...(version === 5 && random.below(2) === 0 && { receiveMaximum: 1 + random.below(3) }),
      ackDelayMs: random.pick([0, 5, 30]),
      window: random.pick([1, 10, 60]),
    })
  })
}

test('nothing of QoS 1 and 2 is dropped for clients that read, in whatever circles they publish, and all comes to its end', async () => {
  await underSeeds(100, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'], config: CONFIG })
    const { random } = world.sim
    const clients = crowd(world)
    for (const client of clients) client.connect(undefined, { holdsBytes: 16_384 })
    await world.pass('2s')
    for (const client of clients) if (!client.isSubscribed) world.fail(`${client.id} has not subscribed`)
    for (let round = 0; round < 4; round++) {
      for (const [i, client] of clients.entries()) {
        for (let n = random.below(60); n > 0; n--) client.publish(`t/${i}`, random.pick([1, 2] as const))
      }
      await world.pass(random.next() * 300)
    }
    for (let i = 0; i < 240 && !clients.every((client) => client.isIdle); i++) await world.pass('500ms')
    await world.pass('30s')
    const busy = clients.filter((client) => !client.isIdle).map(({ id }) => id)
    expect({ seed, busy, dropped: world.core.metrics['delivery/dropped/queue_full'] }).toEqual({
      seed,
      busy: [],
      dropped: 0,
    })
    const receipts = new Map(clients.map((client) => [client.id, client.receipts]))
    expect({ seed, missing: world.ledger.missing(receipts, world.matches) }).toEqual({ seed, missing: [] })
    expect(world.core.routing.pressure.isAny).toBe(false)
    for (const client of clients) client.disconnect()
    await world.pass('130s')
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})

test('clients that come, go and stop reading hold nobody up for good', async () => {
  await underSeeds(100, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'], config: CONFIG })
    const { random } = world.sim
    const clients = crowd(world)
    for (const client of clients) client.connect()
    await world.pass('2s')
    for (let round = 0; round < 8; round++) {
      const client = random.pick(clients)
      const what = random.below(4)
      if (what === 0) client.lose()
      else if (what === 1) client.stall(true)
      else if (what === 2) client.connect()
      else for (const each of clients) each.stall(false)
      for (const [i, each] of clients.entries()) {
        for (let n = random.below(30); n > 0; n--) each.publish(`t/${i}`, random.pick([1, 2] as const))
      }
      await world.pass(random.next() * 2000)
    }
    for (const client of clients) client.stall(false)
    for (let i = 0; i < 240 && !clients.every((client) => client.isIdle); i++) await world.pass('500ms')
    expect({ seed, busy: clients.filter((client) => !client.isIdle).map(({ id }) => id) }).toEqual({ seed, busy: [] })
    for (const client of clients) client.vanish()
    await world.pass('130s')
    expect({ seed, ...world.footprints() }).toEqual({ seed, ...world.atStart })
    world.sim.stop()
  })
})
