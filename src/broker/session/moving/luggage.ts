/**
 * The messages of a session on their way to another node, as rows in the form of its disc: a stored session has them there; of one in memory they are
 * made. What is at QoS 0 in the queue comes last, under keys of its own: it is on no disc.
 *
 * A session is read as it is when the reading begins, whatever comes to it meanwhile.
 */
import type { StoreOperation } from '../../../mnesia/store/store.ts'
import type { Delivery } from '../delivery.ts'
import type { SessionState } from '../session-state.ts'
import { type Contents, ContentsReader } from '../stored/contents.ts'
import { deliveryBytes, readDelivery } from '../stored/forms.ts'
import { CONTENT, Journal } from '../stored/journal.ts'
import type { SessionStore } from '../stored/session-store.ts'
import type { LuggageRow } from './messages.ts'

/** A part is closed when its values have so many bytes, or with so many rows. */
const PART_BYTES = 262_144
const PART_ROWS = 500

const WHOLE = { number: 0, written: 0, nowMs: 0, all: true }

/** Keys of what waits at QoS 0. */
const VOLATILE = 'v'

/** What a session gives away, part by part. */
export class Luggage {
  readonly #rows: Iterator<LuggageRow>
  #next: LuggageRow | undefined
  /** Rows that have been given. */
  count = 0
  /** The greatest number of a message that has been given. */
  upTo = 0

  /** `store` is that of a session that is stored. */
  constructor(state: SessionState, store: SessionStore | undefined) {
    const { journal, queue } = state
    const rows = journal === undefined || store === undefined ? rowsOf(state) : store.messages(journal)
    this.#rows = chain(rows, volatileRows(queue?.select(({ qos }) => qos === 0) ?? []))
    this.#next = this.#read()
  }

  /** The next part. `more`: others follow. */
  take(): { readonly rows: readonly LuggageRow[]; readonly more: boolean } {
    const rows: LuggageRow[] = []
    let bytes = 0
    while (this.#next !== undefined && rows.length < PART_ROWS && bytes < PART_BYTES) {
      const [key, value] = this.#next
      rows.push(this.#next)
      bytes += key.length + value.length
      if (key.startsWith(CONTENT)) this.upTo = Math.max(this.upTo, Number(key.slice(CONTENT.length)))
      this.#next = this.#read()
    }
    this.count += rows.length
    return { rows, more: this.#next !== undefined }
  }

  #read(): LuggageRow | undefined {
    const next = this.#rows.next()
    if (next.done === true) return undefined
    const [key, value] = next.value
    // The bytes are good until another row is made or read.
    return [key, Buffer.from(value)]
  }

  /** Nothing more is read. */
  close(): void {
    this.#rows.return?.()
  }
}

/** What a session has brought along. */
export interface Unpacked {
  readonly contents: Contents
  /** What waits at QoS 0. */
  readonly volatile: readonly Delivery[]
}

/** Whether a row is to be on disc. */
export function isLasting(key: string): boolean {
  return !key.startsWith(VOLATILE)
}

/** Takes rows as they come, and puts together what they say. */
export class Unpacking {
  readonly #reader = new ContentsReader()
  readonly #volatile: Delivery[] = []

  /** Throws `Damaged` for a row that no such version has written. */
  add([key, value]: LuggageRow): void {
    if (isLasting(key)) this.#reader.add(key, value)
    else this.#volatile.push(readDelivery(0, value).delivery)
  }

  /** To be called once. */
  unpacked(): Unpacked {
    return { contents: this.#reader.contents(), volatile: this.#volatile }
  }
}

/** Ids of all messages that wait or are in flight. */
export function idsOf({ contents, volatile }: Unpacked): Set<string> {
  const ids = new Set<string>()
  for (const { message } of [...contents.queued, ...volatile]) ids.add(message.id)
  for (const each of contents.inflight) ids.add(each.phase === 'publish' ? each.packet.message.id : each.id)
  return ids
}

function* chain(...sources: Iterable<LuggageRow>[]): Generator<LuggageRow> {
  for (const source of sources) yield* source
}

/** The rows that a session in memory would have on a disc. */
function* rowsOf(state: SessionState): Generator<LuggageRow> {
  const { inflight, queue, awaitingRel, unfinished } = state
  const flights = inflight.carried()
  const queued = queue?.select(({ qos }) => qos > 0) ?? []
  const received = awaitingRel.toArray()
  const journal = new Journal(0, state.clientId)
  for (const each of flights) {
    if (each.phase === 'pubrel') journal.received(each.messageId, 0, each.order, each.id)
    else {
      const { packet, share, order, number } = each
      const { message, qos, retain, ids, messageId } = packet
      const delivery = { number, message, qos, retain, ids, share }
      if (order === number) journal.sent(delivery, messageId)
      else {
        journal.queued(delivery)
        journal.dequeued(messageId, number, order)
      }
    }
    yield* drained(journal)
  }
  for (const delivery of queued) {
    journal.queued(delivery)
    yield* drained(journal)
  }
  for (const messageId of received) {
    const id = unfinished?.get(messageId)
    if (id === undefined) journal.published(messageId)
    else journal.publishing(messageId, id)
    yield* drained(journal)
  }
}

function* drained(journal: Journal): Generator<LuggageRow> {
  const operations: StoreOperation[] = []
  journal.drain(WHOLE, operations)
  for (const { key, value } of operations) if (value !== undefined) yield [key, value]
}

function* volatileRows(waiting: readonly Delivery[]): Generator<LuggageRow> {
  for (const [i, delivery] of waiting.entries()) yield [VOLATILE + i, deliveryBytes(delivery, 0)]
}
