/**
 * MQTT 5.0, sections 3.15 and 4.12: AUTH and enhanced authentication, without a method and with one that a hook knows.
 */
import { beforeAll, describe, expect } from 'vitest'
import { stop } from '../../src/broker/hooks.ts'
import { IS_AGNER, statement, useBroker } from '../support/broker.ts'
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

const ELSEWHERE = { mosquitto: 'has no method without a plugin', elsewhere: 'the method is a hook of ours' }

describe('4.12 with a method', () => {
  const own = useBroker(5)
  const METHOD = 'question and answer'

  beforeAll(() => {
    if (!IS_AGNER) return
    own.broker.hooks.on('client.auth_step', (result, { method, data, isFirst }) => {
      if (method !== METHOD) return result
      if (isFirst) return { outcome: 'continue', data: Buffer.from('question') }
      if (data?.toString() === 'once more') return { outcome: 'continue', data: Buffer.from('another question') }
      if (data?.toString() === 'answer') {
        return { outcome: 'accept', data: Buffer.from('welcome'), responseInformation: 'answers/' }
      }
      return { outcome: 'refuse', reasonCode: 0x87, reason: 'wrong answer' }
    })
  })

  const auth = (reasonCode: number, text: string, authenticationMethod = METHOD) =>
    ({ cmd: 'auth', reasonCode, properties: { authenticationMethod, authenticationData: Buffer.from(text) } }) as const

  async function challenged(more: { requestResponseInformation?: boolean } = {}) {
    const client = await own.socket()
    client.sendConnect({ properties: { authenticationMethod: METHOD, ...more } })
    await client.expect('auth', {
      reasonCode: 0x18,
      properties: { authenticationMethod: METHOD, authenticationData: Buffer.from('question') },
    })
    return client
  }

  async function authenticated() {
    const client = await challenged()
    client.send(auth(0x18, 'answer'))
    await client.expect('connack', { reasonCode: 0 })
    return client
  }

  statement(
    '[MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.2.0-1] [MQTT-3.15.2-1] the server asks by AUTH 0x18 as often as it needs, and CONNACK repeats the method',
    async () => {
      const client = await challenged()
      client.send(auth(0x18, 'once more'))
      await client.expect('auth', {
        reasonCode: 0x18,
        properties: { authenticationMethod: METHOD, authenticationData: Buffer.from('another question') },
      })
      client.send(auth(0x18, 'answer'))
      const connack = await client.expect('connack', {
        reasonCode: 0,
        properties: { authenticationMethod: METHOD, authenticationData: Buffer.from('welcome') },
      })
      expect(connack.properties?.responseInformation).toBeUndefined()
      await client.expectNothing()
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.1.2-28] response information comes to a client that asked for it',
    async () => {
      const client = await challenged({ requestResponseInformation: true })
      client.send(auth(0x18, 'answer'))
      await client.expect('connack', { reasonCode: 0, properties: { responseInformation: 'answers/' } })
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.2.2-20] [MQTT-3.15.2-2] user properties of CONNACK and reason strings of AUTH are left out where they do not fit',
    async () => {
      const long = 'x'.repeat(500)
      const remove = own.broker.hooks.on(
        'client.auth_step',
        (_, { isFirst }) =>
          stop(isFirst ? { outcome: 'continue', reason: long } : { outcome: 'accept', userProperties: { hint: long } }),
        1_000,
      )
      for (const [maximumPacketSize, isThere] of [
        [100, false],
        [10_000, true],
      ] as const) {
        const client = await own.socket()
        client.sendConnect({ properties: { authenticationMethod: METHOD, maximumPacketSize } })
        const question = await client.expect('auth', { reasonCode: 0x18 })
        expect(question.properties?.reasonString).toBe(isThere ? long : undefined)
        client.send(auth(0x18, 'answer'))
        const connack = await client.expect('connack', { reasonCode: 0 })
        expect(connack.properties?.userProperties?.hint).toBe(isThere ? long : undefined)
      }
      remove()
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-4.12.0-4] a wrong answer is refused and closed',
    async () => {
      const client = await challenged()
      client.send(auth(0x18, 'nonsense'))
      await client.expectRefused(0x87)
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-4.12.0-5] AUTH with another method than CONNECT closes the connection',
    async () => {
      const client = await challenged()
      client.send(auth(0x18, 'answer', 'another method'))
      await client.expectClosed([0x82, 0x8c])
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.1.2-30] anything but AUTH and DISCONNECT before CONNACK closes the connection and is not processed',
    async () => {
      const topic = own.topic()
      const reader = await own.client()
      await reader.subscribe(topic)
      const client = await challenged()
      client.sendBytes(publishBytes(5, topic))
      client.send(auth(0x18, 'answer'))
      await client.expectClosed([0x82])
      await reader.expectNothing()
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-4.12.1-1] [MQTT-4.12.0-5] a connected client authenticates again while its other packets go on',
    async () => {
      const topic = own.topic()
      const client = await authenticated()
      await client.subscribe(topic)
      client.send(auth(0x19, 'again'))
      await client.expect('auth', { reasonCode: 0x18, properties: { authenticationMethod: METHOD } })
      client.sendPublish(topic)
      await client.expectPublish({ topic })
      client.send(auth(0x18, 'answer'))
      await client.expect('auth', { reasonCode: 0x00, properties: { authenticationMethod: METHOD } })
      await client.expectNothing()
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-4.12.1-1] [MQTT-4.12.1-2] [MQTT-3.14.2-1] re-authentication that fails, or names another method, ends the connection',
    async () => {
      const failing = await authenticated()
      failing.send(auth(0x19, 'again'))
      await failing.expect('auth', { reasonCode: 0x18 })
      failing.send(auth(0x18, 'nonsense'))
      await failing.expectDisconnected(0x87)
      const remove = own.broker.hooks.on(
        'client.auth_step',
        (_, { reauthenticate }) =>
          stop(
            reauthenticate
              ? { outcome: 'refuse', reasonCode: 0x86, reason: 'no code of DISCONNECT' }
              : { outcome: 'accept' },
          ),
        1_000,
      )
      const other = await own.socket()
      await other.handshake({ properties: { authenticationMethod: METHOD } })
      other.send(auth(0x19, 'again'))
      await other.expectDisconnected(0x87)
      remove()
      const changing = await authenticated()
      changing.send(auth(0x19, 'again', 'another method'))
      await changing.expectClosed([0x82, 0x8c])
    },
    ELSEWHERE,
  )
})
