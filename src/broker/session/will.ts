/**
 * The will: the message that a client leaves with the server to be published when its connection ends otherwise than by its own
 * DISCONNECT [MQTT5-3.1.2-8] [MQTT311-3.1.2-8].
 *
 * When it is published is decided by the session machine, from the session that the will belongs to; here is only what is common
 * to that and to the session manager, which publishes the will of a session that crashed.
 */
import type { Message } from '../message.ts'
import type { Will } from '../process-messages.ts'

/** Returns the message of a will. It is published, and its expiry begins, `nowMs`. */
export function willMessage(will: Will, clientId: string, id: string, nowMs: number): Message {
  return {
    id,
    from: clientId,
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    publishedAtMs: nowMs,
    expiresAtMs: will.expirySec === undefined ? Number.POSITIVE_INFINITY : nowMs + will.expirySec * 1000,
    properties: will.properties,
  }
}

/**
 * Returns for how many seconds a will waits after its connection ended: its delay, but never past the end of the session
 * [MQTT5-3.1.3-9].
 */
export function willDelaySec(will: Will, expirySec: number): number {
  return Math.min(will.delaySec, expirySec)
}
