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
  | { readonly phase: 'pubrel'; readonly order: number; readonly messageId: number }

/** What a session has been found to hold. */
export interface Contents {
  /** In the order in which they came. */
  readonly queued: readonly Delivery[]
  /** In the order in which they were sent, PUBRELs in that of their PUBRECs. */
  readonly inflight: readonly FoundInFlight[]
  /** QoS 2 messages of the client that wait for PUBREL; with the ids of those that may not have reached all. */
  readonly received: ReadonlyMap<number, string | undefined>
  /** The greatest number that has been given. */
  readonly arrivals: number
  /** Ids of QoS 2 messages to the client. */
  readonly known: ReadonlySet<string>
}

/** Puts together what the rows of a session say. `unreadable` is called with the key of a row that says nothing, and why. */
export function readContents(
  rows: Iterable<readonly [key: string, value: Uint8Array]>,
  unreadable: (key: string, error: unknown) => void,
): Contents {
  const deliveries = new Map<number, StoredDelivery>()
  const identifiers = new Map<number, StoredIdentifier>()
  const received = new Map<number, string | undefined>()
  let arrivals = 0
  for (const [key, value] of rows) {
    const number = Number(key.slice(1))
    try {
      if (key.startsWith(CONTENT)) {
        arrivals = Math.max(arrivals, number)
        deliveries.set(number, readDelivery(number, value))
      } else if (key.startsWith(IDENTIFIER)) identifiers.set(number, readIdentifier(value))
      else if (key.startsWith(RECEIVED)) received.set(number, readReceived(value))
    } catch (error) {
      unreadable(key, error)
    }
  }
  const known = new Set<string>()
  for (const { delivery } of deliveries.values()) if (delivery.qos === 2) known.add(delivery.message.id)
  const inflight: FoundInFlight[] = []
  for (const [messageId, identifier] of identifiers) {
    arrivals = Math.max(arrivals, identifier.order)
    if (identifier.phase === 'pubrel') {
      known.add(identifier.messageId)
      inflight.push({ phase: 'pubrel', order: identifier.order, messageId })
      continue
    }
    const found = deliveries.get(identifier.number)
    // Its row could not be read.
    if (found === undefined) continue
    inflight.push(sent(found.delivery, messageId, identifier.order))
    deliveries.delete(identifier.number)
  }
  const queued: Delivery[] = []
  for (const { delivery, sentAs } of deliveries.values()) {
    if (sentAs > 0) inflight.push(sent(delivery, sentAs, delivery.number))
    else queued.push(delivery)
  }
  inflight.sort((a, b) => a.order - b.order)
  queued.sort((a, b) => a.number - b.number)
  return { queued, inflight, received, arrivals, known }
}

function sent({ number, message, qos, retain, ids, share }: Delivery, messageId: number, order: number) {
  const packet: OutPublish = { cmd: 'publish', message, qos, retain, dup: false, messageId, ids }
  return { phase: 'publish', order, number, packet, share } as const
}
