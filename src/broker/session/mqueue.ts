/**
 * The queue of a session: deliveries that wait because the client is away, its window is full or its socket takes no more.
 *
 * Order must be kept per topic and QoS only [MQTT5-4.6.0-6], so each priority has two lanes: QoS 0, which is held up by the
 * socket alone, and QoS 1 and 2, which wait for the window as well. While both may go, they leave in the order in which
 * they came. A full queue sheds QoS 0 before anything else and the lowest priority before a higher one; which end it sheds
 * from is a setting. Nothing is dropped in silence: `enqueue` returns its victims. The queue is bounded in length and
 * in bytes, always.
 */
import type { Delivery } from './delivery.ts'

/** Limits of the queue; the names are those of the `[session.queue]` table of the configuration. */
export interface QueueLimits {
  /** Deliveries; Infinity for no limit. */
  readonly maxLength: number
  /** Bytes of topics and payloads; Infinity for no limit. */
  readonly maxBytes: number
  /** Which end of the queue gives way when it is full. */
  readonly drop: 'oldest' | 'newest'
  /** Whether QoS 0 messages wait too while the client is offline. */
  readonly storeQoS0: boolean
  /** Topics whose messages overtake those of others; greater numbers first, a topic that is not named has 0. */
  readonly priorities: Readonly<Record<string, number>>
}

const NONE: readonly Delivery[] = []

/** Slots that a lane may waste before it moves its entries to the front. */
const SLACK = 32

/** A first-in first-out list of deliveries, each with its number of arrival. */
class Lane {
  #items: Delivery[] = []
  #numbers: number[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** Number of arrival of the oldest; Infinity when the lane is empty. */
  get first(): number {
    return this.#head < this.#numbers.length ? this.#numbers[this.#head]! : Number.POSITIVE_INFINITY
  }

  push(item: Delivery, number: number): void {
    this.#items.push(item)
    this.#numbers.push(number)
  }

  shift(): Delivery {
    const item = this.#items[this.#head]!
    // The slot would keep the message alive until the lane is compacted.
    this.#items[this.#head] = undefined as unknown as Delivery
    this.#head += 1
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#numbers = []
      this.#head = 0
    } else if (this.#head > SLACK && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#numbers = this.#numbers.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  pop(): Delivery {
    this.#numbers.pop()
    return this.#items.pop()!
  }

  /** Adds the entries of which `wanted` holds to `found`. */
  select(wanted: (delivery: Delivery) => boolean, found: Delivery[]): void {
    for (let i = this.#head; i < this.#items.length; i += 1) {
      const item = this.#items[i]!
      if (wanted(item)) found.push(item)
    }
  }

  /** Removes and returns the entries of which `wanted` holds; the others keep their order. */
  extract(wanted: (delivery: Delivery) => boolean): Delivery[] {
    const taken: Delivery[] = []
    const items: Delivery[] = []
    const numbers: number[] = []
    for (let i = this.#head; i < this.#items.length; i += 1) {
      const item = this.#items[i]!
      if (wanted(item)) taken.push(item)
      else {
        items.push(item)
        numbers.push(this.#numbers[i]!)
      }
    }
    this.#items = items
    this.#numbers = numbers
    this.#head = 0
    return taken
  }
}

interface PriorityClass {
  readonly priority: number
  readonly qos0: Lane
  readonly acked: Lane
}

/** The queue of one session. */
export class MessageQueue {
  readonly #limits: QueueLimits
  /** Greatest priority first. */
  readonly #classes: PriorityClass[]
  #arrivals = 0
  #qos0Length = 0
  #ackedLength = 0
  #bytes = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
    const priorities = new Set([0, ...Object.values(limits.priorities)])
    this.#classes = [...priorities]
      .sort((a, b) => b - a)
      .map((priority) => ({ priority, qos0: new Lane(), acked: new Lane() }))
  }

  /** Deliveries in the queue. */
  get length(): number {
    return this.#qos0Length + this.#ackedLength
  }

  /** Deliveries at QoS 0. */
  get qos0Length(): number {
    return this.#qos0Length
  }

  /** Deliveries at QoS 1 and 2. */
  get ackedLength(): number {
    return this.#ackedLength
  }

  /** Bytes of topics and payloads. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Adds a delivery; returns those that had to go for it, in the order in which they went, the new one perhaps among them.
   * A delivery that is larger than the whole queue may be goes itself and costs the others nothing.
   */
  enqueue(delivery: Delivery): readonly Delivery[] {
    const bytes = bytesOf(delivery)
    if (bytes > this.#limits.maxBytes) return [delivery]
    const { qos0, acked } = this.#classOf(delivery.message.topic)
    this.#arrivals += 1
    if (delivery.qos === 0) {
      qos0.push(delivery, this.#arrivals)
      this.#qos0Length += 1
    } else {
      acked.push(delivery, this.#arrivals)
      this.#ackedLength += 1
    }
    this.#bytes += bytes
    return this.length > this.#limits.maxLength || this.#bytes > this.#limits.maxBytes ? this.#shed() : NONE
  }

  /**
   * Removes and returns the next delivery among those that may go: QoS 0, and with `windowOpen` QoS 1 and 2 as well.
   * Undefined when there is none.
   */
  dequeue(windowOpen: boolean): Delivery | undefined {
    for (const { qos0, acked } of this.#classes) {
      const takeAcked = windowOpen && acked.first < qos0.first
      const lane = takeAcked ? acked : qos0
      if (lane.length > 0) return this.#taken(lane.shift())
    }
    return undefined
  }

  /** Returns the deliveries of which `wanted` holds, greatest priority first; they stay. */
  select(wanted: (delivery: Delivery) => boolean): Delivery[] {
    const found: Delivery[] = []
    for (const { qos0, acked } of this.#classes) {
      qos0.select(wanted, found)
      acked.select(wanted, found)
    }
    return found
  }

  /** Removes and returns the deliveries of which `wanted` holds, greatest priority first. */
  extract(wanted: (delivery: Delivery) => boolean): Delivery[] {
    const all: Delivery[] = []
    for (const { qos0, acked } of this.#classes) {
      all.push(...qos0.extract(wanted), ...acked.extract(wanted))
    }
    for (const delivery of all) this.#taken(delivery)
    return all
  }

  #classOf(topic: string): PriorityClass {
    if (this.#classes.length === 1) return this.#classes[0]!
    const priority = Object.hasOwn(this.#limits.priorities, topic) ? this.#limits.priorities[topic]! : 0
    return this.#classes.find((each) => each.priority === priority)!
  }

  #shed(): Delivery[] {
    const victims: Delivery[] = []
    while (this.length > this.#limits.maxLength || this.#bytes > this.#limits.maxBytes) {
      const lane = this.#laneToShed()
      victims.push(this.#taken(this.#limits.drop === 'oldest' ? lane.shift() : lane.pop()))
    }
    return victims
  }

  /** The lane that gives way: QoS 0 of the lowest priority that has any, else the others of the lowest priority. */
  #laneToShed(): Lane {
    const lowestFirst = this.#classes.toReversed()
    const lane = lowestFirst.find(({ qos0 }) => qos0.length > 0)?.qos0
    return lane ?? lowestFirst.find(({ acked }) => acked.length > 0)!.acked
  }

  #taken(delivery: Delivery): Delivery {
    if (delivery.qos === 0) this.#qos0Length -= 1
    else this.#ackedLength -= 1
    this.#bytes -= bytesOf(delivery)
    return delivery
  }
}

function bytesOf({ message }: Delivery): number {
  return message.topic.length + message.payload.length
}
