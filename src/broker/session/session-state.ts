/**
 * The state of one session, the events that change it and the effects that it asks for: the vocabulary of the session
 * machine (session-machine.ts), shared by its parts.
 *
 * A session is all that the server keeps of a client beyond its connection [MQTT5-4.1]: subscriptions, the messages in flight
 * both ways, the queue, the will and the expiry. The machine is deterministic: time comes with each event, message ids
 * and routing from outside. Its effects are data. Where a step needs an answer (routing a publish, adding a route,
 * reading retained messages) the effect has a ticket number and the answer is an event with the same number, so the answer may
 * come in the same turn (tables in memory) or later (disc, other nodes) without a change here.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Message } from '../message.ts'
import type { AckPacket, ProtocolVersion, QoS } from '../packet.ts'
import type { ClientInfo, OutPacket, OutPublish, SessionPacket, ToSession, Will } from '../process-messages.ts'
import type { ParsedFilter } from '../routing/topic.ts'
import type { Delivery, DropReason, SharedInflight } from './delivery.ts'
import { Inflight } from './inflight.ts'
import type { MessageQueue, QueueLimits } from './mqueue.ts'
import { PacketIdSet } from './packet-ids.ts'
import type { Contents } from './stored/contents.ts'
import type { Moved } from './stored/forms.ts'
import type { Journal } from './stored/journal.ts'

/** Seconds: a session with this expiry never expires [MQTT5-3.1.2.11.2]. */
export const NEVER_SEC = 0xff_ff_ff_ff

/** Limits of one session; the names are those of the `[session]` table of the configuration. */
export interface SessionLimits {
  /** QoS 1 and 2 messages sent and not yet acknowledged, at most 65535; the client's receive maximum may be smaller. */
  readonly maxInflight: number
  /** QoS 1 and 2 messages that a 5.0 client may have unacknowledged: the receive maximum that CONNACK announces. */
  readonly maxAwaitingRel: number
  /**
   * The same for 3.1 and 3.1.1, whose clients cannot be told of a limit: they may use all packet identifiers, which cost a
   * few bytes each. A smaller value closes the connection of a client that passes it. Default 65535.
   */
  readonly maxAwaitingRelV3?: number
  readonly maxSubscriptions: number
  /** Deliver at the QoS of the subscription even when the message was published at a smaller one. */
  readonly upgradeQoS: boolean
  readonly queue: QueueLimits
}

/** What a client asked of one topic filter. */
export interface Subscription {
  /** Its `key` names the subscription: two spellings of a filter are one subscription. */
  readonly filter: ParsedFilter
  readonly qos: QoS
  readonly noLocal: boolean
  /** Retain as published. */
  readonly rap: boolean
  /** Retain handling [MQTT5-3.8.3.1]. */
  readonly rh: 0 | 1 | 2
  /** Subscription identifier, 1 to 268435455. */
  readonly id: number | undefined
}

