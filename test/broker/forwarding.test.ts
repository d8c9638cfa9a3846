/** What a node sends to another, over connections that come and go. */
import { expect, onTestFinished, test } from 'vitest'
import { forwarder } from '../../src/broker/forward/forwarder.ts'
import { Forwarding } from '../../src/broker/forward/forwarding.ts'
import { HintLog } from '../../src/broker/forward/hints.ts'
import { FORWARDER, type Forward, type Hints, type NodeReady } from '../../src/broker/forward/messages.ts'
import { RecentIds } from '../../src/broker/forward/recent-ids.ts'
import { Batch } from '../../src/broker/message.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { ROUTE } from '../../src/broker/tables.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { message } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

const A = 'a@sim'
const B = 'b@sim'

/** A node that sends, with its forwarder, which hears of members nothing but what connections tell. */
async function sender(sim: Simulation): Promise<Forwarding> {
  const runtime = sim.node('a')
  const metrics = createMetrics()
  const hints = new HintLog({
    store: new MemoryStore(),
    maxBytes: 1e6,
    maxAgeMs: 1e6,
    now: () => runtime.clock.now(),
    onDropped: () => {},
  })
  const forwarding = new Forwarding({
    runtime,
    metrics,
    waitMs: 1000,
    maxBytes: 1e6,
    hints,
    redispatch: () => undefined,
  })
  const tables = new TestTables(A)
  const routing = new Routing(A, tables)
  tables.member(B).open(ROUTE).write({ filter: 't', node: B, durable: true, group: false })
  tables.settle()
  const pubsub = new PubSub({
    routing,
    send: (to, sent) => runtime.send(to, sent),
    random: () => runtime.random(),
    retain: () => {},
  })
  const recent = {
    durable: new RecentIds(() => ''),
    volatile: new RecentIds(() => ''),
  }
  const away = { ready: () => {}, lost: () => {} }
  const options = { forwarding, pubsub, routing, mnesia: tables, recent, away, onGiven: () => {}, onLost: () => {} }
  const started = forwarder.start(runtime, options, { name: FORWARDER })
  await sim.run()
  await started
  return forwarding
}

/** In the place of the other node's forwarder, which confirms nothing: ids of what comes for sessions that outlive their connection. */
function receiver(sim: Simulation): string[] {
  const ids: string[] = []
  const receive = (sent: unknown) => {
    const got = sent as Forward | Hints
    if (got.tag === 'hints') ids.push(...got.hints.flatMap(({ messages }) => messages.map(({ id }) => `kept ${id}`)))
    else if (got.tag === 'forward' && got.reach !== 'volatile')
      ids.push(...got.batches.flatMap(({ messages }) => messages.map(({ id }) => id)))
  }
  sim.node('b').spawn({ receive }, { name: FORWARDER })
  return ids
}

test('what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  const forwarding = await sender(sim)
  const ids = receiver(sim)
  const send = (id: string) => {
    const batch = new Batch([message('t', id, { qos: 2 })])
    forwarding.send({ node: B, durable: true }, [batch], new Receipt())
  }
  const ready: NodeReady = { tag: 'node_ready', node: B, forwarder: '1', asks: false }
  const sayReady = () => sim.node('b').send({ name: FORWARDER, node: A }, ready)
  sayReady()
  await sim.advance('1s')
  send('1')
  await sim.advance('1s')
  expect(ids).toEqual(['1'])
  send('2')
  sim.network.reset(A, B)
  // Before any process of the node has had a turn.
  send('3')
  await sim.advance('1s')
  send('4')
  await sim.advance('1s')
  expect(ids).toEqual(['1'])
  sayReady()
  await sim.advance('1s')
  expect(ids).toEqual(['1', 'kept 1', 'kept 2', 'kept 3', 'kept 4'])
})
