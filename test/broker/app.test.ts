import { expect, onTestFinished, test } from 'vitest'
import * as application from '../../src/actors/application.ts'
import { startBroker } from '../../src/broker/broker.ts'
import { silentLogger } from '../support/runtime.ts'

test('the broker is an application of its node', async () => {
  const broker = await startBroker({ listeners: { tcp: { port: 0 } }, logger: silentLogger(), version: '1.2.3' })
  onTestFinished(() => broker.stop())
  expect(await application.whichApplications(broker.runtime)).toEqual([
    { name: 'agner', description: 'MQTT broker', version: '1.2.3' },
  ])
})

test('a broker whose top supervisor gives up says so', async () => {
  const broker = await startBroker({ listeners: { tcp: { port: 0 } }, logger: silentLogger() })
  onTestFinished(() => broker.stop())
  for (let i = 0; i <= 10; i++) {
    const retainer = broker.runtime.whereis('retainer')
    if (retainer !== undefined) broker.runtime.exit(retainer, 'kill')
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await broker.ended).toBe('shutdown')
  expect(broker.runtime.whereis('broker_sup')).toBeUndefined()
})

test('a broker that cannot open its listener does not start and leaves nothing behind', async () => {
  const first = await startBroker({ listeners: { tcp: { port: 0 } }, logger: silentLogger() })
  onTestFinished(() => first.stop())
  const { port } = first.listeners[0]!
  await expect(startBroker({ listeners: { tcp: { port } }, logger: silentLogger() })).rejects.toThrow('EADDRINUSE')
})
