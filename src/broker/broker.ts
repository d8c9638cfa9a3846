/**
 * A broker to embed: starts the runtime and the broker's tree, and is the handle by which a program uses and ends them.
 */
import type { Logger } from 'pino'
import * as application from '../actors/application.ts'
import { Exit, type ExitReason } from '../actors/errors.ts'
import { type Runtime, startRuntime } from '../actors/runtime.ts'
import type { System } from '../actors/system.ts'
import { brokerApplication } from './app.ts'
import { type BrokerOverrides, configOf } from './config.ts'
import type { Hooks } from './hooks.ts'
import { tcpListener } from './listener-tcp.ts'
import type { Metrics } from './metrics.ts'
import type { ForwardedProperties, QoS } from './packet.ts'
import { createServices, type Services } from './services.ts'
import { LISTENER_TCP } from './sup.ts'
import { topicNameFault } from './topic-syntax.ts'
import { realVm } from './vm-probe.ts'

/** What a broker is started with; beside these, any setting of the configuration. */
export interface StartBrokerOptions extends BrokerOverrides {
  /** Node name, `name@host`. @default a node without distribution */
  readonly name?: string
  readonly logger?: Logger
  /** Clock, timers, randomness and scheduler; the real ones unless told otherwise. */
  readonly system?: System
  /** Version to show to clients under $SYS. */
  readonly version?: string
}

/** An address that is open. */
export interface OpenListener {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A message that a program publishes. */
export interface PublishOptions {
  readonly topic: string
  readonly payload: string | Buffer
  /** @default 0 */
  readonly qos?: QoS
  /** @default false */
  readonly retain?: boolean
  /** Seconds. @default does not expire */
  readonly expirySec?: number
  readonly properties?: ForwardedProperties
}

/** A broker that runs. */
export interface Broker {
  readonly runtime: Runtime
  readonly hooks: Hooks
  readonly metrics: Metrics
  readonly services: Services
  readonly listeners: readonly OpenListener[]
  /** Resolves when the broker ends by itself, because a part of it failed again and again; never after `stop`. */
  readonly ended: Promise<ExitReason>
  /** Publishes as the broker itself; resolves when every session of this node that gets it has taken it. Throws a TypeError for a bad topic. */
  publish(message: PublishOptions): Promise<void>
  /** Ends listeners, connections, sessions and the runtime, in this order. */
  stop(): Promise<void>
}

/** Starts a broker. Rejects when a setting is wrong (TypeError) or a listener cannot open (`Exit`). */
export async function startBroker(options: StartBrokerOptions = {}): Promise<Broker> {
  const { name, logger, system, version = '0.1.0', ...overrides } = options
  const config = configOf(overrides)
  const runtime = startRuntime({
    ...(name === undefined ? {} : { name }),
    ...(logger === undefined ? {} : { logger }),
    ...(system === undefined ? {} : { system }),
  })
  try {
    const services = await createServices(runtime, config, version, system === undefined ? realVm() : undefined)
    let brokerEnded: ((reason: ExitReason) => void) | undefined
    const ended = new Promise<ExitReason>((resolve) => {
      brokerEnded = resolve
    })
    await application.startController(runtime, { onTermination: (_runtime, _name, reason) => brokerEnded?.(reason) })
    const started = await application.start(runtime, brokerApplication(services), 'permanent')
    if (!started.ok) throw new Exit(started.reason)
    const { host, port } = await tcpListener.call(runtime, LISTENER_TCP, 'info')
    return brokerHandle(services, [{ name: 'mqtt', host, port }], ended)
  } catch (error) {
    runtime.stop()
    throw error
  }
}

function brokerHandle(services: Services, listeners: readonly OpenListener[], ended: Promise<ExitReason>): Broker {
  const { runtime, hooks, metrics } = services
  let stopping: Promise<void> | undefined
  return {
    runtime,
    hooks,
    metrics,
    services,
    listeners,
    ended,
    publish: async (message) => services.publish([messageOf(services, message)]),
    stop: () => {
      stopping ??= application.stopRuntime(runtime)
      return stopping
    },
  }
}

function messageOf({ nextMessageId, runtime }: Services, options: PublishOptions) {
  const { topic, payload, qos = 0, retain = false, expirySec = Number.POSITIVE_INFINITY, properties } = options
  const fault = topicNameFault(topic)
  if (fault !== undefined) throw new TypeError(`bad topic '${topic}': ${fault}`)
  const nowMs = runtime.clock.now()
  return {
    id: nextMessageId(),
    from: '',
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload),
    qos,
    retain,
    publishedAtMs: nowMs,
    expiresAtMs: nowMs + expirySec * 1000,
    properties,
  }
}
