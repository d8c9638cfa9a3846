/** What the parts of owned replication on one node have in common: the world, the log, and who and what there is. */
import type { Logger } from 'pino'
import { BinaryWriter } from '../binary.ts'
import { EntryLog } from '../entry-log.ts'
import type { Links } from '../link.ts'
import type { Store } from '../store/store.ts'
import type { OwnedMessage } from './messages.ts'
import type { OwnedTable } from './owned-table.ts'
import type { OwnerRows, Place } from './owner-rows.ts'
import type { PeerState } from './peer-state.ts'
import {
  DEFAULT_LIMITS,
  noCounts,
  type OwnedCounters,
  type OwnedEvents,
  type OwnedLimits,
  type OwnedOptions,
} from './settings.ts'

/** The rows of an owner in a table, of whatever kind. */
export type AnyRows = OwnerRows<unknown>
export type AnyTable = OwnedTable<unknown>

/** The place of an owner of whom nothing is known. */
export const NOTHING: Place = { epoch: 0, seq: 0 }

export class Core {
  readonly links: Links
  readonly store: Store
  readonly logger: Logger
  readonly limits: OwnedLimits
  readonly events: OwnedEvents
  readonly counters: OwnedCounters = noCounts()
  /** Recent batches of all owners. */
  readonly log: EntryLog<AnyRows>
  /** By name. */
  readonly tables = new Map<string, AnyTable>()
  /** Linked members, by name. */
  readonly peers = new Map<string, PeerState>()
  /** All members, this node and those that are down included, as of the last look. */
  members: readonly string[]
  /**
   * Number of the last batch of this node's in tables whose copy has gone in this epoch: one that comes back goes on from there, so
   * that nobody takes its rows for those that were.
   */
  readonly lastBatches = new Map<string, number>()
  /** For what is copied at once to where it stays. */
  readonly writer = new BinaryWriter()

  constructor({ links, store, logger, limits = {}, events = {} }: OwnedOptions) {
    this.links = links
    this.store = store
    this.logger = logger
    this.limits = { ...DEFAULT_LIMITS, ...limits }
    this.events = events
    this.log = new EntryLog(this.limits.logBytes)
    this.members = links.members()
  }

  isMember(node: string): boolean {
    return node === this.links.node || this.members.includes(node)
  }

  send(state: PeerState, message: OwnedMessage): void {
    state.peer.send(message)
  }
}

/** What a table tells the replication of its node. */
export interface TableHost {
  readonly core: Core
  /** Batches have been added to rows, or others have taken their place: who is fed from them wants to know. */
  advanced(table: string, rows: AnyRows): void
  /** Calls `step` again and again, in turns of its own, until it returns false. */
  work(step: () => boolean): void
  /** Members that are known to have a copy of a table. */
  nodesWith(table: string): readonly string[]
}

/** OWNER/TABLE, by which rows are found in maps. */
export function keyOf(owner: string, table: string): string {
  return `${owner}/${table}`
}
