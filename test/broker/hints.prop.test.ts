/** What is kept for members that are away, against a list of what was added. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HintLog } from '../../src/broker/forward/hints.ts'
import { Seen } from '../../src/broker/forward/seen.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { message } from '../support/routing.ts'

type Step =
  | { do: 'add'; node: string; count: number }
  | { do: 'give'; node: string; bytes: number; confirmed: boolean }
  | { do: 'take'; node: string; place: number }
  | { do: 'restart' }
  | { do: 'later'; ms: number }
  | { do: 'forget'; node: string }

const node = fc.constantFrom('b', 'c')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), node, count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('give' as const),
      node,
      bytes: fc.integer({ min: 1, max: 600 }),
      confirmed: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), node, place: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('later' as const), ms: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), node }) },
)

test('what was added is given out in order until it is confirmed, some of it by itself, over restarts; what is not given out is counted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new MemoryStore()
      let nowMs = 1000
      let dropped = 0
      const open = () =>
        new HintLog({
          store,
          maxBytes: 3000,
          maxAgeMs: 100,
          now: () => nowMs,
          onDropped: (messages) => {
            dropped += messages
          },
        })
      let log = open()
      let added = 0
      let confirmed = 0
      const expected: Record<string, { id: string; atMs: number; number: number }[]> = { b: [], c: [] }
      for (const each of steps) {
        if (each.do === 'add') {
          const messages = Array.from({ length: each.count }, () => message('t', String(++added), { qos: 1 }))
          const { number } = log.add(each.node, { atMs: nowMs, stream: undefined, seq: undefined, messages })
          expected[each.node]!.push(...messages.map(({ id }) => ({ id, atMs: nowMs, number })))
        } else if (each.do === 'take') {
          const list = expected[each.node]!
          const number = list[each.place % list.length]?.number ?? 0
          const before = log.status()[each.node]?.hints ?? 0
          log.removeOnly(each.node, number, number)
          // It may have been dropped before.
          if ((log.status()[each.node]?.hints ?? 0) === before) continue
          const rest = list.filter((other) => other.number !== number)
          confirmed += list.length - rest.length
          expected[each.node] = rest
        } else if (each.do === 'give') {
          const page = log.read(each.node, each.bytes)
          const ids = page?.hints.flatMap(({ messages }) => messages.map(({ id }) => id)) ?? []
          const list = expected[each.node]!
          // What is missing at its begin has been dropped.
          const begin = ids.length === 0 ? list.length : list.findIndex(({ id }) => id === ids[0])
          expect(begin).toBeGreaterThanOrEqual(0)
          expect(list.slice(begin, begin + ids.length).map(({ id }) => id)).toEqual(ids)
          for (const { id, atMs } of list.slice(begin, begin + ids.length))
            expect([id, nowMs - atMs <= 100]).toEqual([id, true])
          list.splice(0, begin)
          if (each.confirmed && page !== undefined) {
            log.remove(each.node, page.last)
            confirmed += list.splice(0, ids.length).length
          }
        } else if (each.do === 'restart') log = open()
        else if (each.do === 'later') nowMs += each.ms
        else log.forget(each.node)
        if (each.do === 'forget') expected[each.node] = []
      }
      nowMs += 1000
      for (const each of ['b', 'c']) expect(log.read(each, 1e6)).toBeUndefined()
      expect(log.nodes()).toEqual([])
      expect(dropped + confirmed).toBe(added)
      for (const space of store.spaces()) expect(store.count(space)).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('they are given out in the order of their numbers after a restart, however many there are', () => {
  const store = new MemoryStore()
  const open = () => new HintLog({ store, maxBytes: 1e6, maxAgeMs: 100, now: () => 0, onDropped: () => {} })
  const log = open()
  const ids = Array.from({ length: 12 }, (_, i) => String(i))
  for (const id of ids) {
    void log.add('b', { atMs: 0, stream: undefined, seq: undefined, messages: [message('t', id, { qos: 1 })] })
  }
  const page = open().read('b', 1e6)
  expect(page?.hints.flatMap(({ messages }) => messages.map(({ id }) => id))).toEqual(ids)
})

test('numbers are not given again when a member has gone and come back', () => {
  const store = new MemoryStore()
  const log = new HintLog({ store, maxBytes: 1e6, maxAgeMs: 100, now: () => 0, onDropped: () => {} })
  const add = (id: string) => {
    return log.add('b', { atMs: 0, stream: undefined, seq: undefined, messages: [message('t', id, { qos: 1 })] }).number
  }
  const former = add('1')
  log.forget('b')
  expect([log.nodes(), add('2') > former]).toEqual([[], true])
  // What it says late of the former one removes nothing of what is kept since.
  log.remove('b', former)
  expect(log.read('b', 1e6)?.hints.flatMap(({ messages }) => messages.map(({ id }) => id))).toEqual(['2'])
})

test('what has come on the last streams of a node is known, whatever its order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 30 }))), (pairs) => {
      const seen = new Seen()
      // Any number may be the first that comes.
      const known = new Set<string>()
      for (const [stream, seq] of pairs) {
        seen.add('b', stream, seq)
        known.add(`${stream}/${seq}`)
      }
      for (const stream of [1, 2, 3, 4]) {
        for (let seq = 1; seq <= 31; seq += 1) expect(seen.has('b', stream, seq)).toBe(known.has(`${stream}/${seq}`))
      }
      expect(seen.has('c', 1, 1)).toBe(false)
    }),
  )
})
