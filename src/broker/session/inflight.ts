/**
 * The window of QoS 1 and 2 messages sent to a client and not yet acknowledged, with the packet identifiers they hold.
 *
 * An identifier and its place are one thing: the low bits of the identifier are the index, and an identifier is given out
 * only if its place is free. So identifiers in flight never collide, resumed sessions included; finding one is an
 * array access; and they still go up by one as long as the client acknowledges in order. The table is twice the size of what
 * is in flight and is kept in columns, so that a message in flight costs no object beyond the packet that was sent.
 */

import type { OutPublish } from '../process-messages.ts'
import type { Share, SharedInflight } from './delivery.ts'
import { MAX_PACKET_ID, nextPacketId } from './packet-ids.ts'
import type { FoundInFlight } from './stored/contents.ts'

const FIRST_CAPACITY = 16
const MAX_CAPACITY = MAX_PACKET_ID + 1

/** What an identifier waits for; 0 when its place is free. */
const FREE = 0
const PUBACK = 1
const PUBREC = 2
const PUBCOMP = 3

// What the columns of all empty windows are; nobody can write to them.
const NO_IDS = new Uint16Array(0)
const NO_PHASES = new Uint8Array(0)
const NO_ORDER: number[] = []
const NO_PACKETS: (OutPublish | undefined)[] = []

/** What an identifier is used for: `order` is `number` when the message was sent without having been queued. */
export interface InFlight {
  /** Of the message; 0 when PUBREL waits for PUBCOMP. */
  readonly number: number
  readonly order: number
}

/** Messages in flight to one client. */
export class Inflight {
  #lastId = 0
  #size = 0
  #awaitingComp = 0
  #capacity = 0
  // The columns, allocated with the first message.
  #ids: Uint16Array = NO_IDS
  #phases: Uint8Array = NO_PHASES
  /** Order of sending; for an identifier that waits for PUBCOMP, order of its PUBREC. */
  #order = NO_ORDER
  /** Numbers of the messages; 0 for an identifier that waits for PUBCOMP. */
  #numbers = NO_ORDER
  #packets = NO_PACKETS
  /** By identifier, for the few that came by a shared subscription. */
  #shares: Map<number, Share> | undefined

  /** Identifiers in use. */
  get size(): number {
    return this.#size
  }

  /** PUBLISHes that wait for PUBACK or PUBREC. */
  get awaitingAck(): number {
    return this.#size - this.#awaitingComp
  }

  /** PUBRELs that wait for PUBCOMP. */
  get awaitingComp(): number {
    return this.#awaitingComp
  }

