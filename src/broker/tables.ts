/**
 * The tables of the broker, each with the process that is its only writer on a node; anyone reads.
 *
 * Owned rows (routes, the members of shared subscriptions, the directory of sessions) are written by the node that they are about, and are
 * seen as long as that node is a connected member. Shared rows may be written anywhere; the later write stays. Local rows concern one node.
 */
import type { Pid } from '../actors/pid.ts'
import { type RowCodec, table } from '../mnesia/definition.ts'
import type { Message } from './message.ts'
import type { QoS } from './packet.ts'
import type { Will } from './process-messages.ts'

/** A topic filter that some session of `node` subscribes. */
export interface RouteRow {
  readonly filter: string
  readonly node: string
  /** True when one of the sessions outlives its connection. */
  readonly durable: boolean
  /** True for the route of shared subscriptions to the filter, which is apart from that of ordinary ones. */
  readonly group: boolean
}

const DURABLE = 2
const GROUP = 1

/** The node is the row's owner, so two bits are all that is left to be kept. */
function routeCodec(node: string): RowCodec<RouteRow> {
  return {
    pack: ({ durable, group }) => (durable ? DURABLE : 0) | (group ? GROUP : 0),
    unpack: (filter, packed) => ({ filter, node, durable: (packed & DURABLE) !== 0, group: (packed & GROUP) !== 0 }),
  }
}

/** Filter → nodes. Written by the router. */
export const ROUTE = table<RouteRow>('route', {
  type: 'bag',
  key: 'filter',
  replication: 'owned',
  copies: 'ram_copies',
  compact: routeCodec,
})

/** A topic filter that some session of `node` subscribes that outlives its connection; one of a group in its spelling with `$share/`. */
export interface DurableRouteRow {
  readonly filter: string
  readonly node: string
}

/**
 * Filter → nodes, on disc: what must be kept for a member that is away, also by one that has itself been restarted meanwhile. Written by the
 * router.
 */
export const DURABLE_ROUTE = table<DurableRouteRow>('durable_route', {
  type: 'bag',
  key: 'filter',
  replication: 'owned',
  copies: 'disc_copies',
  parked: () => true,
  compact: (node) => ({ pack: () => 0, unpack: (filter) => ({ filter, node }) }),
})

/** Routes of `$local/…` subscriptions, which no other node hears of. Written by the router. */
export const LOCAL_ROUTE = table<RouteRow>('local_route', {
  type: 'bag',
  key: 'filter',
  replication: 'local_content',
  copies: 'ram_copies',
  compact: routeCodec,
})

/** A member of a group of a shared subscription, with the options of its subscription. */
export interface SharedMemberRow {
  readonly filter: string
  readonly group: string
  readonly pid: Pid
  readonly clientId: string
  readonly qos: QoS
  /** Retain as published. */
  readonly rap: boolean
  /** Subscription identifier. */
  readonly id: number | undefined
  /** True when the member outlives its connection, so that it takes messages while it is offline. */
  readonly durable: boolean
  /** False while its client is away: others come first. */
  readonly online: boolean
}

/** Filter → members of its groups. Written by the router. */
export const SHARED_SUBSCRIPTION = table<SharedMemberRow>('shared_subscription', {
  type: 'bag',
  key: 'filter',
  replication: 'owned',
  copies: 'ram_copies',
  identity: (row) => `${row.group}/${row.pid.key}`,
})

/** Members of `$local/$share/…` groups. Written by the router. */
export const LOCAL_SHARED_SUBSCRIPTION = table<SharedMemberRow>('local_shared_subscription', {
  ...SHARED_SUBSCRIPTION,
  replication: 'local_content',
})

/** A client id whose session is on the disc of `node`, so that it is there again when the node is. */
export interface StoredSessionRow {
  readonly clientId: string
  readonly node: string
}

/** Client id → nodes, on disc: whose clients are to wait for a member that is away, also at one that has itself been restarted meanwhile. Written by the session manager. */
export const STORED_SESSION = table<StoredSessionRow>('stored_session', {
  type: 'bag',
  key: 'clientId',
  replication: 'owned',
  copies: 'disc_copies',
  parked: () => true,
  compact: (node) => ({ pack: () => 0, unpack: (clientId) => ({ clientId, node }) }),
})

