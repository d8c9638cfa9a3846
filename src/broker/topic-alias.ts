/**
 * Topic aliases of MQTT 5.0: small numbers that stand for topic names on one connection, each direction on its own
 * [MQTT5-3.3.2-10].
 *
 * Inbound the client chooses and we remember. Outbound we choose. There a topic gets an alias at its first PUBLISH; when
 * all are taken, the one of a topic that has not been used again since the hand last passed gives way (the clock
 * algorithm): topics that recur keep theirs while a stream of topics that are seen once passes by, and a use costs one
 * map look-up and no reordering.
 */
import type { OutAlias } from './encode.ts'

/** Aliases that a client has set for the topics of its own publishes. */
export class InboundAliases {
  /** The Topic Alias Maximum that CONNACK announced; 0 when aliases are not accepted. */
  readonly maximum: number
  /** Made with the first alias: a `Map` takes 230 bytes, and most clients never set one. */
  #topics: Map<number, string> | undefined = undefined

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** True when the client may use this alias [MQTT5-3.3.2-8] [MQTT5-3.3.2-9]. */
  isValid(alias: number): boolean {
    return alias > 0 && alias <= this.maximum
  }

  /** Sets or replaces the topic of an alias [MQTT5-3.3.2-12]. */
  set(alias: number, topic: string): void {
    this.#topics ??= new Map()
    this.#topics.set(alias, topic)
  }

  /** The topic of an alias, undefined when the client never set it. */
  get(alias: number): string | undefined {
    return this.#topics?.get(alias)
  }
}

interface Slot {
  topic: string
  used: boolean
  /** What `use` returns for the PUBLISH that sets the alias, and for those after it; made once, as they recur. */
  readonly first: OutAlias
  readonly again: OutAlias
}

/** Aliases that the broker has set for the topics that it sends to one client. */
export class OutboundAliases {
  /** How many aliases may be in use: the lesser of the client's Topic Alias Maximum and our own limit. */
  readonly maximum: number
  /** By topic, of those that have an alias. */
  readonly #slotOf = new Map<string, Slot>()
  /** By alias - 1. */
  readonly #slots: Slot[] = []
  #hand = 0

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** The alias to send with a topic, and whether the topic goes with it; undefined when the client allows no aliases. */
  use(topic: string): OutAlias | undefined {
    const known = this.#slotOf.get(topic)
    if (known !== undefined) {
      known.used = true
      return known.again
    }
    if (this.maximum === 0) return undefined
    if (this.#slots.length < this.maximum) {
      const alias = this.#slots.length + 1
      const added: Slot = { topic, used: false, first: { alias, topic: true }, again: { alias, topic: false } }
      this.#slots.push(added)
      this.#slotOf.set(topic, added)
      return added.first
    }
    let slot = this.#slots[this.#hand]!
    while (slot.used) {
      slot.used = false
      this.#hand = (this.#hand + 1) % this.maximum
      slot = this.#slots[this.#hand]!
    }
    this.#hand = (this.#hand + 1) % this.maximum
    this.#slotOf.delete(slot.topic)
    slot.topic = topic
    this.#slotOf.set(topic, slot)
    return slot.first
  }

  /** Takes back the alias of a topic whose PUBLISH was not sent after all, so that the client never learnt it. */
  forget(topic: string): void {
    const slot = this.#slotOf.get(topic)
    if (slot === undefined) return
    this.#slotOf.delete(topic)
    // The slot stays, under a name that no topic has, and is free when the hand comes by.
    slot.topic = ''
    slot.used = false
  }
}
