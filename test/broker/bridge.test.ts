/** Bridges between brokers that are no cluster: what crosses, what does not, and what becomes of it while the peer is away. */
import { describe, expect, it } from 'vitest'
import type { Message } from '../../src/broker/message.ts'
import { type SimulatedBrokers, simulatedBrokers } from '../support/sim/brokers.ts'

const shown = (messages: readonly Message[] = []) =>
  messages.map(({ topic, payload, qos, retain }) => `${topic} ${payload} ${qos}${retain ? ' retained' : ''}`)

/** What was published on a node, in order. */
const on = ({ published }: SimulatedBrokers, name: string) => shown(published.get(name))

describe('a bridge', () => {
  it('publishes what matches on its peer, with its prefix and suffix, at its QoS at most, retained there as well', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    await brokers.bridge('a', 'b', 's/+', { qos: 1, prefix: 'a/', suffix: '/z' })
    brokers.publish('a', { topic: 's/1', payload: 'x', qos: 2, retain: true })
    brokers.publish('a', { topic: 's/2', payload: 'y', qos: 0 })
    brokers.publish('a', { topic: 'other', payload: 'z' })
    await brokers.sim.advance('1s')
    expect(on(brokers, 'b')).toEqual(['a/s/1/z x 1 retained', 'a/s/2/z y 0'])
    expect(brokers.of('b').retainer.get('a/s/1/z')?.payload.toString()).toBe('x')
    expect(brokers.published.get('b')![0]).toMatchObject({ from: 'a@sim/c1', bridged: ['a@sim'] })
    expect(brokers.of('a').metrics['messages/bridge/sent']).toBe(2)
    expect(brokers.of('b').metrics['messages/bridge/received']).toBe(2)
  })

  it('of # leaves out what the broker says of itself, which a filter has to name', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    await brokers.bridge('a', 'b', '#', { prefix: 'all/' })
    await brokers.bridge('a', 'b', '$SYS/#', { prefix: 'sys/' })
    brokers.of('a').publishSys('$SYS/x', 'y', { retain: false })
    await brokers.sim.advance('1s')
    expect(on(brokers, 'b').filter((line) => line.includes('$SYS/x'))).toEqual(['sys/$SYS/x y 0'])
  })

  it('does not bring a message back to where it was, between two nodes that bridge all or round a ring', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b', 'c'])
    for (const [from, to] of ['ab', 'ba', 'bc', 'ca'] as const) await brokers.bridge(from!, to!, '#')
    brokers.publish('a', { topic: 't', payload: 'x' })
    await brokers.sim.advance('1m')
    for (const name of ['a', 'b', 'c']) expect(on(brokers, name)).toEqual(['t x 1'])
    expect(brokers.published.get('c')![0]).toMatchObject({ from: 'a@sim/c1', bridged: ['a@sim', 'b@sim'] })
    expect(brokers.of('b').metrics['messages/bridge/looped']).toBe(1)
    expect(brokers.of('c').metrics['messages/bridge/looped']).toBe(1)
  })

  it('keeps the last messages for a peer that is away, counts the others, and says that it is away', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    const { sim } = brokers
    sim.network.cut('a@sim', 'b@sim')
    await brokers.bridge('a', 'b', 't', { maxQueue: 3 })
    for (const payload of ['1', '2', '3', '4', '5']) brokers.publish('a', { topic: 't', payload })
    await sim.advance('5m')
    const { alarms, metrics, bridges } = brokers.of('a')
    expect(alarms.list()).toMatchObject([{ id: 'bridge_down/b@sim/t', severity: 'warning' }])
    expect(metrics['messages/bridge/dropped/queue_full']).toBe(2)
    expect(bridges.list()).toMatchObject([{ state: 'down', queue: { length: 3 } }])
    sim.network.mendAll()
    await sim.advance('31s')
    expect(on(brokers, 'b')).toEqual(['t 3 1', 't 4 1', 't 5 1'])
    expect(alarms.list()).toEqual([])
    expect(bridges.list()).toMatchObject([{ state: 'up', queue: { length: 0 } }])
  })

  it('gives up what has expired while it waited, and what waits when it is stopped', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    const { sim } = brokers
    await brokers.bridge('a', 'b', 't')
    await sim.advance('1s')
    sim.network.cut('a@sim', 'b@sim')
    await sim.advance('1s')
    const { bridges, metrics, nextMessageId, publish, runtime, alarms } = brokers.of('a')
    const nowMs = runtime.clock.now()
    const common = { from: '', topic: 't', qos: 1, retain: false, properties: undefined, publishedAtMs: nowMs } as const
    publish([{ ...common, id: nextMessageId(), payload: Buffer.from('old'), expiresAtMs: nowMs + 1000 }])
    publish([{ ...common, id: nextMessageId(), payload: Buffer.from('new'), expiresAtMs: Infinity }])
    await sim.advance('2s')
    sim.network.mendAll()
    await sim.advance('31s')
    expect(on(brokers, 'b')).toEqual(['t new 1'])
    expect(metrics['messages/bridge/dropped/expired']).toBe(1)
    sim.network.cut('a@sim', 'b@sim')
    await sim.advance('1s')
    brokers.publish('a', { topic: 't', payload: 'waits' })
    await sim.run()
    expect(await brokers.done(bridges.stop({ node: 'b@sim', filter: 't' }))).toBe(true)
    expect(metrics['messages/bridge/dropped/stopped']).toBe(1)
    expect(alarms.list()).toEqual([])
    brokers.publish('a', { topic: 't', payload: 'later' })
    await sim.run()
    expect(metrics['messages/dropped/no_subscribers']).toBe(1)
  })

  it('that fails is started again with what its peer has not confirmed', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    const { sim } = brokers
    sim.network.cut('a@sim', 'b@sim')
    await brokers.bridge('a', 'b', 't')
    brokers.publish('a', { topic: 't', payload: 'x' })
    await sim.run()
    const { runtime, routing } = brokers.of('a')
    const [subscriber] = [...routing.subscribers.all()]
    runtime.exit(subscriber!.pid, 'kill')
    sim.network.mendAll()
    await sim.advance('31s')
    expect(on(brokers, 'b')).toEqual(['t x 1'])
  })

  it('to a member of the cluster is refused, and brings nothing when its peer becomes one: members have all messages', async () => {
    const brokers = await simulatedBrokers(1, ['a', 'b'])
    await brokers.bridge('a', 'b', 't')
    const { bridges, metrics, mnesia } = brokers.of('a')
    let isJoined = false
    void mnesia.join('b@sim', { confirm: true }).then(({ ok }) => {
      isJoined = ok
    })
    await brokers.sim.advance('10s')
    expect(isJoined).toBe(true)
    expect(bridges.list()).toMatchObject([{ state: 'member' }])
    brokers.publish('a', { topic: 't', payload: 'x' })
    await brokers.sim.advance('1s')
    expect(metrics['messages/bridge/looped']).toBe(1)
    expect(on(brokers, 'b')).toEqual([])
    expect(await brokers.bridge('a', 'b', 'u')).toMatchObject({ ok: false, reason: 'cluster_member' })
  })
})
