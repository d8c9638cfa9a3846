import { expect, onTestFinished, test } from 'vitest'
import * as application from '../../src/actors/application.ts'
import { startBroker } from '../../src/broker/broker.ts'
import { silentLogger, testRuntime } from '../support/runtime.ts'

test('the broker is an application of its node', async () => {
  const broker = await startBroker({ listeners: { tcp: { port: 0 } }, logger: silentLogger(), version: '1.2.3' })
  onTestFinished(() => broker.stop())
  expect(await application.whichApplications(broker.runtime)).toEqual([
    { name: 'agner', description: 'MQTT broker', version: '1.2.3' },
    { name: 'mnesia', description: 'Replicated tables', version: '' },
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

test('a broker runs on a runtime that is there already, and leaves it as it was', async () => {
  const { runtime } = testRuntime({ name: 'n1@127.0.0.1' })
  const other = runtime.spawn(() => new Promise(() => {}))
  const start = () => startBroker({ runtime, listeners: { tcp: { port: 0 } } })
  const broker = await start()
  expect(broker.runtime).toBe(runtime)
  await expect(start()).rejects.toThrow('a broker runs on this runtime already')
  await expect(startBroker({ runtime, name: 'n2@127.0.0.1' })).rejects.toThrow(TypeError)
  const { port } = broker.listeners[0]!
  await broker.stop()
  expect(runtime.isAlive(other)).toBe(true)
  expect(runtime.registered()).not.toContain('router')
  // Another one can be started in its place, and when it cannot, nothing is left of it either.
  const again = await startBroker({ runtime, listeners: { tcp: { port } } })
  await again.stop()
  const taken = await startBroker({ listeners: { tcp: { port } }, logger: silentLogger() })
  onTestFinished(() => taken.stop())
  await expect(startBroker({ runtime, listeners: { tcp: { port } } })).rejects.toThrow('EADDRINUSE')
  expect(await application.loadedApplications(runtime)).toEqual([])
  expect(runtime.registered().sort()).toEqual(['application_controller', 'init'])
})

test('a broker that cannot open its listener does not start and leaves nothing behind', async () => {
  const first = await startBroker({ listeners: { tcp: { port: 0 } }, logger: silentLogger() })
  onTestFinished(() => first.stop())
  const { port } = first.listeners[0]!
  await expect(startBroker({ listeners: { tcp: { port } }, logger: silentLogger() })).rejects.toThrow('EADDRINUSE')
})
