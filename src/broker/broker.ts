/**
 * A broker to embed: starts the broker's tree, and is the handle by which a program uses and ends it.
 *
 * It runs on a runtime of its own, which ends with it, or on one that is there already, such as that of a node
 * (src/dist/start-node.ts), which stays: then only the application `agner` is stopped.
 */
import type { Logger } from 'pino'
import * as application from '../actors/application.ts'
import { Exit, type ExitReason } from '../actors/errors.ts'
import { type Runtime, startRuntime } from '../actors/runtime.ts'
import type { System } from '../actors/system.ts'
import type { Mnesia } from '../mnesia/mnesia.ts'
import { MemoryStore } from '../mnesia/store/memory-store.ts'
import type { Store } from '../mnesia/store/store.ts'
import { BROKER, BROKER_SUP, brokerApplication } from './app.ts'
import { topicNameFault } from './codec/topic-syntax.ts'
import { type BrokerOverrides, configOf } from './config.ts'
import { tcpListener } from './connection/listener-tcp.ts'
import type { Hooks } from './hooks.ts'
import { Alarms } from './monitor/alarm.ts'
import type { Metrics } from './monitor/metrics.ts'
import { realVm } from './monitor/vm-probe.ts'
import type { ForwardedProperties, QoS } from './packet.ts'
import { createServices, type Services } from './services.ts'
import { startTables } from './start-tables.ts'
import { LISTENER_TCP } from './sup.ts'

/** What a broker is started with; beside these, any setting of the configuration. */
export interface StartBrokerOptions extends BrokerOverrides {
  /** The runtime of a node that runs. @default one of its own, without distribution, made of the next three */
  readonly runtime?: Runtime
  /** Node name, `name@host`. */
  readonly name?: string
  readonly logger?: Logger
  /** Clock, timers, randomness and scheduler; the real ones unless told otherwise. */
  readonly system?: System
  /** The tables of a node that runs, started with `startTables`; they stay when the broker stops. @default its own, in memory */
  readonly mnesia?: Mnesia
  /** Where the broker raises its alarms, beside those of tables that are there already. */
  readonly alarms?: Alarms
  /** Version to show to clients under $SYS. */
  readonly version?: string
  /** Where messages for members that are away are kept. Nobody else may write to it; whoever has opened it closes it, after `stop`. @default they are not kept */
  readonly hintStore?: Store
  /**
   * Where sessions that outlive their connection are stored, unless `session.durability` is `memory`. As for `hintStore`.
   * @default they are in memory only
   */
  readonly sessionStore?: Store | undefined
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
  /**
   * Publishes as the broker itself; resolves when the message has been sent to every session that gets it, which may not have handled
   * it yet. Rejects with a TypeError for a bad topic.
   */
  publish(message: PublishOptions): Promise<void>
  /**
   * Ends listeners, connections, sessions and a runtime of the broker's own, in this order. `leaving`: the whole node stops, so its routes stay for
   * those who keep messages for it.
   */
  stop(options?: { readonly leaving?: boolean }): Promise<void>
}

/** Starts a broker. Rejects when a setting is wrong (TypeError) or a listener cannot open (`Exit`), and has then left nothing behind. */
export async function startBroker(options: StartBrokerOptions = {}): Promise<Broker> {
  const { runtime: given = options.mnesia?.runtime, mnesia: givenTables, alarms: givenAlarms, ...others } = options
  const { name, logger, system, hintStore, sessionStore, version = '0.1.0', ...overrides } = others
  if (given !== undefined && (name ?? logger ?? system) !== undefined) {
    throw new TypeError('a runtime that is there already has its name, its logger and its system')
  }
  if (given?.whereis(BROKER_SUP) !== undefined) throw new TypeError('a broker runs on this runtime already')
  const config = configOf(overrides)
  const runtime = given ?? ownRuntime(options)
  let ownTables: Mnesia | undefined
  let services: Services | undefined
  // Whoever has opened the store closes it next.
  const writeSessions = () => services?.sessionStore?.writer.write(true)
  const stop = async () => {
    if (given === undefined) await application.stopRuntime(runtime)
    else {
      await stopApplication(runtime)
      await ownTables?.stop()
    }
    writeSessions()
  }
  try {
    // What ends the node is for whoever started it to decide, by `ended`.
    if (runtime.whereis('application_controller') === undefined) {
      await application.startController(runtime, { onTermination: () => {} })
    }
    const alarms = givenAlarms ?? new Alarms(() => runtime.clock.now())
    if (givenTables === undefined) ownTables = await tablesInMemory(runtime, alarms)
    const mnesia = givenTables ?? ownTables!
    const vm = system === undefined ? realVm() : undefined
    services = await createServices({ config, version, vm, mnesia, alarms, hintStore, sessionStore })
    const started = await application.start(runtime, brokerApplication(services), 'permanent')
    if (!started.ok) throw new Exit(started.reason)
    const { host, port } = await tcpListener.call(runtime, LISTENER_TCP, 'info')
    return brokerHandle(services, [{ name: 'mqtt', host, port }], stop)
  } catch (error) {
    if (given === undefined) {
      runtime.stop()
      writeSessions()
    } else await stop()
    throw error
  }
}

function ownRuntime({ name, logger, system }: StartBrokerOptions): Runtime {
  return startRuntime({
    ...(name === undefined ? {} : { name }),
    ...(logger === undefined ? {} : { logger }),
    ...(system === undefined ? {} : { system }),
  })
}

/** Tables that keep nothing and belong to no cluster yet. */
async function tablesInMemory(runtime: Runtime, alarms: Alarms): Promise<Mnesia> {
  const backup = () => Promise.reject(new Error('a broker in memory writes no files'))
  const started = await startTables(runtime, { store: new MemoryStore(), alarms, backup })
  if (!started.ok) throw new TypeError(started.problem)
  return started.mnesia
}

async function stopApplication(runtime: Runtime): Promise<void> {
  if (runtime.stopped) return
  await application.stop(runtime, BROKER)
  await application.unload(runtime, BROKER)
}

function brokerHandle(services: Services, listeners: readonly OpenListener[], end: () => Promise<void>): Broker {
  const { runtime, hooks, metrics } = services
  let stopping: Promise<void> | undefined
  const ended = new Promise<ExitReason>((resolve) => {
    runtime.monitor(runtime.init, BROKER_SUP, (reason) => {
      if (stopping === undefined) resolve(reason)
    })
  })
  return {
    runtime,
    hooks,
    metrics,
    services,
    listeners,
    ended,
    publish: async (message) => services.publish([messageOf(services, message)]),
    stop: ({ leaving = false } = {}) => {
      if (leaving) services.routing.freeze()
      stopping ??= end()
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
