/** What a node makes of what another one sends to it, and has kept for it. */
import { expect, test } from 'vitest'
import type { Hint } from '../../src/broker/forward/hints.ts'
import type { Forward, Hinted, Hints } from '../../src/broker/forward/messages.ts'
import type { Message } from '../../src/broker/message.ts'
import type { HandedOver, HandOverTaken } from '../../src/broker/session/hand-over.ts'
import { flush, message, pidOf, request } from '../support/routing.ts'
import { B, FLUSH_MS, ForwardingNode } from './forwarding-node.ts'

const kept = (each: Message, changes: Partial<Hint> = {}): Hint => {
  return { atMs: 0, stream: undefined, seq: undefined, messages: [each], ...changes }
}

const page = (hints: readonly Hint[], changes: Partial<Hints> = {}): Hints => {
  return { tag: 'hints', node: B, hints, last: hints.length - 1, more: false, ...changes }
}

const forward = (messages: readonly Message[], seq: number): Forward => {
  return { tag: 'forward', node: B, stream: 5, seq, batches: [{ messages }] }
}

/** A node with a session that outlives its connection. */
async function withSession(filter: string) {
  const node = await new ForwardingNode().start()
  const pid = pidOf(1)
  const { subscriber } = node.routing.admit(pid, 'c', true)
  node.routing.subscribe(subscriber, request(filter, { qos: 2 }))
  flush(node.routing)
  return { node, pid, subscriber, ids: () => node.boxes.ids(pid) }
}

const answers = (node: ForwardingNode): Hinted[] => node.received.filter((said) => said.tag === 'hinted')

test('what was kept is confirmed when the sessions have it on disc', async () => {
  const { node, pid, subscriber, ids } = await withSession('t')
  subscriber.stores = true
  await node.say(page([kept(message('t', '1', { qos: 1 }))], { creation: 3 }))
  expect([ids(), answers(node)]).toEqual([['1'], []])
  subscriber.taken(node.boxes.of(pid)[0]!)
  await node.sim.advance('10ms')
  await node.say(page([], { creation: 3 }))
  // Of the incarnation that has given it.
  expect(answers(node)).toMatchObject([
    { last: 0, creation: 3 },
    { last: -1, creation: 3 },
  ])
})

test('what was forwarded is confirmed when the sessions have it on disc', async () => {
  const { node, pid, subscriber, ids } = await withSession('t')
  subscriber.stores = true
  const confirmed = () => node.received.flatMap((said) => (said.tag === 'forwarded' ? said.taken : []))
  await node.say(forward([message('t', '1', { qos: 1 })], 7))
  expect([ids(), confirmed()]).toEqual([['1'], []])
  subscriber.taken(node.boxes.of(pid)[0]!)
  await node.sim.advance('10ms')
  expect(confirmed()).toEqual([7, 7])
})

test('what a session has in memory only, since its disc refuses, is confirmed as that', async () => {
  const { node, pid, subscriber } = await withSession('t')
  subscriber.stores = true
  for (const seq of [7, 8]) await node.say(forward([message('t', String(seq), { qos: 1 })], seq))
  const [first, second] = node.boxes.of(pid)
  subscriber.taken(first!)
  subscriber.refused(second!)
  await node.sim.advance('10ms')
  const confirmed = node.received.filter((said) => said.tag === 'forwarded')
  expect(confirmed.map(({ taken, unsafe }) => ({ taken, unsafe }))).toEqual([{ taken: [7, 8], unsafe: [8] }])
})

test('a QoS 2 message that comes twice is taken once, be it forwarded or kept', async () => {
  const { node, ids } = await withSession('t')
  const first = message('t', '1', { qos: 2 })
  await node.say(forward([first], 1))
  await node.say(forward([first], 2))
  await node.say(page([kept(first)]))
  expect(ids()).toEqual(['1'])
})

test('what is forwarded to sessions that end with their connection, and kept for others, comes to each once', async () => {
  const lasting = await withSession('t')
  const { node } = lasting
  const pid = pidOf(2)
  const { subscriber } = node.routing.admit(pid, 'd', false)
  node.routing.subscribe(subscriber, request('t', { qos: 2 }))
  flush(node.routing)
  const messages = [message('t', '1', { qos: 1 }), message('t', '2', { qos: 2 })]
  await node.say({ ...forward(messages, 1), reach: 'volatile' })
  expect([lasting.ids(), node.boxes.ids(pid)]).toEqual([[], ['1', '2']])
  await node.say(page(messages.map((each) => kept(each))))
  expect([lasting.ids(), node.boxes.ids(pid)]).toEqual([
    ['1', '2'],
    ['1', '2'],
  ])
})

test('what was kept and had come before it was is not taken again', async () => {
  const { node, ids } = await withSession('t')
  const first = message('t', '1', { qos: 1 })
  await node.say(forward([first], 7))
  await node.say(page([kept(first, { stream: 5, seq: 7 }), kept(message('t', '2', { qos: 1 }), { stream: 5, seq: 8 })]))
  expect(ids()).toEqual(['1', '2'])
})

