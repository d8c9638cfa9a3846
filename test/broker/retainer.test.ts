import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ExpiryHeap } from '../../src/broker/retained/expiry-heap.ts'
import { Retainer, type RetainerLimits, retainer as server } from '../../src/broker/retained/retainer.ts'
import { matches } from '../../src/broker/routing/topic.ts'
import { RETAINED_MESSAGE } from '../../src/broker/tables.ts'
import { simulate } from '../../src/testing/index.ts'
import { message } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

const INFINITY = Number.POSITIVE_INFINITY
const UNLIMITED: RetainerLimits = { maxMessages: INFINITY, maxPayloadBytes: INFINITY, expiryMs: INFINITY }

function retained(limits: Partial<RetainerLimits> = {}) {
  const clock = { ms: 0, now: () => clock.ms }
  const tables = new TestTables()
  const retainer = new Retainer(tables, { ...UNLIMITED, ...limits }, clock)
  const read = (filter: string) => {
    const cursor = retainer.open(filter)
    const topics: string[] = []
    for (;;) {
      const { messages, done } = cursor.next(10)
      for (const { topic } of messages) topics.push(topic)
      if (done) return topics
    }
  }
  const store = (...topics: string[]) => topics.map((topic) => retainer.store(message(topic, 'm', { retain: true })))
  return { clock, tables, retainer, read, store }
}

describe('retained messages', () => {
  test('are the last of their topic; an empty payload removes them', () => {
    const { retainer, read } = retained()
    retainer.store(message('t', '1'))
    retainer.store(message('t', '2'))
    expect(retainer.get('t')?.id).toBe('2')
    expect(retainer.count).toBe(1)
    expect(retainer.store(message('t', '3', { payload: Buffer.alloc(0) }))).toBe('deleted')
    expect(retainer.store(message('t', '3', { payload: Buffer.alloc(0) }))).toBe('deleted')
    expect([retainer.get('t'), retainer.count, read('#')]).toEqual([undefined, 0, []])
    expect(retainer.stats()).toEqual({ count: 0, max: 1 })
  })

  test('are found by exact filters and by wildcards, in the order of topics', () => {
    const { read, store } = retained()
    store('a/b', 'a', 'a-b/c', 'a/b/c', 'b', '$SYS/x', '/a', 'a/')
    expect(read('a/b')).toEqual(['a/b'])
    expect(read('a/#')).toEqual(['a', 'a/', 'a/b', 'a/b/c'])
    expect(read('+/+')).toEqual(['/a', 'a-b/c', 'a/', 'a/b'])
    expect(read('#')).toEqual(['/a', 'a', 'a-b/c', 'a/', 'a/b', 'a/b/c', 'b'])
    expect(read('+/b/+')).toEqual(['a/b/c'])
    expect(read('$SYS/#')).toEqual(['$SYS/x'])
    expect(read('+/x')).toEqual([])
    expect(read('none')).toEqual([])
  })

  test('count limit: a new topic is refused when it is reached, replacing never', () => {
    const { retainer, store } = retained({ maxMessages: 2 })
    expect(store('a', 'b', 'c', 'a', 'b')).toEqual(['stored', 'stored', 'table_full', 'stored', 'stored'])
    retainer.delete('a')
    expect(store('c', 'a')).toEqual(['stored', 'table_full'])
  })

  test('a limit of 0 keeps nothing', () => {
    expect(retained({ maxMessages: 0 }).store('a')).toEqual(['table_full'])
  })

  test('payload limit: larger messages are refused, and the former one stays', () => {
    const { retainer } = retained({ maxPayloadBytes: 3 })
    expect(retainer.store(message('t', 'old', { payload: Buffer.from('abc') }))).toBe('stored')
    expect(retainer.store(message('t', 'new', { payload: Buffer.from('abcd') }))).toBe('payload_too_large')
    expect(retainer.get('t')?.id).toBe('old')
  })

  test('are invisible from the millisecond at which they expire, and removed by purge', () => {
    const { clock, retainer, read } = retained()
    retainer.store(message('a', '1', { expiresAtMs: 10 }))
    retainer.store(message('b', '2'))
    clock.ms = 9
    expect([retainer.get('a')?.id, read('#')]).toEqual(['1', ['a', 'b']])
    clock.ms = 10
    expect([retainer.get('a'), read('#'), read('a')]).toEqual([undefined, ['b'], []])
    expect([retainer.count, retainer.purge(10), retainer.count]).toEqual([2, false, 1])
  })

  test('the configured expiry holds for messages without one of their own, and is not handed on', () => {
    const { clock, retainer } = retained({ expiryMs: 100 })
    retainer.store(message('a', '1', { publishedAtMs: 5 }))
    retainer.store(message('b', '2', { publishedAtMs: 5, expiresAtMs: 500 }))
    expect(retainer.get('a')?.expiresAtMs).toBe(INFINITY)
    clock.ms = 105
    expect([retainer.get('a'), retainer.get('b')?.id]).toEqual([undefined, '2'])
  })

  test('expired messages do not count against the limit', () => {
    const { clock, retainer, store } = retained({ maxMessages: 1 })
    retainer.store(message('a', '1', { expiresAtMs: 10 }))
    expect(store('b')).toEqual(['table_full'])
    clock.ms = 10
    expect(store('b')).toEqual(['stored'])
    expect(retainer.count).toBe(1)
  })

  test('a topic that is replaced many times expires as its last message says', () => {
    const { clock, retainer } = retained()
    for (let i = 1; i <= 1000; i++) retainer.store(message('a', String(i), { expiresAtMs: i }))
    clock.ms = 999
    expect(retainer.purge(INFINITY)).toBe(false)
    expect(retainer.get('a')?.id).toBe('1000')
    retainer.store(message('a', 'last'))
    clock.ms = 5000
    retainer.purge(INFINITY)
    expect(retainer.get('a')?.id).toBe('last')
  })

  test('keep their bytes when the chunk that they came in is used again', () => {
    const { retainer } = retained()
    const chunk = Buffer.from('payload|correlation')
    retainer.store(
      message('a', '1', { payload: chunk.subarray(0, 7), properties: { correlationData: chunk.subarray(8) } }),
    )
    chunk.fill(0)
    const kept = retainer.get('a')!
    expect(kept.payload.toString()).toBe('payload')
    expect(kept.properties?.correlationData?.toString()).toBe('correlation')
    expect(kept.payload.buffer.byteLength).toBe(7)
  })

  test('rows that are there before, or come from elsewhere, are counted and expire too', () => {
    const { tables } = retained()
    const table = tables.open(RETAINED_MESSAGE)
    const write = (topic: string, expiresAtMs: number) => table.write({ topic, message: message(topic), expiresAtMs })
    write('before', 10)
    const clock = { ms: 0, now: () => clock.ms }
    const retainer = new Retainer(tables, UNLIMITED, clock)
    write('after', 20)
    clock.ms = 30
    expect([retainer.purge(1), retainer.purge(5), retainer.count]).toEqual([true, false, 0])
    retainer.close()
    write('later', 10)
    expect([retainer.purge(5), retainer.count]).toEqual([false, 1])
  })
})

