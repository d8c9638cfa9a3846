/**
 * MQTT 5.0, section 3.2.2: a server that is configured to offer less, and says so.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'

const ELSEWHERE = { mosquitto: 'is not configured so here', elsewhere: 'needs a configuration of its own' }

const will = (qos: 0 | 1 | 2, retain: boolean) => ({ topic: 't', payload: Buffer.from('gone'), qos, retain })

describe('a server with a maximum QoS of 1, without retained messages, with a keep alive of its own', () => {
  const mqtt = useBroker(5, {
    'mqtt.max_qos_allowed': 1,
    'mqtt.retain_available': false,
    'mqtt.max_keepalive': '1s',
    'mqtt.wildcard_subscription': false,
    'mqtt.shared_subscription': false,
  })

  statement(
    '[MQTT-3.2.2-9] CONNACK says what is not there, and a publish that needs it ends the connection',
    async () => {
      const client = await mqtt.client()
      expect(client.connack?.properties).toMatchObject({
        maximumQoS: 1,
        retainAvailable: false,
        wildcardSubscriptionAvailable: false,
        sharedSubscriptionAvailable: false,
      })
      await client.publish(mqtt.topic(), { qos: 1 })
      client.sendPublish(mqtt.topic(), { qos: 2 })
      await client.expectDisconnected(0x9b)
      const other = await mqtt.client()
      other.sendPublish(mqtt.topic(), { retain: true })
      await other.expectDisconnected(0x9a)
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.2.2-10] a subscription of any QoS is accepted',
    async () => {
      const topic = mqtt.topic()
      const client = await mqtt.client()
      for (const qos of [0, 1, 2] as const) {
        const { granted } = await client.subscribe(topic, qos)
        expect(granted[0]).toBeLessThanOrEqual(qos)
      }
      const publisher = await mqtt.client()
      await publisher.publish(topic, { qos: 1 })
      await client.expectPublish({ topic, qos: 1 })
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.2.2-12] [MQTT-3.2.2-13] a will that needs what is not there is refused with 0x9B or 0x9A',
    async () => {
      for (const [qos, retain, code] of [
        [2, false, 0x9b],
        [1, true, 0x9a],
      ] as const) {
        const client = await mqtt.socket()
        client.sendConnect({ will: will(qos, retain) })
        await client.expectRefused(code)
      }
      await mqtt.client({ will: will(1, false) })
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.2.2-21] the server keeps to the keep alive that it has imposed',
    async () => {
      for (const keepalive of [0, 600]) {
        const client = await mqtt.client({ keepalive })
        expect(client.connack?.properties?.serverKeepAlive).toBe(1)
        await client.expectDisconnected(0x8d)
      }
    },
    ELSEWHERE,
  )

  statement(
    '[MQTT-3.9.3-2] wildcard and shared filters are refused with their own codes',
    async () => {
      const client = await mqtt.client()
      const { granted } = await client.subscribe([
        { topic: 'a/+', qos: 0 },
        { topic: '$share/g/a', qos: 0 },
        { topic: 'a/b', qos: 0 },
      ])
      expect(granted).toEqual([0xa2, 0x9e, 0])
    },
    ELSEWHERE,
  )
})
