/** Links, monitors and exit signals against a small model of Erlang's rules, under random interleavings. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { ProcessContext } from '../../src/actors/process.ts'
import type { Ref } from '../../src/actors/ref.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import { World } from './world.ts'

/** What a process is told to do; processes and monitors are named by the order in which they came to be. */
type Order =
  | { tag: 'spawn'; link: boolean; trap: boolean }
  | { tag: 'link' | 'unlink'; to: number }
  | { tag: 'monitor'; to: number }
  | { tag: 'demonitor'; monitor: number; flush: boolean }
  | { tag: 'exit'; to: number; reason: string }
  | { tag: 'stop'; reason: string }
  | { tag: 'trap'; value: boolean }
  | { tag: 'send'; to: number; value: number }

/** Either an order is put into a mailbox from outside, or one process takes its next message. */
type Step = { do: 'order'; process: number; order: Order } | { do: 'run'; process: number }

type Entry = { order: Order } | { note: string; monitor?: number }

interface ModelProcess {
  alive: boolean
  trap: boolean
  readonly links: Set<number>
  readonly mailbox: Entry[]
  readonly log: string[]
  reason: string | undefined
}

interface ModelMonitor {
  readonly watcher: number
  readonly target: number
  active: boolean
}

/** Erlang's rules for signals that act at once, written for being read. */
class Model {
  readonly processes: ModelProcess[] = []
  readonly monitors: ModelMonitor[] = []
  readonly #dying: { process: number; reason: string }[] = []

  spawn(trap: boolean): number {
    this.processes.push({ alive: true, trap, links: new Set(), mailbox: [], log: [], reason: undefined })
    return this.processes.length - 1
  }

  order(process: number, order: Order): void {
    if (this.processes[process]!.alive) this.processes[process]!.mailbox.push({ order })
  }

  run(self: number): void {
    const process = this.processes[self]!
    if (!process.alive) return
    const entry = process.mailbox.shift()
    if (entry === undefined) return
    if ('note' in entry) process.log.push(entry.note)
    else this.#obey(self, entry.order)
  }

  #obey(self: number, order: Order): void {
    const process = this.processes[self]!
    switch (order.tag) {
      case 'spawn': {
        const child = this.spawn(order.trap)
        if (order.link) this.#link(self, child)
        return
      }
      case 'link':
        this.#link(self, order.to)
        return
      case 'unlink':
        process.links.delete(order.to)
        this.processes[order.to]!.links.delete(self)
        return
      case 'monitor': {
        const monitor = { watcher: self, target: order.to, active: true }
        this.monitors.push(monitor)
        if (!this.processes[order.to]!.alive) this.#down(this.monitors.length - 1, 'noproc')
        return
      }
      case 'demonitor': {
        const monitor = this.monitors[order.monitor]
        if (monitor === undefined || monitor.watcher !== self) return
        monitor.active = false
        if (order.flush) {
          const at = process.mailbox.findIndex((entry) => 'note' in entry && entry.monitor === order.monitor)
          if (at >= 0) process.mailbox.splice(at, 1)
        }
        return
      }
      case 'exit':
        if (this.processes[order.to]!.alive) this.#signal(self, order.to, order.reason, false)
        return
      case 'stop':
        this.#die(self, order.reason)
        return
      case 'trap':
        process.trap = order.value
        return
      case 'send':
        if (this.processes[order.to]!.alive)
          this.processes[order.to]!.mailbox.push({ note: `message ${order.value} of ${self}` })
    }
  }

  #link(self: number, to: number): void {
    if (self === to) return
    if (!this.processes[to]!.alive) return void this.#signal(to, self, 'noproc', true)
    this.processes[self]!.links.add(to)
    this.processes[to]!.links.add(self)
  }

  #signal(from: number, to: number, reason: string, linked: boolean): void {
    const process = this.processes[to]!
    if (!process.alive) return
    if (reason === 'kill' && !linked) this.#die(to, 'killed')
    else if (process.trap) process.mailbox.push({ note: `EXIT ${from} ${reason}` })
    else if (reason !== 'normal' || (from === to && !linked)) this.#die(to, reason)
  }

  #down(id: number, reason: string): void {
    const monitor = this.monitors[id]!
    if (!monitor.active) return
    monitor.active = false
    const watcher = this.processes[monitor.watcher]!
    if (watcher.alive) watcher.mailbox.push({ note: `DOWN ${id} ${monitor.target} ${reason}`, monitor: id })
  }

  #die(self: number, reason: string): void {
    const process = this.processes[self]!
    if (!process.alive) return
    process.alive = false
    process.reason = reason
    process.mailbox.length = 0
    this.#dying.push({ process: self, reason })
    if (this.#dying.length > 1) return
    for (let next = this.#dying[0]; next !== undefined; next = this.#dying[0]) {
      this.#bury(next.process, next.reason)
      this.#dying.shift()
    }
  }

  #bury(self: number, reason: string): void {
    const links = [...this.processes[self]!.links]
    for (const to of links) this.processes[to]!.links.delete(self)
    this.processes[self]!.links.clear()
    for (const to of links) this.#signal(self, to, reason, true)
    this.monitors.forEach((monitor, id) => {
      if (monitor.target === self) this.#down(id, reason)
    })
  }
}

