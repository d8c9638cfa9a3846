/** Several nodes of ours over a simulated network, under virtual time. The production code runs; only the world is simulated. */
import { onTestFinished } from 'vitest'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { Distribution } from '../../src/dist/distribution.ts'
import { parseNodeName } from '../../src/dist/node-name.ts'
import { type StartDistributionOptions, startDistribution } from '../../src/dist/start-distribution.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { StreamNetwork, type StreamNetworkOptions } from '../../src/testing/stream-network.ts'

const PORT = 9100

export interface ClusterOptions {
  readonly seed?: number
  /** Hosts; node `x@a.sim` runs on host `a.sim`. */
  readonly nodes: readonly string[]
  readonly network?: StreamNetworkOptions
  readonly options?: Partial<StartDistributionOptions>
}

export class Cluster {
  readonly sim: Simulation
  readonly net: StreamNetwork
  readonly #options: Partial<StartDistributionOptions>

  constructor({ seed = 1, nodes, network, options = {} }: ClusterOptions) {
    this.#options = options
    this.sim = simulate({ seed, nodes: [] })
    this.net = new StreamNetwork(this.sim.time, this.sim.random, network)
    for (const name of nodes) this.start(name)
    onTestFinished(() => this.sim.stop())
  }

  /** Starts a node, a new incarnation when it ran before. */
  start(name: string, options: Partial<StartDistributionOptions> = {}): Distribution {
    const full = nameOf(name)
    const runtime = this.sim.start(full)
    const host = hostOf(full)
    const transport = this.net.transport(host)
    const distribution = startDistribution(runtime, {
      transport,
      cookie: 'secret',
      find: (node) => Promise.resolve({ ok: true, address: { host: hostOf(node), port: PORT } }),
      ...this.#options,
      ...options,
    })
    void transport.listen({ host, port: PORT }, (stream) => distribution.accept(stream))
    return distribution
  }

  kill(name: string): void {
    this.net.remove(hostOf(nameOf(name)))
    this.sim.kill(nameOf(name))
  }

  runtime(name: string): Runtime {
    return this.sim.node(nameOf(name))
  }

  distribution(name: string): Distribution {
    return this.runtime(name).remote as Distribution
  }

  cut(a: string, b: string): void {
    this.net.cut(hostOf(nameOf(a)), hostOf(nameOf(b)))
  }

  mend(a: string, b: string): void {
    this.net.mend(hostOf(nameOf(a)), hostOf(nameOf(b)))
  }

  freeze(a: string, b: string): void {
    this.net.freeze(hostOf(nameOf(a)), hostOf(nameOf(b)))
  }

  /** Settles a promise that needs the simulation to run. */
  async run<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let done = false
    const settled = promise.finally(() => {
      done = true
    })
    settled.catch(() => {})
    const step = 10
    for (let passed = 0; passed < withinMs; passed += step) {
      await this.sim.advance(step)
      if (done) return settled
    }
    throw new Error('the promise does not settle')
  }
}

/** `a` is `a@a.sim`. */
export function nameOf(name: string): string {
  return name.includes('@') ? name : `${name}@${name}.sim`
}

function hostOf(node: string): string {
  return parseNodeName(node)!.host
}
