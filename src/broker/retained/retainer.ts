/**
 * Retained messages: at most one per topic, kept for those who subscribe later.
 *
 * Storing is a synchronous write to the table by whoever publishes, before the message is routed: a client that subscribes
 * after the publisher's acknowledgement finds it. Reading is by cursor, in pages, so that `#` over 100,000 messages does
 * not hold up the node. Expired messages are invisible at once; the process `retainer` removes them soon after.
 *
 * Limits hold exactly: a new topic is refused when the table is full of messages that have not expired, replacing a
 * topic never is. A refused message leaves the former one of its topic in place, and is still delivered.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { Clock } from '../../actors/system.ts'
import type { Table, TableEvent, Tables } from '../../mnesia/table.ts'
import type { Message } from '../message.ts'
import type { ForwardedProperties } from '../packet.ts'
import type { Gauge } from '../routing/routing.ts'
import { RETAINED_MESSAGE, RETAINED_SYS, type RetainedRow } from '../tables.ts'
import { ExpiryHeap } from './expiry-heap.ts'
import { RetainedCursor } from './retained-cursor.ts'

export interface RetainerLimits {
  /** Retained messages, of all topics; Infinity: no limit. */
  readonly maxMessages: number
  /** Infinity: no limit. */
  readonly maxPayloadBytes: number
  /** How long a message without an expiry of its own is kept; Infinity: for good. */
  readonly expiryMs: number
}

export type StoreResult =
  | 'stored'
  /** The payload was empty, and there is no retained message of the topic now [MQTT5-3.3.1-6]. */
  | 'deleted'
  | 'table_full'
  | 'payload_too_large'

/** Entries of the heap beyond twice the needed ones that are put up with. */
const STALE_SLACK = 64

export class Retainer {
  /** Of clients and programs: the same on every node. */
  readonly #shared: Table<RetainedRow>
  /** What the node tells of itself. */
  readonly #own: Table<RetainedRow>
  readonly #limits: RetainerLimits
  readonly #clock: Pick<Clock, 'now'>
  readonly #expiry = new ExpiryHeap()
  /** Rows that expire some day. */
  #expiring = 0
  #max = 0
  readonly #unsubscribe: (() => void)[]

  constructor(tables: Tables, limits: RetainerLimits, clock: Pick<Clock, 'now'>) {
    this.#shared = tables.open(RETAINED_MESSAGE)
    this.#own = tables.open(RETAINED_SYS)
    this.#limits = limits
    this.#clock = clock
    for (const row of this.rows()) this.#follow({ type: 'write', row, old: undefined })
    this.#unsubscribe = [this.#shared, this.#own].map((table) => table.subscribe((event) => this.#follow(event)))
  }

  /** Number of retained messages, expired ones included until they are removed. */
  get count(): number {
    return this.#shared.size + this.#own.size
  }

  /** All rows in the order of their topics. */
  *rows(): IterableIterator<RetainedRow> {
    // No other first level begins with '$', so these are the first of all.
    yield* this.#own.rows()
    yield* this.#shared.rows()
  }

  /** The row of a topic, which may have expired. */
  row(topic: string): RetainedRow | undefined {
    return this.#of(topic).get(topic)
  }

