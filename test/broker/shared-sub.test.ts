import { describe, expect, test } from 'vitest'
import type { Run } from '../../src/broker/message.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import type { SharedStrategy } from '../../src/broker/routing/shared-sub.ts'
import { ROUTE, SHARED_SUBSCRIPTION } from '../../src/broker/tables.ts'
import { flush, Mailboxes, message, parsed, pidOf, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

function broker(sharedStrategy?: SharedStrategy, random = () => 0) {
  const tables = new TestTables()
  const routing = new Routing('a@sim', tables)
  const boxes = new Mailboxes()
  const pubsub = new PubSub({ routing, send: boxes.send, random, ...(sharedStrategy && { sharedStrategy }) })
  let lastId = 0
  const member = (...filters: string[]) => {
    const pid = pidOf(++lastId)
    const { subscriber } = routing.admit(pid, `c${lastId}`, false)
    for (const filter of filters) routing.subscribe(subscriber, request(filter, { qos: 1 }))
    flush(routing)
    return { pid, subscriber, ids: () => boxes.ids(pid) }
  }
  return { tables, routing, boxes, pubsub, member }
}

const numbered = (topic: string, count: number, from = 'p') =>
  Array.from({ length: count }, (_, i) => message(topic, String(i), { from }))

describe('a shared subscription', () => {
  test('delivers each message to one member of each group, and to ordinary subscribers besides', () => {
    const { pubsub, member } = broker()
    const members = [member('$share/g/T'), member('$share/g/T'), member('$share/h/T')]
    const plain = member('T')
    const counts: number[] = []
    expect(pubsub.publish(numbered('T', 1000), counts)).toBe(3000)
    expect(counts).toEqual(Array.from({ length: 1000 }, () => 3))
    expect(members.map((each) => each.ids().length)).toEqual([500, 500, 1000])
    expect(plain.ids()).toHaveLength(1000)
  })

  test('names group and filter in what it delivers, with the options of the member', () => {
    const { pubsub, member, boxes } = broker()
    const one = member('$share/g/T/#')
    pubsub.publish([message('T/x')])
    expect(boxes.of(one.pid)[0]!.runs[0]!.matched).toEqual({
      qos: 1,
      noLocal: false,
      rap: false,
      ids: undefined,
      share: { group: 'g', filter: 'T/#' },
    })
  })

  test('gives a session that is also an ordinary subscriber both, in one message', () => {
    const { pubsub, member, boxes } = broker()
    const one = member('$share/g/T', 'T')
    expect(pubsub.publish([message('T')])).toBe(2)
    expect(boxes.of(one.pid)).toHaveLength(1)
    expect(one.ids()).toHaveLength(2)
  })

  test('$queue is one group, $share/$queue the same', () => {
    const { pubsub, member } = broker()
    const members = [member('$queue/T'), member('$share/$queue/T')]
    pubsub.publish(numbered('T', 10))
    expect(members.map((each) => each.ids().length)).toEqual([5, 5])
  })

  test('groups of a wildcard match and vanish with their last member', () => {
    const { pubsub, member, routing } = broker()
    const [one, two] = [member('$share/g/+/x'), member('$share/g/+/x')]
    expect([routing.global.trie.size, routing.global.routes.size]).toEqual([1, 1])
    expect(routing.global.routes.read('+/x')).toEqual([{ filter: '+/x', node: 'a@sim', durable: false, group: true }])
    expect(pubsub.publish([message('a/x')])).toBe(1)
    routing.unsubscribe(one.subscriber, parsed('$share/g/+/x'))
    flush(routing)
    expect(pubsub.publish([message('a/x')])).toBe(1)
    routing.unsubscribe(two.subscriber, parsed('$share/g/+/x'))
    flush(routing)
    expect(pubsub.publish([message('a/x')])).toBe(0)
    expect([routing.global.trie.nodeCount, routing.global.routes.size, routing.global.groups.size]).toEqual([0, 0, 0])
    expect(routing.global.members.size).toBe(0)
  })

  test('$local/$share hears only what is published here', () => {
    const { pubsub, member, routing } = broker()
    const one = member('$local/$share/g/T')
    expect(pubsub.publish([message('T', '1')])).toBe(1)
    expect([routing.local.groups.size, routing.global.groups.size, routing.global.routes.size]).toEqual([1, 0, 0])
    expect(one.ids()).toEqual(['1'])
  })

  test('reaches members of other nodes by their rows', () => {
    const { pubsub, boxes, tables } = broker()
    const far = pidOf(1, { name: 'b@sim', creation: 1 })
    const row = {
      filter: 'T',
      group: 'g',
      clientId: 'far',
      qos: 2 as const,
      rap: false,
      id: 3,
      durable: false,
      online: true,
      pid: far,
    }
    const there = tables.member('b@sim')
    there.open(SHARED_SUBSCRIPTION).write(row)
    there.open(ROUTE).write({ filter: 'T', node: 'b@sim', durable: false, group: true })
    tables.settle()
    expect(pubsub.publish([message('T', '1')])).toBe(1)
    expect(boxes.ids(far)).toEqual(['1'])
    const [{ matched }] = boxes.of(far)[0]!.runs as [Run]
    expect(matched).toMatchObject({ qos: 2, ids: [3], share: { group: 'g', filter: 'T' } })
    tables.network.cut('a@sim', 'b@sim')
    tables.settle()
    expect(pubsub.publish([message('T', '2')])).toBe(0)
    tables.network.mendAll()
    tables.settle()
    expect(pubsub.publish([message('T', '3')])).toBe(1)
    there.open(SHARED_SUBSCRIPTION).deleteObject(row)
    tables.settle()
    expect(pubsub.publish([message('T', '4')])).toBe(0)
  })

  test('a member of another node whose client is away gets messages only when nobody else is there', () => {
    const tables = new TestTables('a@sim')
    const here = new Routing('a@sim', tables)
    const there = new Routing('b@sim', tables.member('b@sim'))
    const boxes = new Mailboxes()
    const pubsub = new PubSub({ routing: here, send: boxes.send, random: Math.random, sharedStrategy: 'round_robin' })
    const join = (routing: Routing, id: number) => {
      const { subscriber } = routing.admit(pidOf(id, { name: routing.node, creation: 1 }), `c${id}`, true)
      routing.subscribe(subscriber, request('$share/g/T'))
      flush(routing)
      return subscriber
    }
    const near = join(here, 1)
    const far = join(there, 2)
    const publishTo = (...ids: string[]) => {
      tables.settle()
      for (const id of ids) pubsub.publish([message('T', id)])
    }
    publishTo('1', '2')
    expect([boxes.ids(near.pid).length, boxes.ids(far.pid).length]).toEqual([1, 1])
    there.setAvailability(far, 'offline')
    flush(there)
    publishTo('3', '4')
    expect(boxes.ids(near.pid).slice(1)).toEqual(['3', '4'])
    here.setAvailability(near, 'offline')
    there.setAvailability(far, 'online')
    flush(there)
    publishTo('5', '6')
    expect(boxes.ids(far.pid).slice(1)).toEqual(['5', '6'])
  })
})

describe('strategies', () => {
  test('round_robin takes turns, message by message', () => {
    const { pubsub, member } = broker('round_robin')
    const members = [member('$share/g/T'), member('$share/g/T'), member('$share/g/T')]
    pubsub.publish(numbered('T', 7))
    expect(members.map((each) => each.ids())).toEqual([
      ['0', '3', '6'],
      ['1', '4'],
      ['2', '5'],
    ])
  })

  test('sticky stays with a member until it is not available', () => {
    const { pubsub, member } = broker('sticky')
    const members = [member('$share/g/T'), member('$share/g/T')]
    pubsub.publish(numbered('T', 3))
    const [chosen, other] = members[0]!.ids().length === 3 ? members : [members[1]!, members[0]!]
    chosen!.subscriber.availability = 'offline'
    pubsub.publish(numbered('T', 2))
    chosen!.subscriber.availability = 'online'
    pubsub.publish(numbered('T', 1))
    expect([chosen!.ids().length, other!.ids().length]).toEqual([3, 3])
  })

  test('hash_clientid keeps a publisher with one member, hash_topic a topic', () => {
    for (const strategy of ['hash_clientid', 'hash_topic'] as const) {
      const { pubsub, member } = broker(strategy)
      const members = [member('$share/g/#'), member('$share/g/#'), member('$share/g/#')]
      const got = () => members.map((each) => each.ids().length)
      for (let i = 0; i < 30; i++) {
        const before = got()
        const key = String(i)
        for (let n = 0; n < 4; n++) {
          pubsub.publish([
            strategy === 'hash_topic' ? message(key, 'm', { from: `${n}` }) : message(`${n}`, 'm', { from: key }),
          ])
        }
        expect(
          got()
            .map((count, at) => count - before[at]!)
            .sort(),
        ).toEqual([0, 0, 4])
      }
      expect(Math.min(...got())).toBeGreaterThan(0)
    }
  })

  test('random chooses by the random source', () => {
    const draws = [0.9, 0.1, 0.5]
    const { pubsub, member } = broker('random', () => draws.shift()!)
    const members = [member('$share/g/T'), member('$share/g/T'), member('$share/g/T')]
    pubsub.publish(numbered('T', 3))
    expect(members.map((each) => each.ids())).toEqual([['1'], ['2'], ['0']])
  })

  test('every strategy passes members by that cannot take messages, while another one can', () => {
    for (const strategy of ['random', 'round_robin', 'sticky', 'hash_clientid', 'hash_topic'] as const) {
      const { pubsub, member } = broker(strategy)
      const [offline, congested, down, fit] = Array.from({ length: 4 }, () => member('$share/g/T'))
      offline!.subscriber.availability = 'offline'
      congested!.subscriber.availability = 'congested'
      down!.subscriber.availability = 'down'
      pubsub.publish(numbered('T', 20))
      expect(fit!.ids()).toHaveLength(20)
      fit!.subscriber.availability = 'offline'
      pubsub.publish(numbered('T', 20))
      expect(congested!.ids()).toHaveLength(20)
      congested!.subscriber.availability = 'down'
      expect(pubsub.publish(numbered('T', 20))).toBe(20)
      expect(offline!.ids().length + fit!.ids().length).toBe(40)
      offline!.subscriber.availability = 'down'
      fit!.subscriber.availability = 'down'
      expect(pubsub.publish(numbered('T', 20))).toBe(0)
      expect(down!.ids()).toEqual([])
    }
  })
})

describe('redispatch', () => {
  test('gives the messages of a leaving member to others, in order, never to itself', () => {
    const { pubsub, member } = broker()
    const [leaving, other] = [member('$share/g/T'), member('$share/g/T')]
    expect(pubsub.redispatch(numbered('T', 3), { group: 'g', filter: 'T' }, leaving.pid, 'given_up')).toEqual([])
    expect([leaving.ids(), other.ids()]).toEqual([[], ['0', '1', '2']])
  })

  test('returns what no other member is there for', () => {
    const { pubsub, member } = broker()
    const leaving = member('$share/g/T')
    const messages = numbered('T', 2)
    expect(pubsub.redispatch(messages, { group: 'g', filter: 'T' }, leaving.pid, 'given_up')).toEqual(messages)
    expect(pubsub.redispatch(messages, { group: 'nobody', filter: 'T' }, leaving.pid, 'given_up')).toEqual(messages)
  })

  test('an offline member keeps them in its queue when there is no other', () => {
    const { pubsub, member } = broker()
    const [leaving, offline] = [member('$share/g/T'), member('$share/g/T')]
    offline.subscriber.availability = 'offline'
    expect(pubsub.redispatch(numbered('T', 2), { group: 'g', filter: 'T' }, leaving.pid, 'given_up')).toEqual([])
    expect(offline.ids()).toEqual(['0', '1'])
  })

  test('leaves them with a member that keeps them, when all others are offline', () => {
    const { pubsub, member } = broker()
    const [leaving, offline, congested] = [member('$share/g/T'), member('$share/g/T'), member('$share/g/T')]
    offline.subscriber.availability = 'offline'
    congested.subscriber.availability = 'congested'
    expect(pubsub.redispatch(numbered('T', 1), { group: 'g', filter: 'T' }, leaving.pid, 'kept')).toEqual([])
    congested.subscriber.availability = 'offline'
    expect(pubsub.redispatch(numbered('T', 1), { group: 'g', filter: 'T' }, leaving.pid, 'kept')).toHaveLength(1)
    expect([offline.ids(), congested.ids()]).toEqual([[], ['0']])
  })

  test('gives what is of a group of $local to its members, and to none of a group of the same name', () => {
    const { pubsub, member } = broker()
    const [leaving, other] = [member('$local/$share/g/T'), member('$local/$share/g/T')]
    const namesake = member('$share/g/T')
    const share = { group: 'g', filter: 'T', local: true } as const
    expect(pubsub.redispatch(numbered('T', 1), share, leaving.pid, 'given_up')).toEqual([])
    expect([other.ids(), namesake.ids()]).toEqual([['0'], []])
    const messages = numbered('T', 1)
    other.subscriber.availability = 'down'
    expect(pubsub.redispatch(messages, share, leaving.pid, 'parked')).toEqual(messages)
    expect(namesake.ids()).toEqual([])
  })
})
