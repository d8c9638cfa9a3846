import { describe, expect, test } from 'vitest'
import { Batch, type Message } from '../../src/broker/message.ts'
import { PubSub, type PubSubOptions } from '../../src/broker/routing/pubsub.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { DURABLE_ROUTE, ROUTE } from '../../src/broker/tables.ts'
import { flush, Mailboxes, message, parsed, pidOf, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

function broker(options: Partial<PubSubOptions> = {}) {
  const tables = new TestTables()
  const routing = new Routing('a@sim', tables)
  const boxes = new Mailboxes()
  const pubsub = new PubSub({ routing, send: boxes.send, random: () => 0, ...options })
  let lastId = 0
  const session = (...filters: (string | ReturnType<typeof request>)[]) => {
    const pid = pidOf(++lastId)
    const { subscriber } = routing.admit(pid, `c${lastId}`, false)
    for (const filter of filters) routing.subscribe(subscriber, typeof filter === 'string' ? request(filter) : filter)
    flush(routing)
    return {
      pid,
      subscriber,
      get matched() {
        return boxes.of(pid).flatMap(({ runs }) => runs.map(({ matched }) => matched))
      },
      get ids() {
        return boxes.ids(pid)
      },
      get deliveries() {
        return boxes.of(pid).length
      },
    }
  }
  return { tables, routing, boxes, pubsub, session }
}

describe('publishing', () => {
  test('reaches exact and wildcard subscribers, each session once', () => {
    const { pubsub, session } = broker()
    const [exact, wild, both, none] = [session('t/a'), session('t/+'), session('t/a', '#', 't/#'), session('u')]
    expect(pubsub.publish([message('t/a', '1')])).toBe(3)
    expect([exact.ids, wild.ids, both.ids, none.ids]).toEqual([['1'], ['1'], ['1'], []])
    expect(both.deliveries).toBe(1)
  })

  test('counts destinations per message, 0 where nobody subscribes', () => {
    const { pubsub, session } = broker()
    session('t')
    session('t')
    session('u')
    const counts: number[] = []
    const batch = ['t', 't', 'none', 'u'].map((topic, i) => message(topic, String(i)))
    expect(pubsub.publish(batch, counts)).toBe(5)
    expect(counts).toEqual([2, 2, 0, 1])
    expect(pubsub.publish([message('none')], counts)).toBe(0)
    expect(counts[0]).toBe(0)
    expect(pubsub.publish([])).toBe(0)
  })

  test('folds the matching subscriptions of a session: greatest QoS, all identifiers', () => {
    const { pubsub, session } = broker()
    const one = session(
      request('a/b', { qos: 1, id: 7, noLocal: true }),
      request('a/+', { qos: 2, id: 9, rap: true }),
      request('#', { qos: 0 }),
    )
    pubsub.publish([message('a/b')])
    expect(one.matched).toHaveLength(1)
    expect(one.matched[0]).toMatchObject({ qos: 2, noLocal: false, rap: true, share: undefined })
    expect([...one.matched[0]!.ids!].sort()).toEqual([7, 9])
  })

  test('sessions that subscribe alike share one message object, also with equal identifiers', () => {
    const { pubsub, session, boxes } = broker()
    const [a, b, c] = [session('t'), session('t'), session(request('t', { qos: 1 }))]
    const [d, e] = [session(request('t', { id: 1 })), session(request('t', { id: 1 }))]
    pubsub.publish([message('t')])
    expect(boxes.of(a.pid)[0]).toBe(boxes.of(b.pid)[0])
    expect(boxes.of(a.pid)[0]).not.toBe(boxes.of(c.pid)[0])
    expect(boxes.of(d.pid)[0]).toBe(boxes.of(e.pid)[0])
    expect(boxes.of(a.pid)[0]!.runs[0]!.batch).toBe(boxes.of(c.pid)[0]!.runs[0]!.batch)
  })

  test('a session gets one message per call, with its runs in the order of the publisher', () => {
    const { pubsub, session } = broker()
    const [all, a, b] = [session('#'), session('a'), session('b', 'c')]
    const order = ['a', 'a', 'b', 'a', 'c'].map((topic, i) => message(topic, `${topic}${i}`))
    pubsub.publish(order)
    expect(all.ids).toEqual(['a0', 'a1', 'b2', 'a3', 'c4'])
    expect([a.ids, b.ids]).toEqual([
      ['a0', 'a1', 'a3'],
      ['b2', 'c4'],
    ])
    expect([all.deliveries, a.deliveries, b.deliveries]).toEqual([1, 1, 1])
    pubsub.publish(order)
    expect(all.deliveries).toBe(2)
  })

  test('a session without local does not get what its own client publishes', () => {
    const { pubsub, session } = broker()
    const own = session(request('t', { noLocal: true }), request('u', { noLocal: true }))
    const other = session(request('t', { noLocal: true }))
    expect(pubsub.publish([message('t', '1', { from: own.subscriber.clientId })])).toBe(1)
    expect(pubsub.publish(['t', 'u'].map((topic) => message(topic, '2', { from: own.subscriber.clientId })))).toBe(1)
    expect([own.ids, other.ids]).toEqual([[], ['1', '2']])
  })

  test('hands messages with RETAIN to the retainer, in order, and delivers them too', () => {
    const kept: Message[] = []
    const { pubsub, session } = broker({ retain: (each) => kept.push(each) })
    const one = session('t')
    pubsub.publish([message('t', '1', { retain: true }), message('t', '2'), message('t', '3', { retain: true })])
    expect(kept.map(({ id }) => id)).toEqual(['1', '3'])
    expect(one.ids).toEqual(['1', '2', '3'])
  })

  test('does not deliver topics with $ to wildcards in the first level', () => {
    const { pubsub, session } = broker()
    const [all, any, sys] = [session('#'), session('+/x'), session('$SYS/#')]
    pubsub.publish([message('$SYS/x', '1'), message('$own/x', '2')])
    expect([all.ids, any.ids, sys.ids]).toEqual([[], [], ['1']])
  })
})

describe('the match cache', () => {
  test('follows subscriptions, exact and wildcard, first and later ones, and their options', () => {
    const { pubsub, session, routing } = broker()
    const reached = () => pubsub.publish([message('a/b')])
    expect(reached()).toBe(0)
    const one = session('a/b')
    expect(reached()).toBe(1)
    const two = session('a/b')
    expect(reached()).toBe(2)
    const wild = session('a/#')
    expect(reached()).toBe(3)
    session('a/#')
    expect(reached()).toBe(4)
    routing.subscribe(one.subscriber, request('a/b', { qos: 2 }))
    routing.subscribe(wild.subscriber, request('a/#', { qos: 1 }))
    expect(reached()).toBe(4)
    expect([one.matched.at(-1)?.qos, wild.matched.at(-1)?.qos]).toEqual([2, 1])
    routing.unsubscribe(wild.subscriber, parsed('a/#'))
    expect(reached()).toBe(3)
    routing.unsubscribe(two.subscriber, parsed('a/b'))
    routing.unsubscribe(one.subscriber, parsed('a/b'))
    expect(reached()).toBe(1)
    flush(routing)
    expect(reached()).toBe(1)
  })

  test('is bounded by topics and by destinations, and still right', () => {
    const { pubsub, session } = broker({ cache: { maxTopics: 4, maxWeight: 200 } })
    const all = session('#')
    for (let i = 0; i < 100; i++) {
      pubsub.publish([message(`t${i % 50}`, String(i))])
      expect(pubsub.cachedTopics).toBeLessThanOrEqual(8)
    }
    expect(all.ids).toHaveLength(100)
    for (let i = 0; i < 100; i++) pubsub.publish([message(`${'long'.repeat(300)}${i}`)])
    expect(pubsub.cachedTopics).toBeLessThanOrEqual(2)
    for (let i = 0; i < 20; i++) session('big')
    for (let i = 0; i < 10; i++) expect(pubsub.publish([message('big')])).toBe(21)
  })
})

describe('other nodes', () => {
  const route = (filter: string, node: string, group = false) => ({ filter, node, durable: false, group })

  /** A broker with tables that other members have too. */
  function member(options: Partial<PubSubOptions> = {}) {
    const made = broker(options)
    const others = new Map<string, TestTables>()
    /** Writes or removes a route of another node. */
    const remote = (act: 'write' | 'deleteObject', filter: string, node: string, group = false) => {
      const tables = others.get(node) ?? made.tables.member(node)
      others.set(node, tables)
      tables.open(ROUTE)[act](route(filter, node, group))
      made.tables.settle()
    }
    return { ...made, remote }
  }

  test('get one call per publish with all their batches, each topic once', () => {
    const calls: [string, string[]][] = []
    const { pubsub, remote, session } = member({
      forward: ({ node }, batches) => calls.push([node, batches.flatMap((b) => b.messages.map(({ id }) => id))]),
    })
    const here = session('a')
    remote('write', 'a', 'b@sim')
    remote('write', '#', 'b@sim')
    remote('write', 'c', 'c@sim')
    const counts: number[] = []
    expect(pubsub.publish([message('a', '1'), message('a', '2'), message('c', '3')], counts)).toBe(6)
    expect(counts).toEqual([2, 2, 2])
    expect(calls).toEqual([
      ['b@sim', ['1', '2', '3']],
      ['c@sim', ['3']],
    ])
    expect(here.ids).toEqual(['1', '2'])
    expect(pubsub.publish([message('a', '4')], counts)).toBe(2)
    expect(calls[2]).toEqual(['b@sim', ['4']])
    remote('deleteObject', '#', 'b@sim')
    remote('deleteObject', 'a', 'b@sim')
    expect(pubsub.publish([message('a', '5')])).toBe(1)
  })

  test('get nothing while they are lost, and again when they are back', () => {
    const calls: string[] = []
    const { pubsub, remote, tables, routing } = member({ forward: ({ node }) => calls.push(node) })
    remote('write', 'a', 'b@sim')
    remote('write', 't/+', 'b@sim')
    expect([pubsub.publish([message('a')]), pubsub.publish([message('t/x')])]).toEqual([1, 1])
    tables.network.cut('a@sim', 'b@sim')
    tables.settle()
    expect([pubsub.publish([message('a')]), pubsub.publish([message('t/x')])]).toEqual([0, 0])
    expect(routing.global.trie.edgeCount).toBe(0)
    tables.network.mendAll()
    tables.settle()
    expect([pubsub.publish([message('a')]), pubsub.publish([message('t/x')])]).toEqual([1, 1])
    expect(calls).toEqual(['b@sim', 'b@sim', 'b@sim', 'b@sim'])
  })

  test('are not asked for a filter that only groups subscribe there', () => {
    const { pubsub, remote } = member({ forward: () => expect.fail('forwarded') })
    remote('write', 'a', 'b@sim', true)
    expect(pubsub.publish([message('a')])).toBe(0)
  })

  test('what they forward reaches sessions, but no $local subscription, no group and no third node', () => {
    const { pubsub, session, remote } = member({ forward: () => expect.fail('forwarded') })
    const [plain, local, group] = [session('a', '#'), session('$local/a', '$local/+'), session('$share/g/a')]
    remote('write', 'a', 'c@sim')
    expect(pubsub.dispatch([new Batch([message('a', '1')])])).toBe(1)
    expect(pubsub.dispatch([new Batch([message('a', '2')]), new Batch([message('b', '3')])])).toBe(2)
    expect([plain.ids, local.ids, group.ids]).toEqual([['1', '2', '3'], [], []])
    expect(plain.deliveries).toBe(2)
  })

  test('what they forward again reaches sessions that have come here since it came first, before what is new', () => {
    const { pubsub, session } = member({ forward: () => expect.fail('forwarded') })
    const [old, before, after] = [session('a'), session('a'), session('a')]
    before.subscriber.arrivedAt = '1'
    after.subscriber.arrivedAt = '3'
    pubsub.dispatch([new Batch([message('a', 'new')])], 'all', [{ message: message('a', 'again'), arrival: '2' }])
    expect([old.ids, before.ids, after.ids]).toEqual([['new'], ['new'], ['again', 'new']])
  })
})

describe('$local', () => {
  test('subscriptions hear what is published here, folded with the others of the session', () => {
    const { pubsub, session, routing } = broker()
    const [local, both] = [session('$local/a/+'), session('$local/a/b', request('a/b', { qos: 1 }))]
    expect(pubsub.publish([message('a/b')])).toBe(2)
    expect(both.matched).toMatchObject([{ qos: 1 }])
    expect([routing.global.routes.size, routing.local.routes.size]).toEqual([1, 2])
    routing.unsubscribe(local.subscriber, parsed('$local/a/+'))
    expect(pubsub.publish([message('a/b')])).toBe(1)
    flush(routing)
    expect([routing.local.routes.size, routing.local.trie.nodeCount]).toEqual([1, 0])
  })

  test('a topic that really begins with $local is not one of them', () => {
    const { pubsub, session } = broker()
    session('$local/a')
    expect(pubsub.publish([message('$local/a')])).toBe(0)
  })
})

describe('nodes with sessions that outlive their connection', () => {
  /** A broker that notes to which nodes it sends, and for whom it keeps what. */
  function keeper() {
    const sent: string[] = []
    const kept: string[] = []
    const made = broker({
      forward: ({ node, durable }) => void sent.push(`${node} ${durable}`),
      park: (node, _batches, _receipt, share) => void kept.push(`${node} ${share?.group}`),
      keep: ({ group }, messages) => void kept.push(`${group}: ${messages.length}`),
    })
    const others = new Map<string, TestTables>()
    const member = (node: string) => {
      const tables = others.get(node) ?? made.tables.member(node)
      others.set(node, tables)
      return tables
    }
    const route = (node: string, filter: string, durable: boolean) => {
      member(node).open(ROUTE).write({ filter, node, durable, group: false })
      made.tables.settle()
    }
    /** A lasting session of a node that is away then. */
    const away = (node: string, filter: string) => {
      member(node).open(DURABLE_ROUTE).write({ filter, node })
      made.tables.settle()
      made.routing.parked.park(node)
    }
    const publish = (topic: string) => made.pubsub.publish([message(topic, 'm', { qos: 1 })])
    return { ...made, route, away, publish, sent, kept }
  }

  test('are told apart, whichever of their filters is found first', () => {
    const { route, publish, sent } = keeper()
    route('b@sim', 't/+', false)
    route('b@sim', 't/1', true)
    route('b@sim', 'u/+', true)
    route('b@sim', 'u/1', false)
    publish('t/1')
    publish('u/1')
    expect(sent).toEqual(['b@sim true', 'b@sim true'])
  })

  test('get what is published as long as they are away, and once when their routes are there again', () => {
    const { route, away, publish, sent, kept } = keeper()
    route('b@sim', 'other', false)
    publish('t')
    away('b@sim', 't')
    publish('t')
    expect([sent, kept]).toEqual([[], ['b@sim undefined']])
    route('b@sim', 't', true)
    publish('t')
    expect([sent, kept]).toEqual([['b@sim true'], ['b@sim undefined']])
  })

  test('are kept for as a group, once, if that has no member here', () => {
    const { away, publish, session, kept } = keeper()
    for (const node of ['b@sim', 'c@sim']) away(node, '$share/g/t')
    publish('t')
    expect(kept).toEqual(['g: 1'])
    session('$share/g/t')
    publish('t')
    expect(kept).toEqual(['g: 1'])
  })
})

test('what another node has sent to a member that has died is not taken, although its subscriptions are not all removed', () => {
  const { pubsub, routing, session, boxes } = broker()
  const member = session('$share/g/t', 'u')
  const share = { group: 'g', filter: 't' }
  const matched = { qos: 1 as const, noLocal: false, rap: false, ids: undefined, share }
  const run = { batch: new Batch([message('t', '1', { qos: 1 })]), matched }
  expect(pubsub.dispatchTo(member.pid, run)).toBe(true)
  expect(routing.drop(member.subscriber, 1)).toBe(false)
  expect(pubsub.dispatchTo(member.pid, run)).toBe(false)
  expect(boxes.ids(member.pid)).toEqual(['1'])
})
