/**
 * What is shown of a session: to `sessions show`, the observer and `sys.getState`. The fields are those of emqttd's
 * `sessions` command and of its successors, so that existing eyes and scripts find them.
 */
import type { SessionState } from './session-state.ts'

/** A session at one moment; plain data. */
export interface SessionSnapshot {
  readonly clientId: string
  readonly cleanSess: boolean
  readonly connected: boolean
  readonly expirySec: number
  readonly maxInflight: number
  /** Messages sent and not acknowledged. */
  readonly inflightQueue: number
  readonly messageQueue: number
  readonly messageQueueBytes: number
  readonly messageDropped: number
  /** QoS 2 messages of the client that wait for its PUBREL. */
  readonly awaitingRel: number
  /** Messages to the client that wait for PUBACK or PUBREC. */
  readonly awaitingAck: number
  /** Messages to the client that wait for PUBCOMP. */
  readonly awaitingComp: number
  readonly createdAtMs: number
  /** 0 while connected. */
  readonly detachedAtMs: number
  /** Filters with their granted QoS, in the order of subscription. */
  readonly subscriptions: readonly (readonly [filter: string, qos: number])[]
  readonly deliverMsg: number
  readonly enqueueMsg: number
}

/** Returns what a session holds now. */
export function snapshot(state: SessionState): SessionSnapshot {
  const { client, inflight, queue, counters } = state
  return {
    clientId: state.clientId,
    // emqttd's word for a session that goes with its connection.
    cleanSess: state.expirySec === 0,
    connected: state.connection !== undefined,
    expirySec: state.expirySec,
    maxInflight: Math.min(client.receiveMaximum, state.limits.maxInflight),
    inflightQueue: inflight.size,
    messageQueue: queue?.length ?? 0,
    messageQueueBytes: queue?.bytes ?? 0,
    messageDropped: counters.dropped,
    awaitingRel: state.awaitingRel.size,
    awaitingAck: inflight.awaitingAck,
    awaitingComp: inflight.awaitingComp,
    createdAtMs: state.createdAtMs,
    detachedAtMs: state.detachedAtMs,
    subscriptions: [...state.subscriptions.values()].map(({ filter, qos }) => [filter.key, qos] as const),
    deliverMsg: counters.deliverMsg,
    enqueueMsg: counters.enqueueMsg,
  }
}
