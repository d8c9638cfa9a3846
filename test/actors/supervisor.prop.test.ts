/** Supervisors of random children against a model: who is restarted, in which order, and when the supervisor gives up. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Restart, Strategy } from '../../src/actors/supervisor/child-spec.ts'
import { RestartIntensity } from '../../src/actors/supervisor/restart-intensity.ts'
import {
  childTemplate,
  countChildren,
  deleteChild,
  restartChild,
  supervisor,
  terminateChild,
  whichChildren,
} from '../../src/actors/supervisor.ts'
import { Workers } from './supervisor-support.ts'
import { World } from './world.ts'

type StaticStrategy = Exclude<Strategy, 'simple_one_for_one'>

type Step =
  | { do: 'end'; children: number[]; reason: string; failures: number }
  | { do: 'advance'; ms: number }
  | { do: 'terminate' | 'restart' | 'delete'; child: number }

interface ModelChild {
  readonly id: string
  readonly restart: Restart
  state: 'running' | 'off' | 'restarting' | { ended: string }
}

/** The rules of the reference manual, with one list of children in start order. */
class Model {
  readonly events: string[] = []
  children: ModelChild[]
  alive = true
  nowMs = 0
  readonly failures = new Map<string, number>()
  readonly #restarts: number[] = []
  readonly #strategy: StaticStrategy
  readonly #intensity: number
  readonly #periodMs: number

  constructor(strategy: StaticStrategy, intensity: number, periodSec: number, restarts: readonly Restart[]) {
    this.#strategy = strategy
    this.#intensity = intensity
    this.#periodMs = periodSec * 1000
    this.children = restarts.map((restart, i) => ({ id: `c${i}`, restart, state: 'off' }))
    for (const child of this.children) this.#start(child)
  }

  end(ids: readonly string[], reason: string): void {
    const ended = ids
      .map((id) => this.children.find((child) => child.id === id))
      .filter((child) => child?.state === 'running') as ModelChild[]
    for (const child of ended) {
      child.state = { ended: reason }
      this.events.push(`end ${child.id} ${reason}`)
    }
    // A restart that failed is tried again after what is in the mailbox by then.
    const mailbox = [...ended]
    for (let child = mailbox.shift(); child !== undefined && this.alive; child = mailbox.shift()) {
      const failed = this.#handle(child, reason)
      if (failed !== undefined) mailbox.push(failed)
    }
  }

  terminate(id: string): boolean {
    const child = this.children.find((other) => other.id === id)
    if (child === undefined) return false
    this.#stop(child)
    return true
  }

  restart(id: string): boolean {
    const child = this.children.find((other) => other.id === id)
    return child?.state === 'off' && this.#start(child)
  }

  delete(id: string): boolean {
    const child = this.children.find((other) => other.id === id)
    if (child?.state !== 'off') return false
    this.#remove(child)
    return true
  }

