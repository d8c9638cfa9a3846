/**
 * The messages of a stored session as they are found in its rows: what is queued, what is in flight, what the client has sent at QoS 2.
 *
 * A row that cannot be read costs itself: it is reported and left alone, and the session goes on with the rest.
 */
import type { OutPublish } from '../../process-messages.ts'
import type { Delivery, Share } from '../delivery.ts'
import { readDelivery, readIdentifier, readReceived, type StoredDelivery, type StoredIdentifier } from './forms.ts'
import { CONTENT, IDENTIFIER, RECEIVED } from './journal.ts'

/** A PUBLISH that has been sent, or a PUBREL that is due. */
export type FoundInFlight =
  | {
      readonly phase: 'publish'
      readonly order: number
      readonly number: number
      readonly packet: OutPublish
      readonly share: Share | undefined
    }
  /** `id` is that of the message. */
  | { readonly phase: 'pubrel'; readonly order: number; readonly messageId: number; readonly id: string }

/** What a session has been found to hold. */
export interface Contents {
  /** In the order in which they came. */
  readonly queued: readonly Delivery[]
  /** In the order in which they were sent, PUBRELs in that of their PUBRECs. */
  readonly inflight: readonly FoundInFlight[]
  /** QoS 2 messages of the client that wait for PUBREL; with the ids of those that may not have reached all. */
  readonly received: ReadonlyMap<number, string | undefined>
  /** Packet identifiers that have rows of their own. */
  readonly identifiers: readonly number[]
  /** The greatest number that has been given. */
  readonly arrivals: number
  /** Packet identifiers of QoS 2 messages that are done, in the order in which they were. */
  readonly done: readonly number[]
  /** Ids of messages that were published at QoS 2. */
  readonly known: ReadonlySet<string>
}

/** Puts together what the rows of a session say. `unreadable` is called with the key of a row that says nothing, and why. */
export function readContents(
  rows: Iterable<readonly [key: string, value: Uint8Array]>,
  unreadable: (key: string, error: unknown) => void,
): Contents {
  const reader = new ContentsReader()
  for (const [key, value] of rows) {
    try {
      reader.add(key, value)
    } catch (error) {
      unreadable(key, error)
    }
  }
  return reader.contents()
}

/** Reads rows one by one, in any order. */
export class ContentsReader {
  readonly #deliveries = new Map<number, StoredDelivery>()
  readonly #identifiers = new Map<number, StoredIdentifier>()
  readonly #received = new Map<number, string | undefined>()
  #arrivals = 0

  /** Takes a row. Throws `Damaged` for one that says nothing. */
  add(key: string, value: Uint8Array): void {
    const number = Number(key.slice(1))
    if (key.startsWith(CONTENT)) {
      this.#arrivals = Math.max(this.#arrivals, number)
      this.#deliveries.set(number, readDelivery(number, value))
    } else if (key.startsWith(IDENTIFIER)) this.#identifiers.set(number, readIdentifier(value))
    else if (key.startsWith(RECEIVED)) this.#received.set(number, readReceived(value))
  }

  /** What they say together; to be called once. */
  contents(): Contents {
    const deliveries = this.#deliveries
    let arrivals = this.#arrivals
    const known = new Set<string>()
    for (const { delivery } of deliveries.values()) if (delivery.message.qos === 2) known.add(delivery.message.id)
    const inflight: FoundInFlight[] = []
    const done: { readonly order: number; readonly messageId: number }[] = []
    for (const [messageId, identifier] of this.#identifiers) {
      const { phase, order } = identifier
      arrivals = Math.max(arrivals, order)
      if (phase === 'publish') {
        const found = deliveries.get(identifier.number)
        // Its row could not be read.
        if (found === undefined) continue
        inflight.push(sent(found.delivery, messageId, order))
        deliveries.delete(identifier.number)
      } else {
        known.add(identifier.messageId)
        if (phase === 'done') done.push({ order, messageId })
        else inflight.push({ phase, order, messageId, id: identifier.messageId })
      }
    }
    const queued: Delivery[] = []
    for (const { delivery, sentAs } of deliveries.values()) {
      if (sentAs > 0) inflight.push(sent(delivery, sentAs, delivery.number))
      else queued.push(delivery)
    }
    return {
      queued: queued.sort((a, b) => a.number - b.number),
      inflight: inflight.sort((a, b) => a.order - b.order),
      received: this.#received,
      identifiers: [...this.#identifiers.keys()],
      arrivals,
      done: done.sort((a, b) => a.order - b.order).map(({ messageId }) => messageId),
      known,
    }
  }
}

function sent({ number, message, qos, retain, ids, share }: Delivery, messageId: number, order: number) {
  const packet: OutPublish = { cmd: 'publish', message, qos, retain, dup: false, messageId, ids }
  return { phase: 'publish', order, number, packet, share } as const
}
