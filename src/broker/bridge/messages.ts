/**
 * What a bridge and the receiver on its peer say to each other. The bridge sends to the receiver by name, the receiver to the bridge by pid.
 *
 *     bridge ─ bridge_hello (attempt) ─▶ receiver          the bridge monitors it, which dials the node
 *     bridge ◀─ bridge_ready (attempt) ─ receiver
 *     bridge ─ bridge_batch (stream, seq) ─▶ receiver ─ publishes
 *     bridge ◀─ bridge_taken (stream, seq) ─ receiver      taken over: what is kept on disc there is on disc
 *
 * One batch is under way at a time, so a very large message that is overtaken between nodes changes no order. A batch that was
 * not confirmed when the link broke is sent again under its number, and the receiver, as long as it lives, publishes it once.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Message } from '../message.ts'

/** Registered name of the receiver. */
export const BRIDGE_RECEIVER = 'bridge_receiver'

/** Is somebody there? */
export interface BridgeHello {
  readonly tag: 'bridge_hello'
  readonly from: Pid
  readonly attempt: number
}

/** Somebody is. */
export interface BridgeReady {
  readonly tag: 'bridge_ready'
  readonly attempt: number
}

/** Messages to be published, in order, topics and QoS as they are to be. */
export interface BridgeBatch {
  readonly tag: 'bridge_batch'
  readonly from: Pid
  /** Of one bridge, from its start to its end. */
  readonly stream: string
  readonly seq: number
  /** The nodes that have had the messages by now: the members of the cluster of the bridge. */
  readonly passed: readonly string[]
  readonly messages: readonly Message[]
}

/** All who get the messages of a batch on the peer have taken them over. */
export interface BridgeTaken {
  readonly tag: 'bridge_taken'
  readonly stream: string
  readonly seq: number
}
