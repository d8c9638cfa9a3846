/** Clients whose sessions are on the disc of a node that is down, after whatever restarts of the others. */
import { expect, test } from 'vitest'
import type { BrokerOverrides } from '../../src/broker/config.ts'
import { SimClient } from '../support/sim/client.ts'
import { ClusterWorld, fullName } from '../support/sim/cluster-world.ts'
import { underSeeds } from '../support/sim/seeds.ts'

const SEEDS = 20
const HOME_WAIT_MS = 10_000

/** Nodes a and b, both down; on the disc of a is the session of a client, with a message that waits. */
async function bothDown(seed: number, session: BrokerOverrides['session'] = {}) {
  const broker = { sysIntervalMs: Number.POSITIVE_INFINITY }
  const world = new ClusterWorld({ seed, config: { broker, session: { homeWaitMs: HOME_WAIT_MS, ...session } } })
  await world.settle(world.start('a'))
  await world.settle(world.start('b', 'a'))
  await world.pass('15s')
  const client = (id: string, filter: string) =>
    new SimClient(world, {
      id,
      version: 5,
      isPersistent: true,
      expirySec: 3600,
      subscriptions: [{ filter, qos: 2 }],
      reconnectMs: Number.POSITIVE_INFINITY,
    })
  const subscriber = client('c', 't')
  subscriber.connect('a')
  await world.pass('1s')
  subscriber.disconnect()
  const publisher = client('p', 'nothing')
  publisher.connect('a')
  const message = publisher.publish('t', 2)
  // Both have on disc what there is.
  await world.pass('2s')
  for (const name of ['a', 'b']) world.kill(name)
  await world.pass('1m')
  return { world, subscriber, key: message.key }
}

type Scene = Awaited<ReturnType<typeof bothDown>>

/** What a client has been told since it connected: whether it has its old session, or the code with which it was refused; undefined: nothing. */
function answer({ subscriber }: Scene): boolean | number | undefined {
  return subscriber.isUp ? subscriber.sessionPresent : subscriber.lastCode
}

const hasGot = ({ subscriber, key }: Scene) => subscriber.receipts.some(({ counts }) => counts.get(key) === 1)

function scenario(name: string, session: BrokerOverrides['session'], play: (scene: Scene) => Promise<void>): void {
  test(name, async () => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = await bothDown(seed, session)
      await play(scene)
      scene.world.check()
      scene.world.sim.stop()
    })
  })
}

scenario(
  'a client is held by a node that has started alone, and finds its session whole when that is back',
  {},
  async (scene) => {
    const { world, subscriber } = scene
    await world.settle(world.start('b'))
    subscriber.connect('b')
    await world.pass(HOME_WAIT_MS / 2)
    expect(answer(scene)).toBeUndefined()
    void world.start('a')
    await world.pass('4s')
    expect([answer(scene), hasGot(scene)]).toEqual([true, true])
  },
)

scenario(
  'it is held for so long from the start of that node, and then gets a new session, which takes what waited',
  {},
  async (scene) => {
    const { world, subscriber } = scene
    await world.settle(world.start('b'))
    await world.pass('2s')
    subscriber.connect('b')
    await world.pass(HOME_WAIT_MS - 2500)
    expect(answer(scene)).toBeUndefined()
    await world.pass('1s')
    expect(answer(scene)).toBe(false)
    await world.settle(world.start('a'))
    await world.pass('5s')
    expect([subscriber.isUp, hasGot(scene)]).toEqual([true, true])
    expect([...world.liveSessions().values()].filter(({ snapshot }) => snapshot.clientId === 'c')).toMatchObject([
      { node: 'b' },
    ])
  },
)

scenario('or is refused, and not when it wants to begin anew', { homeDown: 'refuse' }, async (scene) => {
  const { world, subscriber } = scene
  await world.settle(world.start('b'))
  await world.pass(HOME_WAIT_MS)
  subscriber.connect('b')
  await world.pass('1s')
  expect(answer(scene)).toBe(0x88)
  subscriber.comesClean = true
  subscriber.connect('b')
  await world.pass('1s')
  expect(answer(scene)).toBe(false)
})

scenario('so it is at one that has joined meanwhile', { homeDown: 'refuse' }, async (scene) => {
  const { world, subscriber } = scene
  await world.settle(world.start('b'))
  await world.settle(world.start('c', 'b'))
  await world.pass('2s')
  world.kill('b')
  subscriber.connect('c')
  await world.pass('2s')
  expect(answer(scene)).toBeUndefined()
  await world.pass(HOME_WAIT_MS)
  expect(answer(scene)).toBe(0x88)
})

scenario('a node that is removed holds nobody', { homeDown: 'refuse' }, async (scene) => {
  const { world, subscriber } = scene
  await world.settle(world.start('b'))
  subscriber.connect('b')
  await world.pass('1s')
  expect(answer(scene)).toBeUndefined()
  await world.settle(world.services.get('b')!.mnesia.remove(fullName('a')))
  await world.pass('1s')
  expect(answer(scene)).toBe(false)
})

scenario('nor does one that is back without what was on its disc', { homeDown: 'refuse' }, async (scene) => {
  const { world, subscriber } = scene
  await world.settle(world.start('b'))
  subscriber.connect('b')
  await world.pass('1s')
  expect(answer(scene)).toBeUndefined()
  world.wipe('a')
  void world.start('a', 'b')
  await world.pass('8s')
  expect(answer(scene)).toBe(false)
})
