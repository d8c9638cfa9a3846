/**
 * Abuse by quantity and slowness: floods, readers that do not read, writers of one byte, storms of connections. Nobody
 * else notices, and what one client can make the broker remember is bounded.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { IS_MOSQUITTO, useBroker } from '../support/broker.ts'
import { connectBytes, field, publishBytes, raw, subscribeBytes } from '../support/bytes.ts'
import { whileHealthy } from '../support/healthy.ts'
import type { RawClient } from '../support/raw-client.ts'

const mqtt = useBroker(5)

/** Bytes that buffers of this process hold; the broker's too when it runs in this process. */
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Buffers that are in use: what is garbage is collected first. */
function bufferBytes(): number {
  collectGarbage()
  const { external, arrayBuffers } = process.memoryUsage()
  return external + arrayBuffers
}

/** Publishes `count` messages of `size` bytes and waits until the broker has taken them all. */
async function flood(publisher: RawClient, topic: string, count: number, size: number, qos: 0 | 1 = 0): Promise<void> {
  const payload = Buffer.alloc(size, 0x61)
  for (let i = 0; i < count; i++) {
    payload.writeUInt32BE(i)
    publisher.sendPublish(topic, { qos, payload })
    if (qos === 1) await publisher.expect('puback')
    else if (i % 50 === 49) await publisher.survives()
  }
  await publisher.survives()
}

describe('a subscriber that does not read', () => {
  for (const qos of [0, 1] as const) {
    test(`does not keep QoS ${qos} messages from the others`, async () => {
      const topic = mqtt.topic()
      const stuck = await mqtt.client()
      await stuck.subscribe(topic, qos)
      stuck.socket.pause()
      const others = [await mqtt.client(), await mqtt.client({ version: 4 })]
      for (const other of others) await other.subscribe(topic, qos)
      const publisher = await mqtt.client()
      const count = 3_000
      const reading = others.map(async (other) => {
        for (let i = 0; i < count; i++) {
          const packet = await other.expectPublish({ topic, qos })
          expect(packet.payload.readUInt32BE()).toBe(i)
          await other.acknowledge(packet)
        }
      })
      await Promise.all([...reading, flood(publisher, topic, count, 10_000, qos)])
      expect(stuck.socket.isPaused()).toBe(true)
    })
  }

  test('gets what was kept for it when it reads again, in order and without repetition', async () => {
    const topic = mqtt.topic()
    const stuck = await mqtt.client()
    await stuck.subscribe(topic, 1)
    stuck.socket.pause()
    const publisher = await mqtt.client()
    await flood(publisher, topic, 2_000, 10_000, 1)
    stuck.socket.resume()
    const got: number[] = []
    for (let isMore = true; isMore; ) {
      isMore = false
      for (const packet of await stuck.barrier()) {
        if (packet.cmd !== 'publish') continue
        isMore = true
        got.push(packet.payload.readUInt32BE())
        await stuck.acknowledge(packet)
      }
    }
    expect(got.length).toBeGreaterThan(100)
    expect(got).toEqual([...new Set(got)].sort((a, b) => a - b))
  })

  test('costs a bounded amount of memory', async () => {
    const topic = mqtt.topic()
    const stuck = await mqtt.client()
    await stuck.subscribe(topic, 0)
    stuck.socket.pause()
    const publisher = await mqtt.client()
    const before = bufferBytes()
    await flood(publisher, topic, 2_000, 100_000)
    // 200 MB went by; what is held is kernel buffers, the socket's high-water mark and the session's queue.
    expect(bufferBytes() - before).toBeLessThan(150 * 2 ** 20)
  })

  test('and asks for answers all the time is not answered without bound', async () => {
    await whileHealthy(mqtt, async () => {
      const stuck = await mqtt.client()
      stuck.socket.pause()
      const pings = Buffer.concat(Array.from({ length: 50_000 }, () => raw(0xc0, 0)))
      const before = bufferBytes()
      for (let i = 0; i < 20 && !stuck.isClosed; i++) {
        stuck.sendBytes(pings)
        await new Promise(setImmediate)
      }
      const witness = await mqtt.client()
      await witness.expectNothing()
      expect(bufferBytes() - before).toBeLessThan(64 * 2 ** 20)
    })
  })
})

