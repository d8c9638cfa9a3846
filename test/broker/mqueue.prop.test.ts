import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { QoS } from '../../src/broker/packet.ts'
import type { Delivery } from '../../src/broker/session/delivery.ts'
import { MessageQueue, type QueueLimits } from '../../src/broker/session/mqueue.ts'
import { message } from './session-support.ts'

/** The queue as one array in order of arrival; every rule is a scan. */
class Model {
  readonly limits: QueueLimits
  items: Delivery[] = []

  constructor(limits: QueueLimits) {
    this.limits = limits
  }

  get bytes(): number {
    return this.items.reduce((sum, item) => sum + size(item), 0)
  }

  priority(item: Delivery): number {
    return new Map(Object.entries(this.limits.priorities)).get(item.message.topic) ?? 0
  }

  enqueue(item: Delivery): Delivery[] {
    if (size(item) > this.limits.maxBytes) return [item]
    this.items.push(item)
    const victims: Delivery[] = []
    while (this.items.length > this.limits.maxLength || this.bytes > this.limits.maxBytes) {
      const qos0 = this.items.filter(({ qos }) => qos === 0)
      const pool = qos0.length > 0 ? qos0 : this.items
      const lowest = Math.min(...pool.map((each) => this.priority(each)))
      const candidates = pool.filter((each) => this.priority(each) === lowest)
      const victim = this.limits.drop === 'oldest' ? candidates[0]! : candidates.at(-1)!
      this.items = this.items.filter((each) => each !== victim)
      victims.push(victim)
    }
    return victims
  }

  dequeue(windowOpen: boolean): Delivery | undefined {
    const ready = this.items.filter(({ qos }) => qos === 0 || windowOpen)
    const greatest = Math.max(...ready.map((each) => this.priority(each)))
    const next = ready.find((each) => this.priority(each) === greatest)
    this.items = this.items.filter((each) => each !== next)
    return next
  }
}

function size({ message: { topic, payload } }: Delivery): number {
  return topic.length + payload.length
}

type Step =
  | { do: 'enqueue'; topic: string; qos: QoS; bytes: number }
  | { do: 'dequeue'; windowOpen: boolean; times: number }
  | { do: 'extract'; topic: string }

const topic = fc.constantFrom('a', 'bb', 'urgent', 'toString')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      topic,
      qos: fc.constantFrom<QoS>(0, 1, 2),
      bytes: fc.nat(20),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('dequeue' as const), windowOpen: fc.boolean(), times: fc.nat(40) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('extract' as const), topic }) },
)

const limits: fc.Arbitrary<QueueLimits> = fc.record({
  maxLength: fc.constantFrom(1, 3, 10, Number.POSITIVE_INFINITY),
  maxBytes: fc.constantFrom(10, 60, Number.POSITIVE_INFINITY),
  drop: fc.constantFrom('oldest' as const, 'newest' as const),
  storeQoS0: fc.constant(true),
  priorities: fc.constantFrom({}, { urgent: 9, bb: 3 }, { a: 1 }),
})

test('the queue does what an array in order of arrival would do', () => {
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 200, size: 'max' }), (how, steps) => {
      const queue = new MessageQueue(how)
      const model = new Model(how)
      for (const each of steps) {
        if (each.do === 'enqueue') {
          const delivery: Delivery = {
            message: message({ topic: each.topic, payload: Buffer.alloc(each.bytes) }),
            qos: each.qos,
            retain: false,
            ids: undefined,
            share: undefined,
            number: 0,
          }
          expect(queue.enqueue(delivery)).toEqual(model.enqueue(delivery))
        } else if (each.do === 'dequeue') {
          for (let i = 0; i <= each.times; i += 1) {
            expect(queue.dequeue(each.windowOpen)).toBe(model.dequeue(each.windowOpen))
          }
        } else {
          const wanted = (item: Delivery) => item.message.topic === each.topic
          const taken = new Set(model.items.filter(wanted))
          model.items = model.items.filter((item) => !wanted(item))
          expect(new Set(queue.extract(wanted))).toEqual(taken)
        }
        expect(queue.length).toBe(model.items.length)
        expect(queue.bytes).toBe(model.bytes)
        expect(queue.qos0Length).toBe(model.items.filter(({ qos }) => qos === 0).length)
        expect(queue.ackedLength).toBe(model.items.filter(({ qos }) => qos > 0).length)
      }
    }),
    { numRuns: 100 },
  )
})
