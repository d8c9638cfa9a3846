/** Settings of shared replication, and what it tells its owner. */
import type { Logger } from 'pino'
import type { Links } from '../link.ts'
import type { Store } from '../store/store.ts'

export interface SharedLimits {
  /** Memory for recent entries. A member that was away for longer than they reach compares tables when it returns. @default 64 MiB */
  readonly logBytes: number
  /** Unacknowledged bytes on the way to a peer, at most. @default 512 KiB */
  readonly windowBytes: number
  /** Of a message. @default 64 KiB */
  readonly chunkBytes: number
  /** Rows and tombstones that are looked at before others get their turn. @default 1000 */
  readonly chunkRows: number
  /** Largest entry, in bytes: a longer one is refused where it is written. @default 64 MiB */
  readonly entryBytes: number
  /** How often peers are told how far this node has got, besides the origin of what it takes in. @default 1000 */
  readonly progressMs: number
  /** How often members hear of each other's progress, those that are not connected included. @default 10000 */
  readonly reportMs: number
  /** How often a table is compared with that of a peer, when nothing is being written. @default 60000 */
  readonly checkMs: number
  /** Tombstones are kept for a member that is down for as long as this. @default 7 days */
  readonly horizonMs: number
  /** Operations are not taken that are further ahead of the wall clock than this. @default 24 h */
  readonly maxAheadMs: number
  /** A feed that was dropped for its bytes is asked for again after this time. @default 60000 */
  readonly retryMs: number
  /** Rows that lost at a merge and are reported one by one; the others are counted. @default 1000 */
  readonly reportedLosses: number
}

export const DEFAULT_LIMITS: SharedLimits = {
  logBytes: 64 << 20,
  windowBytes: 512 << 10,
  chunkBytes: 64 << 10,
  chunkRows: 1000,
  entryBytes: 64 << 20,
  progressMs: 1000,
  reportMs: 10_000,
  checkMs: 60_000,
  horizonMs: 7 * 24 * 3_600_000,
  maxAheadMs: 24 * 3_600_000,
  retryMs: 60_000,
  reportedLosses: 1000,
}

/** A row that was written on one side of a partition and lost against what was written on the other. */
export interface Loss {
  readonly table: string
  readonly key: string
  /** The row that is gone; undefined when it was a delete that lost. */
  readonly lost: unknown
  readonly lostBy: string
  readonly lostAtMs: number
  /** The row in its place; undefined when it was deleted. */
  readonly kept: unknown
  readonly keptBy: string
  readonly keptAtMs: number
}

/** None of these may throw. */
export interface SharedEvents {
  /** A peer's clock, or a stamp that it sent, is more than a minute ahead of ours (negative: behind); 0 when it is right again. */
  readonly skew?: (node: string, aheadMs: number) => void
  /** Rows of a copy were not as they should have been, and have been taken from a peer: a fault of the disc or of this software. */
  readonly repaired?: (table: string, rows: number, from: string) => void
  /**
   * No member's copy of a table has these entries of a node any more, so nobody waits for them any longer: copies in memory, of nodes that
   * have all been restarted; or the only copy, on a disc that had not been flushed.
   */
  readonly gone?: (table: string, node: string, entries: number) => void
  /** All that a member had when it connected is here. */
  readonly caughtUp?: (node: string) => void
  /** A copy, here or on a peer, lacks more or less than before. */
  readonly copies?: () => void
  /** Both sides of a partition have written a row. */
  readonly lost?: (loss: Loss) => void
  /** A merge is complete: how many rows lost, those included that were not reported one by one. */
  readonly merged?: (node: string, losses: number) => void
}

export interface SharedOptions {
  readonly links: Links
  readonly store: Store
  readonly logger: Logger
  readonly limits?: Partial<SharedLimits>
  readonly events?: SharedEvents
  /**
   * Whether operations on a table that has not been created here are kept until it is. Asked when one comes.
   * @default all are kept
   */
  readonly isWanted?: (table: string) => boolean
}

export interface SharedCounters {
  /** Entries that have been written here, and taken in from others. */
  written: number
  applied: number
  /** Entries that came a second time. */
  duplicates: number
  /** Feeds that could not be continued, and syncs that followed. */
  gaps: number
  syncs: number
  /** Rows that had to be repaired by a comparison. */
  repaired: number
  /** Messages that were damaged or made no sense. */
  damaged: number
  /** Entries refused because of their clock. */
  refusedAhead: number
  losses: number
  tombstonesPurged: number
}

export function noCounts(): SharedCounters {
  return {
    written: 0,
    applied: 0,
    duplicates: 0,
    gaps: 0,
    syncs: 0,
    repaired: 0,
    damaged: 0,
    refusedAhead: 0,
    losses: 0,
    tombstonesPurged: 0,
  }
}
