/** What a node tells of its cluster, beside the changes of rows [OTP mnesia:subscribe(system)]. */
import type { LinkDownReason } from './schema/member-links.ts'
import type { Change } from './schema/own-record.ts'
import type { Loss } from './shared/settings.ts'

export type SystemEvent =
  /** A member is linked: rows flow. */
  | { readonly tag: 'mnesia_up'; readonly node: string }
  | { readonly tag: 'mnesia_down'; readonly node: string; readonly reason: LinkDownReason }
  /** A member is back that ran on while it was out of reach. `held`: by policy `manual` it stays apart until `heal`. */
  | {
      readonly tag: 'inconsistent_database'
      readonly context: 'running_partitioned_network'
      readonly node: string
      readonly held: boolean
    }
  /** The list of members is another one. */
  | { readonly tag: 'members'; readonly members: readonly string[] }
  /** A node was refused, or refuses this one; `text` says why, for people. */
  | { readonly tag: 'refused'; readonly node: string; readonly reason: string; readonly text: string }
  /** This node has joined or left a cluster, or was removed from it. */
  | { readonly tag: 'cluster'; readonly why: Change; readonly backup: string | undefined }
  /** Members that may have newer rows than this node; empty when all have been heard. */
  | { readonly tag: 'stale'; readonly nodes: readonly string[] }
  /** Both sides of a partition have written a row: the later one stays. Told row by row, within a limit. */
  | { readonly tag: 'lost'; readonly loss: Loss }
  /** What a member had while it was out of reach has been merged; so many rows of either side gave way to later ones. */
  | { readonly tag: 'merged'; readonly node: string; readonly rows: number }
  /** A comparison has found rows that were not as they should have been: a fault of a disc, or of this software. */
  | { readonly tag: 'repaired'; readonly table: string; readonly rows: number; readonly from: string }
  /** A part of this node failed on what a member sent; their link is closed for a while. */
  | { readonly tag: 'part_failed'; readonly part: string; readonly node: string }

/** Calls listeners in the order of their subscription; one that throws harms no other. */
export class SystemEvents {
  readonly #listeners = new Set<(event: SystemEvent) => void>()
  readonly #failed: (error: unknown) => void

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  /** Returns what ends the subscription. */
  subscribe(listener: (event: SystemEvent) => void): () => void {
    const own = (event: SystemEvent) => listener(event)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  emit(event: SystemEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        this.#failed(error)
      }
    }
  }
}
