/**
 * Forgets tombstones that are needed no longer: those that every member has passed, and those that are too old to be kept for a
 * member that is away.
 *
 * It is noted how far that went, on disc before they go: a copy that has not had everything up to there may hold what they
 * have deleted, and must take the tables as they are.
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
  const { purgeClock } = core
  const { cells } = replica
  let oldest = Number.POSITIVE_INFINITY
  // One that is added meanwhile is not missed: it tells so itself.
  cells.oldestTombstone = oldest
  for (let from: number | undefined = 0; from !== undefined; ) {
    const chunk = cells.tombstones.chunk(from)
    for (const [key, cell] of chunk.cells) {
      if (cell.clock > purgeClock) oldest = Math.min(oldest, cell.clock)
      else {
        core.forgotUpTo(cell.clock)
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
