/**
 * What a message, a process and a call cost, beside plain nact and a plain function call, in one run.
 *
 *     npm run bench -- actors
 *
 * Each figure is the median of five rounds after one warm-up round; ours and nact's rounds alternate. Trust the ratios, not the
 * absolute figures: the machine may be busy.
 */
import * as nact from 'nact'
import pino from 'pino'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { Runtime } from '../../src/actors/runtime.ts'

const ROUNDS = 5

interface Case {
  readonly name: string
  readonly unit: string
  readonly ours: () => Promise<number>
  readonly nact?: () => Promise<number>
  readonly plain?: () => number
  /** Least ratio of nact's figure to ours, or greatest figure of ours. */
  readonly target?: { readonly ratio: number } | { readonly atMost: number }
}

const runtime = new Runtime({ logger: pino({ level: 'silent' }) })
const system = nact.start('bench')
let names = 0

const counter = genServer<{ n: number }, { add: (by: number) => number }>({
  init: () => ok({ n: 0 }),
  calls: { add: ({ state }, by) => reply(state.n + by, { n: state.n + by }) },
})

const cases: Case[] = [
  {
    name: 'ping-pong',
    unit: 'ns/message',
    ours: () => oursRing(2, 1, 400_000),
    nact: () => nactRing(2, 1, 20_000),
    plain: () => plainRing(4_000_000),
    target: { ratio: 8 },
  },
  {
    name: 'flood, 1000 a turn',
    unit: 'ns/message',
    ours: () => oursFlood(400_000),
    nact: () => nactFlood(20_000),
    target: { ratio: 15 },
  },
  {
    name: 'chain of 3, 100 under way',
    unit: 'ns/hop',
    ours: () => oursRing(3, 100, 400_000),
    nact: () => nactRing(3, 100, 20_000),
  },
  {
    name: 'ring of 1000, 1 token',
    unit: 'ns/hop',
    ours: () => oursRing(1000, 1, 400_000),
    nact: () => nactRing(1000, 1, 20_000),
    target: { ratio: 8 },
  },
  {
    name: 'ring of 1000, 100 tokens',
    unit: 'ns/hop',
    ours: () => oursRing(1000, 100, 400_000),
    nact: () => nactRing(1000, 100, 20_000),
  },
  { name: 'spawn', unit: 'ns/process', ours: oursSpawn, nact: nactSpawn, target: { ratio: 5 } },
  { name: 'gen_server call from outside', unit: 'ns/call', ours: () => oursCall(20_000), nact: () => nactQuery(5_000) },
  { name: 'exit cascade, chain of 100,000 links', unit: 'ns/process', ours: oursCascade },
  { name: '100,000 monitors fire', unit: 'ns/monitor', ours: oursMonitors },
  { name: 'idle process', unit: 'bytes', ours: oursBytes, nact: nactBytes, target: { atMost: 400 } },
]

const only = process.argv[2]
console.log(
  `${'case'.padEnd(38)}${'unit'.padEnd(12)}${'ours'.padStart(9)}${'nact'.padStart(9)}${'ratio'.padStart(8)}${'plain'.padStart(8)}  target`,
)
for (const bench of cases) {
  if (only !== undefined && !bench.name.includes(only)) continue
  await measure(bench)
}
runtime.stop()
nact.stop(system as never)

async function measure({ name, unit, ours, nact: theirs, plain, target }: Case): Promise<void> {
  const oursRounds: number[] = []
  const nactRounds: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    oursRounds.push(await ours())
    if (theirs !== undefined) nactRounds.push(await theirs())
  }
  const mine = median(oursRounds.slice(1))
  const other = theirs === undefined ? undefined : median(nactRounds.slice(1))
  const ratio = other === undefined ? undefined : other / mine
  console.log(
    name.padEnd(38) +
      unit.padEnd(12) +
      mine.toFixed(0).padStart(9) +
      (other?.toFixed(0) ?? '').padStart(9) +
      (ratio?.toFixed(1) ?? '').padStart(8) +
      (plain?.().toFixed(1) ?? '').padStart(8) +
      verdict(target, mine, ratio),
  )
}

function verdict(target: Case['target'], mine: number, ratio: number | undefined): string {
  if (target === undefined) return ''
  if ('ratio' in target) return `  ≥ ${target.ratio}x: ${(ratio ?? 0) >= target.ratio ? 'reached' : 'missed'}`
  return `  ≤ ${target.atMost}: ${mine <= target.atMost ? 'reached' : 'missed'}`
}

function oursRing(size: number, tokens: number, hops: number): Promise<number> {
  return new Promise((resolve) => {
    const pids: Pid[] = []
    let left = hops
    let startedAt = 0
    for (let i = 0; i < size; i++) {
      const next = (i + 1) % size
      pids.push(
        runtime.spawn({
          receive: (token) => {
            if (--left > 0) runtime.send(pids[next]!, token)
            else if (left === 0) {
              const ns = ((performance.now() - startedAt) * 1e6) / hops
              for (const pid of pids) runtime.exit(pid, 'kill')
              resolve(ns)
            }
          },
        }),
      )
    }
    startedAt = performance.now()
    for (let i = 0; i < tokens; i++) runtime.send(pids[(i * 7) % size]!, { token: i })
  })
}

