/**
 * How subscriptions become `Matched`: one subscription's options, and several folded into one.
 *
 * Sessions that subscribe alike share one `Matched` object, which lets the publish path send them one and the same
 * message. Without subscription identifiers there are twelve different ones, made once; with them, a cache entry of the
 * publish path makes its own (`Interning`).
 */
import type { Matched } from '../message.ts'
import type { QoS } from '../packet.ts'

const QOS: readonly QoS[] = [0, 1, 2]

const PLAIN: readonly Matched[] = [false, true].flatMap((rap) =>
  [false, true].flatMap((noLocal) =>
    QOS.map((qos) => Object.freeze({ qos, noLocal, rap, ids: undefined, share: undefined })),
  ),
)

function plain(qos: QoS, noLocal: boolean, rap: boolean): Matched {
  return PLAIN[qos + (noLocal ? 3 : 0) + (rap ? 6 : 0)]!
}

/** The options of one ordinary subscription; `id` is its subscription identifier. */
export function matchedOf(qos: QoS, noLocal: boolean, rap: boolean, id: number | undefined): Matched {
  return id === undefined ? plain(qos, noLocal, rap) : { qos, noLocal, rap, ids: [id], share: undefined }
}

/** Two matching subscriptions of one session as one: greatest QoS [MQTT311-3.3.5-1], all identifiers [MQTT5-3.3.4-3]. */
export function fold(a: Matched, b: Matched): Matched {
  if (a === b && a.ids === undefined) return a
  const qos = Math.max(a.qos, b.qos) as QoS
  const noLocal = a.noLocal && b.noLocal
  const rap = a.rap || b.rap
  if (a.ids === undefined && b.ids === undefined) return plain(qos, noLocal, rap)
  // The same identifier twice is sent twice: one for each matching subscription that carries it.
  const ids = a.ids === undefined ? b.ids : b.ids === undefined ? a.ids : [...a.ids, ...b.ids]
  return { qos, noLocal, rap, ids, share: undefined }
}

/** Finds the one object among equal ones. */
export class Interning {
  #known: Map<string, Matched> | undefined

  intern(matched: Matched): Matched {
    if (matched.ids === undefined) return matched
    const key = `${matched.qos} ${matched.noLocal} ${matched.rap} ${matched.ids.join()}`
    this.#known ??= new Map()
    const known = this.#known.get(key)
    if (known !== undefined) return known
    this.#known.set(key, matched)
    return matched
  }
}
