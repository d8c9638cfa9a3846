import { expect, onTestFinished, test } from 'vitest'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import { type Simulation, type SimulationOptions, simulate } from '../../src/testing/simulation.ts'

function simulation(options: SimulationOptions): Simulation {
  const sim = simulate(options)
  onTestFinished(() => sim.stop())
  return sim
}

const log = genServer<string[], { read: () => string[] }, { note: (text: string) => void }>({
  init: () => ok([]),
  calls: { read: ({ state }) => reply(state, state) },
  casts: { note: ({ state }, text) => noreply([...state, text]) },
})

async function interleaving(seed: number): Promise<string[]> {
  const sim = simulation({ seed, nodes: ['a', 'b', 'c'] })
  await log.start(sim.node('a'), undefined, { name: 'log' })
  for (const name of ['a', 'b', 'c']) {
    for (let i = 0; i < 5; i++) log.cast(sim.node(name), { name: 'log', node: 'a@sim' }, 'note', `${name}${i}`)
  }
  await sim.settled()
  const read = log.call(sim.node('b'), { name: 'log', node: 'a@sim' }, 'read')
  await sim.settled()
  return read
}

test('the same seed gives the same run, and other seeds give others', async () => {
  const runs = await Promise.all([1, 1, 2, 3, 4, 5].map(interleaving))
  expect(runs[0]).toEqual(runs[1])
  expect(new Set(runs.map((run) => run.join())).size).toBeGreaterThan(1)
})

test('messages of one node to another keep their order under every seed', async () => {
  for (let seed = 0; seed < 50; seed++) {
    const run = await interleaving(seed)
    expect(run).toHaveLength(15)
    for (const name of ['a', 'b', 'c']) {
      expect(run.filter((text) => text.startsWith(name))).toEqual([0, 1, 2, 3, 4].map((i) => `${name}${i}`))
    }
  }
})

test('time passes only when told, and timers fire in order', async () => {
  const sim = simulation({ seed: 1 })
  const runtime = sim.node('a')
  const seen: unknown[] = []
  const pid = runtime.spawn({ receive: (message) => void seen.push([message, runtime.clock.monotonic()]) })
  runtime.sendAfter(3_600_000, pid, 'late')
  runtime.sendAfter(10, pid, 'soon')
  await sim.advance('10ms')
  expect(seen).toEqual([['soon', 10]])
  await sim.advance('1h')
  expect(seen).toEqual([
    ['soon', 10],
    ['late', 3_600_000],
  ])
})

test('a cut link ends monitors and links across it with noconnection, and healing lets new ones be made', async () => {
  const sim = simulation({ seed: 7, nodes: ['a', 'b'] })
  const [a, b] = [sim.node('a'), sim.node('b')]
  const there = b.spawn({ receive: () => {} }, { trapExit: true })
  const seen: unknown[] = []
  const watcher = a.spawn({ receive: (message) => void seen.push(message) }, { trapExit: true })
  const process = a.process(watcher)!
  const ref = process.monitor(there)
  process.link(there)
  await sim.settled()
  await sim.partition(['a'], ['b'])
  await sim.settled()
  expect(seen).toEqual([
    { tag: 'EXIT', from: there, reason: 'noconnection' },
    { tag: 'DOWN', ref, type: 'process', pid: there, reason: 'noconnection' },
  ])
  await sim.heal()
  process.link(there)
  await sim.settled()
  b.exit(there, 'kill')
  await sim.settled()
  expect(seen[2]).toEqual({ tag: 'EXIT', from: there, reason: 'killed' })
})

test('a pid of a killed incarnation never reaches a process of the next', async () => {
  const sim = simulation({ seed: 3, nodes: ['a', 'b'] })
  const first = sim.node('b').spawn({ receive: () => {} })
  sim.kill('b')
  const seen: unknown[] = []
  const second = sim.start('b').spawn({ receive: (message) => void seen.push(message) })
  expect([second.id, second.serial]).toEqual([first.id, first.serial])
  sim.node('a').send(first, 'for the first')
  sim.node('a').send(second, 'for the second')
  await sim.settled()
  expect(seen).toEqual(['for the second'])
})
