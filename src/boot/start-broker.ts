/** Joins the two sides of a start: what a command line gives, and what the broker takes. */
import { startBroker as startMqttBroker } from '../broker/broker.ts'
import type { BrokerHandle, BrokerStart } from './boot.ts'

/** Starts the broker of a node. */
export function startBroker({ name, config, logger, version }: BrokerStart): Promise<BrokerHandle> {
  return startMqttBroker({ ...config, name, logger, version })
}
