/** Publishing against a list of subscriptions that is scanned with `matches`, over random changes and publishes. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Routing, type SubscribeRequest } from '../../src/broker/routing/routing.ts'
import { matches } from '../../src/broker/routing/topic.ts'
import { flush, Mailboxes, message, parsed, pidOf, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

const SESSIONS = 4
const filter = fc.constantFrom('a', 'a/b', 'a/+', 'a/#', '#', '+', '+/b', '$local/a', '$local/+', '$local/#', '$own/+')
const topic = fc.constantFrom('a', 'a/b', 'b', 'a/b/c', '$own/x')
const session = fc.nat(SESSIONS - 1)
const options = fc.record({
  qos: fc.constantFrom(0, 1, 2) as fc.Arbitrary<0 | 1 | 2>,
  noLocal: fc.boolean(),
  rap: fc.boolean(),
  id: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
})
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('subscribe' as const), session, filter, options }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('unsubscribe' as const), session, filter }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('drop' as const), session }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('publish' as const),
      from: session,
      topics: fc.array(topic, { minLength: 1, maxLength: 5 }),
    }),
  },
)

test('every session gets what its subscriptions match, once, in order, with their options folded', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const routing = new Routing('a@sim', new TestTables())
      const boxes = new Mailboxes()
      const cache = { maxTopics: 2, maxWeight: 6 }
      const pubsub = new PubSub({ routing, send: boxes.send, random: () => 0, cache })
      const pids = Array.from({ length: SESSIONS }, (_, i) => pidOf(i))
      const model = pids.map(() => new Map<string, SubscribeRequest>())
      const admit = (i: number) => routing.admit(pids[i]!, `c${i}`, false).subscriber
      for (const each of steps) {
        if (each.op === 'subscribe') {
          const asked = request(each.filter, each.options)
          routing.subscribe(admit(each.session), asked)
          model[each.session]!.set(each.filter, asked)
        } else if (each.op === 'unsubscribe') {
          const removed = routing.unsubscribe(admit(each.session), parsed(each.filter))
          expect(removed).toBe(model[each.session]!.delete(each.filter))
        } else if (each.op === 'drop') {
          const subscriber = admit(each.session)
          while (!routing.drop(subscriber, 2));
          model[each.session]!.clear()
        } else if (each.op === 'flush') flush(routing)
        else {
          // Subscriptions count from the flush on, which comes before SUBACK.
          flush(routing)
          boxes.all.clear()
          const messages = each.topics.map((name, i) => message(name, String(i), { from: `c${each.from}` }))
          const counts: number[] = []
          const total = pubsub.publish(messages, counts)
          expect(total).toBe(counts.reduce((sum, count) => sum + count, 0))
          const expectedCounts = messages.map(() => 0)
          for (const [i, pid] of pids.entries()) {
            const expected = messages.flatMap((sent, at) => {
              const matching = [...model[i]!.values()].filter((asked) => matches(sent.topic, asked.filter.filter))
              const noLocal = matching.every((asked) => asked.noLocal)
              if (matching.length === 0 || (noLocal && i === each.from)) return []
              expectedCounts[at]!++
              const ids = matching.flatMap((asked) => asked.id ?? []).sort()
              return {
                id: sent.id,
                qos: Math.max(...matching.map((asked) => asked.qos)),
                noLocal,
                rap: matching.some((asked) => asked.rap),
                ids,
              }
            })
            const got = boxes
              .of(pid)
              .flatMap(({ runs }) =>
                runs.flatMap(({ batch, matched: { qos, noLocal, rap, ids } }) =>
                  batch.messages.map(({ id }) => ({ id, qos, noLocal, rap, ids: [...(ids ?? [])].sort() })),
                ),
              )
            expect(got).toEqual(expected)
            expect(boxes.of(pid).length).toBeLessThanOrEqual(1)
          }
          expect(counts).toEqual(expectedCounts)
        }
      }
      for (const i of pids.keys()) while (!routing.drop(admit(i), 3));
      flush(routing)
      expect(routing.subscribers.filterCount + routing.subscribers.knownCount).toBe(0)
      expect([routing.global.routes.size, routing.local.routes.size]).toEqual([0, 0])
      expect([routing.global.trie.nodeCount, routing.local.trie.nodeCount]).toEqual([0, 0])
    }),
    { numRuns: 300 },
  )
})
