/** Joins the two sides of a start: what a command line gives, and what the broker takes. */
import type { BrokerHandle, BrokerStart } from './boot.ts'

/** Starts the broker of a node. */
export function startBroker(_start: BrokerStart): Promise<BrokerHandle> {
  return Promise.reject(new Error('this build has no broker'))
}
