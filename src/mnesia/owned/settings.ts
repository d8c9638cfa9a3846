/** Settings of owned replication, and what it tells its owner. */
import type { Logger } from 'pino'
import type { Links } from '../link.ts'
import type { Store } from '../store/store.ts'

export interface OwnedLimits {
  /** Memory for recent batches of all owners. A member that was away for longer than they reach takes a snapshot when it returns. @default 64 MiB */
  readonly logBytes: number
  /** Unacknowledged bytes of a table and owner on the way to a peer, at most. @default 512 KiB */
  readonly windowBytes: number
  /** Of a message. @default 64 KiB */
  readonly chunkBytes: number
  /** Rows of a snapshot that are encoded before others get their turn. @default 1000 */
  readonly chunkRows: number
  /** Largest batch, in bytes: a longer one is refused where it is written. @default 64 MiB */
  readonly entryBytes: number
  /** How often rows are compared with those of whom they come from. @default 60000 */
  readonly checkMs: number
  /** A feed that was dropped for its bytes is asked for again after this time. @default 60000 */
  readonly retryMs: number
}

export const DEFAULT_LIMITS: OwnedLimits = {
  logBytes: 64 << 20,
  windowBytes: 512 << 10,
  chunkBytes: 64 << 10,
  chunkRows: 1000,
  entryBytes: 64 << 20,
  checkMs: 60_000,
  retryMs: 60_000,
}

/** None of these may throw. */
export interface OwnedEvents {
  /** Rows of an owner were not as they should have been, and have been taken anew: a fault of the disc or of this software. */
  readonly repaired?: (table: string, owner: string, rows: number, from: string) => void
  /** What a peer sent is damaged; its feed is asked for again later. */
  readonly damaged?: (table: string, owner: string, from: string, reason: string) => void
}

export interface OwnedOptions {
  readonly links: Links
  readonly store: Store
  readonly logger: Logger
  readonly limits?: Partial<OwnedLimits>
  readonly events?: OwnedEvents
}

export interface OwnedCounters {
  /** Batches that have been written here, and taken in from others. */
  written: number
  applied: number
  /** Snapshots that have been sent, and that have been taken in. */
  snapshotsSent: number
  snapshotsTaken: number
  /** Rows that a comparison has found wrong. */
  repaired: number
  /** Messages that were damaged or made no sense. */
  damaged: number
}

export function noCounts(): OwnedCounters {
  return { written: 0, applied: 0, snapshotsSent: 0, snapshotsTaken: 0, repaired: 0, damaged: 0 }
}
