/**
 * Malformed bytes over sockets: each stream costs its sender the connection, or nothing at all; the broker stays in step
 * with everybody else. A well-behaved pair of clients is served throughout every test.
 */
import { describe, expect, test } from 'vitest'
import type { ProtocolVersion } from '../../src/broker/packet.ts'
import { useBroker } from '../support/broker.ts'
import {
  BAD_STRINGS,
  connectBytes,
  field,
  frame,
  properties,
  property,
  publishBytes,
  raw,
  subscribeBytes,
  u16,
  u32,
  unsubscribeBytes,
  userProperty,
  varint,
} from '../support/bytes.ts'
import { whileHealthy } from '../support/healthy.ts'

const mqtt = useBroker(5)

/** A valid packet of every type that a client may send once connected. */
function validPackets(version: ProtocolVersion): ReadonlyArray<readonly [string, Buffer]> {
  const some = properties(userProperty('name', 'value'))
  const isV5 = version === 5
  return [
    ['PUBLISH 0', publishBytes(version, 'a/b', { payload: 'payload' })],
    ['PUBLISH 1', publishBytes(version, 'a/b', { flags: 2, id: 7, payload: 'payload', properties: some })],
    [
      'PUBLISH 2',
      publishBytes(version, 'a/b', { flags: 4, id: 8, properties: properties(property(3, field('text'))) }),
    ],
    ['PUBACK', isV5 ? frame(0x40, u16(1), raw(0), some) : frame(0x40, u16(1))],
    ['PUBREC', isV5 ? frame(0x50, u16(1), raw(0), some) : frame(0x50, u16(1))],
    ['PUBREL', isV5 ? frame(0x62, u16(1), raw(0), some) : frame(0x62, u16(1))],
    ['PUBCOMP', isV5 ? frame(0x70, u16(1), raw(0), some) : frame(0x70, u16(1))],
    [
      'SUBSCRIBE',
      subscribeBytes(
        version,
        [
          ['a/+', 1],
          ['b/#', 0],
        ],
        { properties: properties(raw(11, 5)) },
      ),
    ],
    ['UNSUBSCRIBE', unsubscribeBytes(version, ['a/+', 'b/#'], { properties: some })],
    ['PINGREQ', raw(0xc0, 0)],
    ['DISCONNECT', isV5 ? frame(0xe0, raw(4), properties(property(17, u32(9)))) : raw(0xe0, 0)],
  ]
}

const CONNECTS: ReadonlyArray<readonly [string, ProtocolVersion, Buffer]> = [
  ['3.1', 3, connectBytes({ level: 3 })],
  [
    '3.1.1',
    4,
    connectBytes({ flags: 0xc6, payload: Buffer.concat(['c', 't', 'm', 'u', 'p'].map((text) => field(text))) }),
  ],
  [
    '5.0',
    5,
    connectBytes({
      level: 5,
      flags: 0xc6,
      properties: properties(property(17, u32(9)), userProperty('a', 'b')),
      payload: Buffer.concat([
        field('c'),
        properties(property(24, u32(1))),
        ...['t', 'm', 'u', 'p'].map((text) => field(text)),
      ]),
    }),
  ],
]

describe('truncated packets', () => {
  for (const [name, version, bytes] of CONNECTS) {
    test(`a ${name} CONNECT that breaks off at any byte only ends its own connection`, async () => {
      await whileHealthy(mqtt, async () => {
        for (let length = 0; length < bytes.length; length++) {
          const client = await mqtt.socket(version)
          client.sendBytes(bytes.subarray(0, length))
          client.socket.end()
          await client.drainToEnd()
        }
      })
    })

    test(`a ${name} CONNECT that is shorter than its fields, by any number of bytes, is refused`, async () => {
      await whileHealthy(mqtt, async () => {
        const body = bytes.subarray(2)
        for (let length = 0; length < body.length; length++) {
          const client = await mqtt.socket(version)
          client.sendBytes(frame(0x10, body.subarray(0, length)))
          await client.expectClosed()
        }
      })
    })
  }

  for (const version of [4, 5] as const) {
    for (const [name, bytes] of validPackets(version)) {
      test(`${name} of version ${version} that breaks off at any byte only ends its own connection`, async () => {
        await whileHealthy(mqtt, async () => {
          for (let length = 1; length < bytes.length; length++) {
            const client = await mqtt.client({ version })
            client.sendBytes(bytes.subarray(0, length))
            client.socket.end()
            await client.drainToEnd()
          }
        })
      })

      test(`${name} of version ${version} that is shorter than its fields closes the connection or keeps it in step`, async () => {
        await whileHealthy(mqtt, async () => {
          const body = bytes.subarray(2)
          for (let length = 0; length < body.length; length++) {
            const client = await mqtt.client({ version })
            client.sendBytes(frame(bytes[0]!, body.subarray(0, length)))
            await client.survives()
          }
        })
      })

      test(`${name} of version ${version} with bytes behind its fields closes the connection or keeps it in step`, async () => {
        await whileHealthy(mqtt, async () => {
          for (const tail of [raw(0), raw(0xff, 0xff), Buffer.alloc(300, 0x61)]) {
            const client = await mqtt.client({ version })
            client.sendBytes(frame(bytes[0]!, bytes.subarray(2), tail))
            await client.survives()
          }
        })
      })
    }
  }
})

