/** Whole brokers in a simulation, each a cluster of its own, without listeners: a test publishes on them as a program does. */
import { onTestFinished } from 'vitest'
import { supervisor } from '../../../src/actors/supervisor.ts'
import type { PublishOptions } from '../../../src/broker/broker.ts'
import { type BrokerOverrides, configOf } from '../../../src/broker/config.ts'
import type { Message } from '../../../src/broker/message.ts'
import { Alarms } from '../../../src/broker/monitor/alarm.ts'
import { createServices, type Services } from '../../../src/broker/services.ts'
import { startTables } from '../../../src/broker/start-tables.ts'
import { serviceChildren } from '../../../src/broker/sup.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import { type Simulation, simulate } from '../../../src/testing/simulation.ts'
import { whenDone } from './done.ts'

const brokerSup = supervisor<Services>({ label: 'broker_sup', intensity: 10, periodSec: 60, children: serviceChildren })

/** Starts brokers on the nodes `NAME@sim`; the simulation ends with the test. */
export async function simulatedBrokers(seed: number, names: readonly string[]): Promise<SimulatedBrokers> {
  const sim = simulate({ seed, nodes: names, copyMessages: true, slowness: seed % 2 === 0 ? 0 : 0.3 })
  onTestFinished(() => sim.stop())
  const brokers = new SimulatedBrokers(sim)
  for (const name of names) await brokers.start(name)
  return brokers
}

export class SimulatedBrokers {
  readonly sim: Simulation
  readonly #services = new Map<string, Services>()
  /** By node: what was published on it, over all of its lives, without $SYS. */
  readonly published = new Map<string, Message[]>()

  constructor(sim: Simulation) {
    this.sim = sim
  }

  /** Starts the broker of a node that runs. */
  async start(name: string, overrides: BrokerOverrides = {}): Promise<void> {
    const runtime = this.sim.node(name)
    const alarms = new Alarms(() => runtime.clock.now())
    const backup = () => Promise.reject(new Error('nothing is saved'))
    const tables = await this.done(startTables(runtime, { store: new MemoryStore(), alarms, backup }))
    if (!tables.ok) throw new Error(tables.problem)
    const config = configOf(overrides)
    const services = await createServices({ config, version: '0', vm: undefined, mnesia: tables.mnesia, alarms })
    this.#services.set(name, services)
    const published = this.published.get(name) ?? []
    this.published.set(name, published)
    services.hooks.on('message.publish', (message) => {
      if (!message.topic.startsWith('$')) published.push(message)
      return message
    })
    await this.done(brokerSup.startLink(runtime, services, { name: 'broker_sup' }))
  }

  /** Ends a node at once and starts it again, with a broker that knows nothing. */
  async restart(name: string): Promise<void> {
    this.sim.kill(name)
    this.sim.start(name)
    await this.start(name)
  }

  of(name: string): Services {
    return this.#services.get(name)!
  }

  publish(name: string, { topic, payload, qos = 1, retain = false }: PublishOptions): void {
    const { nextMessageId, publish, runtime } = this.of(name)
    const publishedAtMs = runtime.clock.now()
    const expiresAtMs = Number.POSITIVE_INFINITY
    const common = { id: nextMessageId(), from: 'c1', publishedAtMs, expiresAtMs, properties: undefined }
    publish([{ ...common, topic, payload: Buffer.from(payload), qos, retain }])
  }

  /** Starts a bridge with the defaults of the configuration. */
  async bridge(from: string, to: string, filter: string, options: object = {}): Promise<unknown> {
    const defaults = { qos: 2, prefix: '', suffix: '', maxQueue: 10_000 } as const
    return this.done(this.of(from).bridges.start({ node: `${to}@sim`, filter, ...defaults, ...options }))
  }

  /** Runs the simulation until something that was begun has come about. */
  done<T>(begun: Promise<T>): Promise<T> {
    return whenDone(this.sim, begun)
  }
}
