/** What the tables of a node need of each way to replicate: owned, shared, local_content. */
import type { CopyKind, TableDefinition } from './definition.ts'
import type { Table } from './table.ts'

/** Whether a table is `known` to the schema, comes into being by this (`new`), or does so after one of its name was deleted (`again`). */
export type TableOrigin = 'known' | 'new' | 'again'

/** A table as the tables of a node keep it. */
export interface KeptTable<Row> extends Table<Row> {
  /** Adds and removes indexes, so that it has these; they are filled when it returns. */
  setIndexes(fields: readonly string[]): void
}

export interface Replication {
  /** Makes a table; of a copy on disc the rows are there when it returns. At any time, links up or not. */
  open<Row>(definition: TableDefinition<Row>, copy: CopyKind, origin: TableOrigin): KeptTable<Row>
  /** Ends a table for good: its rows are gone, from the disc as well, and its object is not used any more. */
  drop(name: string): void
  /** Adds, removes or changes the copy of this node. Without one, reads throw an error that names the nodes which have one. */
  setCopy(name: string, copy: CopyKind): void
  /** Whether all that a linked member had when its link came up is here. */
  isCaughtUp(node: string): boolean
  /** Called when `isCaughtUp` may have become true for some member, or `hasWholeCopy`. */
  onCaughtUp: (() => void) | undefined
  /**
   * Forgets what came from the cluster, in memory and on disc; rows that this node owns stay. `Links.epoch` is another one
   * already, and no link is up. Subscribers get the events of what goes.
   */
  reset(): void
  /** Ends it: nothing is sent or written any more. */
  stop(): void
}

/** One whose writes are in order by a clock that nodes have in common. */
export interface ClockedReplication extends Replication {
  /** Nothing that this node writes from now on is at or below it. */
  clock(): number
  /** Takes note of another node's clock: what this node writes from now on is later, unless that is wrong by more than a minute. */
  sawClock(clock: number): void
  /** Whether a member that runs has told that its copy of a table lacks nothing. */
  hasWholeCopy(name: string, node: string): boolean
  /** What a member has told of its copy of a table counts no longer: it is about to get another one. */
  forgetCopy(name: string, node: string): void
}
