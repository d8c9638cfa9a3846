/**
 * The tables as an OTP application, and its supervision tree in the order in which it starts; it ends in reverse.
 *
 *     mnesia_sup (one_for_one)
 *     ├─ mnesia          greets other nodes and takes what members send
 *     ├─ mnesia_schema   joins, leaves, removes
 *     └─ mnesia_locker   locks of transactions
 *
 * Rows, the schema and what replication knows outlive the processes, so each is restarted by itself: without `mnesia` the links
 * are down, and tables are read and written as during a partition.
 */
import type { Application } from '../actors/application.ts'
import { child, supervisor } from '../actors/supervisor.ts'
import { MNESIA } from './schema/cluster.ts'
import { linkProcess } from './schema/link-process.ts'
import { type MembershipArg, MNESIA_SCHEMA, membership } from './schema/membership-process.ts'
import { type LockerArg, locker, MNESIA_LOCKER } from './transaction/locker.ts'

/** Registered name of the top supervisor. */
export const MNESIA_SUP = 'mnesia_sup'

/** What the processes are started with. */
export interface MnesiaSupArg {
  readonly membership: MembershipArg
  readonly locks: LockerArg
}

/** The top of the tables. */
export const mnesiaSup = supervisor<MnesiaSupArg>({
  label: MNESIA_SUP,
  strategy: 'one_for_one',
  intensity: 10,
  periodSec: 60,
  children: ({ membership: arg, locks }) => [
    child(MNESIA, linkProcess, [arg.cluster, { name: MNESIA }]),
    child(MNESIA_SCHEMA, membership, [arg, { name: MNESIA_SCHEMA }]),
    child(MNESIA_LOCKER, locker, [locks, { name: MNESIA_LOCKER }]),
  ],
})

/** The application of the tables of one node. Before it ends, members are told; after it, `ended` brings the rest to the disc. */
export function mnesiaApplication(arg: MnesiaSupArg, ended: () => Promise<void>): Application {
  return {
    name: MNESIA,
    description: 'Replicated tables',
    prepStop: () => arg.membership.cluster.stop(),
    start: (self) => mnesiaSup.starter(arg, { name: MNESIA_SUP })(self),
    stop: ended,
  }
}