describe('headers', () => {
  for (const version of [4, 5] as const) {
    test(`every first byte, with bodies that fit or not, closes the connection or keeps it in step, version ${version}`, async () => {
      await whileHealthy(mqtt, async () => {
        for (let first = 0; first < 256; first++) {
          const client = await mqtt.client({ version })
          for (const body of [raw(0, 1, 0x61, 0, 1), raw()]) client.sendBytes(frame(first, body))
          await client.survives()
        }
      })
    })
  }

  test('every first byte before CONNECT, but CONNECT itself, closes the connection', async () => {
    await whileHealthy(mqtt, async () => {
      for (let first = 0; first < 256; first++) {
        const client = await mqtt.socket(4)
        client.sendBytes(frame(first, raw(0, 1, 0x61, 0, 1)))
        await client.expectClosed()
      }
    })
  })

  test('a remaining length of five bytes closes the connection', async () => {
    await whileHealthy(mqtt, async () => {
      for (const length of [
        raw(0x80, 0x80, 0x80, 0x80, 0),
        raw(0x80, 0x80, 0x80, 0x80, 1),
        raw(255, 255, 255, 255, 255),
      ]) {
        for (const client of [await mqtt.client(), await mqtt.client({ version: 4 }), await mqtt.socket(4)]) {
          client.sendBytes(raw(client.connack ? 0x30 : 0x10), length)
          await client.expectClosed()
        }
      }
    })
  })

  test('the largest length, announced by many and never sent, costs no memory', async () => {
    await whileHealthy(mqtt, async () => {
      const before = process.memoryUsage()
      for (let i = 0; i < 100; i++) {
        const client = i % 2 === 0 ? await mqtt.client({ version: 4 }) : await mqtt.socket(4)
        client.sendBytes(raw(i % 2 === 0 ? 0x30 : 0x10, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61))
      }
      const witness = await mqtt.client()
      await witness.expectNothing()
      const after = process.memoryUsage()
      expect(after.external + after.arrayBuffers - before.external - before.arrayBuffers).toBeLessThan(64 * 2 ** 20)
    })
  })
})