/** What the machine takes. `ToSession` are the messages of the outside world; the others come from the session process. */
export type SessionEvent =
  | ToSession
  /** The will of a session without connection is published, or not due any more. */
  | { readonly tag: 'will_settled' }
  /** The time of its client is this from now on, unless that is later. */
  | { readonly tag: 'stamped'; readonly connectedAtMs: number }
  /** First event of a session that was read from the store. `othersRun`: other members of the cluster have published wills that were due. */
  | { readonly tag: 'restore'; readonly othersRun: boolean }
  /** The messages of such a session; comes before any event that concerns them. `volatile`: what waits at QoS 0. */
  | { readonly tag: 'contents'; readonly contents: Contents; readonly volatile?: readonly Delivery[] }
  /** Its client has connected to another node, where the session is to be: as a take-over, without a new connection for now. */
  | { readonly tag: 'leave' }
  /** The session is given to another node, or stays after all. */
  | { readonly tag: 'mark'; readonly moved: Moved | undefined }
  /** Another node has the session: it ends here without a word, but for what has come since as the member of a group. */
  | { readonly tag: 'gone'; readonly upTo: number }
  /** A connection opens the session, for the first time or again. Answered by `attached`, or by `ended` when it may not be resumed. */
  | { readonly tag: 'attach'; readonly client: ClientInfo }
  /** The session is to end now, its connection (if any) closed with this code. */
  | {
      readonly tag: 'discard'
      readonly reasonCode: number
      readonly reason: string
      /** Another session has what waits, but for what other members of a group can have. */
      readonly isHandedOver?: boolean
    }
  /** The connection is to be closed by an administrator; the session lives on as its expiry says. */
  | { readonly tag: 'kick'; readonly reasonCode: number; readonly reason: string }
  /** Publishes wait, and there is room for more: the connection may read on although they are not accepted. */
  | { readonly tag: 'deferred' }
  /** The messages of a `publish` effect are taken over by all who get them; `codes[i]` is the reason code of message i. */
  | { readonly tag: 'accepted'; readonly ticket: number; readonly codes: readonly number[] | undefined }
  /** The messages of a `publish` effect have reached those who get them, but are not safe everywhere: a disc refuses. */
  | { readonly tag: 'unsafe'; readonly ticket: number }
  /** The routes of a `subscribe` effect stand (0) or were refused (≥ 0x80); undefined: all stand. */
  | { readonly tag: 'subscribed'; readonly ticket: number; readonly codes: readonly number[] | undefined }
  | { readonly tag: 'unsubscribed'; readonly ticket: number }
  /** Part of the retained messages of a filter; `done` with the last part. */
  | { readonly tag: 'retained'; readonly ticket: number; readonly messages: readonly Message[]; readonly done: boolean }
  | { readonly tag: 'timeout'; readonly timer: SessionTimer }
  /** What of a `redispatch` effect other members get: packet identifiers and deliveries. */
  | {
      readonly tag: 'redispatched'
      readonly taken: readonly number[]
      readonly passed: readonly Delivery[]
    }
  /** Answer to the `drain` effect. */
  | { readonly tag: 'drain' }

export type SessionTimer = 'expiry' | 'will'

/** What the machine asks for; performed in order. */
export type Effect =
  /** Goes to the connection as it is. */
  | {
      readonly tag: 'out'
      readonly from: Pid
      readonly packets: OutPacket[]
      /** Not before what has happened until now is stored. */
      waits: boolean
    }
  | { readonly tag: 'synced'; readonly from: Pid }
  | { readonly tag: 'close'; readonly to: Pid; readonly reasonCode: number; readonly reason: string }
  /** The connection of the event is now the session's; whatever follows may be sent to it. */
  | { readonly tag: 'attached'; readonly present: boolean; readonly takenOver: boolean }
  /** The session has no connection any more and lives on. */
  | { readonly tag: 'detached'; readonly reason: string }
  /** Route these, in order, and answer `accepted` unless the ticket is 0. */
  | { readonly tag: 'publish'; ticket: number; readonly messages: Message[] }
  | { readonly tag: 'subscribe'; readonly ticket: number; readonly subscriptions: readonly Subscription[] }
  | { readonly tag: 'unsubscribe'; readonly ticket: number; readonly filters: readonly ParsedFilter[] }
  /** Read up to `max` retained messages of the filter, from where the last part of the same ticket ended. */
  | { readonly tag: 'retained'; readonly ticket: number; readonly filter: string; readonly max: number }
  /** The answer to this ticket is not wanted any more. */
  | { readonly tag: 'forget_retained'; readonly ticket: number }
  /**
   * Other members of the groups are to get these, as far as there are any; answered by `redispatched`, unless the session is over: then
   * what nobody gets is lost. `isKept`: what was on disc for the session is on disc for the groups.
   */
  | {
      readonly tag: 'redispatch'
      readonly inflight: readonly SharedInflight[]
      readonly queued: readonly Delivery[]
      readonly isKept: boolean
    }
  | { readonly tag: 'dropped'; readonly reason: DropReason; readonly messages: Message[] }
  /** The client has these; only when `reportAcked` is set. */
  | { readonly tag: 'acked'; readonly messages: Message[] }
  | { readonly tag: 'start_timer'; readonly timer: SessionTimer; readonly delayMs: number }
  | { readonly tag: 'cancel_timer'; readonly timer: SessionTimer }
  /** Send the event `drain` behind the messages that wait in the mailbox. */
  | { readonly tag: 'drain' }
  /** The session is over: remove its routes, its row and its process. */
  | { readonly tag: 'ended'; readonly reason: EndReason }

export type EndReason =
  /** The connection went and the expiry is 0. */
  | 'disconnected'
  | 'expired'
  /** A connection with clean start, or one that took over a session without expiry. */
  | 'discarded'
  | 'kicked'
  /** It goes on on another node. */
  | 'moved'

