/**
 * The supervision tree of the tables, in the order in which it starts; it ends in reverse.
 *
 *     mnesia_sup (one_for_one)
 *     ├─ mnesia          greets other nodes and takes what members send
 *     └─ mnesia_schema   joins, leaves, removes
 *
 * Rows, the schema and what replication knows outlive the processes, so each is restarted by itself: without `mnesia` the links
 * are down, and tables are read and written as during a partition.
 */
import { child, supervisor } from '../actors/supervisor.ts'
import { MNESIA } from './schema/cluster.ts'
import { linkProcess } from './schema/link-process.ts'
import { type MembershipArg, MNESIA_SCHEMA, membership } from './schema/membership-process.ts'

/** Registered name of the top supervisor. */
export const MNESIA_SUP = 'mnesia_sup'

/** The top of the tables. */
export const mnesiaSup = supervisor<MembershipArg>({
  label: MNESIA_SUP,
  strategy: 'one_for_one',
  intensity: 10,
  periodSec: 60,
  children: (arg) => [
    child(MNESIA, linkProcess, [arg.cluster, { name: MNESIA }]),
    child(MNESIA_SCHEMA, membership, [arg, { name: MNESIA_SCHEMA }]),
  ],
})
