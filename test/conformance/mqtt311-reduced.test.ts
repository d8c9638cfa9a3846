/**
 * MQTT 3.1.1, section 3.8.3: a server that is configured not to serve wildcard filters.
 */
import { describe, expect } from 'vitest'
import { statement, useBroker } from '../support/broker.ts'

describe('a server without wildcard filters', () => {
  const mqtt = useBroker(4, { 'mqtt.wildcard_subscription': false })

  statement(
    '[MQTT-3.8.3-2] refuses them, and grants the others of the same SUBSCRIBE',
    async () => {
      const topic = mqtt.topic()
      const client = await mqtt.client()
      const { granted } = await client.subscribe([
        { topic: `${topic}/+`, qos: 0 },
        { topic: `${topic}/a`, qos: 1 },
        { topic: '#', qos: 2 },
      ])
      expect(granted).toEqual([0x80, 1, 0x80])
      const publisher = await mqtt.client()
      await publisher.publish(`${topic}/b`)
      await publisher.publish(`${topic}/a`)
      await client.expectPublish({ topic: `${topic}/a` })
      await client.expectNothing()
    },
    { mosquitto: 'is not configured so here', elsewhere: 'needs a configuration of its own' },
  )
})