/** The session of a client id. */
export interface SessionRow {
  readonly clientId: string
  readonly pid: Pid
  /** True when the session outlives its connection. */
  readonly persistent: boolean
  /** Seconds; 0 ends with the connection. */
  readonly expirySec: number
  /** Wall clock of the last CONNECT, ms since 1970, and later than that of an earlier session: of two after a split, the later one stays. */
  readonly connectedAtMs: number
  /** The node on which its client is connected; undefined when the client is away. */
  readonly connection: string | undefined
  /** The will of the client, until it is published or must not be: whoever finds session and connection dead publishes it. */
  readonly will: Will | undefined
}

/** Client id → session, of all nodes; those that outlive their connection are remembered while their node is down. Written by the session manager. */
export const SESSION = table<SessionRow>('session', {
  type: 'set',
  key: 'clientId',
  replication: 'owned',
  copies: 'ram_copies',
  parked: ({ persistent }) => persistent,
})

/** A node that decides about client ids: its session manager runs. */
export interface SessionManagerRow {
  readonly node: string
  /** It answers when it is asked whether it is there. Nodes of earlier versions do not. */
  readonly answers?: boolean
}

/** Node → that it decides about client ids, which a member whose broker is still starting, or has none, does not. Written by the session manager. */
export const SESSION_MANAGER = table<SessionManagerRow>('session_manager', {
  type: 'set',
  key: 'node',
  replication: 'owned',
  copies: 'ram_copies',
})

/** One subscription of a session, as it is shown to people. */
export interface SubscriptionRow {
  readonly clientId: string
  /** The filter in one spelling, `$share/…` included. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly rap: boolean
  readonly id: number | undefined
}

/** Client id → subscriptions of this node. `SubscriptionTable` reads it from the subscribers of the router; nothing else is stored. */
export const SUBSCRIPTION = table<SubscriptionRow>('subscription', {
  type: 'bag',
  key: 'clientId',
  replication: 'local_content',
  copies: 'ram_copies',
  identity: (row) => row.filter,
})

/** A retained message. */
export interface RetainedRow {
  readonly topic: string
  readonly message: Message
  /** When it is removed: the earlier of the message's own expiry and the configured one. Wall clock, ms; Infinity: never. */
  readonly expiresAtMs: number
}

/** Topic → retained message of clients and programs. Written by the retainer. */
export const RETAINED_MESSAGE = table<RetainedRow>('retained_message', {
  type: 'ordered_set',
  key: 'topic',
  replication: 'shared',
  copies: 'disc_copies',
})

/** Retained messages under `$SYS/`, which tell of this node and end with it. Written by the retainer. */
export const RETAINED_SYS = table<RetainedRow>('retained_sys', {
  type: 'ordered_set',
  key: 'topic',
  replication: 'local_content',
  copies: 'ram_copies',
})

/** Somebody who may not connect. */
export interface BannedRow {
  /** `clientid:…`, `username:…` or `peerhost:…`. */
  readonly who: string
  readonly reason: string
  readonly by: string
  readonly atMs: number
  /** Wall clock, ms; Infinity: for good. */
  readonly untilMs: number
}

/** Written by access control. */
export const BANNED = table<BannedRow>('banned', {
  type: 'set',
  key: 'who',
  replication: 'shared',
  copies: 'disc_copies',
})

/** A user of the built-in user database. */
export interface UserRow {
  readonly username: string
  /** Salted hash with its algorithm and parameters; never a password. */
  readonly passwordHash: string
  readonly createdAtMs: number
}

/** Written by access control and `ctl users`. */
export const USERS = table<UserRow>('users', {
  type: 'set',
  key: 'username',
  replication: 'shared',
  copies: 'disc_copies',
})

/** A subscription that an operator has made for a client id. */
export interface StaticSubscriptionRow {
  readonly clientId: string
  /** The filter in one spelling. */
  readonly filter: string
  readonly qos: QoS
}

/** Client id → static subscriptions. Written by `ctl subscriptions`. */
export const BACKEND_SUBSCRIPTION = table<StaticSubscriptionRow>('backend_subscription', {
  type: 'bag',
  key: 'clientId',
  replication: 'shared',
  copies: 'disc_copies',
  identity: (row) => row.filter,
})

/** The tables that every broker has. They are opened before other members are met, so that no row comes before its table. */
export const TABLES = [
  ROUTE,
  DURABLE_ROUTE,
  LOCAL_ROUTE,
  SHARED_SUBSCRIPTION,
  LOCAL_SHARED_SUBSCRIPTION,
  STORED_SESSION,
  SESSION,
  SESSION_MANAGER,
  RETAINED_MESSAGE,
  RETAINED_SYS,
  BANNED,
  USERS,
  BACKEND_SUBSCRIPTION,
] as const