  stats(): Gauge {
    return { count: this.count, max: this.#max }
  }

  /** Takes a message that was published with RETAIN. Keeps a copy where its payload is part of something larger. */
  store(message: Message): StoreResult {
    const { topic } = message
    if (message.payload.length === 0) {
      this.delete(topic)
      return 'deleted'
    }
    if (message.payload.length > this.#limits.maxPayloadBytes) return 'payload_too_large'
    const table = this.#of(topic)
    if (!table.has(topic) && this.#isFull()) return 'table_full'
    const expiresAtMs =
      message.expiresAtMs === Number.POSITIVE_INFINITY
        ? message.publishedAtMs + this.#limits.expiryMs
        : message.expiresAtMs
    table.write({ topic, message: owned(message), expiresAtMs })
    return 'stored'
  }

  /** The retained message of a topic; undefined when there is none or it has expired. */
  get(topic: string): Message | undefined {
    const row = this.row(topic)
    return row !== undefined && row.expiresAtMs > this.#clock.now() ? row.message : undefined
  }

  /** Returns whether there was one. */
  delete(topic: string): boolean {
    const table = this.#of(topic)
    if (!table.has(topic)) return false
    table.delete(topic)
    return true
  }

  /** Opens a cursor over the messages that match a filter (valid, without `$share/` or `$local/`). Nothing needs closing. */
  open(filter: string): RetainedCursor {
    return new RetainedCursor(this.#of(filter), filter, () => this.#clock.now())
  }

  /** Removes up to `max` expired messages. Returns true when there may be more. */
  purge(max: number): boolean {
    const nowMs = this.#clock.now()
    for (let i = 0; i < max; i++) {
      const topic = this.#expiry.popDue(nowMs)
      if (topic === undefined) return false
      const row = this.row(topic)
      if (row !== undefined && row.expiresAtMs <= nowMs) this.#of(topic).delete(topic)
    }
    return true
  }

  /** Stops following the table. */
  close(): void {
    for (const end of this.#unsubscribe) end()
  }

  /** The table of a topic, or of all topics that a filter can match [MQTT5-4.7.2-1]. */
  #of(topic: string): Table<RetainedRow> {
    return topic.startsWith('$SYS/') ? this.#own : this.#shared
  }

  #isFull(): boolean {
    if (this.count < this.#limits.maxMessages) return false
    // What has expired has no claim to its place. Each is removed once, so this costs what the process would pay anyway.
    this.purge(Number.POSITIVE_INFINITY)
    return this.count >= this.#limits.maxMessages
  }

  #follow(event: TableEvent<RetainedRow>): void {
    if (event.type === 'delete') {
      if (isExpiring(event.row)) this.#expiring--
      return
    }
    // Rows of a shared table are of no owner, and never hidden.
    if (event.type !== 'write') return
    const { row, old } = event
    if (this.count > this.#max) this.#max = this.count
    if (old !== undefined && isExpiring(old)) this.#expiring--
    if (!isExpiring(row)) return
    this.#expiring++
    this.#expiry.push(row.topic, row.expiresAtMs)
    if (this.#expiry.size > 2 * this.#expiring + STALE_SLACK) {
      this.#expiry.compact((topic, atMs) => this.row(topic)?.expiresAtMs === atMs)
    }
  }
}

function isExpiring(row: RetainedRow): boolean {
  return row.expiresAtMs !== Number.POSITIVE_INFINITY
}

/** The message without a hold on anything larger than itself. */
function owned(message: Message): Message {
  const payload = ownedBytes(message.payload)
  const properties = message.properties === undefined ? undefined : ownedProperties(message.properties)
  if (payload === message.payload && properties === message.properties) return message
  return { ...message, payload, properties }
}

function ownedProperties(properties: ForwardedProperties): ForwardedProperties {
  const { correlationData } = properties
  if (correlationData === undefined) return properties
  const copy = ownedBytes(correlationData)
  return copy === correlationData ? properties : { ...properties, correlationData: copy }
}

function ownedBytes(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.byteLength) return bytes
  // Not from the shared pool: there, one message would keep 8 kB alive.
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
  bytes.copy(copy)
  return copy
}

/** How often the process looks for expired messages. */
const PURGE_INTERVAL_MS = 1000
/** Messages that it removes before others have their turn. */
const PURGE_SIZE = 1000

const PURGE = { tag: 'purge' } as const

/** The process that removes expired messages. */
export const retainer = genServer<Retainer, Record<never, never>, Record<never, never>, Retainer>({
  label: 'retainer',
  init: (state, self) => {
    self.sendAfter(PURGE_INTERVAL_MS, self.pid, PURGE)
    return ok(state)
  },
  info: ({ state, self }) => {
    if (state.purge(PURGE_SIZE)) self.send(self.pid, PURGE)
    else self.sendAfter(PURGE_INTERVAL_MS, self.pid, PURGE)
  },
  formatState: (state) => state.stats(),
})
