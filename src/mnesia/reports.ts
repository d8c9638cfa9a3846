/**
 * What replication finds out that people should know: as alarms, as events, in the log.
 *
 * A merge after a partition is reported row by row as far as the replication's limit allows; the rest is counted.
 */
import type { Runtime } from '../actors/runtime.ts'
import type { Alarms } from './alarms.ts'
import type { ReplicationEvents } from './replications.ts'
import type { SystemEvents } from './system-events.ts'

/** Names of the alarms; those of a node have its name behind a slash. */
const CLOCK_SKEW = 'clock_skew'
const REPAIRED = 'tables_repaired'
const DAMAGED = 'damaged_rows'

export function reportsOf(runtime: Runtime, events: SystemEvents, alarms: Alarms | undefined): ReplicationEvents {
  const repaired = (table: string, rows: number, from: string) => {
    const text = `${rows} rows of ${table} were not as they should have been, and have been taken from ${from}`
    alarms?.raise(`${REPAIRED}/${table}`, text)
    events.emit({ tag: 'repaired', table, rows, from })
  }
  return {
    owned: {
      repaired: (table, _owner, rows, from) => repaired(table, rows, from),
      damaged: (table, owner, from, reason) => {
        alarms?.raise(`${DAMAGED}/${from}`, `rows of ${owner} in ${table} came damaged from ${from}: ${reason}`)
      },
    },
    shared: {
      repaired,
      skew: (node, aheadMs) => {
        const name = `${CLOCK_SKEW}/${node}`
        if (aheadMs === 0) return alarms?.clear(name)
        const seconds = Math.round(Math.abs(aheadMs) / 1000)
        alarms?.raise(name, `the clock of ${node} is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this node's`)
      },
      lost: (loss) => {
        const { table, key, lostBy, keptBy } = loss
        const fields = { table, key, lostBy, keptBy, lostAtMs: loss.lostAtMs, keptAtMs: loss.keptAtMs }
        runtime.logger.warn(fields, `${table} ${key}: what ${keptBy} wrote later stays, what ${lostBy} wrote is gone`)
        events.emit({ tag: 'lost', loss })
      },
      merged: (node, rows) => events.emit({ tag: 'merged', node, rows }),
    },
  }
}
