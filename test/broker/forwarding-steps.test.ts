/** What a node sends to another, and keeps for it: each step, and who waits for it. */
import { describe, expect, test } from 'vitest'
import { Batch } from '../../src/broker/message.ts'
import type { QoS } from '../../src/broker/packet.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import { message, pidOf } from '../support/routing.ts'
import { A, B, FLUSH_MS, ForwardingNode, idsOf, WAIT_MS } from './forwarding-node.ts'

const plain = (id: string, qos: QoS = 1) => message('t', id, { qos })
/** Two of them are a page of what is kept. */
const large = (id: string) => message('t', id, { qos: 1, payload: Buffer.alloc(200_000) })

describe('a publisher', () => {
  test('waits until a node has taken over what was sent to it, on this stream', async () => {
    const node = await new ForwardingNode().start()
    await node.sayReady()
    const receipt = node.publish(plain('1'), false)
    await node.sim.advance('10ms')
    const { stream } = node.forwards()[0]!
    await node.confirm({ stream: stream - 1 })
    expect(receipt.isDone).toBe(false)
    await node.confirm()
    expect(receipt.isDone).toBe(true)
  })

  test('is told when a node has what was sent to it in memory only, or a disc does not take what is kept', async () => {
    const node = await new ForwardingNode().start()
    const kept = node.publish(plain('1'), true)
    await node.sim.advance('10ms')
    node.disc.setFull(true)
    await node.confirm()
    await node.sim.advance(FLUSH_MS)
    expect([kept.isDone, kept.hasFailed]).toEqual([true, true])
    const receipts = [node.publish(plain('2'), false), node.publish(plain('3'), false)]
    await node.sim.advance('10ms')
    const { seq } = node.forwards().at(-1)!
    await node.confirm({ taken: [seq - 1, seq], unsafe: [seq] })
    expect(receipts.map(({ isDone, hasFailed }) => [isDone, hasFailed])).toEqual([
      [true, false],
      [true, true],
    ])
  })

  test('goes on when a node says nothing, which then holds up nobody until it speaks', async () => {
    const node = await new ForwardingNode().start()
    await node.sayReady()
    const first = node.publish(plain('1'), false)
    await node.sim.advance(WAIT_MS / 2)
    expect(first.isDone).toBe(false)
    await node.sim.advance(WAIT_MS)
    const second = node.publish(plain('2'), false)
    expect([first.isDone, second.isDone]).toEqual([true, true])
    await node.sim.advance('10ms')
    await node.confirm()
    expect(node.publish(plain('3'), false).isDone).toBe(false)
  })

  test('goes on when the connection has ended, and what follows is of another stream', async () => {
    const node = await new ForwardingNode().start()
    await node.sayReady()
    const receipt = node.publish(plain('1'), false)
    await node.sim.advance('10ms')
    node.sim.network.reset(A, B)
    await node.sim.advance('100ms')
    expect(receipt.isDone).toBe(true)
    node.publish(plain('2'), false)
    await node.sim.advance('100ms')
    const [former, next] = node.forwards()
    expect(next!.stream).toBeGreaterThan(former!.stream)
  })
})

describe('what is published for a node that is not ready', () => {
  test('is kept, and sent at once to those who end with their connection; its publisher waits for both', async () => {
    const node = await new ForwardingNode().start()
    const receipt = node.publish(plain('1'), true)
    await node.sim.advance('10ms')
    expect(node.forwards().map(({ reach }) => reach)).toEqual(['volatile'])
    await node.confirm()
    expect(receipt.isDone).toBe(false)
    await node.sim.advance(FLUSH_MS)
    expect(receipt.isDone).toBe(true)
    await node.sayReady()
    expect(idsOf(node.hints())).toEqual(['1'])
  })

  test('is given page by page, each until it has been taken over, and what follows behind it', async () => {
    const node = await new ForwardingNode().start()
    for (const id of ['1', '2', '3']) node.publish(large(id), true)
    await node.sayReady()
    expect(idsOf(node.hints())).toEqual(['1', '2'])
    // Another process says it, which has not got it.
    await node.sayReady('2')
    expect(idsOf(node.hints())).toEqual(['1', '2', '1', '2'])
    node.publish(plain('4'), true)
    const { last } = node.hints()[0]!
    await node.say({ tag: 'hinted', node: B, last })
    expect(idsOf(node.hints().slice(2))).toEqual(['3', '4'])
    expect(node.hints().map(({ more }) => more)).toEqual([true, true, false])
    expect(node.forwards().map(({ reach }) => reach)).toEqual(['volatile', 'volatile', 'volatile', 'volatile'])
  })
})

