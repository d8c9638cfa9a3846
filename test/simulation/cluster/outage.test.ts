/** What becomes of clients whose node dies while another one is there all the time. */
import { expect, onTestFinished, test } from 'vitest'
import { SimClient } from '../../support/sim/client.ts'
import type { ClientOptions } from '../../support/sim/client-packets.ts'
import { ClusterWorld } from '../../support/sim/cluster-world.ts'
import { underSeeds } from '../../support/sim/seeds.ts'

const SEEDS = 8
const CONFIG = { session: { expirySec: 300 }, broker: { sysIntervalMs: Number.POSITIVE_INFINITY } } as const

/** Two nodes, `a` and `b`. */
async function twoNodes(seed: number): Promise<ClusterWorld> {
  const world = new ClusterWorld({ seed, config: CONFIG })
  onTestFinished(() => world.sim.stop())
  await world.settle(world.start('a'))
  await world.settle(world.start('b', 'a'))
  await world.pass('15s')
  world.isQuiet(['a', 'b'])
  return world
}

async function connected(world: ClusterWorld, node: string, options: Partial<ClientOptions> & { id: string }) {
  const client = new SimClient(world, { version: 5, isPersistent: true, expirySec: 300, ...options })
  client.connect(node)
  await world.pass('2s')
  expect(client.isUp).toBe(true)
  return client
}

test('what was published for a session on a node that died reaches the one that its client has got since', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await twoNodes(seed)
    const subscriber = await connected(world, 'a', { id: 's', subscriptions: [{ filter: 't', qos: 2 }] })
    const publisher = await connected(world, 'b', { id: 'p' })
    world.kill('a')
    const keys = [1, 2, 2, 1].map((qos) => publisher.publish('t', qos as 1 | 2).key)
    await world.pass('14s')
    expect(subscriber.session).toMatch(/^b@/)
    await world.settle(world.start('a'))
    await world.pass('10s')
    expect([...subscriber.receipts.at(-1)!.counts].sort()).toEqual(keys.map((key) => [key, 1]).sort())
  })
})

test('a will that waits is published once when its node is away for longer than that', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await twoNodes(seed)
    const client = await connected(world, 'a', { id: 'c', willDelaySec: 5 })
    const watcher = await connected(world, 'b', { id: 'w', subscriptions: [{ filter: 'will/#', qos: 1 }] })
    client.isWanted = false
    const diedAtMs = world.nowMs
    world.kill('a')
    await world.pass('20s')
    await world.settle(world.start('a'))
    await world.pass('20s')
    const { counts, firstAtMs } = watcher.receipts.at(-1)!
    expect([...counts.values()]).toEqual([1])
    expect(firstAtMs.get('will/c/1')! - diedAtMs).toBeGreaterThanOrEqual(5000)
  })
})

test('a will waits anew when its node is lost, comes back before it is due, and is lost again', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await twoNodes(seed)
    const client = await connected(world, 'a', { id: 'c', willDelaySec: 30 })
    const watcher = await connected(world, 'b', { id: 'w', subscriptions: [{ filter: 'will/#', qos: 1 }] })
    client.isWanted = false
    world.cut('a', 'b')
    await world.pass('12s')
    world.mendAll()
    await world.pass('12s')
    const diedAtMs = world.nowMs
    world.kill('a')
    await world.pass('40s')
    const { counts, firstAtMs } = watcher.receipts.at(-1)!
    expect([...counts.values()]).toEqual([1])
    expect(firstAtMs.get('will/c/1')! - diedAtMs).toBeGreaterThanOrEqual(30_000)
  })
})

test('a will that waits is not published when its client has been back, and has left, while it waited', async () => {
  await underSeeds(1, async (seed) => {
    const world = await twoNodes(seed)
    // Either node is the home of some.
    const ids = ['x', 'y', 'z', 'two', 'three']
    const clients = await Promise.all(ids.map((id) => connected(world, 'a', { id, willDelaySec: 30 })))
    const watcher = await connected(world, 'b', { id: 'w', subscriptions: [{ filter: 'will/#', qos: 1 }] })
    for (const client of clients) client.isWanted = false
    world.kill('a')
    await world.pass('2s')
    await world.settle(world.start('a'))
    await world.pass('2s')
    for (const client of clients) client.connect('b')
    await world.pass('2s')
    expect(clients.map(({ isUp }) => isUp)).toEqual(ids.map(() => true))
    for (const client of clients) client.disconnect(0, 0)
    await world.pass('40s')
    expect([...watcher.receipts.at(-1)!.counts]).toEqual([])
  })
})

test('what is published for a group whose members are all on a node that is away reaches one of them, once', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await twoNodes(seed)
    const subscriptions = [{ filter: '$share/g/t/+', qos: 2 as const }]
    const members = [
      await connected(world, 'a', { id: 'm1', subscriptions }),
      await connected(world, 'a', { id: 'm2', subscriptions }),
    ]
    for (const member of members) member.isWanted = false
    const publisher = await connected(world, 'b', { id: 'p' })
    // Some are on their way when the node is lost.
    const qos = [1, 2, 0, 2, 1] as const
    const early = qos.map((each) => publisher.publish('t/1', each))
    world.kill('a')
    await world.pass('1s')
    const late = qos.map((each) => publisher.publish('t/2', each))
    await world.pass('5s')
    world.kill('b')
    await world.settle(world.start('b'))
    await world.settle(world.start('a'))
    for (const member of members) member.connect()
    await world.pass('10s')
    const counts = members.flatMap(({ receipts }) => receipts.flatMap((each) => [...each.counts]))
    for (const { key, qos: each } of [...early, ...late]) {
      const count = counts.reduce((sum, [other, times]) => (other === key ? sum + times : sum), 0)
      if (each === 1) expect(count).toBeGreaterThanOrEqual(1)
      else if (each === 2) expect(count).toBe(1)
    }
    expect(world.keptBy('b')).toBe(0)
  })
})

test('publishers wait no longer for a node that stands still when the clock of theirs is set back', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const world = await twoNodes(seed)
    await connected(world, 'b', { id: 's', subscriptions: [{ filter: 't', qos: 1 }] })
    const publisher = await connected(world, 'a', { id: 'p' })
    world.freeze('b')
    const message = publisher.publish('t', 1)
    await world.pass('100ms')
    world.sim.skew('a', -50_000)
    await world.pass('3s')
    expect(message.acceptedAtMs).toBeDefined()
  })
})