/** Counters of one session, since it was created. */
export interface SessionCounters {
  /** Messages handed to the connection, each once. */
  deliverMsg: number
  /** Messages of QoS 1 and 2 that the client has acknowledged. */
  acked: number
  /** Messages that had to wait in the queue. */
  enqueueMsg: number
  /** Messages that were lost, for whatever reason. */
  dropped: number
  /** Acknowledgements that named no message in flight. */
  unknownAcks: number
}

/** Publishes of the client that wait to be acknowledged, in the order in which they came. */
export interface PendingAcks {
  readonly ticket: number
  /** The connection they came on; when that has gone nobody wants the acknowledgements. */
  readonly attachment: number
  /** In order; the reason codes are filled in when the messages are accepted. */
  readonly acks: AckPacket[]
  /** For each acknowledgement the index of its message in the `publish` effect; -1: decided already. */
  readonly indexes: number[]
  /** How many of them are PUBACKs; they count against the receive maximum until they are sent. */
  pubacks: number
  accepted: boolean
  /** How many `synced` to send after these. */
  syncs: number
}

export interface PendingSubscribe {
  readonly messageId: number
  readonly attachment: number
  /** SUBACK's codes; those of `entries` may still become failures. */
  readonly granted: number[]
  /** For each subscription of the effect its place in `granted`, and whether it is new. */
  readonly entries: readonly { readonly index: number; readonly isNew: boolean; readonly subscription: Subscription }[]
}

export interface PendingUnsubscribe {
  readonly messageId: number
  readonly attachment: number
  readonly granted: number[]
}

/** A subscription whose retained messages are still being read. */
export interface RetainedRead {
  readonly ticket: number
  readonly subscription: Subscription
  /** True between the effect and its answer. */
  asked: boolean
}

/** All that a session remembers. Only the machine changes it. */
export interface SessionState {
  readonly self: Pid
  readonly clientId: string
  readonly createdAtMs: number
  /**
   * The message id that this node made when the session first subscribed, or when the subscriptions stood of one that has come from another node; '' for one that
   * was stored, undefined as long as it has not.
   */
  subscribedAfter: string | undefined
  /** `connectedAtMs` of the client that began it, if that wanted none that was there before [MQTT5-3.1.2-4]; undefined after a restart of the node. */
  beganCleanAtMs: number | undefined
  readonly limits: SessionLimits
  /** Makes the id of each message that the client publishes. */
  readonly nextMessageId: (nowMs: number) => string
  /** Set by the process when somebody wants the `acked` effect. */
  reportAcked: boolean
  /** What changes is noted here for the store; undefined when the session is not stored. */
  journal: Journal | undefined

  // The connection
  client: ClientInfo
  connection: Pid | undefined
  /** Number of the attachment, to know what belongs to a former one. */
  attachment: number
  version: ProtocolVersion
  /** Seconds; 0 ends with the connection; `NEVER_SEC` never. */
  expirySec: number
  /** Undefined once it is published or must not be. */
  will: Will | undefined
  /** Wall clock, ms, at which the connection went; 0 while there is one. */
  detachedAtMs: number
  /** The socket takes no more. */
  congested: boolean
  /** The connection was told to close; what it still sends is ignored. */
  closing: boolean
  ended: boolean

  /** Undefined unless it may be another node's from now on. */
  moved: Moved | undefined

  // Subscriptions
  /** By the key of their filter; in order of subscription. A shared empty map until there is one. */
  subscriptions: ReadonlyMap<string, Subscription>
  /** Filters of shared subscriptions among them; saves the search when the client goes. */
  sharedCount: number
  nextTicket: number
  pendingSubscribes: Map<number, PendingSubscribe | PendingUnsubscribe> | undefined
  /** How many of them are of this connection: what it publishes meanwhile waits, to meet the subscriptions as it sees them. */
  asking: number
  retainedReads: RetainedRead[]

