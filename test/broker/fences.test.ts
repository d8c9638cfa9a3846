/** What a session that moves waits for, of what others have published for its node. */
import { expect, test } from 'vitest'
import type { FenceAnswer, Fenced } from '../../src/broker/forward/fences.ts'
import { FORWARDER } from '../../src/broker/forward/messages.ts'
import { message } from '../support/routing.ts'
import { A, B, FLUSH_MS, ForwardingNode } from './forwarding-node.ts'

const STREAM = 5

/** A node with a session that waits for a fence, and what it has been told. */
async function waiting(node: ForwardingNode) {
  const told: boolean[] = []
  const from = node.sim.node('a').spawn({ receive: (said) => void told.push((said as Fenced).isPassed) })
  node.sim.node('a').send({ name: FORWARDER, node: A }, { tag: 'fence', from, fence: 1, filters: [], at: B })
  await node.sim.advance('10ms')
  return told
}

/** The other node answers what it was asked last. */
function answer(node: ForwardingNode, changes: Partial<FenceAnswer>): Promise<void> {
  const { id } = node.received.filter((said) => said.tag === 'fence_ask').at(-1)!
  return node.say({
    tag: 'fence_answer',
    node: B,
    asker: 'fence',
    id,
    isClear: true,
    stream: STREAM,
    unconfirmed: [],
    ...changes,
  })
}

test('a fence is passed when what was on its way has come', async () => {
  const node = await new ForwardingNode().start()
  const told = await waiting(node)
  await answer(node, { unconfirmed: [7, 8] })
  for (const seq of [7, 8]) {
    expect(told).toEqual([])
    await node.say({ tag: 'forward', node: B, stream: STREAM, seq, batches: [{ messages: [message('t')] }] })
    await node.sim.advance('60ms')
    await answer(node, { unconfirmed: [7, 8] })
  }
  expect(told).toEqual([true])
})

test('it is passed when others keep nothing for this node any more', async () => {
  const node = await new ForwardingNode().start()
  const told = await waiting(node)
  await answer(node, { isClear: false })
  expect(told).toEqual([])
  await node.sim.advance('60ms')
  await answer(node, {})
  expect(told).toEqual([true])
})

test('a node that keeps something for another one says so', async () => {
  const node = await new ForwardingNode().start()
  const ask = () => node.say({ tag: 'fence_ask', node: B, asker: 'fence', id: 1, filters: [], at: B })
  await ask()
  node.publish(message('t', '1', { qos: 1 }), true)
  await node.sim.advance(FLUSH_MS)
  await ask()
  expect(node.received.flatMap((said) => (said.tag === 'fence_answer' ? [said.isClear] : []))).toEqual([true, false])
})

test('it is not passed while a member is away, nor when one comes or goes', async () => {
  const node = await new ForwardingNode().start()
  const told = await waiting(node)
  await node.event({ tag: 'mnesia_down', node: B, reason: 'nodedown' })
  expect(told).toEqual([false])
  node.stopped.push('c@sim')
  expect(await waiting(node)).toEqual([false])
})