function nactRing(size: number, tokens: number, hops: number): Promise<number> {
  return new Promise((resolve) => {
    const actors: nact.Ref<unknown>[] = []
    let left = hops
    let startedAt = 0
    for (let i = 0; i < size; i++) {
      const next = (i + 1) % size
      actors.push(
        nact.spawnStateless(
          system,
          (token: unknown) => {
            if (--left > 0) nact.dispatch(actors[next]!, token)
            else if (left === 0) {
              const ns = ((performance.now() - startedAt) * 1e6) / hops
              for (const actor of actors) nact.stop(actor)
              resolve(ns)
            }
          },
          `ring-${names++}`,
        ),
      )
    }
    startedAt = performance.now()
    for (let i = 0; i < tokens; i++) nact.dispatch(actors[(i * 7) % size]!, { token: i })
  })
}

function plainRing(hops: number): number {
  let left = hops
  const functions = [(token: unknown) => token, (token: unknown) => (left % 2 === 0 ? token : null)]
  const startedAt = performance.now()
  while (left-- > 0) functions[left & 1]!(left)
  return ((performance.now() - startedAt) * 1e6) / hops
}

function oursFlood(messages: number): Promise<number> {
  return new Promise((resolve) => {
    let left = messages
    const startedAt = performance.now()
    const pid = runtime.spawn({
      receive: () => {
        if (--left > 0) return
        runtime.exit(pid, 'kill')
        resolve(((performance.now() - startedAt) * 1e6) / messages)
      },
    })
    const feed = (sent: number): void => {
      for (let i = 0; i < 1000; i++) runtime.send(pid, i)
      if (sent + 1000 < messages) setImmediate(feed, sent + 1000)
    }
    feed(0)
  })
}

function nactFlood(messages: number): Promise<number> {
  return new Promise((resolve) => {
    let left = messages
    const startedAt = performance.now()
    const actor = nact.spawnStateless(
      system,
      () => {
        if (--left > 0) return
        nact.stop(actor)
        resolve(((performance.now() - startedAt) * 1e6) / messages)
      },
      `flood-${names++}`,
    )
    const feed = (sent: number): void => {
      for (let i = 0; i < 1000; i++) nact.dispatch(actor, i)
      if (sent + 1000 < messages) setImmediate(feed, sent + 1000)
    }
    feed(0)
  })
}

async function oursSpawn(): Promise<number> {
  const count = 50_000
  const idle = { receive: () => {} }
  const startedAt = performance.now()
  const pids = Array.from({ length: count }, () => runtime.spawn(idle))
  const ns = ((performance.now() - startedAt) * 1e6) / count
  for (const pid of pids) runtime.exit(pid, 'kill')
  return ns
}

async function nactSpawn(): Promise<number> {
  const count = 50_000
  const startedAt = performance.now()
  const actors = Array.from({ length: count }, () => nact.spawnStateless(system, () => {}, `idle-${names++}`))
  const ns = ((performance.now() - startedAt) * 1e6) / count
  for (const actor of actors) nact.stop(actor)
  return ns
}

async function oursCall(calls: number): Promise<number> {
  const pid = await counter.start(runtime, undefined)
  const startedAt = performance.now()
  for (let i = 0; i < calls; i++) await counter.call(runtime, pid, 'add', 1)
  const ns = ((performance.now() - startedAt) * 1e6) / calls
  runtime.exit(pid, 'kill')
  return ns
}

async function nactQuery(calls: number): Promise<number> {
  const actor = nact.spawnStateless(
    system,
    (message: { replyTo: nact.Ref<number> }) => nact.dispatch(message.replyTo, 1),
    `query-${names++}`,
  )
  const startedAt = performance.now()
  for (let i = 0; i < calls; i++) await nact.query(actor, (replyTo: nact.Ref<number>) => ({ replyTo }), 5000)
  const ns = ((performance.now() - startedAt) * 1e6) / calls
  nact.stop(actor)
  return ns
}

async function oursCascade(): Promise<number> {
  const count = 100_000
  const idle = { receive: () => {} }
  let last = runtime.spawn(idle)
  const first = last
  for (let i = 1; i < count; i++) {
    const next = runtime.spawn(idle)
    runtime.link(runtime.process(next)!, last)
    last = next
  }
  const startedAt = performance.now()
  runtime.exit(first, 'crashed')
  const ns = ((performance.now() - startedAt) * 1e6) / count
  if (runtime.process(last) !== undefined) throw new Error('the cascade did not reach the end')
  return ns
}

function oursMonitors(): Promise<number> {
  const count = 100_000
  const idle = { receive: () => {} }
  return new Promise((resolve) => {
    let left = count
    let startedAt = 0
    const watcher = runtime.spawn({
      receive: () => {
        if (--left > 0) return
        runtime.exit(watcher, 'kill')
        resolve(((performance.now() - startedAt) * 1e6) / count)
      },
    })
    const pids = Array.from({ length: count }, () => runtime.spawn(idle))
    for (const pid of pids) runtime.process(watcher)!.monitor(pid)
    startedAt = performance.now()
    for (const pid of pids) runtime.exit(pid, 'kill')
  })
}

async function oursBytes(): Promise<number> {
  const idle = { receive: () => {} }
  return bytesEach(
    100_000,
    () => runtime.spawn(idle),
    (pid) => runtime.exit(pid, 'kill'),
  )
}

async function nactBytes(): Promise<number> {
  return bytesEach(
    10_000,
    () => nact.spawnStateless(system, () => {}, `bytes-${names++}`),
    (actor) => nact.stop(actor),
  )
}

function bytesEach<T>(count: number, make: () => T, drop: (made: T) => void): number {
  const made: T[] = new Array(count)
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < count; i++) made[i] = make()
  collectGarbage()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  for (const each of made) drop(each)
  return bytes
}

function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc')
  globalThis.gc()
}

function median(figures: number[]): number {
  return figures.sort((a, b) => a - b)[Math.floor(figures.length / 2)]!
}
