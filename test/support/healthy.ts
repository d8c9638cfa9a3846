/**
 * A well-behaved pair of clients that must be served while others misbehave.
 */
import { expect } from 'vitest'
import type { Mqtt } from './broker.ts'

/**
 * Runs `abuse` while a publisher and a subscriber exchange QoS 1 messages without pause, and checks that every message
 * arrived once and in order, during the abuse and after it.
 */
export async function whileHealthy(mqtt: Mqtt, abuse: () => Promise<void>): Promise<void> {
  const topic = mqtt.topic()
  const subscriber = await mqtt.client({ version: 5 })
  const publisher = await mqtt.client({ version: 5 })
  await subscriber.subscribe(topic, 1)
  let isOver = false
  let count = 0
  const roundTrip = async (): Promise<void> => {
    const payload = String(count++)
    publisher.sendPublish(topic, { qos: 1, payload })
    await subscriber.acknowledge(await subscriber.expectPublish({ topic, payload, dup: false }))
    await publisher.expect('puback')
  }
  const service = (async () => {
    while (!isOver) await roundTrip()
    await roundTrip()
  })()
  try {
    await Promise.race([abuse(), service])
  } finally {
    isOver = true
  }
  await service
  expect(count).toBeGreaterThan(1)
}
