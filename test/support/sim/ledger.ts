/**
 * What the clients of a simulation have published, been told and received, and the rules that hold between these.
 *
 * Rules about single packets are checked as they come (`violations`); those about the whole (nothing lost) by `missing`,
 * once all clients have had time to catch up.
 */
import type { QoS } from '../../../src/broker/packet.ts'
import type { Simulation } from '../../../src/testing/simulation.ts'

/** One message that a client published; its payload is its key. */
export interface Published {
  readonly key: string
  readonly publisher: string
  readonly seq: number
  readonly topic: string
  readonly qos: QoS
  /** How often PUBLISH was sent. */
  attempts: number
  firstSentAtMs: number
  /** The publisher's session then, where a client may have several. */
  session: string
  /** When the broker took it over: PUBACK, PUBREC. */
  acceptedAtMs: number | undefined
}

/** A subscription of a client, from SUBACK until it was given up or its session was lost. */
export interface Interest {
  readonly clientId: string
  readonly filter: string
  readonly qos: QoS
  readonly fromMs: number
  untilMs: number
  /** The session outlives its connections. */
  readonly isPersistent: boolean
  /** The session, where a client may have several. */
  readonly session: string
}

/** What one session of a client received. */
export interface Receipts {
  readonly clientId: string
  /** The session, where a client may have several. */
  readonly session: string
  /** How often each message came, by key; repetitions of a QoS 2 exchange are not counted. */
  readonly counts: Map<string, number>
  /** When each came first. */
  readonly firstAtMs: Map<string, number>
  /** Greatest sequence number per publisher, topic and QoS. */
  readonly greatest: Map<string, number>
}

export class Ledger {
  readonly published = new Map<string, Published>()
  readonly interests: Interest[] = []
  readonly violations: string[] = []
  /** The node of the sessions has died: what it had not acknowledged is published anew, and only QoS 2 can tell. */
  hasDied = false
  readonly #sim: Simulation

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  violation(clientId: string, what: string): void {
    this.violations.push(`${this.#sim.time.monotonic().toFixed(1)} ms, ${clientId}: ${what}`)
  }

  /** The session of `receipts` gets a message that is no repetition of a QoS 2 exchange. */
  received(
    receipts: Receipts,
    { key, topic, qos, dup }: { key: string; topic: string; qos: QoS; dup: boolean },
    granted: QoS,
    subscribedAtMs: number,
    isShared: boolean,
  ): void {
    const { clientId, counts, greatest } = receipts
    const message = this.published.get(key)
    if (message === undefined || message.topic !== topic) {
      this.violation(clientId, `got ${key} of ${topic}, which nobody published`)
      return
    }
    const expected = Math.min(message.qos, granted)
    // Of several filters in one SUBSCRIBE, one may stand before the others do.
    const isEarly = message.firstSentAtMs <= subscribedAtMs
    if (qos !== expected && !(isEarly && qos < expected))
      this.violation(clientId, `got ${key} at QoS ${qos} instead of ${expected}`)
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    if (count > 1) {
      // A publisher that repeats a QoS 1 message publishes it twice.
      const isPublishedOnce = (message.qos === 2 && !(this.hasDied && qos < 2)) || message.attempts === 1
      if (qos === 2 && !(isShared && this.mayComeTwice(message, receipts.session)))
        this.violation(clientId, `got ${key} ${count} times at QoS 2`)
      else if (qos === 0 && isPublishedOnce) this.violation(clientId, `got ${key} ${count} times at QoS 0`)
      else if (isPublishedOnce && !dup && !isShared && !this.mayComeAgain(message, receipts.session))
        this.violation(clientId, `got ${key} again without DUP`)
      return
    }
    receipts.firstAtMs.set(key, this.#sim.time.monotonic())
    const stream = `${message.publisher} ${message.session} ${topic} ${qos}`
    const before = greatest.get(stream) ?? -1
    // [MQTT5-4.6.0-6]; a message that another member gave back comes late, and perhaps again.
    // One that is published again may be the first that a later subscription sees, or that is not lost at QoS 0.
    const isRepeated = this.isPublishedAgain(message) && (isEarly || qos === 0)
    if (message.seq < before && !isShared && !isRepeated && !this.mayComeLate(message, receipts.session))
      this.violation(clientId, `got ${key} after ${before} of ${stream}`)
    else greatest.set(stream, Math.max(before, message.seq))
  }

  /** Whether what its publisher sends again is published again: at QoS 2 only when the node that had it before has died with what it knew of it. */
  protected isPublishedAgain({ qos, attempts }: Published): boolean {
    return attempts > 1 && (qos === 1 || this.hasDied)
  }

  /** Whether a message of a shared subscription may come to one member again at QoS 2. */
  protected mayComeTwice(_message: Published, _session: string): boolean {
    return false
  }

  /** Whether a message of QoS 1 may come to a session once more, as one that is new. */
  protected mayComeAgain(_message: Published, _session: string): boolean {
    return false
  }

  /** Whether a message may come to a session behind later ones. */
  protected mayComeLate(_message: Published, _session: string): boolean {
    return false
  }

  /** Messages that were accepted at QoS 1 or 2 and did not reach a persistent session, as sentences. */
  missing(
    receipts: ReadonlyMap<string, readonly Receipts[]>,
    matches: (filter: string, topic: string) => boolean,
  ): string[] {
    const missing: string[] = []
    for (const interest of this.interests) {
      if (!interest.isPersistent || interest.qos === 0) continue
      for (const message of this.published.values()) {
        const { qos, acceptedAtMs, firstSentAtMs, key, topic } = message
        if (qos === 0 || acceptedAtMs === undefined) continue
        if (firstSentAtMs <= interest.fromMs || acceptedAtMs >= interest.untilMs) continue
        if (!matches(interest.filter, topic)) continue
        const got = receipts.get(interest.clientId)?.some(({ counts }) => counts.has(key)) ?? false
        if (!got)
          missing.push(`${interest.clientId} (${interest.filter}, QoS ${interest.qos}) never got ${key} of ${topic}`)
      }
    }
    return missing
  }
}