describe('fields', () => {
  test('bad strings in every string field close the connection and reach nobody', async () => {
    const reader = await mqtt.client()
    const root = mqtt.topic()
    await reader.subscribe(`${root}/#`)
    await whileHealthy(mqtt, async () => {
      for (const [, bytes] of BAD_STRINGS) {
        const topic = Buffer.concat([Buffer.from(`${root}/`), bytes])
        for (const version of [4, 5] as const) {
          for (const packet of [
            publishBytes(version, topic),
            publishBytes(version, topic, { flags: 2, id: 1 }),
            subscribeBytes(version, [
              ['ok', 0],
              [topic, 0],
            ]),
            unsubscribeBytes(version, [topic]),
          ]) {
            const client = await mqtt.client({ version })
            client.sendBytes(packet)
            await client.expectClosed()
          }
        }
        for (const id of [3, 8]) {
          const client = await mqtt.client()
          client.sendBytes(publishBytes(5, root, { properties: properties(property(id, field(bytes))) }))
          await client.expectClosed()
        }
      }
    })
    await reader.expectNothing()
  })

  test('packet identifier 0 closes the connection wherever it stands', async () => {
    await whileHealthy(mqtt, async () => {
      for (const version of [4, 5] as const) {
        for (const packet of [
          publishBytes(version, 'a', { flags: 2, id: 0 }),
          publishBytes(version, 'a', { flags: 4, id: 0 }),
          subscribeBytes(version, [['a', 0]], { id: 0 }),
          unsubscribeBytes(version, ['a'], { id: 0 }),
          frame(0x40, u16(0)),
          frame(0x50, u16(0)),
          frame(0x62, u16(0)),
          frame(0x70, u16(0)),
        ]) {
          const client = await mqtt.client({ version })
          client.sendBytes(packet)
          await client.expectClosed()
        }
      }
    })
  })

  test('acknowledgements without a whole identifier close the connection', async () => {
    await whileHealthy(mqtt, async () => {
      for (const version of [4, 5] as const) {
        for (const first of [0x40, 0x50, 0x62, 0x70]) {
          for (const body of [raw(), raw(0)]) {
            const client = await mqtt.client({ version })
            client.sendBytes(frame(first, body))
            await client.expectClosed()
          }
        }
      }
    })
  })

  test('acknowledgements of nothing are no reason to close or to answer beyond the protocol', async () => {
    await whileHealthy(mqtt, async () => {
      const client = await mqtt.client({ version: 4 })
      client.sendBytes(frame(0x40, u16(9)), frame(0x70, u16(9)))
      await client.expectNothing()
      client.sendBytes(frame(0x62, u16(9)))
      await client.expect('pubcomp', { messageId: 9 })
    })
  })

  test('every property in every packet, whether it belongs there or not, closes the connection or keeps it in step', async () => {
    const values: ReadonlyArray<readonly [number[], Buffer]> = [
      [[1, 23, 25, 36, 37, 40, 41, 42], raw(1)],
      [[19, 33, 34, 35], u16(1)],
      [[2, 17, 24, 39], u32(1)],
      [[3, 8, 18, 21, 22, 26, 28, 31, 9], field('x')],
      [[38], Buffer.concat([field('n'), field('v')])],
      [[11], varint(1)],
    ]
    await whileHealthy(mqtt, async () => {
      for (const [ids, value] of values) {
        for (const id of ids) {
          for (const block of [properties(property(id, value)), properties(property(id, value), property(id, value))]) {
            for (const packet of [
              publishBytes(5, 'a', { properties: block }),
              subscribeBytes(5, [['a', 0]], { properties: block }),
              unsubscribeBytes(5, ['a'], { properties: block }),
              frame(0x40, u16(1), raw(0), block),
              frame(0x62, u16(1), raw(0), block),
              frame(0xe0, raw(0), block),
              frame(0xf0, raw(0x19), block),
            ]) {
              const client = await mqtt.client()
              client.sendBytes(packet)
              await client.survives()
              client.cut()
            }
          }
        }
      }
    })
  })

  test('empty and very deep topics and filters close the connection or keep it in step', async () => {
    const deep = '/'.repeat(65_000)
    await whileHealthy(mqtt, async () => {
      for (const version of [4, 5] as const) {
        for (const packet of [
          publishBytes(version, ''),
          publishBytes(version, deep),
          publishBytes(version, 'a/'.repeat(30_000), { flags: 3, id: 1 }),
          subscribeBytes(version, [['', 0]]),
          subscribeBytes(version, [[deep, 0]]),
          subscribeBytes(version, [['+/'.repeat(30_000), 0]]),
          subscribeBytes(version, [[`${'+/'.repeat(30_000)}#`, 0]]),
          subscribeBytes(version, [[`$share/g/${'/'.repeat(60_000)}`, 0]]),
          unsubscribeBytes(version, [deep, '', '#/#']),
        ]) {
          const client = await mqtt.client({ version })
          client.sendBytes(packet)
          await client.survives()
        }
      }
    })
  })
})

describe('sequence', () => {
  test('packets between a refused or doubled CONNECT and the end are not acted on', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    await whileHealthy(mqtt, async () => {
      for (const version of [4, 5] as const) {
        const doubled = await mqtt.client({ version })
        doubled.sendBytes(connectBytes({ level: version }), publishBytes(version, topic))
        await doubled.expectClosed()
        const early = await mqtt.socket(version)
        early.sendBytes(publishBytes(version, topic), connectBytes({ level: version }), publishBytes(version, topic))
        await early.expectClosed()
      }
    })
    await reader.expectNothing()
  })

  test('another protocol on the port is closed', async () => {
    await whileHealthy(mqtt, async () => {
      for (const text of [
        'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
        'SSH-2.0-x\r\n',
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        '\n\n\n\n',
      ]) {
        const client = await mqtt.socket(4)
        client.sendBytes(Buffer.from(text, 'latin1'))
        client.socket.end()
        await client.expectClosed()
      }
    })
  })
})
