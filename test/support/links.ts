/** What tests do to the network between real nodes. */

/**
 * What happens to the link between two nodes that is cut:
 *
 * - `silence`: nothing passes, and nobody is told;
 * - `reset`: it is closed, and refused while it is cut;
 * - `deaf`, `mute`: nothing passes to the first node, or from it; the other direction is as it was.
 */
export type Cut = 'silence' | 'reset' | 'deaf' | 'mute'

/** The links between nodes, which are told by their names. */
export interface Links {
  /** Of the ways to cut a link, those that there are here. */
  readonly cuts: readonly Cut[]
  cut(a: string, b: string, how: Cut): void
  mend(a: string, b: string): void
  mendAll(): void
  stop(): Promise<void>
}
