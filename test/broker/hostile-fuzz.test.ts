/**
 * Random bytes and randomly damaged packets over sockets. A failure prints the seed of fast-check with which it repeats.
 */
import fc from 'fast-check'
import { generate, type Packet as LoosePacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import type { ProtocolVersion } from '../../src/broker/packet.ts'
import { useBroker } from '../support/broker.ts'
import { connectBytes, frame, publishBytes, raw, subscribeBytes, u16, unsubscribeBytes } from '../support/bytes.ts'
import { whileHealthy } from '../support/healthy.ts'

const mqtt = useBroker(5)

const version = fc.constantFrom<ProtocolVersion>(3, 4, 5)

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))

/** A whole packet of a random type with a random body: the frame is right, the contents are not. */
const framed = fc.tuple(fc.integer({ min: 0, max: 255 }), bytes(60)).map(([first, body]) => frame(first, body))

function samples(protocolVersion: ProtocolVersion): Buffer[] {
  return [
    publishBytes(protocolVersion, 'fuzz/a', { payload: 'x' }),
    publishBytes(protocolVersion, 'fuzz/a', { flags: 2, id: 3 }),
    publishBytes(protocolVersion, 'fuzz/a', { flags: 4, id: 4 }),
    subscribeBytes(protocolVersion, [['fuzz/+', 1]]),
    unsubscribeBytes(protocolVersion, ['fuzz/+']),
    frame(0x62, u16(4)),
    frame(0x40, u16(1)),
    raw(0xc0, 0),
    generate(
      {
        cmd: 'publish',
        topic: 'fuzz/b',
        qos: 1,
        messageId: 9,
        dup: false,
        retain: true,
        payload: 'x',
        ...(protocolVersion === 5 && {
          properties: { contentType: 'text', userProperties: { a: 'b' }, topicAlias: 1 },
        }),
      } as LoosePacket,
      { protocolVersion },
    ),
  ]
}

/** A valid packet with one byte changed, the frame's length left as it was. */
const damaged = fc
  .tuple(version, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 255 }))
  .map(([protocolVersion, which, where, value]) => {
    const all = samples(protocolVersion)
    const packet = Buffer.from(all[which % all.length]!)
    const at = where % packet.length
    if (at !== 1) packet[at] = value
    return { protocolVersion, packet }
  })

test('random bytes on an open socket end that connection only', async () => {
  await whileHealthy(mqtt, async () => {
    await fc.assert(
      fc.asyncProperty(bytes(100), async (noise) => {
        const client = await mqtt.socket(4)
        client.sendBytes(noise)
        client.socket.end()
        await client.drainToEnd()
      }),
      { numRuns: 150 },
    )
  })
})

test('whole packets of random contents close the connection or keep it in step', async () => {
  await whileHealthy(mqtt, async () => {
    await fc.assert(
      fc.asyncProperty(version, fc.array(framed, { minLength: 1, maxLength: 5 }), async (protocolVersion, packets) => {
        const client = await mqtt.client({ version: protocolVersion })
        client.sendBytes(...packets)
        await client.survives()
        client.cut()
      }),
      { numRuns: 300 },
    )
  })
})

test('valid packets with one byte changed close the connection or keep it in step', async () => {
  await whileHealthy(mqtt, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(damaged, { minLength: 1, maxLength: 4 }), async (packets) => {
        const client = await mqtt.client({ version: packets[0]!.protocolVersion })
        client.sendBytes(...packets.map(({ packet }) => packet))
        await client.survives()
        client.cut()
      }),
      { numRuns: 400 },
    )
  })
})

test('a CONNECT with one byte changed is accepted, refused or closed', async () => {
  await whileHealthy(mqtt, async () => {
    await fc.assert(
      fc.asyncProperty(version, fc.nat(), fc.integer({ min: 0, max: 255 }), async (protocolVersion, where, value) => {
        const packet = connectBytes({ level: protocolVersion })
        const at = where % packet.length
        if (at === 1) return
        packet[at] = value
        const client = await mqtt.socket(protocolVersion)
        client.sendBytes(packet)
        client.socket.end()
        await client.drainToEnd()
      }),
      { numRuns: 200 },
    )
  })
})

test('valid packets cut into random pieces are the same packets', async () => {
  const topic = mqtt.topic()
  const reader = await mqtt.client()
  await reader.subscribe(topic, 0)
  await fc.assert(
    fc.asyncProperty(
      version,
      fc.array(fc.string({ maxLength: 300 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 }),
      async (protocolVersion, payloads, cuts) => {
        const writer = await mqtt.client({ version: protocolVersion })
        const stream = Buffer.concat(payloads.map((payload) => publishBytes(protocolVersion, topic, { payload })))
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = at + cuts[i % cuts.length]!
          writer.sendBytes(stream.subarray(at, end))
          at = end
          await new Promise(setImmediate)
        }
        for (const payload of payloads) {
          const packet = await reader.expectPublish({ topic })
          expect(packet.payload.toString()).toBe(payload)
        }
        writer.cut()
      },
    ),
    { numRuns: 40 },
  )
})