  /** The end of a child, or the next attempt to restart it; returns the child whose start failed. */
  #handle(child: ModelChild, reason: string): ModelChild | undefined {
    // Dealt with already when another child took it along.
    if (typeof child.state === 'string' && child.state !== 'restarting') return undefined
    const wanted = child.restart === 'permanent' || (child.restart === 'transient' && reason === 'boom')
    if (!wanted && child.state !== 'restarting') {
      child.state = 'off'
      if (child.restart === 'temporary') this.#remove(child)
      return undefined
    }
    child.state = 'off'
    this.#restarts.push(this.nowMs)
    if (this.#restarts.filter((at) => at >= this.nowMs - this.#periodMs).length > this.#intensity) {
      this.#giveUp()
      return undefined
    }
    return this.#restartWith(child)
  }

  /** Restarts what belongs to the child; returns the child that failed to start. */
  #restartWith(failed: ModelChild): ModelChild | undefined {
    const at = this.children.indexOf(failed)
    const [from, to] =
      this.#strategy === 'one_for_one'
        ? [at, at + 1]
        : [this.#strategy === 'one_for_all' ? 0 : at, this.children.length]
    const affected = this.children.slice(from, to)
    for (const child of [...affected].reverse()) if (child !== failed) this.#stop(child)
    for (const child of affected) {
      if (this.children.includes(child) && !this.#start(child)) {
        child.state = 'restarting'
        return child
      }
    }
    return undefined
  }

  #giveUp(): void {
    this.alive = false
    for (const child of [...this.children].reverse()) this.#stop(child)
  }

  #start(child: ModelChild): boolean {
    const failures = this.failures.get(child.id) ?? 0
    if (failures > 0) {
      this.failures.set(child.id, failures - 1)
      return false
    }
    child.state = 'running'
    this.events.push(`start ${child.id}`)
    return true
  }

  #stop(child: ModelChild): void {
    if (child.state === 'running') this.events.push(`end ${child.id} shutdown`)
    child.state = 'off'
    if (child.restart === 'temporary') this.#remove(child)
  }

  #remove(child: ModelChild): void {
    this.children = this.children.filter((other) => other !== child)
  }
}

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      children: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
      reason: fc.constantFrom('normal', 'shutdown', 'boom'),
      failures: fc.constantFrom(0, 0, 0, 1, 2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(3000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('terminate' as const, 'restart' as const, 'delete' as const),
      child: fc.nat(5),
    }),
  },
)

const scenario = fc.record({
  strategy: fc.constantFrom<StaticStrategy>('one_for_one', 'one_for_all', 'rest_for_one'),
  intensity: fc.nat(4),
  periodSec: fc.constantFrom(1, 2, 5),
  restarts: fc.array(fc.constantFrom<Restart>('permanent', 'transient', 'temporary'), { minLength: 1, maxLength: 5 }),
  slow: fc.array(fc.nat(5), { maxLength: 2 }),
  steps: fc.array(stepArbitrary, { maxLength: 15 }),
})

describe('a supervisor', () => {
  test('restarts, ends and gives up as the model does', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ strategy, intensity, periodSec, restarts, slow, steps }) => {
        const world = new World()
        const workers = new Workers()
        for (const i of slow) workers.slow.add(`c${i}`)
        const specs = restarts.map((restart, i) => ({ ...workers.spec(`c${i}`, { restart }) }))
        const top = supervisor({ strategy, intensity, periodSec, children: () => specs })
        const pid = await world.run(top.startLink(world.runtime, undefined))
        const model = new Model(strategy, intensity, periodSec, restarts)
        const { runtime } = world

        for (const step of steps) {
          if (!model.alive) break
          if (step.do === 'advance') {
            await world.advance(step.ms)
            model.nowMs += step.ms
          } else if (step.do === 'end') {
            const ids = [...new Set(step.children)].map((i) => `c${i}`)
            const children = await world.run(whichChildren(runtime, pid))
            for (const id of ids) {
              workers.failures.set(id, step.failures)
              model.failures.set(id, step.failures)
            }
            for (const id of ids) {
              const child = children.find((info) => info.id === id)?.child
              if (typeof child === 'object') workers.server.cast(runtime, child, 'end', step.reason)
            }
            await world.settle()
            model.end(ids, step.reason)
          } else {
            const id = `c${step.child}`
            const request = { terminate: terminateChild, restart: restartChild, delete: deleteChild }[step.do]
            const { ok } = await world.run<{ ok: boolean }>(request(runtime, pid, id))
            expect(ok).toBe(model[step.do](id))
          }
          expect(workers.take()).toEqual(model.events.splice(0))
          expect(runtime.isAlive(pid)).toBe(model.alive)
          if (!model.alive) break
          const children = await world.run(whichChildren(runtime, pid))
          expect(
            children.reverse().map(({ id, child }) => `${id} ${typeof child === 'object' ? 'running' : 'off'}`),
          ).toEqual(model.children.map(({ id, state }) => `${id} ${state}`))
        }
        if (!model.alive) expect(runtime.processes.count).toBe(1)
      }),
      { numRuns: 300 },
    )
  })
})

