/**
 * Forgets tombstones that are needed no longer: those that every member has passed, and those that are too old to be kept for a
 * member that is away.
 *
 * Of the latter it is noted how far they went (`horizon`), on disc before they go: a member that had not had them is recognised by that.
 */
import type { Core } from './core.ts'
import type { Replica } from './replica.ts'
import type { Task } from './tasks.ts'

/** A task that looks at all tombstones of this node. */
export function* purgeTombstones(core: Core): Task {
  for (const replica of [...core.replicas.values()]) {
    if (replica.cells.oldestTombstone <= core.purgeClock) yield* purge(core, replica)
  }
}

function* purge(core: Core, replica: Replica<unknown>): Task {
  const { purgeClock, stableClock } = core
  const { cells } = replica
  if (purgeClock > stableClock) core.forgotUpTo(purgeClock)
  let oldest = Number.POSITIVE_INFINITY
  // One that is added meanwhile is not missed: it tells so itself.
  cells.oldestTombstone = oldest
  for (let from: number | undefined = 0; from !== undefined; ) {
    const chunk = cells.tombstones.chunk(from)
    for (const [key, cell] of chunk.cells) {
      if (cell.clock > purgeClock) oldest = Math.min(oldest, cell.clock)
      else {
        replica.forget(key, cell)
        core.counters.tombstonesPurged++
      }
    }
    core.touch()
    from = chunk.next
    if (chunk.cells.length > 0) yield 'go'
  }
  cells.oldestTombstone = Math.min(cells.oldestTombstone, oldest)
}