test('what is kept stays when a node has taken over what an earlier incarnation had kept under the same numbers', async () => {
  const node = await new ForwardingNode().start()
  node.publish(plain('1'), true)
  const { creation } = node.sim.node('a').node
  await node.say({ tag: 'hinted', node: B, last: 0, creation: creation - 1 })
  await node.sayReady()
  expect(idsOf(node.hints())).toEqual(['1'])
  const { last } = node.hints()[0]!
  await node.say({ tag: 'hinted', node: B, last, creation })
  await node.sayReady('2')
  expect(idsOf(node.hints())).toEqual(['1'])
})

describe('a node that says that it is ready', () => {
  test('is away before that, from the start of this node on, and is told that nothing is kept for it', async () => {
    const node = new ForwardingNode()
    // What the disc has of it from a former run is no news.
    node.routing.parked.forget(B)
    await node.start()
    expect([node.routing.parked.nodes(), node.hints()]).toEqual([[B], []])
    await node.sayReady()
    expect([node.routing.parked.nodes(), node.hints()]).toMatchObject([[], [{ hints: [], more: false }]])
  })

  test('gets what is kept when its routes are seen', async () => {
    const node = await new ForwardingNode().start()
    node.hide()
    await node.sayReady()
    node.publish(plain('1'), true)
    await node.sim.advance('10ms')
    expect([idsOf(node.hints()), node.told]).toEqual([[], []])
    await node.show()
    expect([idsOf(node.hints()), node.told]).toEqual([['1'], [`ready ${B}`]])
  })

  test('has to say it anew when it was lost before that', async () => {
    const node = await new ForwardingNode().start()
    node.hide()
    await node.sayReady()
    await node.event({ tag: 'mnesia_down', node: B, reason: 'nodedown' })
    await node.show()
    node.publish(plain('1'), true)
    await node.sim.advance('10ms')
    expect(node.forwards().map(({ reach }) => reach)).toEqual(['volatile'])
    await node.sayReady()
    expect(idsOf(node.hints())).toEqual(['1'])
  })

  test('is away when it was lost, although it was heard only then', async () => {
    const node = await new ForwardingNode().start()
    await node.sayReady()
    await node.event({ tag: 'mnesia_down', node: B, reason: 'nodedown' })
    expect(node.told).toEqual([`ready ${B}`, `lost ${B}`])
  })

  test('may have kept something until it has given it, each time that it is lost', async () => {
    const node = await new ForwardingNode().start()
    const { forwarding } = node
    forwarding.given(B)
    expect(forwarding.mayGive(B)).toBe(false)
    node.sim.network.reset(A, B)
    await node.sim.advance('100ms')
    expect(forwarding.mayGive(B)).toBe(true)
  })
})

test('what was sent to a forwarder that has been started anew since is kept for it, behind a link that holds', async () => {
  const node = await new ForwardingNode().start()
  await node.sayReady()
  node.publish(plain('1'), true)
  await node.sim.advance('10ms')
  await node.say({ tag: 'node_ready', node: B, forwarder: '2', asks: false, gives: true })
  expect(idsOf(node.hints())).toEqual(['1'])
})

describe('what was sent to a member of a group', () => {
  const share = { group: 'g', filter: 't' }
  const matched = { qos: 1 as const, noLocal: false, rap: false, ids: undefined, share }

  async function sent() {
    const node = await new ForwardingNode().start()
    await node.sayReady()
    const receipt = new Receipt()
    const batch = new Batch([plain('0', 0), plain('1', 1), plain('2', 2)])
    node.forwarding.sendTo(pidOf(1, { name: B, creation: 1 }), { batch, matched }, receipt)
    await node.sim.advance('10ms')
    return { node, receipt }
  }

  test('goes to another one when it is not there, and is not kept', async () => {
    const { node, receipt } = await sent()
    const { stream, seq } = node.received.find((said) => said.tag === 'forward_to')!
    await node.say({ tag: 'forwarded', node: B, stream, taken: [], refused: [seq] })
    expect(node.redispatched).toEqual([{ ids: ['0', '1', '2'], otherwise: 'given_up' }])
    expect(receipt.isDone).toBe(true)
  })

  test('goes to another one when its node is lost, or is kept for one that is away, but for QoS 0, which it may have got', async () => {
    const { node, receipt } = await sent()
    node.sim.network.reset(A, B)
    await node.sim.advance('100ms')
    expect(node.redispatched).toEqual([{ ids: ['1', '2'], otherwise: 'parked' }])
    expect(receipt.isDone).toBe(true)
  })
  test('is not kept for its node any longer when others have got it, be that node waited for in vain before', async () => {
    const { node, receipt } = await sent()
    await node.sim.advance(2 * WAIT_MS)
    expect([receipt.isDone, node.forwarding.underWayTo(B).isKept]).toEqual([true, true])
    node.sim.network.reset(A, B)
    await node.sim.advance('100ms')
    expect(node.redispatched).toEqual([{ ids: ['1', '2'], otherwise: 'parked' }])
    expect(node.forwarding.underWayTo(B).isKept).toBe(false)
  })
})