type DynamicStep =
  | { do: 'start'; id: number; failures: number }
  | { do: 'end'; id: number; reason: string; failures: number }
  | { do: 'terminate'; id: number }
  | { do: 'advance'; ms: number }

const dynamicStep: fc.Arbitrary<DynamicStep> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('start' as const), id: fc.nat(5), failures: fc.constantFrom(0, 0, 1) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      id: fc.nat(5),
      reason: fc.constantFrom('normal', 'shutdown', 'boom'),
      failures: fc.constantFrom(0, 0, 1, 3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('terminate' as const), id: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(3000) }) },
)

describe('a simple_one_for_one supervisor', () => {
  test('has the children that the model says, restarts them with their arguments, and gives up when it does', async () => {
    const scenario = fc.record({
      restart: fc.constantFrom<Restart>('permanent', 'transient', 'temporary'),
      intensity: fc.nat(4),
      slow: fc.array(fc.nat(5), { maxLength: 2 }),
      steps: fc.array(dynamicStep, { maxLength: 20 }),
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ restart, intensity, slow, steps }) => {
        const world = new World()
        const { runtime } = world
        const workers = new Workers()
        for (const i of slow) workers.slow.add(`c${i}`)
        const top = supervisor({
          strategy: 'simple_one_for_one',
          intensity,
          periodSec: 5,
          children: () => [childTemplate('w', workers.server, { restart })],
        })
        const pid = await world.run(top.startLink(runtime, undefined))
        const running = new Set<string>()
        let restarts: number[] = []
        let alive = true
        for (const step of steps) {
          if (step.do === 'advance') {
            await world.advance(step.ms)
            continue
          }
          const id = `c${step.id}`
          if ('failures' in step) workers.failures.set(id, step.failures)
          if (step.do === 'start') {
            const wasThere = running.has(id)
            const { ok } = await world.run(top.startChild(runtime, pid, id, { name: id }))
            expect(ok).toBe(!wasThere && step.failures === 0)
            if (ok) running.add(id)
          } else if (!running.has(id)) {
            continue
          } else if (step.do === 'terminate') {
            expect(await world.run(terminateChild(runtime, pid, runtime.whereis(id)!))).toEqual({ ok: true })
            running.delete(id)
          } else {
            workers.server.cast(runtime, id, 'end', step.reason)
            await world.settle()
            if (restart === 'temporary' || (restart === 'transient' && step.reason !== 'boom')) {
              running.delete(id)
            } else {
              for (let attempt = 0; attempt <= step.failures && alive; attempt++) {
                restarts = [...restarts.filter((at) => at >= world.nowMs - 5000), world.nowMs]
                alive = restarts.length <= intensity
              }
            }
          }
          expect(runtime.isAlive(pid)).toBe(alive)
          if (!alive) break
          for (let i = 0; i <= 5; i++) expect(runtime.whereis(`c${i}`) !== undefined).toBe(running.has(`c${i}`))
          expect(await world.run(countChildren(runtime, pid))).toMatchObject({
            specs: 1,
            active: running.size,
            workers: running.size,
          })
        }
        runtime.exit(pid, 'shutdown')
        await world.settle()
        expect(runtime.processes.count).toBe(1)
      }),
      { numRuns: 200 },
    )
  })
})

describe('restart intensity', () => {
  test('is exceeded when more restarts than allowed lie within the period, whatever came before', () => {
    const arbitrary = fc.record({
      intensity: fc.nat(5),
      periodSec: fc.integer({ min: 1, max: 5 }),
      gaps: fc.array(fc.nat(2500), { maxLength: 60 }),
    })
    fc.assert(
      fc.property(arbitrary, ({ intensity, periodSec, gaps }) => {
        const bookkeeping = new RestartIntensity(intensity, periodSec)
        const times: number[] = []
        let now = 0
        for (const gap of gaps) {
          now += gap
          times.push(now)
          const recent = times.filter((at) => at >= now - periodSec * 1000)
          expect(bookkeeping.add(now)).toBe(recent.length <= intensity)
        }
      }),
    )
  })
})