/** The runtime, driven by the same steps. */
class Real {
  readonly world = new World()
  readonly contexts: ProcessContext[] = []
  readonly logs: string[][] = []
  readonly reasons: (string | undefined)[] = []
  readonly #refs: { ref: Ref; watcher: number }[] = []

  spawn(parent: ProcessContext | undefined, trap: boolean, link: boolean): number {
    const self = this.contexts.length
    const behaviour = { receive: (message: unknown) => this.#receive(self, message) }
    const { runtime } = this.world
    const process = runtime.process(
      parent === undefined
        ? runtime.spawn(behaviour, { trapExit: trap })
        : parent.spawn(behaviour, { trapExit: trap, link }),
    )!
    this.contexts.push(process)
    this.logs.push([])
    this.reasons.push(undefined)
    process.onExit((reason) => {
      this.reasons[self] = String(reason)
    })
    return self
  }

  order(process: number, order: Order): void {
    this.world.runtime.send(this.#pid(process), { order })
  }

  run(process: number): void {
    const found = this.world.runtime.process(this.#pid(process))
    if (found !== undefined) this.world.scheduler.runOne(found, 1)
  }

  isAlive(process: number): boolean {
    return this.world.runtime.isAlive(this.#pid(process))
  }

  #pid(process: number): Pid {
    return this.contexts[process]!.pid
  }

  #index(pid: unknown): number {
    return this.contexts.findIndex((context) => context.pid.equals(pid))
  }

  #receive(self: number, message: unknown): void {
    const log = this.logs[self]!
    if (isExitMessage(message)) {
      log.push(`EXIT ${this.#index(message.from)} ${message.reason}`)
    } else if (isDownMessage(message)) {
      const id = this.#refs.findIndex(({ ref }) => ref.equals(message.ref))
      log.push(`DOWN ${id} ${this.#index(message.pid)} ${message.reason}`)
    } else if (typeof message === 'string') {
      log.push(message)
    } else {
      this.#obey(self, (message as { order: Order }).order)
    }
  }

  #obey(self: number, order: Order): void {
    const context = this.contexts[self]!
    switch (order.tag) {
      case 'spawn':
        this.spawn(context, order.trap, order.link)
        return
      case 'link':
        context.link(this.#pid(order.to))
        return
      case 'unlink':
        context.unlink(this.#pid(order.to))
        return
      case 'monitor':
        this.#refs.push({ ref: context.monitor(this.#pid(order.to)), watcher: self })
        return
      case 'demonitor': {
        const monitor = this.#refs[order.monitor]
        if (monitor?.watcher === self) context.demonitor(monitor.ref, { flush: order.flush })
        return
      }
      case 'exit':
        context.exit(this.#pid(order.to), order.reason)
        return
      case 'stop':
        context.stop(order.reason)
        return
      case 'trap':
        context.processFlag('trap_exit', order.value)
        return
      case 'send':
        context.send(this.#pid(order.to), `message ${order.value} of ${self}`)
    }
  }
}

const FIRST = 5
const index = fc.nat(200)
const reason = fc.constantFrom('normal', 'kill', 'boom', 'shutdown')

const orderArbitrary: fc.Arbitrary<Order> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('spawn' as const), link: fc.boolean(), trap: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ tag: fc.constantFrom('link' as const, 'unlink' as const), to: index }) },
  { weight: 3, arbitrary: fc.record({ tag: fc.constant('link' as const), to: index }) },
  { weight: 5, arbitrary: fc.record({ tag: fc.constant('monitor' as const), to: index }) },
  { weight: 3, arbitrary: fc.record({ tag: fc.constant('demonitor' as const), monitor: index, flush: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ tag: fc.constant('exit' as const), to: index, reason }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('stop' as const), reason }) },
  { weight: 3, arbitrary: fc.record({ tag: fc.constant('trap' as const), value: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ tag: fc.constant('send' as const), to: index, value: fc.nat(99) }) },
)

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('order' as const), process: index, order: orderArbitrary }),
  fc.record({ do: fc.constant('run' as const), process: index }),
)