describe('a cursor', () => {
  test('gives pages of bounded size and bounded work', () => {
    const { retainer, store } = retained()
    store(...Array.from({ length: 1000 }, (_, i) => `t/${String(i).padStart(4, '0')}/x`))
    const cursor = retainer.open('#')
    expect(cursor.next(300).messages).toHaveLength(300)
    expect(cursor.next(700)).toMatchObject({ done: true })
    expect(cursor.next(10)).toEqual({ messages: [], done: true })
    const rare = retainer.open('t/+/y')
    expect(rare.next(10)).toEqual({ messages: [], done: false })
    let pages = 1
    while (!rare.next(10).done) pages++
    expect(pages).toBeGreaterThan(5)
  })

  test('gives no more than about a megabyte at a time', () => {
    const { retainer } = retained({ maxPayloadBytes: 1_000_000 })
    for (let i = 0; i < 10; i++) retainer.store(message(`t/${i}`, 'm', { payload: Buffer.alloc(400_000) }))
    const cursor = retainer.open('#')
    const pages = [cursor.next(100), cursor.next(100), cursor.next(100), cursor.next(100)]
    expect(pages.map(({ messages }) => messages.length)).toEqual([3, 3, 3, 1])
    expect(pages.map(({ done }) => done)).toEqual([false, false, false, true])
  })

  test('goes on where it stood while messages come and go', () => {
    const { retainer, store } = retained()
    store('a', 'b', 'c', 'd')
    const cursor = retainer.open('#')
    expect(cursor.next(2).messages.map(({ topic }) => topic)).toEqual(['a', 'b'])
    retainer.delete('c')
    store('aa', 'cc', 'e')
    expect(cursor.next(10).messages.map(({ topic }) => topic)).toEqual(['cc', 'd', 'e'])
  })

  test('does not look at trees that cannot match', () => {
    const { retainer, store, tables } = retained()
    store(...Array.from({ length: 5000 }, (_, i) => `t${i % 5}/${i}/x`), 'z/1/y')
    const table = tables.open(RETAINED_MESSAGE)
    let looks = 0
    const ceiling = table.ceiling.bind(table)
    table.ceiling = (key) => {
      looks++
      return ceiling(key)
    }
    expect(retainer.open('z/+/y').next(10).messages).toHaveLength(1)
    expect(retainer.open('t3/3/#').next(10).messages).toHaveLength(1)
    expect(looks).toBeLessThan(12)
  })

  test('finds exactly what a scan of a list finds, whatever the filter', () => {
    const word = fc.constantFrom('a', 'b', 'a-b', '', '$x', '0', 'é')
    const topic = fc.array(word, { minLength: 1, maxLength: 4 }).map((list) => list.join('/') || '/')
    const filter = fc
      .tuple(fc.array(fc.oneof(word, fc.constant('+')), { maxLength: 4 }), fc.boolean())
      .map(([list, rest]) => (rest ? [...list, '#'] : list).join('/') || '+')
    fc.assert(
      fc.property(
        fc.array(fc.record({ topic, empty: fc.boolean(), expires: fc.boolean() }), { maxLength: 40 }),
        fc.array(filter, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (stores, filters, page) => {
          const { clock, retainer } = retained()
          const model = new Map<string, boolean>()
          for (const { topic: name, empty, expires } of stores) {
            const payload = Buffer.from(empty ? '' : 'x')
            retainer.store(message(name, 'm', { payload, expiresAtMs: expires ? 5 : INFINITY }))
            if (empty) model.delete(name)
            else model.set(name, expires)
          }
          expect(retainer.count).toBe(model.size)
          clock.ms = 5
          for (const text of filters) {
            const found: string[] = []
            const cursor = retainer.open(text)
            for (let done = false; !done; ) {
              const next = cursor.next(page)
              expect(next.messages.length).toBeLessThanOrEqual(page)
              for (const each of next.messages) found.push(each.topic)
              done = next.done
            }
            const live = [...model].filter(([, expires]) => !expires).map(([name]) => name)
            expect(found).toEqual(live.filter((name) => matches(name, text)).sort())
          }
          retainer.purge(INFINITY)
          expect(retainer.count).toBe([...model.values()].filter((expires) => !expires).length)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('the retainer process', () => {
  test('removes expired messages within a second or two, however many', async () => {
    const sim = simulate({ seed: 1 })
    const runtime = sim.node('a')
    const retainer = new Retainer(new TestTables(), UNLIMITED, runtime.clock)
    await Promise.all([server.start(runtime, retainer), sim.run()])
    const startMs = runtime.clock.now()
    for (let i = 0; i < 3000; i++) retainer.store(message(`t${i}`, 'm', { expiresAtMs: startMs + 5000 }))
    await sim.advance('4s')
    expect(retainer.count).toBe(3000)
    await sim.advance('3s')
    expect(retainer.count).toBe(0)
    sim.stop()
  })
})

describe('the expiry heap', () => {
  test('gives back keys in the order of their times', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 50 }), fc.nat(20), (times, now) => {
        const heap = new ExpiryHeap()
        for (const [i, at] of times.entries()) heap.push(`${at}:${i}`, at)
        const taken: number[] = []
        for (let key = heap.popDue(now); key !== undefined; key = heap.popDue(now)) taken.push(Number.parseInt(key, 10))
        expect(taken).toEqual(times.filter((at) => at <= now).sort((a, b) => a - b))
        expect(heap.size).toBe(times.filter((at) => at > now).length)
        expect(heap.nextMs).toBe(times.filter((at) => at > now).sort((a, b) => a - b)[0])
      }),
    )
  })

  test('compacts to the entries that are current', () => {
    const heap = new ExpiryHeap()
    for (const at of [5, 3, 9, 3]) heap.push('a', at)
    heap.push('b', 4)
    heap.compact((key, at) => key === 'b' || at === 3)
    expect([heap.size, heap.popDue(10), heap.popDue(10), heap.popDue(10)]).toEqual([2, 'a', 'b', undefined])
  })
})