  // To the client
  readonly inflight: Inflight
  /** Numbers given so far: to QoS 1 and 2 messages as they come, and to orders in `inflight`. */
  arrivals: number
  /** Ids of messages that were published at QoS 2, and that the session had before it was restored: a publisher may do it again. */
  known: Set<string> | undefined
  /** Ids of messages that it had where it has come from; they may come once more, to this node. */
  seam: Set<string> | undefined
  /** Of a stored session: ids of the QoS 2 messages whose PUBRELs wait, by packet identifier. */
  releasing: Map<number, string> | undefined
  /** Of a stored session: packet identifiers of the latest QoS 2 messages that are done, whose ids are still stored. */
  readonly done: number[]
  /** QoS 1 and 2 messages that may be in flight on this connection: the smaller of both sides' limits. */
  window: number
  /** Grows with each acknowledgement of the client that ends or advances a delivery. */
  progress: number
  /** Created with the first message that must wait. */
  queue: MessageQueue | undefined
  /** What a resumed connection still has to get again, the next one last. */
  resend: OutPublish[]
  /** True while a `drain` effect is on its way back. */
  draining: boolean

  // From the client
  /** What came behind a SUBSCRIBE or UNSUBSCRIBE and waits for the answer of the router; `sync` bounds it. */
  held: SessionPacket[] | undefined
  readonly awaitingRel: PacketIdSet
  /**
   * Packet identifiers in `awaitingRel` whose messages may not have reached all, since the node ended before it knew, with the ids
   * under which they are published again.
   */
  unfinished: Map<number, string> | undefined
  readonly pendingAcks: PendingAcks[]
  /** PUBACKs that this connection waits for. */
  awaitingAccept: number
  /** `synced` messages that wait until the router has answered all requests of this connection. */
  owedSyncs: number
  /** QoS 1 and 2 messages that this connection may leave unacknowledged. */
  receiveLimit: number

  counters: SessionCounters
}

const NO_SUBSCRIPTIONS: ReadonlyMap<string, Subscription> = new Map()

/** Adds a subscription or replaces the one of the same filter. */
export function putSubscription(state: SessionState, subscription: Subscription): void {
  // Most clients only publish, and an empty map takes 184 bytes (Node 20).
  if (state.subscriptions === NO_SUBSCRIPTIONS) state.subscriptions = new Map()
  state.journal?.subscribed(subscription)
  ;(state.subscriptions as Map<string, Subscription>).set(subscription.filter.key, subscription)
}

/** Removes a subscription; returns false when there is none. */
export function deleteSubscription(state: SessionState, key: string): boolean {
  if (!(state.subscriptions as Map<string, Subscription>).delete(key)) return false
  state.journal?.unsubscribed(key)
  if (state.subscriptions.size === 0) state.subscriptions = NO_SUBSCRIPTIONS
  return true
}

/** What a new session is made from. */
export interface NewSession {
  readonly self: Pid
  readonly limits: SessionLimits
  readonly nextMessageId: (nowMs: number) => string
  readonly client: ClientInfo
  readonly nowMs: number
  /** Given when the session is to be stored. */
  readonly journal?: Journal | undefined
}

/** Returns the state of a session that has no connection yet; the event `attach` with the same client comes next. */
export function newSessionState({ self, limits, nextMessageId, client, nowMs, journal }: NewSession): SessionState {
  return {
    self,
    clientId: client.clientId,
    createdAtMs: nowMs,
    subscribedAfter: undefined,
    beganCleanAtMs: client.cleanStart ? client.connectedAtMs : undefined,
    limits,
    nextMessageId,
    reportAcked: false,
    journal,
    client,
    connection: undefined,
    attachment: 0,
    version: client.protocolVersion,
    expirySec: client.expirySec,
    will: undefined,
    detachedAtMs: 0,
    congested: false,
    closing: false,
    ended: false,
    moved: undefined,
    subscriptions: NO_SUBSCRIPTIONS,
    sharedCount: 0,
    nextTicket: 1,
    pendingSubscribes: undefined,
    asking: 0,
    retainedReads: [],
    inflight: new Inflight(),
    arrivals: 0,
    known: undefined,
    seam: undefined,
    releasing: undefined,
    done: [],
    window: 0,
    progress: 0,
    queue: undefined,
    resend: [],
    draining: false,
    held: undefined,
    awaitingRel: new PacketIdSet(),
    unfinished: undefined,
    pendingAcks: [],
    awaitingAccept: 0,
    owedSyncs: 0,
    receiveLimit: 0,
    counters: { deliverMsg: 0, acked: 0, enqueueMsg: 0, dropped: 0, unknownAcks: 0 },
  }
}
