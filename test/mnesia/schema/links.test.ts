import { describe, expect, test } from 'vitest'
import * as sys from '../../../src/actors/sys.ts'
import { connectNode, disconnectNode, nodes } from '../../../src/dist/net-kernel.ts'
import type { LinkHandler, Peer } from '../../../src/mnesia/link.ts'
import { MNESIA } from '../../../src/mnesia/schema/cluster.ts'
import { full, SchemaWorld, short } from './schema-world.ts'

/** A part that notes what happens, and sends a numbered message each 10 ms to every peer. */
class Chatter implements LinkHandler {
  readonly seen: string[] = []
  readonly #peers = new Map<Peer, number>()

  up(peer: Peer): void {
    this.seen.push(`up ${short(peer.node)}`)
    this.#peers.set(peer, 0)
    for (let i = 0; i < 3; i++) this.#send(peer)
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    if (message.tag === 'poison') throw new Error('cannot stand it')
    this.seen.push(`${short(peer.node)} ${(message as unknown as { n: number }).n}`)
  }

  down(peer: Peer): void {
    this.seen.push(`down ${short(peer.node)}`)
    this.#peers.delete(peer)
    peer.send({ tag: 'lost' })
  }

  send(): void {
    for (const peer of this.#peers.keys()) this.#send(peer)
  }

  poison(): void {
    for (const peer of this.#peers.keys()) peer.send({ tag: 'poison' })
  }

  #send(peer: Peer): void {
    const n = this.#peers.get(peer)!
    this.#peers.set(peer, n + 1)
    peer.send({ tag: 'n', n } as { tag: string })
  }

  /** Fails unless all of a link comes between its up and its down, from the first message on, in order and without holes. */
  check(): void {
    const next = new Map<string, number>()
    for (const what of this.seen) {
      const [first = '', second = ''] = what.split(' ')
      if (first === 'up') {
        expect(next.has(second)).toBe(false)
        next.set(second, 0)
      } else if (first === 'down') {
        expect(next.delete(second)).toBe(true)
      } else {
        expect([first, next.get(first)]).toEqual([first, Number(second)])
        next.set(first, Number(second) + 1)
      }
    }
  }
}

test('messages of a link come after its up and before its down, in order and without holes, whatever happens to nodes and processes', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const world = new SchemaWorld({ seed, slowness: seed % 3 === 0 ? 0.3 : 0 })
    const { random, network } = world.sim
    const chatters: Chatter[] = []
    const current = new Map<string, Chatter>()
    const start = async (name: string) => {
      const chatter = new Chatter()
      chatters.push(chatter)
      current.set(name, chatter)
      await world.start(name, { parts: { chatter } })
    }
    const names = ['a', 'b', 'c']
    for (const name of names) await start(name)
    await world.join('b', 'a')
    await world.join('c', 'a')
    for (let step = 0; step < 60; step++) {
      const [one, other] = [random.pick(names), random.pick(names)]
      switch (random.below(9)) {
        case 0:
          if (one !== other) network.reset(full(one), full(other))
          break
        case 1:
          if (one !== other) network.cut(full(one), full(other))
          break
        case 2:
          if (one !== other) network.freeze(full(one), full(other))
          break
        case 3:
          network.mendAll()
          break
        case 4: {
          // The process crashes, the node goes on.
          const pid = world.sim.node(one).whereis(MNESIA)
          if (pid !== undefined && random.below(3) === 0) world.sim.node(one).exit(pid, 'kill')
          break
        }
        case 5:
          if (random.below(3) === 0) {
            world.kill(one)
            await start(one)
          }
          break
        default:
          for (const chatter of current.values()) chatter.send()
      }
      await world.advance(random.below(random.below(10) === 0 ? 5000 : 20))
    }
    network.mendAll()
    await world.advance('120s')
    try {
      for (const chatter of chatters) chatter.check()
      for (const name of names) expect([name, world.linked(name).length]).toEqual([name, 2])
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
    }
    world.sim.stop()
  }
}, 60_000)

test('a part that fails costs its link, which comes back after a pause, and nothing else', async () => {
  const world = new SchemaWorld()
  const [a, b] = [new Chatter(), new Chatter()]
  await world.start('a', { parts: { chatter: a } })
  await world.start('b', { parts: { chatter: b } })
  await world.join('b', 'a')
  await world.advance('1s')
  a.poison()
  await world.advance('1s')
  expect([world.linked('a'), world.linked('b')]).toEqual(['', ''])
  expect(world.node('b').events).toContainEqual({ tag: 'part_failed', part: 'chatter', node: full('a') })
  expect(world.sim.node('b').whereis(MNESIA)).toBeDefined()
  await world.advance('10s')
  expect([world.linked('a'), world.linked('b')]).toEqual(['b', 'a'])
  for (const chatter of [a, b]) chatter.check()
})

