/** What join, leave and remove answer: a union that says what happened, or why nothing did, with a sentence for people. */
import type { Mismatch } from './schema/definitions.ts'

/** A table and how many rows this node has of it. */
export interface TableRows {
  readonly table: string
  readonly rows: number
}

export type JoinResult =
  | {
      readonly ok: true
      /** Members of the cluster, sorted. */
      readonly members: readonly string[]
      /** The file that the rows of this node were saved to; undefined when there were none. */
      readonly backup: string | undefined
      /** Rows that this node had and that the cluster's have replaced. */
      readonly replaced: readonly TableRows[]
      /** False when the rows of the cluster are still on their way. */
      readonly isInSync: boolean
    }
  | JoinRefusal

export type JoinRefusal =
  | Refusal<'cannot_join_with_self'>
  /** No connection to the node. */
  | Refusal<'node_down'>
  /** It is there, and runs no tables. */
  | Refusal<'node_not_running'>
  /** This node is in a cluster with others already. */
  | (Refusal<'already_in_cluster'> & { readonly members: readonly string[] })
  /** Both define a table of a name in ways that exclude each other. */
  | (Refusal<'definitions_differ'> & { readonly mismatches: readonly Mismatch[] })
  | Refusal<'incompatible_version'>
  /** This node has rows that would be replaced; to be called again with `confirm`. */
  | (Refusal<'confirm'> & { readonly tables: readonly TableRows[] })
  /** One of the two is joining or leaving. */
  | Refusal<'busy'>
  | Refusal<'backup_failed'>
  /** The disc does not take the decision. */
  | Refusal<'disc'>

export type LeaveResult =
  | { readonly ok: true; readonly backup: string | undefined; readonly removed: readonly TableRows[] }
  | Refusal<'node_not_in_cluster' | 'busy' | 'backup_failed' | 'disc'>

export type RemoveResult =
  /** `wasRunning`: it was linked, and has been told. */
  | { readonly ok: true; readonly wasRunning: boolean }
  | Refusal<'cannot_remove_self' | 'node_not_in_cluster' | 'busy' | 'disc'>

export interface Refusal<Reason extends string> {
  readonly ok: false
  readonly reason: Reason
  readonly node: string
  /** For people: what is wrong, and what to do. */
  readonly text: string
}

/** The state of a cluster as this node sees it. */
export interface ClusterStatus {
  readonly node: string
  /** Id of the cluster. */
  readonly cluster: string
  /** Of this node's incarnation in this cluster. */
  readonly epoch: number
  /** Members that are linked, this node included, sorted. */
  readonly running: readonly string[]
  /** Members that are not, sorted. */
  readonly stopped: readonly string[]
  /** Members that are connected but kept apart after a partition, by policy `manual`, sorted. */
  readonly partitioned: readonly string[]
  /** Members that may have newer rows than this node and have not been heard since it started, sorted. */
  readonly stale: readonly string[]
}
