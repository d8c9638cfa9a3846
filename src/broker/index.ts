/** `agner/broker`: a broker in one's own program. */
export { type Broker, type OpenListener, type PublishOptions, type StartBrokerOptions, startBroker } from './broker.ts'
export { type BrokerConfig, type BrokerOverrides, defaultConfig } from './config.ts'
export { type HookCallback, type HookClient, type HookName, Hooks, stop } from './hooks.ts'
export type { Message } from './message.ts'
export type { QoS } from './packet.ts'
