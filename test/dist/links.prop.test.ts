/**
 * Links, monitors and exit signals between nodes. When nothing happens at the same time the outcome is that of one node; when
 * everything does, and connections are lost, what is left agrees on both sides and nobody is told twice.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ExitReason } from '../../src/actors/errors.ts'
import { Pid } from '../../src/actors/pid.ts'
import type { Process } from '../../src/actors/process.ts'
import type { Ref } from '../../src/actors/ref.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { Cluster } from './cluster.ts'

type Op =
  | { tag: 'link' | 'unlink' | 'monitor'; self: number; to: number }
  | { tag: 'demonitor'; monitor: number }
  | { tag: 'exit'; self: number; to: number; reason: string }
  | { tag: 'stop'; self: number; reason: string }
  | { tag: 'send'; self: number; to: number; value: number }
  | { tag: 'reset'; a: number; b: number }

const PROCESSES = 6
const NODES = ['a', 'b', 'c']

const index = fc.nat({ max: PROCESSES - 1 })
const reason = fc.constantFrom('normal', 'kill', 'shutdown', 'crash')

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ tag: fc.constant('link' as const), self: index, to: index }) },
  { weight: 4, arbitrary: fc.record({ tag: fc.constant('unlink' as const), self: index, to: index }) },
  { weight: 4, arbitrary: fc.record({ tag: fc.constant('monitor' as const), self: index, to: index }) },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('demonitor' as const), monitor: fc.nat({ max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('exit' as const), self: index, to: index, reason }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('stop' as const), self: index, reason }) },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('send' as const), self: index, to: index, value: fc.nat() }) },
)

const reset: fc.Arbitrary<Op> = fc.record({
  tag: fc.constant('reset' as const),
  a: fc.nat({ max: 2 }),
  b: fc.nat({ max: 2 }),
})

interface Actor {
  readonly process: Process
  readonly log: unknown[]
  reason: ExitReason | undefined
}

interface Watch {
  readonly watcher: number
  readonly target: number
  readonly ref: Ref
  isRemoved: boolean
}

/** Six processes, every second of which traps exits, on the runtimes in turn; and what they are told to do. */
class Stage {
  readonly actors: Actor[] = []
  readonly watches: Watch[] = []

  constructor(runtimes: readonly Runtime[]) {
    for (let i = 0; i < PROCESSES; i++) {
      const runtime = runtimes[i % runtimes.length]!
      const log: unknown[] = []
      const pid = runtime.spawn({ receive: (message) => void log.push(message) }, { trapExit: i % 2 === 0 })
      const actor: Actor = { process: runtime.process(pid)!, log, reason: undefined }
      actor.process.onExit((why) => {
        actor.reason = why
      })
      this.actors.push(actor)
    }
  }

  perform(step: Op): void {
    if (step.tag === 'reset') return
    if (step.tag === 'demonitor') {
      const watch = this.watches[step.monitor]
      const watcher = watch === undefined ? undefined : this.actors[watch.watcher]!.process
      if (watch === undefined || !watcher?.alive) return
      watch.isRemoved = true
      watcher.demonitor(watch.ref, { flush: true })
      return
    }
    const { process } = this.actors[step.self]!
    if (!process.alive) return
    if (step.tag === 'stop') {
      process.runtime.terminate(process, step.reason)
      return
    }
    const to = this.actors[step.to]!.process.pid
    if (step.tag === 'link') process.link(to)
    else if (step.tag === 'unlink') process.unlink(to)
    else if (step.tag === 'send') process.send(to, step.value)
    else if (step.tag === 'exit') process.runtime.exitFrom(process.pid, to, step.reason)
    else this.watches.push({ watcher: step.self, target: step.to, ref: process.monitor(to), isRemoved: false })
  }

  /** What happened to each, with processes and monitors by number. */
  outcome(): unknown {
    return this.actors.map(({ process, log, reason: why }) => ({
      alive: process.alive,
      why,
      links: [...(process.links ?? [])].map((pid) => this.indexOf(pid)).sort(),
      log: log.map((message) => this.#describe(message)),
    }))
  }

  indexOf(pid: unknown): number {
    return this.actors.findIndex(({ process }) => process.pid.equals(pid))
  }

  #describe(message: unknown): unknown {
    if (isExitMessage(message)) return ['EXIT', this.indexOf(message.from), message.reason]
    if (isDownMessage(message)) {
      return ['DOWN', this.watches.findIndex(({ ref }) => ref.equals(message.ref)), message.reason]
    }
    return message
  }
}

