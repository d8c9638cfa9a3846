/** A client that subscribes and publishes without waiting for SUBACK. */
import { describe, expect, test } from 'vitest'
import type { AuthorizedSubscribe } from '../../src/broker/process-messages.ts'
import type { Effect } from '../../src/broker/session-state.ts'
import { useBroker } from '../support/broker.ts'
import { SessionNode } from './session-node.ts'
import { ack, Machine, matched, message, only, publish, run, sent } from './session-support.ts'

function subscribe(messageId: number, topic = 't'): AuthorizedSubscribe {
  return { cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1 }], denied: [0] }
}

/** A machine whose router has not answered. */
function waiting(): Machine {
  const m = new Machine()
  m.manual = true
  return m
}

function answer(m: Machine, asked: readonly Effect[]): Effect[] {
  return m.event({ tag: 'subscribed', ticket: only(asked, 'subscribe').at(-1)!.ticket, codes: undefined })
}

const payloads = (effects: readonly Effect[]) =>
  only(effects, 'publish').flatMap(({ messages }) => messages.map(({ payload }) => payload.toString()))

describe('a PUBLISH behind a SUBSCRIBE', () => {
  test('waits for its route, and goes on behind SUBACK, in order', () => {
    const m = waiting()
    const asked = m.packets([
      publish(1, 1, { payload: Buffer.from('before') }),
      subscribe(2),
      publish(1, 3, { payload: Buffer.from('a') }),
      publish(0, 0, { payload: Buffer.from('b') }),
    ])
    expect(payloads(asked)).toEqual(['before'])
    expect(payloads(m.packets([publish(2, 4, { payload: Buffer.from('c') })]))).toEqual([])
    m.event({ tag: 'accepted', ticket: only(asked, 'publish')[0]!.ticket, codes: undefined })
    const effects = answer(m, asked)
    expect(effects.map(({ tag }) => tag)).toEqual(['out', 'retained', 'publish'])
    expect(payloads(effects)).toEqual(['a', 'b', 'c'])
    const acks = m.event({ tag: 'accepted', ticket: only(effects, 'publish')[0]!.ticket, codes: undefined })
    expect(sent(acks)).toEqual([
      { cmd: 'puback', messageId: 3 },
      { cmd: 'pubrec', messageId: 4 },
    ])
  })

  test('does not hold up acknowledgements of the client', () => {
    const m = waiting()
    const delivered = m.deliver(run([message({ qos: 1 })], matched(1)))
    m.packets([subscribe(1), publish(1, 2)])
    const [packet] = sent(delivered)
    m.packets([ack('puback', packet!.cmd === 'publish' ? packet!.messageId : 0)])
    expect(m.state.inflight.size).toBe(0)
    expect(m.state.held).toHaveLength(1)
  })

  test('keeps its place before the UNSUBSCRIBE, SUBSCRIBE and PUBREL that follow it', () => {
    const m = waiting()
    const asked = m.packets([
      subscribe(1),
      publish(1, 2),
      { cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['t'] },
      subscribe(4, 'u'),
      publish(1, 5, { topic: 'u' }),
      ack('pubrel', 9),
    ])
    expect(asked.map(({ tag }) => tag)).toEqual(['subscribe'])
    const second = answer(m, asked)
    expect(second.map(({ tag }) => tag)).toEqual([
      'out',
      'retained',
      'publish',
      'forget_retained',
      'unsubscribe',
      'subscribe',
    ])
    expect(payloads(second)).toHaveLength(1)
    expect(payloads(answer(m, second))).toEqual([])
    const last = m.event({ tag: 'unsubscribed', ticket: only(second, 'unsubscribe')[0]!.ticket })
    expect(payloads(last)).toHaveLength(1)
    expect(m.state.held).toBeUndefined()
  })

  test('keeps the connection from being read on until it has been taken', () => {
    const m = waiting()
    const asked = m.packets([subscribe(1), publish(1, 2)], true)
    expect(only(asked, 'synced')).toEqual([])
    const effects = answer(m, asked)
    expect(only(effects, 'synced')).toEqual([])
    const accepted = m.event({ tag: 'accepted', ticket: only(effects, 'publish')[0]!.ticket, codes: undefined })
    expect(accepted.map(({ tag }) => tag)).toEqual(['out', 'synced'])
  })

  test('is published when the client goes before the router has answered, ahead of its will', () => {
    for (const end of ['detach', 'discard', 'take over'] as const) {
      const m = waiting()
      m.attach({
        will: {
          topic: 'w',
          payload: Buffer.from('will'),
          qos: 0,
          retain: false,
          delaySec: 0,
          expirySec: undefined,
          properties: undefined,
        },
      })
      m.packets([subscribe(1), publish(1, 2), subscribe(3, 'u'), publish(0, 0)])
      const effects =
        end === 'detach'
          ? m.detach({ expirySec: 0 })
          : end === 'discard'
            ? m.event({ tag: 'discard', reasonCode: 0x98, reason: 'kicked' })
            : m.attach()
      expect(payloads(effects), end).toEqual(['x', 'x', 'will'])
      expect(m.state.held).toBeUndefined()
    }
  })
})

test('a client in a cluster of one gets what it publishes behind its own SUBSCRIBE in the same message', async () => {
  const node = await new SessionNode(1).start()
  const connection = await node.connected()
  connection.packets(subscribe(1), publish(1, 2, { payload: Buffer.from('own') }))
  await node.run()
  expect(connection.payloads()).toEqual(['own'])
  expect(connection.received.map(({ cmd }) => cmd)).toEqual(['suback', 'puback', 'publish'])
  node.simulation.stop()
})

const mqtt = useBroker(4)

test('a client that sends SUBSCRIBE and PUBLISH in one segment gets its own messages', async () => {
  for (const version of [3, 4, 5] as const) {
    const client = await mqtt.client({ version })
    const topic = mqtt.topic()
    client.socket.cork()
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })
    for (let i = 0; i < 5; i++) client.sendPublish(topic, { payload: String(i) })
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] })
    client.sendPublish(topic, { payload: 'not wanted' })
    client.socket.uncork()
    await client.expect('suback', { messageId: 1 })
    const rest = await client.barrier()
    expect(rest.flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))).toEqual([
      '0',
      '1',
      '2',
      '3',
      '4',
    ])
  }
})
