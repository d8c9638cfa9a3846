/**
 * Three nodes under random kills, restarts, resets, cuts and freezes, with processes of each that watch and call processes of the others:
 * every monitor and every link tells exactly once and with the right reason, every call ends, nothing is left behind, and in the
 * end all nodes are connected again by themselves. The same with OS processes and Erlang is in test/cluster/faults.test.ts.
 */
import { describe, expect, it } from 'vitest'
import { call } from '../../src/actors/gen.ts'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { Process } from '../../src/actors/process.ts'
import type { Ref } from '../../src/actors/ref.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import * as erpc from '../../src/dist/erpc.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { Cluster, nameOf } from './cluster.ts'

const NODES = ['a', 'b', 'c']
const PAIRS = [
  ['a', 'b'],
  ['a', 'c'],
  ['b', 'c'],
] as const
const SEEDS = 200
const ROUNDS = 12
/** Both sides have heard of a fault by then, and have connected again. */
const RECOVERY_MS = 50_000
/** A signal between nodes that are connected has arrived by then. */
const ARRIVAL_MS = 100

const echo = genServer<null, { echo: (value: unknown) => unknown }>({
  label: 'echo',
  init: () => ok(null),
  calls: { echo: ({ state }, value) => reply(value, state) },
})

interface Target {
  readonly pid: Pid
  readonly node: string
  endedAtMs: number
  reason: string | undefined
  /** Its node was killed. */
  isLost: boolean
}

interface Watch {
  readonly process: Process
  readonly messages: unknown[]
  readonly node: string
  readonly target: Target
  readonly ref: Ref
  readonly sinceMs: number
  /** Something was wrong between the two nodes, then or later. */
  mayLose: boolean
}

class Trial {
  readonly cluster: Cluster
  readonly targets: Target[] = []
  /** When there was last something wrong between two nodes. */
  readonly #disturbedAtMs = new Map<string, number>()
  readonly #cuts = new Set<string>()
  readonly watches: Watch[] = []
  readonly calls: { readonly caller: Process; ends: number }[] = []

  constructor(seed: number) {
    this.cluster = new Cluster({ seed, nodes: NODES, options: { netTicktimeMs: 2000 } })
    for (const name of NODES) this.#furnish(name)
  }