describe('slow and many', () => {
  test('writers of one byte at a time are served like anybody else', async () => {
    await whileHealthy(mqtt, async () => {
      const bytes = Buffer.concat([
        connectBytes({ level: 5, payload: field('') }),
        publishBytes(5, mqtt.topic(), { flags: 2, id: 1 }),
      ])
      const writers = await Promise.all(Array.from({ length: 50 }, () => mqtt.socket(5)))
      for (const byte of bytes) {
        for (const writer of writers) writer.sendBytes(raw(byte))
        await new Promise(setImmediate)
      }
      for (const writer of writers) {
        await writer.expect('connack', { reasonCode: 0 })
        await writer.expect('puback', { messageId: 1 })
      }
    })
  })

  test('a storm of connections with one client id leaves one of them', async () => {
    await whileHealthy(mqtt, async () => {
      const clientId = mqtt.id()
      const storm = await Promise.all(Array.from({ length: 200 }, () => mqtt.socket(5)))
      for (const client of storm)
        client.sendConnect({ clientId, clean: false, properties: { sessionExpiryInterval: 60 } })
      const last = await mqtt.client({ clientId, clean: false })
      expect(last.connack?.sessionPresent).toBe(true)
      for (const client of storm) await client.drainToEnd()
      expect(await last.survives()).toBe(true)
    })
  })

  test('a storm of short connections leaves nothing behind', async () => {
    const topic = mqtt.topic()
    const publisher = await mqtt.client()
    await whileHealthy(mqtt, async () => {
      for (let round = 0; round < 10; round++) {
        const clients = await Promise.all(Array.from({ length: 100 }, () => mqtt.socket(4)))
        for (const client of clients) client.sendBytes(connectBytes(), subscribeBytes(4, [[topic, 1]]))
        await Promise.all(clients.map((client) => client.expect('connack')))
        for (const client of clients) client.cut()
      }
    })
    const reader = await mqtt.client()
    await reader.subscribe(topic, 1)
    await publisher.publish(topic, { qos: 1 })
    await reader.acknowledge(await reader.expectPublish({ topic }))
    await reader.expectNothing()
  })

  test('connections that come and go without a byte leave nothing behind', async () => {
    await whileHealthy(mqtt, async () => {
      for (let round = 0; round < 10; round++) {
        const sockets = await Promise.all(Array.from({ length: 100 }, () => mqtt.socket(4)))
        for (const [i, client] of sockets.entries()) {
          if (i % 2 === 0) client.socket.resetAndDestroy()
          else client.cut()
        }
      }
    })
  })
})

describe('large numbers of filters', () => {
  test('ten thousand filters of one client are granted or refused one by one', async () => {
    await whileHealthy(mqtt, async () => {
      const client = await mqtt.client()
      for (let batch = 0; batch < 10; batch++) {
        const filters = Array.from({ length: 1_000 }, (_, i) => ({ topic: `many/${batch}/${i}/+`, qos: 0 as const }))
        const suback = await client.subscribe(filters)
        expect(suback.granted.length).toBe(1_000)
        for (const code of suback.granted) expect([0, 0x97, 0x80]).toContain(code)
      }
    })
  })

  test.skipIf(IS_MOSQUITTO)('filters made to match in every combination deliver one message', async () => {
    const root = mqtt.topic()
    const depth = 10
    const client = await mqtt.client()
    for (let half = 0; half < 2; half++) {
      const filters = Array.from({ length: 2 ** (depth - 1) }, (_, bits) => ({
        topic: [root, ...Array.from({ length: depth }, (__, i) => (((bits * 2 + half) >> i) & 1 ? '+' : 'a'))].join(
          '/',
        ),
        qos: 0 as const,
      }))
      await client.subscribe(filters)
    }
    await whileHealthy(mqtt, async () => {
      const publisher = await mqtt.client()
      await publisher.publish([root, ...Array.from({ length: depth }, () => 'a')].join('/'))
      await client.expectPublish()
      await client.expectNothing()
    })
  })
})