test('a member whose connection is lost in the instant in which the process crashes is dialled all the same', async () => {
  const world = new SchemaWorld()
  await world.clusterOf('a', 'b')
  // Only b dials: a does not know b as a member any more.
  world.cut('a', 'b')
  const runtime = world.sim.node('b')
  runtime.exit(runtime.whereis(MNESIA)!, 'kill')
  await world.remove('a', 'b')
  await world.advance('10s')
  world.mend('a', 'b')
  await world.advance('60s')
  expect([world.members('a'), world.members('b')]).toEqual(['a', 'b'])
})

test('what is no message between members is ignored', async () => {
  const world = new SchemaWorld()
  await world.clusterOf('a', 'b')
  const odd = [
    undefined,
    7,
    'hello',
    [],
    {},
    { tag: 'hello' },
    { tag: 'hello', id: 1 },
    { tag: 'accept', id: 1, re: 1 },
  ]
  const hello = { tag: 'hello', id: 1, re: undefined, node: full('b'), protocol: { least: 1, most: 1 }, heals: false }
  const worse = [
    { ...hello, cluster: 'x', epoch: 1, seen: 0, rows: [{ key: 1 }], departures: [] },
    { ...hello, cluster: 'x', epoch: 1.5, seen: 0, rows: [], departures: [] },
    { ...hello, cluster: 'x', epoch: 1, seen: 0, rows: [], departures: [{ cluster: 1 }] },
    { tag: 'close', id: 1, re: 1, reason: 7 },
    { tag: 'part', id: 1, re: 1, part: 'x', message: null },
  ]
  for (const message of [...odd, ...worse]) world.sim.node('b').send({ name: MNESIA, node: full('a') }, message)
  await world.advance('1s')
  expect([world.linked('a'), world.members('a')]).toEqual(['b', 'ab'])
})

test('a stranger and a node of another cluster are named in the log, once', async () => {
  const world = new SchemaWorld()
  await world.start('a')
  await world.start('b')
  world.sim.start('stranger')
  const { network } = world.sim
  for (let i = 0; i < 5; i++) {
    world.sim.node('a').send({ name: 'nobody', node: full('b') }, i)
    world.sim.node('a').send({ name: 'nobody', node: full('stranger') }, i)
    await world.advance('1s')
    if (i % 2 === 0) network.reset(full('a'), full('b'))
  }
  const lines = world.logs.filter(({ msg, peer }) => peer === full('b') && msg.includes('in another cluster'))
  expect(lines).toHaveLength(1)
  expect(world.linked('a')).toBe('')
})

test('a node that is disconnected before it is greeted stays so', async () => {
  const world = new SchemaWorld()
  await world.start('a')
  await world.start('b')
  const a = world.sim.node('a')
  const step = async (promise: Promise<unknown>) => {
    await world.advance('1s')
    return promise
  }
  await step(sys.suspend(a, MNESIA))
  expect(await step(connectNode(a, full('b')))).toBe(true)
  expect(disconnectNode(a, full('b'))).toBe(true)
  await step(sys.resume(a, MNESIA))
  expect([nodes(a), nodes(world.sim.node('b'))]).toEqual([[], []])
})

test('a node that speaks no common version is refused with a sentence', async () => {
  const world = new SchemaWorld()
  const { cluster } = await world.start('a')
  world.sim.start('b').spawn({ receive: () => {} }, { name: MNESIA })
  const hello = { tag: 'hello', id: 1, re: undefined, node: full('b'), protocol: { least: 7, most: 9 }, heals: false }
  const message = { ...hello, cluster: cluster.own.cluster, epoch: 1, seen: 0, rows: [], departures: [] }
  world.sim.node('b').send({ name: MNESIA, node: full('a') }, message)
  await world.advance('1s')
  const text = 'b@sim speaks versions 7 to 9 of the table protocol, this node 1 to 1: upgrade the older one'
  expect(world.logs.map(({ msg }) => msg)).toContain(text)
})