  async run(): Promise<void> {
    const { sim } = this.cluster
    for (const [left, right] of PAIRS) void this.cluster.distribution(left).connect(nameOf(right))
    await sim.advance('2s')
    for (let round = 0; round < ROUNDS; round++) {
      this.#work()
      await sim.advance(sim.random.below(2 * ARRIVAL_MS))
      await this.#fault()
      this.#work()
      await sim.advance(sim.random.below(4000))
      for (const [left, right] of PAIRS) {
        if (this.#isHeldUp(left, right)) this.#disturb(left, right)
        this.cluster.net.thaw(`${left}.sim`, `${right}.sim`)
        this.cluster.mend(left, right)
      }
      // Half of the rounds begin with nodes that are well.
      if (sim.random.below(2) === 0) await sim.advance('60s')
    }
    await sim.advance('120s')
  }

  check(): void {
    for (const name of NODES) {
      const others = NODES.filter((other) => other !== name).map(nameOf)
      expect(this.cluster.distribution(name).nodes().sort(), `mesh of ${name}`).toEqual(others)
    }
    for (const name of NODES) this.#checkTables(name)
    for (const [i, watch] of this.watches.entries()) if (this.#isRunning(watch.process)) this.#checkWatch(i, watch)
    const calls = this.calls.filter(({ caller }) => this.#isRunning(caller))
    expect(calls.filter(({ ends }) => ends !== 1)).toEqual([])
    expect(calls.length).toBeGreaterThan(0)
  }

  /** Everything is ended; nothing is left. */
  async checkEmpty(): Promise<void> {
    const { sim } = this.cluster
    for (const { pid } of this.targets) if (this.#isAlive(pid)) this.cluster.runtime(pid.node).exit(pid, 'kill')
    await sim.advance('1s')
    for (const { process } of this.watches) if (this.#isRunning(process)) process.runtime.exit(process.pid, 'kill')
    await sim.advance('1s')
    for (const name of NODES) {
      const runtime = this.cluster.runtime(name)
      expect(runtime.footprint(), name).toMatchObject({ activeAliases: 0, foreignMonitors: 0, timers: 0 })
      for (const other of NODES.filter((one) => one !== name)) {
        expect(this.cluster.distribution(name).peer(nameOf(other))?.counts, `${name} of ${other}`).toEqual({
          links: 0,
          ownMonitors: 0,
          peerMonitors: 0,
          ownSpawns: 0,
        })
      }
      const labels = Array.from(runtime.processes, ({ label }) => label).sort()
      expect(labels, name).toEqual(['agner_mesh', 'echo', 'global', 'init', 'net_kernel', 'net_sup', 'rpc'])
    }
  }

  #furnish(name: string): void {
    void echo.start(this.cluster.runtime(name), undefined, { name: 'echo' })
  }

  #work(): void {
    const { random } = this.cluster.sim
    for (const node of NODES) {
      const pid = this.cluster.runtime(node).spawn({ receive: () => {} }, { trapExit: true, label: 'target' })
      this.targets.push({ pid, node, endedAtMs: Number.POSITIVE_INFINITY, reason: undefined, isLost: false })
    }
    for (let i = 0; i < 3; i++) {
      this.#watch()
      this.#call()
    }
    const living = this.targets.filter(({ pid }) => this.#isAlive(pid))
    if (random.below(2) === 0) this.#end(random.pick(living))
  }

  #watch(): void {
    const { sim } = this.cluster
    const node = sim.random.pick(NODES)
    const elsewhere = this.targets.filter((target) => target.node !== node)
    // The newest are the most likely to live, and not all do.
    const target = elsewhere[elsewhere.length - 1 - sim.random.below(Math.min(12, elsewhere.length))]!
    const messages: unknown[] = []
    const runtime = this.cluster.runtime(node)
    const pid = runtime.spawn(
      { receive: (message) => void messages.push(message) },
      { trapExit: true, label: 'watcher' },
    )
    const process = runtime.process(pid)!
    const mayLose = !this.#areWell(node, target.node)
    process.link(target.pid)
    const ref = process.monitor(target.pid)
    this.watches.push({ process, messages, node, target, ref, sinceMs: sim.time.monotonic(), mayLose })
  }

  /** Nothing has been in the way for long, and each sees the other. */
  #areWell(one: string, other: string): boolean {
    const disturbedAtMs = this.#disturbedAtMs.get(pairOf(one, other)) ?? Number.NEGATIVE_INFINITY
    if (this.cluster.sim.time.monotonic() < disturbedAtMs + RECOVERY_MS) return false
    expect(this.cluster.distribution(one).isConnected(nameOf(other))).toBe(true)
    return true
  }

  #isHeldUp(one: string, other: string): boolean {
    return this.cluster.net.isFrozen(`${one}.sim`, `${other}.sim`) || this.#cuts.delete(pairOf(one, other))
  }

  #end(target: Target): void {
    const { random, time } = this.cluster.sim
    target.reason = random.pick(['shutdown', 'crash', 'kill'])
    target.endedAtMs = time.monotonic()
    const runtime = this.cluster.runtime(target.node)
    const process = runtime.process(target.pid)!
    if (target.reason === 'kill') {
      runtime.exit(target.pid, 'kill')
      target.reason = 'killed'
    } else {
      runtime.terminate(process, target.reason)
    }
  }