async function alone(steps: readonly Op[]): Promise<unknown> {
  const sim: Simulation = simulate({ seed: 1, nodes: ['a'] })
  const stage = new Stage([sim.node('a')])
  for (const step of steps) {
    stage.perform(step)
    await sim.run()
  }
  const outcome = stage.outcome()
  sim.stop()
  return outcome
}

describe('links and monitors between nodes', () => {
  it('one after the other they end as on one node', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(op, { maxLength: 30 }), fc.nat(), async (steps, seed) => {
        const cluster = new Cluster({ seed, nodes: NODES })
        const stage = new Stage(NODES.map((name) => cluster.runtime(name)))
        for (const step of steps) {
          stage.perform(step)
          await cluster.sim.advance('100ms')
        }
        const outcome = stage.outcome()
        cluster.sim.stop()
        expect(outcome).toEqual(await alone(steps))
      }),
      { numRuns: 60 },
    )
  })

  it('all at once, and with connections that are lost, both sides agree in the end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.oneof({ weight: 12, arbitrary: op }, { weight: 1, arbitrary: reset }), fc.boolean()), {
          maxLength: 60,
        }),
        fc.nat(),
        async (steps, seed) => {
          const cluster = new Cluster({ seed, nodes: NODES, network: { chunkBytes: 200 } })
          const stage = new Stage(NODES.map((name) => cluster.runtime(name)))
          for (const [step, isPause] of steps) {
            if (step.tag === 'reset' && step.a !== step.b) {
              cluster.net.reset(`${NODES[step.a]}.sim`, `${NODES[step.b]}.sim`)
            }
            stage.perform(step)
            if (isPause) await cluster.sim.advance('1ms')
          }
          await cluster.sim.advance('20s')
          checkLinks(stage)
          checkMonitors(
            stage,
            steps.some(([step]) => step.tag === 'reset'),
          )
          checkTables(cluster)
          cluster.sim.stop()
        },
      ),
      { numRuns: 150 },
    )
  })
})

function checkLinks(stage: Stage): void {
  for (const [i, { process }] of stage.actors.entries()) {
    for (const pid of process.links ?? []) {
      const other = stage.actors[stage.indexOf(pid)]!.process
      expect(other.alive && other.links?.has(process.pid), `${i} has a link to ${stage.indexOf(pid)}`).toBe(true)
    }
  }
}

function checkMonitors(stage: Stage, hadLosses: boolean): void {
  for (const [i, { watcher, target, ref, isRemoved }] of stage.watches.entries()) {
    const { process, log } = stage.actors[watcher]!
    const downs = log.filter((message) => isDownMessage(message) && message.ref.equals(ref))
    const name = `monitor ${i} of ${watcher} on ${target}`
    expect(downs.length, name).toBeLessThanOrEqual(1)
    const isHeld = [...(process.monitors ?? [])].some((monitor) => monitor.ref.equals(ref))
    if (isRemoved || !process.alive) expect(isHeld, name).toBe(false)
    else expect([isHeld, downs.length], name).toEqual(downs.length === 0 ? [true, 0] : [false, 1])
    const down = downs[0]
    if (!isDownMessage(down)) continue
    const actor = stage.actors[target]!
    const reasons = [actor.process.alive ? undefined : 'noproc', actor.reason, hadLosses ? 'noconnection' : undefined]
    expect(
      reasons.filter((why) => why !== undefined),
      name,
    ).toContain(down.reason)
  }
  for (const { process } of stage.actors) {
    for (const { object } of process.monitors ?? []) {
      expect(object instanceof Pid && stage.actors[stage.indexOf(object)]!.process.alive).toBe(true)
    }
  }
}

/** What the nodes keep of each other is what there is. */
function checkTables(cluster: Cluster): void {
  for (const name of NODES) {
    const runtime = cluster.runtime(name)
    const processes = [...runtime.processes]
    let foreign = 0
    for (const other of NODES.filter((candidate) => candidate !== name)) {
      const node = cluster.runtime(other).node.name
      const counts = cluster.distribution(name).peer(node)?.counts ?? { links: 0, ownMonitors: 0, peerMonitors: 0 }
      const links = processes.flatMap(({ links: pids }) => [...(pids ?? [])].filter((pid) => pid.node === node))
      const monitors = processes.flatMap(({ monitors: held }) =>
        [...(held ?? [])].filter(({ object }) => object.node === node),
      )
      expect([counts.links, counts.ownMonitors]).toEqual([links.length, monitors.length])
      foreign += counts.peerMonitors
    }
    expect(runtime.footprint().foreignMonitors).toBe(foreign)
  }
}
