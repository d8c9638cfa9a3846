/** Static subscriptions: rows of a shared table, and a SUBSCRIBE that no client has sent. */
import { describe, expect, test } from 'vitest'
import type { SessionPacket } from '../../src/broker/process-messages.ts'
import { NOT_OF_CLIENT, StaticSubscriptions } from '../../src/broker/session/static-subscriptions.ts'
import { embeddedBroker } from '../support/embedded-broker.ts'
import { RawClient } from '../support/raw-client.ts'
import { limits, Machine, only, sent } from './session-support.ts'

const own = (topic: string): SessionPacket => ({
  cmd: 'subscribe',
  messageId: NOT_OF_CLIENT,
  subscriptions: [{ topic, qos: 1, nl: false, rap: false, rh: 1 }],
  denied: [],
})

describe('a SUBSCRIBE of nobody', () => {
  test('stands, has no SUBACK, and holds up no PUBLISH of the client', () => {
    const machine = new Machine()
    machine.manual = true
    const effects = machine.packets([own('a/#')])
    expect(only(effects, 'subscribe')[0]?.subscriptions.map(({ filter }) => filter.key)).toEqual(['a/#'])
    const { ticket } = only(effects, 'subscribe')[0]!
    expect(only(machine.packets([own('b')]), 'subscribe')).toHaveLength(1)
    expect(machine.state.held).toBeUndefined()
    expect(machine.state.asking).toBe(0)
    expect(sent(machine.event({ tag: 'subscribed', ticket, codes: undefined }))).toEqual([])
    expect(machine.state.asking).toBe(0)
    expect([...machine.state.subscriptions.keys()]).toEqual(['a/#', 'b'])
  })

  test('that goes past the limit of subscriptions is left out without a word', () => {
    const machine = new Machine(limits({ maxSubscriptions: 1 }))
    machine.packets([own('a')])
    expect(sent(machine.packets([own('b')]))).toEqual([])
    expect([...machine.state.subscriptions.keys()]).toEqual(['a'])
  })
})

describe('the static subscriptions of a client', () => {
  test('are one for each filter, in one spelling', async () => {
    const broker = await embeddedBroker()
    const known = new StaticSubscriptions(broker.services.mnesia)
    expect(known.subscribeOf('c')).toBeUndefined()
    expect(known.add('c', 'a/b', 1)).toBe('added')
    expect(known.add('c', 'a/b', 2)).toBe('existed')
    expect(known.add('c', '$queue/a', 0)).toBe('added')
    expect(known.add('c', '$share/$queue/a', 0)).toBe('existed')
    expect(known.add('c', 'a/#/b', 0)).toBe('bad_filter')
    expect(known.add('b', 'x', 0)).toBe('added')
    expect(known.clientIds()).toEqual(['b', 'c'])
    known.delete('c', 'a/b')
    expect(known.of('c').map(({ qos }) => qos)).toEqual([0])
    known.delete('c')
    expect(known.count).toBe(1)
  })

  test('are there before what a client sends first, and until it unsubscribes; retained messages come once for a session', async () => {
    const broker = await embeddedBroker()
    const { port } = broker.listeners[0]!
    broker.services.staticSubscriptions.add('c', 'news/#', 1)
    await broker.publish({ topic: 'news/1', payload: 'kept', qos: 1, retain: true })
    const connect = async () => {
      const opened = await RawClient.open({ host: '127.0.0.1', port }, 5)
      await opened.handshake({ clientId: 'c', clean: false, properties: { sessionExpiryInterval: 600 } })
      return opened
    }
    const first = await connect()
    await first.acknowledge(await first.expectPublish({ topic: 'news/1', payload: 'kept', retain: true }))
    await first.publish('news/2', { payload: 'own', qos: 0 })
    await first.expectPublish({ topic: 'news/2', payload: 'own' })
    await first.disconnect()
    const second = await connect()
    expect(await second.barrier()).toEqual([])
    expect(broker.services.routing.subscriptions.read('c').map(({ filter }) => filter)).toEqual(['news/#'])
    await second.unsubscribe('news/#')
    expect(broker.services.routing.subscriptions.read('c')).toEqual([])
  })
})
