/** Subscribers that are behind slow those who publish to them, instead of losing messages. */
import { afterEach, describe, expect, test } from 'vitest'
import type { AckPacket, QoS } from '../../src/broker/packet.ts'
import type { ClientInfo, SessionPacket, ToSession } from '../../src/broker/process-messages.ts'
import type { SessionLimits } from '../../src/broker/session-state.ts'
import { type Connection, SessionNode } from './session-node.ts'
import { limits, publish } from './session-support.ts'

let node: SessionNode

afterEach(() => node.simulation.stop())

const LENGTH = 80

async function start(changes: Partial<SessionLimits> = {}): Promise<void> {
  const how = { ...limits({ maxInflight: 10, maxAwaitingRel: 2000, queue: { maxLength: LENGTH } }), ...changes }
  node = await new SessionNode(1, how).start()
}

async function join(clientId: string, changes: Partial<ClientInfo> = {}): Promise<Connection> {
  return node.connected({ clientId, ...changes })
}

async function subscriber(clientId: string, topic = 't', qos: QoS = 1): Promise<Connection> {
  const connection = await join(clientId)
  connection.subscribe(topic, qos)
  await node.run()
  return connection
}

function burst(count: number, qos: QoS = 1, topic = 't', from = 0): SessionPacket[] {
  return Array.from({ length: count }, (_, i) =>
    publish(qos, from + i + 1, { topic, payload: Buffer.from(String(from + i)) }),
  )
}

/** Acknowledges what has come and was not acknowledged before; returns how many that were. */
class Acknowledger {
  readonly #connection: Connection
  #done = 0

  constructor(connection: Connection) {
    this.#connection = connection
  }

