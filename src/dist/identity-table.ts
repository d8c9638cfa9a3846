/**
 * Interns the identities of nodes, so that the pids of one node share one object.
 *
 * A hostile peer can name any number of nodes: the table is bounded, and identities beyond it are made anew each time,
 * which costs memory and not correctness, since pids are compared by what is in them.
 */
import type { NodeIdentity } from '../actors/pid.ts'

const MAX_IDENTITIES = 1024

/** A function that gives one object for each name and creation, up to `maxIdentities`. */
export function identityTable(
  maxIdentities: number = MAX_IDENTITIES,
): (name: string, creation: number) => NodeIdentity {
  const known = new Map<string, Map<number, NodeIdentity>>()
  let size = 0
  let last: NodeIdentity = { name: '', creation: 0 }
  return (name, creation) => {
    if (last.name === name && last.creation === creation) return last
    let incarnations = known.get(name)
    let identity = incarnations?.get(creation)
    if (identity === undefined) {
      identity = Object.freeze({ name, creation })
      if (size < maxIdentities) {
        size++
        incarnations ??= new Map()
        incarnations.set(creation, identity)
        known.set(name, incarnations)
      }
    }
    last = identity
    return identity
  }
}
