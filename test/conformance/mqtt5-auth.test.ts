/**
 * MQTT 5.0, sections 3.15 and 4.12: AUTH and enhanced authentication, as far as a server without a method shows it.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'
import { connectBytes, field, frame, properties, property, publishBytes, raw } from '../support/bytes.ts'

const mqtt = useBroker(5)

describe('3.15 AUTH', () => {
  statement('[MQTT-3.15.1-1] AUTH with flags closes the connection', async () => {
    for (const first of [0xf1, 0xf2, 0xf8]) {
      const client = await mqtt.client()
      client.sendBytes(raw(first, 0))
      await client.expectClosed([0x81, 0x82])
    }
  })

  statement('[MQTT-3.15.2-1] AUTH with a code that is not its own closes the connection', async () => {
    for (const code of [0x01, 0x80, 0x8c, 0xff]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0xf0, raw(code), properties(property(21, field('m')))))
      await client.expectClosed([0x81, 0x82])
    }
  })
})

describe('4.12 without a method', () => {
  statement(
    '[MQTT-4.12.0-1] [MQTT-4.12.0-4] an unknown authentication method is refused with 0x8C or 0x87',
    async () => {
      const client = await mqtt.socket()
      client.sendBytes(connectBytes({ level: 5, properties: properties(property(21, field('no such method'))) }))
      await client.expectClosed([0x8c, 0x87])
    },
  )

  statement('[MQTT-4.12.0-6] without a method in CONNECT there is no AUTH and none in CONNACK', async () => {
    const client = await mqtt.client()
    expect(client.connack?.properties?.authenticationMethod).toBeUndefined()
    await client.expectNothing()
  })

  statement('[MQTT-4.12.0-7] [MQTT-4.12.1-1] AUTH of a client without a method closes the connection', async () => {
    for (const code of [0x00, 0x18, 0x19]) {
      const client = await mqtt.client()
      client.sendBytes(frame(0xf0, raw(code), properties(property(21, field('m')))))
      await client.expectClosed([0x82])
    }
  })

  statement('[MQTT-3.1.2-30] packets behind a CONNECT with an unknown method are not processed', async () => {
    const topic = mqtt.topic()
    const reader = await mqtt.client()
    await reader.subscribe(topic)
    const client = await mqtt.socket()
    client.sendBytes(
      connectBytes({ level: 5, properties: properties(property(21, field('no such method'))) }),
      publishBytes(5, topic),
    )
    await client.expectClosed([0x8c, 0x87, 0x82])
    await reader.expectNothing()
  })
})
