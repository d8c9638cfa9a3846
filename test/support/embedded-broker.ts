/** A broker in the test's own process, on a free port; it stops with the test. */
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { type Broker, type StartBrokerOptions, startBroker } from '../../src/broker/broker.ts'

export async function embeddedBroker(options: StartBrokerOptions = {}): Promise<Broker> {
  const logger = pino({ level: 'silent' })
  const broker = await startBroker({ name: 'n1@127.0.0.1', logger, listeners: { tcp: { port: 0 } }, ...options })
  onTestFinished(() => broker.stop())
  return broker
}
