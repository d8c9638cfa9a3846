/** What a node sends to another, over connections that come and go. */
import { expect, onTestFinished, test } from 'vitest'
import { type ForwarderOptions, forwarder } from '../../src/broker/forward/forwarder.ts'
import { Forwarding } from '../../src/broker/forward/forwarding.ts'
import { HintLog } from '../../src/broker/forward/hints.ts'
import {
  FORWARDER,
  type Forward,
  type Forwarded,
  type ForwardTo,
  type Hinted,
  type Hints,
  type NodeReady,
  type Ranges,
} from '../../src/broker/forward/messages.ts'
import { RecentIds } from '../../src/broker/forward/recent-ids.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import { matchedOf } from '../../src/broker/routing/matched.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import type { FormerSessions } from '../../src/broker/session/former-sessions.ts'
import { ROUTE } from '../../src/broker/tables.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import type { Store } from '../../src/mnesia/store/store.ts'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { message, pidOf } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

const A = 'a@sim'
const B = 'b@sim'

/** A node that sends, with its forwarder, which hears of members nothing but what connections tell. */
async function sender(sim: Simulation, store: Store = new MemoryStore()): Promise<Forwarding> {
  const runtime = sim.node('a')
  const metrics = createMetrics()
  const hints = new HintLog({
    store,
    maxBytes: 1e6,
    maxAgeMs: 1e6,
    now: () => runtime.clock.now(),
    onDropped: () => {},
  })
  const forwarding = new Forwarding({
    runtime,
    metrics,
    waitMs: 1000,
    maxBytes: 300_000,
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
  const former = { size: 0 } as FormerSessions
  const passingOn = { former } as ForwarderOptions['passingOn']
  const options = {
    forwarding,
    passingOn,
    pubsub,
    routing,
    mnesia: tables,
    recent,
    away,
    onGiven: () => {},
    onLost: () => {},
  }
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

/** In the place of the other node's forwarder: what comes, in words, and what confirms it. */
function peer(sim: Simulation) {
  const node = sim.node('b')
  const came: string[] = []
  const idsOf = (all: readonly { readonly messages: readonly Message[] }[]) =>
    all.flatMap(({ messages }) => messages.map(({ id }) => id)).join(' ')
  let stream = 0
  const receive = (sent: unknown) => {
    const got = sent as Forward | ForwardTo | Hints | NodeReady
    if (got.tag === 'node_ready') return
    if (got.tag === 'hints') {
      if (got.hints.length > 0) came.push(`kept ${idsOf(got.hints)}`)
      node.send({ name: FORWARDER, node: A }, { tag: 'hinted', node: B, last: got.last } satisfies Hinted)
      return
    }
    stream = got.stream
    came.push(
      `${got.seq} ${got.tag === 'forward' ? `${got.reach} ${idsOf(got.batches)}` : `member ${idsOf([got.run.batch])}`}`,
    )
  }
  node.spawn({ receive }, { name: FORWARDER })
  const confirm = (taken: Ranges, refused: readonly number[] = []) =>
    node.send({ name: FORWARDER, node: A }, { tag: 'forwarded', node: B, stream, taken, refused } satisfies Forwarded)
  const ready: NodeReady = { tag: 'node_ready', node: B, forwarder: '1', asks: false }
  return { came, confirm, sayReady: () => node.send({ name: FORWARDER, node: A }, ready) }
}

test('what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  const disc = new LossyDisc({ timers: sim.time, random: sim.random, flushMs: [200, 300] })
  const forwarding = await sender(sim, disc.open())
  const { came, confirm, sayReady } = peer(sim)
  const acknowledged: string[] = []
  const share = { group: 'g', filter: 't' }
  const to = pidOf(1, { name: B, creation: 1 })
  const publish = (id: string, isForMember = false) => {
    const batch = new Batch([message('t', id, { qos: 2 })])
    const receipt = new Receipt()
    if (isForMember)
      forwarding.sendTo(to, { batch, matched: { ...matchedOf(2, false, false, undefined), share } }, receipt)
    else forwarding.send({ node: B, durable: true }, [batch], receipt)
    receipt.whenDone(() => acknowledged.push(id))
  }
  const onDisc = () => [...disc.contents.spaces()].reduce((sum, space) => sum + disc.contents.count(space), 0)
  sayReady()
  await sim.advance('1s')
  publish('1')
  publish('2', true)
  publish('3')
  await sim.advance('900ms')
  expect([acknowledged, onDisc()]).toEqual([[], 0])
  await sim.advance('250ms')
  expect(acknowledged).toEqual([])
  await sim.advance('350ms')
  expect([acknowledged, onDisc()]).toEqual([['1', '2', '3'], 3])
  publish('4')
  publish('5', true)
  await sim.advance('100ms')
  // Not before it is on disc, but without another wait.
  expect(acknowledged).toEqual(['1', '2', '3'])
  await sim.advance('400ms')
  expect([acknowledged, onDisc()]).toEqual([['1', '2', '3', '4', '5'], 5])
  expect(came.splice(0)).toEqual(['1 all 1', '2 member 2', '3 all 3', '4 volatile 4', '5 member 5'])
  // It goes on.
  confirm([1, 2])
  publish('6')
  await sim.advance('500ms')
  expect(came.splice(0)).toEqual(['6 volatile 6'])
  confirm([3, 6])
  await sim.advance('1s')
  expect(came.splice(0)).toEqual(['kept 4 6'])
  publish('7')
  await sim.advance('500ms')
  expect([came, onDisc()]).toEqual([['7 all 7'], 0])
})

test('what is published when no more may be on its way is kept, and comes in order', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  const forwarding = await sender(sim)
  const { came, confirm, sayReady } = peer(sim)
  const acknowledged: string[] = []
  const to = pidOf(1, { name: B, creation: 1 })
  const publish = (id: string, isForMember = false) => {
    // Of those that may be on their way two are too much.
    const batch = new Batch([message('t', id, { qos: 1, payload: Buffer.alloc(200_000) })])
    const receipt = new Receipt()
    const matched = { ...matchedOf(1, false, false, undefined), share: { group: 'g', filter: 't' } }
    if (isForMember) forwarding.sendTo(to, { batch, matched }, receipt)
    else forwarding.send({ node: B, durable: true }, [batch], receipt)
    receipt.whenDone(() => acknowledged.push(id))
  }
  sayReady()
  await sim.advance('1s')
  for (const id of ['1', '2', '3']) publish(id)
  publish('4', true)
  await sim.advance('100ms')
  expect(came.splice(0)).toEqual(['1 all 1'])
  expect(acknowledged).toEqual(['1', '2', '3', '4'])
  confirm([1, 1])
  await sim.advance('100ms')
  expect(came).toEqual(['kept 2 3', 'kept 4'])
})

test('what follows is kept also when nothing before it had to be', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  const forwarding = await sender(sim)
  const { came, sayReady } = peer(sim)
  const publish = (id: string, durable: boolean) =>
    forwarding.send({ node: B, durable }, [new Batch([message('t', id, { qos: 1 })])], new Receipt())
  sayReady()
  await sim.advance('1s')
  publish('1', false)
  await sim.advance('2s')
  publish('2', true)
  await sim.advance('1s')
  expect(came).toEqual(['1 all 1', '2 volatile 2'])
  expect(forwarding.underWayTo(B).isKept).toBe(true)
})
