/** A scenario: publishers and subscribers of all kinds, while connections are lost, stalled, taken over and half closed. */
import type { ProtocolVersion, QoS } from '../../../src/broker/packet.ts'
import { SimClient } from './client.ts'
import { startWorld, type World, type WorldOptions } from './world.ts'

export interface Traffic {
  readonly world: World
  readonly clients: readonly SimClient[]
}

export const CONFIG = {
  session: { maxInflight: 5, expirySec: 120 },
  listeners: { tcp: { highWatermarkBytes: 200 } },
} as const

const FILTERS = ['t/+', 't/#', 't/1', 't/2', '+/1', 'u/#']

/** Starts a world with clients that have connected and subscribed. */
export async function startTraffic(
  options: WorldOptions,
  disturbances: number,
  /** Called in each of the 12 rounds of publishing. */
  inRound?: (world: World, round: number) => void | Promise<void>,
): Promise<Traffic> {
  const world = await startWorld({ config: CONFIG, ...options })
  const { random } = world.sim
  const clients = Array.from({ length: 6 }, (_, i) => {
    const version: ProtocolVersion = random.pick([4, 5] as const)
    const subscriptions = [{ filter: random.pick(FILTERS), qos: random.pick([0, 1, 2, 2] as const) as QoS }]
    if (random.below(3) === 0) {
      const filter = random.pick(FILTERS)
      if (filter !== subscriptions[0]!.filter) subscriptions.push({ filter, qos: random.pick([1, 2] as const) })
    }
    const client = new SimClient(world, {
      id: `c${i}`,
      version,
      // The last two only come and go.
      isPersistent: i < 4,
      // Half of all clients subscribe; all publish.
      ...(i % 2 === 0 && { subscriptions }),
      ...(version === 5 && random.below(2) === 0 && { receiveMaximum: 1 + random.below(4) }),
      ackDelayMs: random.pick([0, 5, 60]),
      window: 1 + random.below(6),
    })
    client.connect()
    return client
  })
  await world.pass('2s')
  for (const client of clients) if (!client.isSubscribed) world.fail(`${client.id} has not subscribed`)
  for (let i = 0; i < 12; i++) {
    disturb(world, random.pick(clients), i < disturbances)
    await inRound?.(world, i)
    for (const client of clients) {
      for (let n = random.below(4); n > 0; n--) {
        client.publish(random.pick(['t/1', 't/2', 'u/1']), random.pick([0, 1, 2] as const))
      }
    }
    await world.pass(random.next() * 80)
  }
  return { world, clients }
}

function disturb(world: World, client: SimClient, isOn: boolean): void {
  if (!isOn) return
  const { sim } = world
  switch (sim.random.below(7)) {
    case 0:
    case 1:
      client.lose()
      break
    case 2:
      client.halfClose()
      break
    case 3:
      client.stall(true)
      sim.time.set(sim.random.next() * 300, () => client.stall(false))
      break
    case 4:
      // Over its own head.
      client.connect()
      break
    case 5:
      client.resubscribe()
      break
    case 6:
      client.link?.wire.silence()
      break
  }
}

/** Lets all clients come back and catch up, and checks that nothing is missing. */
export async function catchUp({ world, clients }: Traffic): Promise<void> {
  for (const client of clients) client.stall(false)
  for (const wire of world.wires) wire.speak()
  for (let i = 0; i < 60; i++) {
    await world.pass('500ms')
    const queued = [...world.sessions().values()].some(
      ({ messageQueue, inflightQueue, awaitingRel }) => messageQueue + inflightQueue + awaitingRel > 0,
    )
    if (!queued && clients.every((client) => client.isSubscribed && client.isIdle)) break
    if (i === 59) {
      const state = clients.map((client) => `${client.id} up ${client.isUp} idle ${client.isIdle}`).join(', ')
      world.fail(`not caught up: ${state}`)
    }
  }
  const receipts = new Map(clients.map((client) => [client.id, client.receipts]))
  const missing = world.ledger.missing(receipts, world.matches)
  if (missing.length > 0) world.fail(`${missing.length} missing: ${missing.slice(0, 4).join('; ')}`)
}

/** Takes all clients away and lets their sessions expire. */
export async function leave({ world, clients }: Traffic): Promise<void> {
  for (const client of clients) {
    if (world.sim.random.below(2) === 0) client.disconnect()
    else client.vanish()
  }
  await world.pass('130s')
}