describe('a node whose data was set back', () => {
  /** Two members, b of which has run twice since its disc was as it is now. */
  async function setBack(): Promise<{ world: SchemaWorld; epoch: number }> {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    await world.stop('b')
    const { contents } = world.disc('b')
    const copy = contents.spaces().map((space) => [space, [...contents.entries(space)]] as const)
    await world.start('b')
    const { epoch } = world.node('b').cluster.own
    await world.stop('b')
    for (const [space, entries] of copy) {
      contents.clear(space)
      contents.commit(entries.map(([key, value]) => ({ space, key, value })))
    }
    return { world, epoch }
  }

  test('gets an epoch that nobody has seen', async () => {
    const { world, epoch } = await setBack()
    await world.start('b')
    await world.advance('5s')
    expect(world.node('b').cluster.own.epoch).toBeGreaterThan(epoch)
    expect(world.linked('a')).toBe('b')
  })

  test('and its clock, too, is refused with a sentence, and gets one when it starts again', async () => {
    const { world, epoch } = await setBack()
    world.sim.skew('b', -3_600_000)
    await world.start('b')
    await world.advance('5s')
    expect([world.node('b').cluster.own.epoch < epoch, world.linked('a')]).toEqual([true, ''])
    expect(world.logs.some(({ msg }) => msg.includes('its data has been set back; start it again'))).toBe(true)
    await world.stop('b')
    await world.start('b')
    await world.advance('5s')
    expect(world.node('b').cluster.own.epoch).toBeGreaterThan(epoch)
    expect(world.linked('a')).toBe('b')
  })
})

describe('a partition', () => {
  const partitionedEvents = (world: SchemaWorld, name: string) =>
    world.node(name).events.filter(({ tag }) => tag === 'inconsistent_database')

  test('ends by itself by policy autoheal, and both sides are told', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    for (let round = 1; round <= 3; round++) {
      world.cut('a', 'b')
      await world.advance('30s')
      expect(world.linked('a')).toBe('')
      world.mend('a', 'b')
      await world.advance('60s')
      expect([world.linked('a'), world.linked('b')]).toEqual(['b', 'a'])
      const event = { context: 'running_partitioned_network', held: false }
      expect(partitionedEvents(world, 'a')).toHaveLength(round)
      expect(partitionedEvents(world, 'a').at(-1)).toMatchObject({ ...event, node: full('b') })
      expect(partitionedEvents(world, 'b').at(-1)).toMatchObject({ ...event, node: full('a') })
    }
  })

  test('is held by policy manual until one side is told to heal it', async () => {
    const world = new SchemaWorld()
    await world.start('a', { policy: 'manual' })
    await world.start('b', { policy: 'manual' })
    await world.join('b', 'a')
    for (let round = 0; round < 2; round++) {
      await world.advance('1s')
      world.cut('a', 'b')
      await world.advance('30s')
      world.mend('a', 'b')
      await world.advance('120s')
      expect([world.linked('a'), world.linked('b')]).toEqual(['', ''])
      expect(world.node('a').cluster.links.held).toEqual([full('b')])
      expect(partitionedEvents(world, 'a').at(-1)).toMatchObject({ held: true })
      expect(world.node('a').cluster.links.heal()).toEqual([full('b')])
      await world.advance('5s')
      expect([world.linked('a'), world.linked('b')]).toEqual(['b', 'a'])
    }
  })

  test('does not keep a member that is held from learning that it was removed', async () => {
    const world = new SchemaWorld()
    await world.start('a', { policy: 'manual' })
    await world.start('b', { policy: 'manual' })
    await world.join('b', 'a')
    await world.advance('1s')
    world.cut('a', 'b')
    await world.advance('30s')
    world.mend('a', 'b')
    await world.advance('60s')
    expect(world.node('a').cluster.links.held).toEqual([full('b')])
    await world.remove('a', 'b')
    await world.advance('5s')
    expect([world.members('a'), world.members('b')]).toEqual(['a', 'b'])
  })

  test('is over for a side that starts again', async () => {
    const world = new SchemaWorld()
    await world.start('a', { policy: 'manual' })
    await world.start('b', { policy: 'manual' })
    await world.join('b', 'a')
    await world.advance('1s')
    world.cut('a', 'b')
    await world.advance('30s')
    world.mend('a', 'b')
    await world.advance('60s')
    expect(world.linked('a')).toBe('')
    world.kill('b')
    await world.start('b', { policy: 'manual' })
    await world.advance('30s')
    expect([world.linked('a'), world.linked('b')]).toEqual(['b', 'a'])
  })

  test('is none when a member stops or crashes', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    await world.stop('b')
    await world.start('b')
    await world.advance('30s')
    world.kill('b')
    await world.start('b')
    await world.advance('30s')
    expect(world.linked('a')).toBe('b')
    expect(partitionedEvents(world, 'a')).toEqual([])
    const downs = world.node('a').events.filter(({ tag }) => tag === 'mnesia_down')
    expect(downs.map((event) => (event as { reason: string }).reason)).toEqual(['stopped', 'nodedown'])
  })
})