test('what comes once more is confirmed when the sessions have on disc what came first', async () => {
  const { node, pid, subscriber, ids } = await withSession('t')
  subscriber.stores = true
  const confirmed = () => node.received.flatMap((said) => (said.tag === 'forwarded' ? said.taken : []))
  const [first, second] = [message('t', '1', { qos: 1 }), message('t', '2', { qos: 2 })]
  await node.say(forward([first, second], 7))
  await node.say(forward([second], 8))
  await node.say(page([kept(first, { stream: 5, seq: 7 })]))
  await node.say(page([kept(second)]))
  expect([ids(), confirmed(), answers(node)]).toEqual([['1', '2'], [], []])
  subscriber.taken(node.boxes.of(pid)[0]!)
  await node.sim.advance('10ms')
  expect([confirmed(), answers(node).length]).toEqual([[7, 8], 2])
})

test('what was kept and is given once more is confirmed when the sessions have on disc what came first', async () => {
  const { node, pid, subscriber, ids } = await withSession('t')
  subscriber.stores = true
  const given = page([kept(message('t', '1', { qos: 2 }))])
  await node.say(given)
  await node.say(given)
  expect([ids(), answers(node)]).toEqual([['1'], []])
  subscriber.taken(node.boxes.of(pid)[0]!)
  await node.sim.advance('10ms')
  expect(answers(node).length).toBe(2)
})

test('a member has given what it has kept when the last page has come', async () => {
  const { node } = await withSession('t')
  const hints = [kept(message('t', '1', { qos: 1 }))]
  await node.say(page(hints, { more: true }))
  expect(node.told).toEqual([])
  await node.say(page(hints))
  expect(node.told).toEqual([`given ${B}`])
})

test('a QoS 2 message that has come for a member of a group does not come for another one when it was kept as well', async () => {
  const { node, pid, ids } = await withSession('$share/g/t')
  const share = { group: 'g', filter: 't' }
  const first = message('t', '1', { qos: 2 })
  const matched = { qos: 2 as const, noLocal: false, rap: false, ids: undefined, share }
  const run = { batch: { messages: [first] }, matched }
  await node.say({ tag: 'forward_to', node: B, stream: 5, seq: 7, to: pid, run })
  await node.say(page([kept(first, { share }), kept(message('t', '2', { qos: 2 }), { share })]))
  expect(ids()).toEqual(['1', '2'])
})

test('what is forwarded for a session that has given way is kept for the node where that is, and confirmed when it is on disc', async () => {
  const node = await new ForwardingNode().start()
  node.giveWay('m', 't', 'c@sim')
  const confirmed = () => node.received.flatMap((said) => (said.tag === 'forwarded' ? said.taken : []))
  await node.say(forward([message('t', '1', { qos: 1 })], 7))
  expect([node.forwarding.underWayTo('c@sim').isKept, confirmed()]).toEqual([true, []])
  await node.sim.advance(2 * FLUSH_MS)
  expect(confirmed()).toEqual([7, 7])
})

test('a member has given all for a session that has given way when it has answered that it has nothing any more', async () => {
  const node = await new ForwardingNode().start()
  node.giveWay('m', 't', 'c@sim')
  const asked = () => node.received.flatMap((said) => (said.tag === 'fence_ask' ? said.id : []))
  await node.sim.advance('2500ms')
  expect(asked()).toEqual([1, 2])
  const answer = { tag: 'fence_answer', node: B, asker: 'passing_on', id: 2, stream: 5, unconfirmed: [] } as const
  await node.say({ ...answer, isClear: false })
  expect(node.former.size).toBe(1)
  await node.say({ ...answer, isClear: true, unconfirmed: [7, 7] })
  expect(node.former.size).toBe(1)
  await node.say({ ...answer, isClear: true })
  expect(node.former.size).toBe(0)
})

test('what is passed on for a session comes to that alone, and is confirmed when it says that it is on disc', async () => {
  const { node, ids } = await withSession('t')
  const got: HandedOver[] = []
  const heir = node.sim.node('a').spawn({ receive: (part) => void got.push(part as HandedOver) })
  node.rows.set('m', { pid: heir })
  await node.say(page([kept(message('t', '1', { qos: 1 }), { heir: { clientId: 'm', connectedAtMs: 5 } })]))
  expect([ids(), got.map(({ messages }) => messages[0]!.id), answers(node)]).toEqual([[], ['1'], []])
  const { from, part } = got[0]!
  const unwanted = { reason: 'not_subscribed', places: [] } as const
  const taken: HandOverTaken = { tag: 'hand_over_taken', from: heir, part, taken: 1, unwanted }
  node.sim.node('a').send(from, taken)
  await node.sim.advance('10ms')
  expect(answers(node)).toMatchObject([{ last: 0 }])
})
