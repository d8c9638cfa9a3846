/**
 * The interface through which the broker reads and writes its tables, and the tables that it has.
 *
 * The words are Mnesia's. Reads are local and synchronous; a write is applied here at once and may be waited for until
 * it is durable or has reached the other members. Whoever opens a broker hands it a `Tables`: on a node that stands
 * alone that is `LocalTables`, in a cluster the replicated store. Nothing in the broker can tell the difference.
 *
 * A row is immutable. An *owned* row is written by the node that it names and disappears with it; a *shared* row may be
 * written anywhere, last writer wins; a *local_content* table has the same definition everywhere and its own rows on each
 * node. Each table has one writer on a node (noted at its definition); anyone reads and subscribes to events.
 */
import type { Pid } from '../actors/pid.ts'
import type { Message } from './message.ts'
import type { QoS } from './packet.ts'
import type { Will } from './process-messages.ts'

export interface TableDefinition<Row> {
  readonly name: string
  /** One row per key, one row per key in key order (UTF-16 code units), or several rows per key. */
  readonly type: 'set' | 'ordered_set' | 'bag'
  readonly key: keyof Row & string
  readonly replication: 'owned' | 'shared' | 'local_content'
  readonly copies: 'ram_copies' | 'disc_copies'
  /** For a bag: rows of one key whose identities are equal are the same row, and the later replaces the earlier. */
  readonly identity?: (row: Row) => string
  /**
   * For a bag of which there are millions of rows: makes the functions that turn all of a row but its key into a small
   * integer and back. Equal integers are the same row. The table then stores no row objects.
   */
  readonly compact?: () => RowCodec<Row>
}

export interface RowCodec<Row> {
  readonly pack: (row: Row) => number
  readonly unpack: (key: string, packed: number) => Row
}

export type TableOperation<Row> =
  | { readonly op: 'write'; readonly row: Row }
  /** Removes every row of a key. */
  | { readonly op: 'delete'; readonly key: string }
  /** Removes one row of a bag; in a set, the row of the same key. */
  | { readonly op: 'delete_object'; readonly row: Row }

export type TableEvent<Row> =
  /** `old` is the row that it replaced. */
  | { readonly type: 'write'; readonly row: Row; readonly old: Row | undefined }
  | { readonly type: 'delete'; readonly row: Row }

export interface WriteOptions {
  /** `local` (default): applied here; `durable`: flushed here; `members`: applied by every connected member, bounded. */
  readonly wait?: 'local' | 'durable' | 'members'
}

/** What became of a write that was waited for. */
export interface WriteOutcome {
  /** Members that did not confirm in time; empty when all is well. */
  readonly unconfirmed: readonly string[]
}

/** The part of a table that anyone may use. Iterations are of the rows at hand: they may miss what changes meanwhile. */
export interface TableReader<Row> {
  readonly definition: TableDefinition<Row>
  /** Number of rows. */
  readonly size: number
  /** Number of distinct keys. */
  readonly keyCount: number
  /** Grows with every change. */
  readonly version: number
  has(key: string): boolean
  /** The row of a key in a set or ordered_set; in a bag, one of its rows. */
  get(key: string): Row | undefined
  /** All rows of a key; an empty list when there are none. */
  read(key: string): readonly Row[]
  keys(): IterableIterator<string>
  rows(): IterableIterator<Row>
  /** Smallest key of an ordered_set. Throws a TypeError for other types. */
  first(): string | undefined
  /** Smallest key of an ordered_set that is greater than `key`, which need not exist. Throws a TypeError for other types. */
  next(key: string): string | undefined
  /** Smallest key of an ordered_set that is `key` or greater. Throws a TypeError for other types. */
  ceiling(key: string): string | undefined
}

/**
 * Without options a write is complete when it returns, as far as this node goes. With options it returns undefined when it
 * is complete in the sense asked for, else a promise of what became of it, which never rejects.
 */
export interface Table<Row> extends TableReader<Row> {
  /**
   * Calls `listener` after each change, in the turn of the change and in its order. It must not throw and must not write
   * to this table. Returns the function that ends the subscription; a process that subscribes calls it when it terminates.
   */
  subscribe(listener: (event: TableEvent<Row>) => void): () => void
  write(row: Row): void
  write(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  /** Removes every row of a key. */
  delete(key: string): void
  delete(key: string, options: WriteOptions): Promise<WriteOutcome> | undefined
  /** Removes one row of a bag; in a set, the row of the same key. */
  deleteObject(row: Row): void
  deleteObject(row: Row, options: WriteOptions): Promise<WriteOutcome> | undefined
  /** Applies operations in order, as one list: other nodes see all of them or none. */
  batch(operations: readonly TableOperation<Row>[], options: WriteOptions): Promise<WriteOutcome> | undefined
}

/** The tables of one node. */
export interface Tables {
  /** The table of a definition, created when there is none yet. Throws when another definition has its name. */
  open<Row>(definition: TableDefinition<Row>): Table<Row>
  /** Every table that has been opened. */
  all(): readonly TableReader<unknown>[]
}

/** Declares a table; the definition is opened with `Tables.open`. */
export function table<Row>(name: string, rest: Omit<TableDefinition<Row>, 'name'>): TableDefinition<Row> {
  return { ...rest, name }
}

/** A topic filter that some session of `node` subscribes. */
export interface RouteRow {
  readonly filter: string
  readonly node: string
  /** True when one of the sessions outlives its connection. */
  readonly durable: boolean
  /** True for the route of shared subscriptions to the filter, which is apart from that of ordinary ones. */
  readonly group: boolean
}

function routeCodec(): RowCodec<RouteRow> {
  const nodes: string[] = []
  const numbers = new Map<string, number>()
  return {
    pack: (row) => {
      let number = numbers.get(row.node)
      if (number === undefined) {
        number = nodes.push(row.node) - 1
        numbers.set(row.node, number)
      }
      return number * 4 + (row.durable ? 2 : 0) + (row.group ? 1 : 0)
    },
    unpack: (filter, packed) => ({
      filter,
      node: nodes[packed >> 2]!,
      durable: (packed & 2) !== 0,
      group: (packed & 1) !== 0,
    }),
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

/** Routes of `$local/…` subscriptions, which no other node hears of. Written by the router. */
export const LOCAL_ROUTE = table<RouteRow>('local_route', { ...ROUTE, replication: 'local_content' })

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

/** The session of a client id. */
export interface SessionRow {
  readonly clientId: string
  readonly pid: Pid
  /** True when the session outlives its connection. */
  readonly persistent: boolean
  /** Wall clock of the last CONNECT, ms since 1970: of two sessions after a split, the later one stays. */
  readonly connectedAtMs: number
  /** A will that waits since its connection ended: whoever finds the session dead publishes it. */
  readonly will: Will | undefined
}

/** Client id → session, of all nodes. Written by the session manager. */
export const SESSION = table<SessionRow>('session', {
  type: 'set',
  key: 'clientId',
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

/** Topic → retained message. Written by the retainer. */
export const RETAINED_MESSAGE = table<RetainedRow>('retained_message', {
  type: 'ordered_set',
  key: 'topic',
  replication: 'shared',
  copies: 'disc_copies',
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
