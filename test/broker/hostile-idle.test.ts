/**
 * Ten thousand sockets that never send CONNECT. The broker runs in a process of its own here, since every connection
 * costs a descriptor on each side.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BrokerUnderTest, IS_AGNER, startNode } from '../support/broker.ts'
import { connectBytes } from '../support/bytes.ts'
import { RawClient } from '../support/raw-client.ts'

const IDLE_SOCKETS = 10_000
const IDLE_TIMEOUT = '8s'

describe.skipIf(!IS_AGNER)('idle sockets without CONNECT', () => {
  let node: BrokerUnderTest
  beforeAll(async () => {
    node = await startNode({ 'mqtt.idle_timeout': IDLE_TIMEOUT, 'listeners.tcp.max_conn_rate': 'infinity' })
  })
  afterAll(async () => {
    await node?.stop()
  })

  test('are all accepted, do not keep others from being served, and are closed in time', {
    timeout: 120_000,
  }, async () => {
    const idle: RawClient[] = []
    for (let batch = 0; batch < IDLE_SOCKETS / 250; batch++) {
      idle.push(...(await Promise.all(Array.from({ length: 250 }, () => RawClient.open(node, 4)))))
    }
    // Half of them begin a CONNECT and never finish it, which must not buy them more time.
    for (const client of idle.slice(0, IDLE_SOCKETS / 2)) client.sendBytes(connectBytes().subarray(0, 9))
    const subscriber = await RawClient.open(node, 5)
    const publisher = await RawClient.open(node, 5)
    await subscriber.handshake({ clientId: 'subscriber' })
    await publisher.handshake({ clientId: 'publisher' })
    await subscriber.subscribe('t', 1)
    for (let i = 0; i < 100; i++) {
      await publisher.publish('t', { qos: 1, payload: String(i) })
      await subscriber.acknowledge(await subscriber.expectPublish({ payload: String(i) }))
    }
    for (const client of idle) {
      while (!client.isClosed) await new Promise((resolve) => setTimeout(resolve, 50))
      await client.expectEnd()
    }
    expect(await subscriber.survives()).toBe(true)
    subscriber.cut()
    publisher.cut()
  })
})
