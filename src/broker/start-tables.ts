/** Starts the tables for a broker: with its definitions, and what they have to tell as alarms of the broker. */
import type { Runtime } from '../actors/runtime.ts'
import { type MnesiaOptions, type StartMnesiaResult, startMnesia } from '../mnesia/mnesia.ts'
import type { Alarms } from './monitor/alarm.ts'
import { TABLES } from './tables.ts'

export interface StartTablesOptions extends Omit<MnesiaOptions, 'alarms' | 'tables'> {
  readonly alarms: Alarms
}

/** As `startMnesia`. */
export function startTables(runtime: Runtime, { alarms, ...options }: StartTablesOptions): Promise<StartMnesiaResult> {
  return startMnesia(runtime, {
    ...options,
    tables: TABLES,
    alarms: {
      raise: (id, summary) => alarms.alert({ id, severity: 'warning', title: id.replaceAll('_', ' '), summary }),
      clear: (id) => void alarms.clear(id),
    },
  })
}