/** Numbers stand for what exists when the order is given. */
function inRange(order: Order, processes: number, monitors: number): Order {
  if ('to' in order) return { ...order, to: order.to % processes }
  if (order.tag === 'demonitor') return { ...order, monitor: order.monitor % Math.max(1, monitors) }
  return order
}

function runBoth(steps: readonly Step[]): { model: Model; real: Real } {
  const model = new Model()
  const real = new Real()
  for (let i = 0; i < FIRST; i++) {
    model.spawn(i % 2 === 0)
    real.spawn(undefined, i % 2 === 0, false)
  }
  for (const step of steps) {
    const process = step.process % model.processes.length
    if (step.do === 'order') {
      const order = inRange(step.order, model.processes.length, model.monitors.length)
      model.order(process, order)
      real.order(process, order)
    } else {
      model.run(process)
      real.run(process)
    }
  }
  for (let round = 0; round < steps.length + FIRST; round++) {
    for (let process = 0; process < model.processes.length; process++) {
      model.run(process)
      real.run(process)
    }
  }
  return { model, real }
}

describe('signals between processes', () => {
  test('act as the model of links, monitors and exit signals says, in any interleaving', () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 10, maxLength: 120 }), (steps) => {
        const { model, real } = runBoth(steps)
        expect(real.contexts.map((_, i) => real.isAlive(i))).toEqual(model.processes.map(({ alive }) => alive))
        expect(real.reasons).toEqual(model.processes.map(({ reason }) => reason))
        expect(real.logs).toEqual(model.processes.map(({ log }) => log))
      }),
      { numRuns: 500 },
    )
  })

  test('leave nothing behind for a process that is gone', () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 10, maxLength: 80 }), (steps) => {
        const { real } = runBoth(steps)
        const { runtime } = real.world
        for (const { pid } of real.contexts) runtime.exit(pid, 'kill')
        expect([...runtime.processes].map(({ name }) => name)).toEqual(['init'])
        expect(runtime.init.links?.size ?? 0).toBe(0)
        expect(runtime.init.monitoredBy?.size ?? 0).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})

describe('messages', () => {
  test('from one process to another arrive in the order in which they were sent, whatever the scheduler does', () => {
    const arbitrary = fc.record({
      sends: fc.array(fc.record({ from: fc.nat(3), to: fc.nat(3) }), { maxLength: 100 }),
      picks: fc.infiniteStream(fc.nat(1000)),
    })
    fc.assert(
      fc.property(arbitrary, ({ sends, picks }) => {
        const iterator = picks[Symbol.iterator]()
        const world = new World({ pick: (length) => iterator.next().value! % length, reductions: 1 })
        const received: { from: number; n: number }[][] = [[], [], [], []]
        const pids: Pid[] = []
        for (let i = 0; i < 4; i++) {
          const pid: Pid = world.runtime.spawn({
            receive: (message) => {
              const { forward, n } = message as { forward?: number; from: number; n: number }
              if (forward === undefined) received[i]!.push(message as { from: number; n: number })
              else world.runtime.sendFrom(pid, pids[forward]!, { from: i, n })
            },
          })
          pids.push(pid)
        }
        sends.forEach(({ from, to }, n) => {
          world.runtime.send(pids[from]!, { forward: to, n })
        })
        world.scheduler.drain()
        expect(received.flat().length).toBe(sends.length)
        for (const box of received) {
          for (let from = 0; from < 4; from++) {
            const numbers = box.filter((entry) => entry.from === from).map(({ n }) => n)
            expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
          }
        }
      }),
      { numRuns: 200 },
    )
  })
})
