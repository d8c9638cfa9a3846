import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Delivery } from '../../src/broker/session/delivery.ts'
import type { InFlight } from '../../src/broker/session/inflight.ts'
import { readContents } from '../../src/broker/session/stored/contents.ts'
import { messageSpace } from '../../src/broker/session/stored/forms.ts'
import { Journal } from '../../src/broker/session/stored/journal.ts'
import type { StoreOperation } from '../../src/mnesia/store/store.ts'
import { message } from './session-support.ts'

type Rows = ReadonlyMap<string, Uint8Array>

/** A session at QoS 1 that notes what it does, and a disc that takes it in writes, each of which is there some time after it was begun. */
class Noting {
  journal = new Journal(1, 'c')
  /** Numbers of messages that wait, and those in flight by packet identifier. */
  readonly queue: number[] = []
  readonly inflight = new Map<number, InFlight>()
  /** What the disc would hold after a crash now. */
  onDisc: Rows = new Map()
  nowMs = 0
  written = 0
  #writing: { readonly number: number; readonly rows: Rows }[] = []
  #rows: Rows = new Map()
  #latest = 0
  #writes = 0

  arrive(isSent: boolean): void {
    const number = this.#next()
    const delivery = deliveryOf(number)
    const messageId = this.#freeId()
    if (isSent && this.queue.length === 0) {
      this.inflight.set(messageId, { number, order: number })
      this.journal.sent(delivery, messageId)
    } else {
      this.queue.push(number)
      this.journal.queued(delivery)
    }
  }

  /** The next of the queue is sent, with an identifier that was in use before if one is free. */
  dequeue(): void {
    const number = this.queue.shift()
    if (number === undefined) return
    const messageId = this.#freeId()
    const order = this.#next()
    this.inflight.set(messageId, { number, order })
    this.journal.dequeued(messageId, number, order)
  }

  drop(): void {
    const number = this.queue.shift()
    if (number !== undefined) this.journal.dropped(number)
  }

  acknowledge(at: number): void {
    const messageId = [...this.inflight.keys()][at % this.inflight.size]
    if (messageId === undefined) return
    this.journal.acknowledged(messageId, this.inflight.get(messageId)!)
    this.inflight.delete(messageId)
  }

  write(all: boolean): void {
    const rows = new Map(this.#rows)
    this.#writes += 1
    const write = { number: this.#writes, written: this.written, nowMs: this.nowMs, all }
    const operations: StoreOperation[] = []
    this.journal.drain(write, operations)
    for (const operation of operations) apply(rows, operation)
    this.#rows = rows
    this.#writing.push({ number: this.#writes, rows })
  }

  /** The oldest write, or all, is on disc. */
  flushed(all = false): void {
    for (const { number, rows } of this.#writing.splice(0, all ? this.#writing.length : 1)) {
      this.written = number
      this.onDisc = rows
    }
  }

  /** The session is found again on the disc, which has all of it. */
  restart(): void {
    this.write(true)
    this.flushed(true)
    this.journal = new Journal(1, 'c')
    this.journal.found(readContents(this.onDisc, fail).identifiers)
  }

  /** Messages that are not over. */
  get open(): readonly number[] {
    return [...this.queue, ...[...this.inflight.values()].map(({ number }) => number)]
  }

  #next(): number {
    this.#latest += 1
    return this.#latest
  }

  #freeId(): number {
    let id = 1
    while (this.inflight.has(id)) id += 1
    return id
  }
}

function deliveryOf(number: number): Delivery {
  return {
    number,
    message: message({ id: `m${number}`, qos: 1 }),
    qos: 1,
    retain: false,
    ids: undefined,
    share: undefined,
  }
}

function apply(rows: Map<string, Uint8Array>, { space, key, value }: StoreOperation): void {
  expect(space).toBe(messageSpace(new Journal(1, 'c').name))
  if (value === undefined) rows.delete(key)
  else rows.set(key, Buffer.from(value))
}

const fail = (key: string, error: unknown): never => {
  throw new Error(`${key}: ${JSON.stringify(error)}`)
}

type Step = (noting: Noting) => void

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.boolean().map(
      (isSent): Step =>
        (noting) =>
          noting.arrive(isSent),
    ),
  },
  { weight: 3, arbitrary: fc.constant<Step>((noting) => noting.dequeue()) },
  { weight: 1, arbitrary: fc.constant<Step>((noting) => noting.drop()) },
  {
    weight: 5,
    arbitrary: fc.nat(5).map(
      (at): Step =>
        (noting) =>
          noting.acknowledge(at),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.boolean().map(
      (all): Step =>
        (noting) =>
          noting.write(all),
    ),
  },
  { weight: 2, arbitrary: fc.constant<Step>((noting) => noting.flushed()) },
  { weight: 1, arbitrary: fc.constant<Step>((noting) => noting.restart()) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 25 }).map(
      (ms): Step =>
        (noting) => {
          noting.nowMs += ms
        },
    ),
  },
)

const histories = fc.array(steps, { maxLength: 60 })

describe('the journal of a session', () => {
  test('says of no message that it is safe before it is over or on disc', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const noting = new Noting()
        for (const step of history) {
          step(noting)
          const first = noting.journal.firstUnsafe(noting.written)
          for (const number of noting.open)
            if (number < first) expect([...noting.onDisc.keys()]).toContain(`m${number}`)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('says so of all when they are, and the disc then has what the session has and no more', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const noting = new Noting()
        for (const step of history) step(noting)
        noting.write(true)
        noting.flushed(true)
        expect(noting.journal.firstUnsafe(noting.written)).toBe(Number.POSITIVE_INFINITY)
        const { queued, inflight, identifiers } = readContents(noting.onDisc, fail)
        expect(queued.map(({ number }) => number)).toEqual(noting.queue)
        const sent = new Map(
          inflight.flatMap((each) => (each.phase === 'publish' ? [[each.packet.messageId, each]] : [])),
        )
        expect(new Map([...sent].map(([id, { number, order }]) => [id, { number, order }]))).toEqual(noting.inflight)
        const dequeued = [...noting.inflight].filter(([, { number, order }]) => number !== order).map(([id]) => id)
        expect([...identifiers].sort()).toEqual(dequeued.sort())
      }),
      { numRuns: 500 },
    )
  })

  test('leaves a message out of writes as long as the client acknowledges others, and not for long', () => {
    const noting = new Noting()
    noting.arrive(true)
    let since = 0
    for (; noting.onDisc.size === 0 && since < 200; since += 2) {
      noting.arrive(true)
      noting.acknowledge(1)
      noting.nowMs += 2
      noting.write(false)
      noting.flushed()
    }
    expect([...noting.onDisc.keys()]).toEqual(['m1'])
    expect(since).toBeGreaterThanOrEqual(20)
    expect(since).toBeLessThanOrEqual(44)
    // One that has stopped is not waited for.
    noting.arrive(true)
    noting.nowMs += 5
    noting.write(false)
    noting.flushed()
    expect(noting.onDisc.size).toBe(2)
  })
})