  take(most = Number.POSITIVE_INFINITY): number {
    const { received } = this.#connection
    const acks: AckPacket[] = []
    for (; this.#done < received.length && acks.length < most; this.#done++) {
      const packet = received[this.#done]!
      if (packet.cmd === 'publish' && packet.qos === 1) acks.push({ cmd: 'puback', messageId: packet.messageId })
      else if (packet.cmd === 'publish' && packet.qos === 2) acks.push({ cmd: 'pubrec', messageId: packet.messageId })
      else if (packet.cmd === 'pubrel') acks.push({ cmd: 'pubcomp', messageId: packet.messageId })
    }
    if (acks.length > 0) this.#connection.packets(...acks)
    return acks.length
  }
}

async function drain(...connections: Connection[]): Promise<void> {
  await node.run()
  const all = connections.map((connection) => new Acknowledger(connection))
  for (;;) {
    const taken = all.reduce((sum, each) => sum + each.take(), 0)
    await node.run()
    if (taken === 0) return
  }
}

const acksOf = ({ received }: Connection) => received.filter(({ cmd }) => cmd === 'puback' || cmd === 'pubrec')
const dropped = () => node.environment.metrics['delivery/dropped/queue_full']
const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

describe('a subscriber that acknowledges', () => {
  test('gets everything of a publisher with a window many times its queue, in order', async () => {
    for (const qos of [1, 2] as const) {
      await start({ maxAwaitingRel: 2000 })
      const reader = await subscriber('reader', 't', qos)
      const writer = await join('writer')
      writer.packets(...burst(1000, qos))
      await node.run()
      // Nothing is acknowledged before it is published.
      expect(acksOf(writer)).toEqual([])
      await drain(reader)
      expect(reader.payloads()).toEqual(numbers(1000))
      expect(acksOf(writer).map((packet) => ('messageId' in packet ? packet.messageId : 0))).toEqual(
        numbers(1000).map((n) => Number(n) + 1),
      )
      expect(dropped()).toBe(0)
      node.simulation.stop()
    }
  })

  test('gets everything of many publishers, each of which has its turn', async () => {
    await start()
    const reader = await subscriber('reader')
    const writers = await Promise.all(Array.from({ length: 40 }, (_, i) => join(`writer${i}`)))
    for (const writer of writers) writer.packets(...burst(20))
    await node.run()
    for (const writer of writers) writer.packets(...burst(20, 1, 't', 20))
    await drain(reader)
    expect(dropped()).toBe(0)
    for (const writer of writers) expect(acksOf(writer)).toHaveLength(40)
    expect(reader.payloads()).toHaveLength(1600)
    expect(node.routing.pressure.isAny).toBe(false)
  })

  test('does not keep from others what has been published', async () => {
    await start()
    const reader = await subscriber('reader')
    const other = await subscriber('other')
    const writer = await join('writer')
    writer.packets(...burst(200))
    await drain(other)
    const seen = other.payloads().length
    expect(seen).toBeGreaterThan(LENGTH / 2)
    expect(seen).toBeLessThan(LENGTH)
    await drain(reader, other)
    expect(other.payloads()).toEqual(numbers(200))
    expect(dropped()).toBe(0)
  })

  test('does not slow QoS 0', async () => {
    await start()
    const reader = await subscriber('reader')
    const other = await subscriber('other', 'u', 0)
    const writer = await join('writer')
    const plain = await join('plain')
    writer.packets(...burst(200))
    await node.run()
    expect(node.routing.pressure.isAny).toBe(true)
    plain.packets(...burst(50, 0, 'u'), ...burst(5, 0, 't'))
    await node.run()
    expect(other.payloads()).toHaveLength(50)
    await drain(reader)
    expect(dropped()).toBe(0)
  })

  test('is spared by a group whose other members keep up', async () => {
    await start()
    const slow = await subscriber('slow', '$share/g/t')
    const quick = await subscriber('quick', '$share/g/t')
    const writer = await join('writer')
    writer.packets(...burst(1000))
    await drain(quick)
    expect(acksOf(writer)).toHaveLength(1000)
    expect(dropped()).toBe(0)
    await drain(slow, quick)
    expect(slow.payloads().length + quick.payloads().length).toBe(1000)
  })
})

describe('nobody is held up', () => {
  test('by a subscriber that acknowledges nothing for a second, until its queue is small again', async () => {
    await start()
    const reader = await subscriber('reader')
    const other = await subscriber('other')
    const writer = await join('writer')
    writer.packets(...burst(300))
    await drain(other)
    expect(acksOf(writer)).toEqual([])
    await node.simulation.advance('999ms')
    expect(acksOf(writer)).toEqual([])
    const rest = new Acknowledger(other)
    for (let i = 0; i < 100; i++) {
      rest.take()
      await node.simulation.advance('100ms')
    }
    expect(acksOf(writer)).toHaveLength(300)
    expect(dropped()).toBeGreaterThan(0)
    // One acknowledgement now and then does not make it a subscriber that holds others up.
    const before = acksOf(writer).length
    new Acknowledger(reader).take(1)
    writer.packets(...burst(50, 1, 't', 300))
    await node.run()
    expect(acksOf(writer)).toHaveLength(before + 50)
    await drain(reader)
    writer.packets(...burst(300, 1, 't', 350))
    await node.run()
    expect(acksOf(writer)).toHaveLength(before + 50)
  })

  test('by one that goes away, is not read by its client, or dies while others wait for it', async () => {
    for (const end of ['offline', 'congested', 'gone', 'killed'] as const) {
      await start()
      const reader = await subscriber('reader')
      const writer = await join('writer')
      const second = await join('second')
      writer.packets(...burst(200))
      await node.run()
      second.packets(...burst(10))
      await node.run()
      expect(acksOf(writer).length + acksOf(second).length).toBe(0)
      const { session } = reader.session
      if (end === 'offline') reader.crash()
      else if (end === 'gone') reader.disconnect(false, 0)
      else if (end === 'congested') {
        node.runtime.send(session, { tag: 'congested', from: reader.pid, on: true } satisfies ToSession)
      } else node.runtime.exit(session, 'kill')
      await node.run()
      if (end === 'killed') await node.simulation.advance('1s')
      expect([end, acksOf(writer).length, acksOf(second).length]).toEqual([end, 200, 10])
      expect(node.routing.pressure.isAny).toBe(false)
      node.simulation.stop()
    }
  })

  test('by itself: a client gets its own messages, whatever its receive maximum', async () => {
    await start()
    const own = await join('own', { receiveMaximum: 1 })
    own.subscribe('t', 1)
    await node.run()
    own.packets(...burst(60))
    await node.run()
    expect(acksOf(own)).toHaveLength(60)
    await drain(own)
    expect(own.payloads()).toEqual(numbers(60))
    own.packets(...burst(300))
    await node.run()
    expect(acksOf(own)).toHaveLength(360)
  })

  test('when the setting is off', async () => {
    node = new SessionNode(1, limits({ maxInflight: 10, maxAwaitingRel: 2000, queue: { maxLength: LENGTH } }), 0)
    await node.start()
    await subscriber('reader')
    const writer = await join('writer')
    writer.packets(...burst(200))
    await node.run()
    expect(acksOf(writer)).toHaveLength(200)
    expect(dropped()).toBe(200 - LENGTH - 10)
  })
})

describe('a circle', () => {
  test('of two that publish to each other comes to its end and loses nothing', async () => {
    for (const [length, receiveMaximum] of [
      [80, 65_535],
      [80, 1],
      [1, 1],
    ] as const) {
      await start({ queue: { ...limits().queue, maxLength: length } })
      const a = await join('a', { receiveMaximum })
      const b = await join('b', { receiveMaximum })
      a.subscribe('from b')
      b.subscribe('from a')
      await node.run()
      a.packets(...burst(90, 1, 'from a'))
      b.packets(...burst(90, 1, 'from b'))
      await drain(a, b)
      expect(a.payloads()).toEqual(numbers(90))
      expect(b.payloads()).toEqual(numbers(90))
      expect([acksOf(a).length, acksOf(b).length, dropped()]).toEqual([90, 90, 0])
      expect(node.simulation.time.nextInMs).toBeUndefined()
      node.simulation.stop()
    }
  })
})

describe('a publisher that waits', () => {
  test('is read on until much waits, and again when it has been published', async () => {
    await start({ maxAwaitingRel: 65_535 })
    const reader = await subscriber('reader')
    const writer = await join('writer')
    const send = (packets: SessionPacket[]) => {
      const message: ToSession = { tag: 'packets', from: writer.pid, packets, sync: true }
      node.runtime.send(writer.session.session, message)
    }
    send(burst(500))
    await node.run()
    expect(writer.synced).toBe(1)
    send(burst(1500, 1, 't', 500))
    send([])
    await node.run()
    expect(writer.synced).toBe(1)
    await drain(reader)
    expect(writer.synced).toBe(3)
    expect(reader.payloads()).toEqual(numbers(2000))
  })

  test('has all that it sent published when its session ends, its will last', async () => {
    await start()
    await subscriber('reader')
    const other = await subscriber('will', 'w')
    const will = {
      topic: 'w',
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: false,
      delaySec: 0,
      expirySec: undefined,
      properties: undefined,
    }
    const writer = await join('writer', { expirySec: 0, will })
    writer.packets(...burst(100))
    await node.run()
    expect(other.payloads()).toEqual([])
    writer.crash()
    await node.run()
    expect(other.payloads()).toEqual(['gone'])
    expect(node.environment.metrics['messages/delivered'] + dropped()).toBeGreaterThan(20)
    expect(node.simulation.time.nextInMs).toBeUndefined()
  })
})