  #call(): void {
    const { random } = this.cluster.sim
    const [from, to] = [random.pick(NODES), random.pick(NODES)]
    if (from === to) return
    const runtime = this.cluster.runtime(from)
    const timeout = random.below(2) === 0 ? 'infinity' : random.below(500)
    const pid = runtime.spawn(
      async (self) => {
        const node = nameOf(to)
        const asked =
          random.below(2) === 0
            ? call(self, { name: 'echo', node }, ['echo', 1], timeout)
            : erpc.call(self, node, 'timer', 'sleep', [random.below(100)], timeout)
        const ended = (): void => void made.ends++
        await asked.then(ended, ended)
      },
      { label: 'caller' },
    )
    const made = { caller: runtime.process(pid)!, ends: 0 }
    this.calls.push(made)
  }

  /** A process of a node that was killed hears nothing more. */
  #isRunning({ runtime }: Process): boolean {
    return NODES.some((name) => this.cluster.runtime(name) === runtime)
  }

  async #fault(): Promise<void> {
    const { cluster } = this
    const { random } = cluster.sim
    const [left, right] = random.pick(PAIRS)
    switch (random.below(6)) {
      case 0:
        this.#disturb(left, right)
        cluster.net.reset(`${left}.sim`, `${right}.sim`)
        break
      case 1:
        this.#disturb(left, right)
        cluster.freeze(left, right)
        break
      case 2:
        this.#disturb(left, right)
        cluster.cut(left, right)
        this.#cuts.add(pairOf(left, right))
        break
      case 3:
      case 4:
        await this.#restart(random.pick(NODES))
        break
      case 5:
        break
    }
  }

  async #restart(name: string): Promise<void> {
    const { cluster } = this
    for (const other of NODES) if (other !== name) this.#disturb(name, other)
    for (const target of this.targets) if (target.node === name) target.isLost = true
    cluster.kill(name)
    await cluster.sim.advance(cluster.sim.random.below(200))
    const distribution = cluster.start(name)
    for (const other of NODES) if (other !== name) this.#disturb(name, other)
    this.#furnish(name)
    // Whoever starts knows one node at least.
    void distribution.connect(nameOf(NODES.find((other) => other !== name)!))
  }

  #disturb(one: string, other: string): void {
    this.#disturbedAtMs.set(pairOf(one, other), this.cluster.sim.time.monotonic())
    for (const watch of this.watches) {
      const ends = [watch.node, watch.target.node]
      if (ends.includes(one) && ends.includes(other)) watch.mayLose = true
    }
  }

  /** What is kept of the other nodes is what there is. */
  #checkTables(name: string): void {
    const runtime = this.cluster.runtime(name)
    const processes = [...runtime.processes]
    let foreign = 0
    for (const other of NODES.filter((one) => one !== name).map(nameOf)) {
      const counts = this.cluster.distribution(name).peer(other)!.counts
      const links = processes.flatMap(({ links: pids }) => [...(pids ?? [])].filter(({ node }) => node === other))
      const monitors = processes.flatMap(({ monitors: held }) =>
        [...(held ?? [])].filter(({ object }) => object.node === other),
      )
      expect([counts.links, counts.ownMonitors], `${name} of ${other}`).toEqual([links.length, monitors.length])
      foreign += counts.peerMonitors
    }
    expect(runtime.footprint().foreignMonitors, name).toBe(foreign)
  }

  #isAlive(pid: Pid): boolean {
    return this.cluster.runtime(pid.node).process(pid) !== undefined
  }

  #checkWatch(i: number, { process, messages, target, ref, sinceMs, mayLose }: Watch): void {
    const downs = messages.filter((message) => isDownMessage(message) && message.ref.equals(ref))
    const exits = messages.filter((message) => isExitMessage(message) && message.from.equals(target.pid))
    expect(messages.length, `watch ${i}`).toBe(downs.length + exits.length)
    const isHeld = [...(process.monitors ?? [])].some((monitor) => monitor.ref.equals(ref))
    const isLinked = process.links?.has(target.pid) ?? false
    expect([downs.length, exits.length], `watch ${i}`).toEqual([isHeld ? 0 : 1, isLinked ? 0 : 1])
    if (isHeld || isLinked) expect(this.#isAlive(target.pid), `watch ${i}: the target lives`).toBe(true)
    const allowed = [
      ...(target.reason === undefined ? [] : [target.reason]),
      ...(mayLose ? ['noconnection'] : []),
      ...(target.isLost || target.endedAtMs < sinceMs + ARRIVAL_MS ? ['noproc'] : []),
    ]
    for (const message of [...downs, ...exits] as { reason: unknown }[]) {
      expect(allowed, `watch ${i}`).toContain(message.reason)
    }
  }
}

function pairOf(one: string, other: string): string {
  return [one, other].sort().join()
}

describe('three nodes under faults', () => {
  it(`tell of every end once and rightly, and find each other again, under ${SEEDS} seeds`, async () => {
    await underSeeds(SEEDS, async (seed) => {
      const trial = new Trial(seed)
      await trial.run()
      trial.check()
      await trial.checkEmpty()
      trial.cluster.sim.stop()
    })
  })
})