  /** Returns an identifier that is not in use [MQTT5-2.2.1-4]; `add` is next. At most 65535 may be in use. */
  nextId(): number {
    if (this.#size * 2 >= this.#capacity && this.#capacity < MAX_CAPACITY) this.#grow()
    const mask = this.#capacity - 1
    let id = nextPacketId(this.#lastId)
    while (this.#phases[id & mask] !== FREE) id = nextPacketId(id)
    this.#lastId = id
    return id
  }

  /**
   * Enters a PUBLISH that is sent with an identifier from `nextId`. `order` grows from call to call, of this and of `pubrec`; `number`
   * is that of the message.
   */
  add(packet: OutPublish, share: Share | undefined, order: number, number: number): void {
    const id = packet.messageId
    const place = id & (this.#capacity - 1)
    this.#ids[place] = id
    this.#phases[place] = packet.qos === 1 ? PUBACK : PUBREC
    this.#order[place] = order
    this.#numbers[place] = number
    this.#packets[place] = packet
    this.#size += 1
    if (share !== undefined) {
      this.#shares ??= new Map()
      this.#shares.set(id, share)
    }
  }

  /** Ends a QoS 1 message; returns it, or undefined when no QoS 1 message has this identifier. */
  puback(id: number): OutPublish | undefined {
    const place = this.#find(id, PUBACK)
    return place < 0 ? undefined : this.#remove(place)
  }

  /**
   * Takes the client's receipt of a QoS 2 message, which need not be kept any longer [MQTT5-4.3.3-6]; returns it.
   * `order` is as that of `add`.
   * `'again'` when PUBREC came before, undefined when no QoS 2 message has this identifier.
   */
  pubrec(id: number, order: number): OutPublish | 'again' | undefined {
    const place = this.#find(id, PUBREC)
    if (place < 0) return this.#find(id, PUBCOMP) < 0 ? undefined : 'again'
    const packet = this.#packets[place]!
    this.#packets[place] = undefined
    this.#phases[place] = PUBCOMP
    this.#order[place] = order
    this.#numbers[place] = 0
    this.#awaitingComp += 1
    this.#shares?.delete(id)
    return packet
  }

  /** Ends a QoS 2 message that the client refused with a PUBREC [MQTT5-4.3.3]; returns it, or undefined when there is none. */
  refused(id: number): OutPublish | undefined {
    const place = this.#find(id, PUBREC)
    return place < 0 ? undefined : this.#remove(place)
  }

  /** Ends a QoS 2 message; returns false when no PUBREL waits under this identifier. */
  pubcomp(id: number): boolean {
    const place = this.#find(id, PUBCOMP)
    if (place < 0) return false
    this.#awaitingComp -= 1
    this.#remove(place)
    return true
  }

  /** The number and the order of what an identifier is used for; undefined when it is free. */
  find(id: number): InFlight | undefined {
    if (this.#capacity === 0) return undefined
    const place = id & (this.#capacity - 1)
    if (this.#phases[place] === FREE || this.#ids[place] !== id) return undefined
    return { number: this.#numbers[place]!, order: this.#order[place]! }
  }

  /** Takes a message that has been in flight before, of a session that is restored. Those sent earlier come first. */
  restore(packet: OutPublish, share: Share | undefined, order: number, number: number): void {
    this.#claim(packet.messageId)
    this.add(packet, share, order, number)
  }

  /** Takes an identifier that waits for PUBCOMP, of a session that is restored. */
  restorePubrel(id: number, order: number): void {
    const place = this.#claim(id)
    this.#ids[place] = id
    this.#phases[place] = PUBCOMP
    this.#order[place] = order
    this.#numbers[place] = 0
    this.#size += 1
    this.#awaitingComp += 1
  }

  /** Gives out those after `id` next: one restored session after another is not to use the same few. */
  goOnAfter(id: number): void {
    this.#lastId = id
  }

  /** Returns the PUBLISHes in flight in the order in which they were first sent [MQTT5-4.6.0-1]. */
  publishes(): OutPublish[] {
    return this.#places((phase) => phase === PUBACK || phase === PUBREC).map((place) => this.#packets[place]!)
  }

  /** Returns the identifiers that wait for PUBCOMP in the order of their PUBRECs [MQTT5-4.6.0-4]. */
  pubrels(): number[] {
    return this.#places((phase) => phase === PUBCOMP).map((place) => this.#ids[place]!)
  }

  /** Returns all that is in flight, for another node. An identifier that waits for PUBCOMP has no id of its message here. */
  carried(): FoundInFlight[] {
    return this.#places((phase) => phase !== FREE).map((place) => {
      const [messageId, order] = [this.#ids[place]!, this.#order[place]!]
      const packet = this.#packets[place]
      if (packet === undefined) return { phase: 'pubrel', order, messageId, id: '' }
      return { phase: 'publish', order, number: this.#numbers[place]!, packet, share: this.#shares?.get(messageId) }
    })
  }

  /** Returns the QoS 1 messages that came by shared subscriptions, in order. */
  shared(): SharedInflight[] {
    const shares = this.#shares
    if (shares === undefined) return []
    const found: SharedInflight[] = []
    for (const place of this.#places((phase) => phase === PUBACK)) {
      const messageId = this.#ids[place]!
      const share = shares.get(messageId)
      if (share !== undefined) found.push({ messageId, message: this.#packets[place]!.message, share })
    }
    return found
  }

  /** Forgets all. */
  clear(): void {
    for (let place = 0; place < this.#capacity; place += 1) {
      this.#phases[place] = FREE
      this.#packets[place] = undefined
    }
    this.#size = 0
    this.#awaitingComp = 0
    this.#shares = undefined
  }

  /** Makes the table so large that the place of an identifier is free. */
  #claim(id: number): number {
    while (this.#size * 2 >= this.#capacity && this.#capacity < MAX_CAPACITY) this.#grow()
    while (this.#phases[id & (this.#capacity - 1)] !== FREE) this.#grow()
    return id & (this.#capacity - 1)
  }

  #find(id: number, phase: number): number {
    if (this.#capacity === 0) return -1
    const place = id & (this.#capacity - 1)
    return this.#phases[place] === phase && this.#ids[place] === id ? place : -1
  }

  #remove(place: number): OutPublish {
    const packet = this.#packets[place]!
    this.#phases[place] = FREE
    this.#packets[place] = undefined
    this.#size -= 1
    this.#shares?.delete(this.#ids[place]!)
    return packet
  }

  #places(wanted: (phase: number) => boolean): number[] {
    const places: number[] = []
    for (let place = 0; place < this.#capacity; place += 1) if (wanted(this.#phases[place]!)) places.push(place)
    return places.sort((a, b) => this.#order[a]! - this.#order[b]!)
  }

  #grow(): void {
    const capacity = this.#capacity === 0 ? FIRST_CAPACITY : this.#capacity * 2
    const ids = new Uint16Array(capacity)
    const phases = new Uint8Array(capacity)
    const order = new Array<number>(capacity).fill(0)
    const numbers = new Array<number>(capacity).fill(0)
    const packets = new Array<OutPublish | undefined>(capacity).fill(undefined)
    for (let place = 0; place < this.#capacity; place += 1) {
      if (this.#phases[place] === FREE) continue
      // Different places of the smaller table are different places of the greater one.
      const next = this.#ids[place]! & (capacity - 1)
      ids[next] = this.#ids[place]!
      phases[next] = this.#phases[place]!
      order[next] = this.#order[place]!
      numbers[next] = this.#numbers[place]!
      packets[next] = this.#packets[place]
    }
    this.#capacity = capacity
    this.#ids = ids
    this.#phases = phases
    this.#order = order
    this.#numbers = numbers
    this.#packets = packets
  }
}
