import { expect, onTestFinished, test } from 'vitest'
import type { ProcessContext } from '../../src/actors/process.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { connectNode, disconnectNode, monitorNodes, nodes } from '../../src/dist/net-kernel.ts'
import { type Simulation, type SimulationOptions, simulate } from '../../src/testing/simulation.ts'

function simulation(options: Partial<SimulationOptions> = {}): Simulation {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'], ...options })
  onTestFinished(() => sim.stop())
  return sim
}

/** A process `box` that notes what it gets, node events included, with the time. */
function box(runtime: Runtime): unknown[] {
  const seen: unknown[] = []
  const process = runtime.process(runtime.spawn({ receive: (message) => void seen.push(message) }, { name: 'box' }))
  monitorNodes(process as ProcessContext)
  return seen
}

const up = (node: string) => ({ tag: 'nodeup', node, nodeType: 'visible' })
const down = (node: string, reason = 'connection_closed') => ({ tag: 'nodedown', node, nodeType: 'visible', reason })

test('a node comes up on both sides before its first message, and goes down after its last', async () => {
  const sim = simulation()
  const [onA, onB] = [box(sim.node('a')), box(sim.node('b'))]
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 1)
  await sim.advance('1s')
  expect(onB).toEqual([up('a@sim'), 1])
  expect(onA).toEqual([up('b@sim')])
  await sim.partition(['a'], ['b'])
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 2)
  await sim.advance('1s')
  expect(onB).toEqual([up('a@sim'), 1, down('a@sim')])
  expect(onA).toEqual([up('b@sim'), down('b@sim')])
})

test('a message that is sent with noconnect arrives between connected nodes, and connects none', async () => {
  const sim = simulation()
  const [onA, onB] = [box(sim.node('a')), box(sim.node('b'))]
  const send = async (text: string) => {
    sim.node('a').spawn((self) => self.send({ name: 'box', node: 'b@sim' }, text, { noconnect: true }))
    await sim.advance('1s')
  }
  await send('before')
  expect([onA, onB]).toEqual([[], []])
  void connectNode(sim.node('a'), 'b@sim')
  await sim.advance('1s')
  await send('then')
  expect(onB).toEqual([up('a@sim'), 'then'])
})

test('connectNode tells whether the node is reached, and disconnectNode ends the connection', async () => {
  const sim = simulation({ nodes: ['a', 'b', 'c'] })
  const a = sim.node('a')
  sim.network.cut('a@sim', 'c@sim')
  const connects = Promise.all(['b@sim', 'c@sim', 'd@sim', 'a@sim'].map((node) => connectNode(a, node)))
  await sim.advance('1s')
  expect(await connects).toEqual([true, false, false, true])
  expect([nodes(a), nodes(sim.node('b'))]).toEqual([['b@sim'], ['a@sim']])
  expect([disconnectNode(a, 'b@sim'), disconnectNode(a, 'b@sim')]).toEqual([true, false])
  expect([nodes(a), nodes(sim.node('b'))]).toEqual([[], []])
})

test('a node that comes back before its loss was noticed goes down first', async () => {
  const sim = simulation()
  const onA = box(sim.node('a'))
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 1)
  await sim.advance('1s')
  sim.kill('b')
  sim.start('b').send({ name: 'box', node: 'a@sim' }, 'again')
  await sim.advance('1s')
  expect(onA).toEqual([up('b@sim'), down('b@sim'), up('b@sim'), 'again'])
})

test('signals on a frozen link wait, and arrive in order when it thaws', async () => {
  const sim = simulation()
  const onB = box(sim.node('b'))
  const send = (n: number) => sim.node('a').send({ name: 'box', node: 'b@sim' }, n)
  send(1)
  await sim.advance('1s')
  sim.network.freeze('a@sim', 'b@sim')
  for (const n of [2, 3]) send(n)
  await sim.advance('1s')
  expect(onB).toEqual([up('a@sim'), 1])
  sim.network.thaw('a@sim', 'b@sim')
  send(4)
  await sim.advance('1s')
  expect(onB).toEqual([up('a@sim'), 1, 2, 3, 4])
})

test('over a frozen link each side takes the other for dead by itself, and the other side notices that when it thaws', async () => {
  const sim = simulation({ netTicktimeMs: 8000 })
  const [onA, onB] = [box(sim.node('a')), box(sim.node('b'))]
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 1)
  await sim.advance('1s')
  sim.network.freeze('a@sim', 'b@sim')
  await sim.advance(5900)
  expect([onA, onB]).toEqual([[up('b@sim')], [up('a@sim'), 1]])
  while (nodes(sim.node('a')).length + nodes(sim.node('b')).length === 2) await sim.advance(50)
  expect(nodes(sim.node('a')).length + nodes(sim.node('b')).length).toBe(1)
  const connect = connectNode(sim.node('a'), 'b@sim')
  sim.network.thaw('a@sim', 'b@sim')
  await sim.run()
  expect([onA.length, onB.length]).toEqual([2, 3])
  expect([onA.at(-1), onB.at(-1)].map((event) => (event as { reason: string }).reason).sort()).toEqual([
    'connection_closed',
    'net_tick_timeout',
  ])
  await sim.advance('10s')
  expect(await connect).toBe(true)
})

test('a node that stands still runs nothing, and does all that was due when it goes on', async () => {
  const sim = simulation({ netTicktimeMs: 8000 })
  const onB = box(sim.node('b'))
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 1)
  await sim.advance('1s')
  sim.freeze('b')
  sim.node('a').send({ name: 'box', node: 'b@sim' }, 2)
  sim.node('b').sendAfter(1000, 'box', 'timer')
  await sim.advance('3s')
  expect(onB).toEqual([up('a@sim'), 1])
  sim.thaw('b')
  await sim.advance('1s')
  expect(new Set(onB)).toEqual(new Set([up('a@sim'), 1, 2, 'timer']))
  sim.freeze('b')
  await sim.advance('20s')
  expect(nodes(sim.node('a'))).toEqual([])
  sim.thaw('b')
  await sim.advance('1s')
  expect(onB.at(-1)).toMatchObject({ tag: 'nodedown' })
})

test('a wall clock may be wrong, also when its node starts again, and monotonic time is not', async () => {
  const sim = simulation()
  sim.skew('b', -5000)
  const [a, b] = [sim.node('a').clock, sim.node('b').clock]
  expect(a.now() - b.now()).toBe(5000)
  expect(a.monotonic()).toBe(b.monotonic())
  sim.kill('b')
  expect(a.now() - sim.start('b').clock.now()).toBe(5000)
})

test('timers of a killed node never fire', async () => {
  const sim = simulation()
  let fired = 0
  sim.node('b').timers.set(10, () => fired++)
  sim.kill('b')
  await sim.advance('1s')
  expect(fired).toBe(0)
})
