/** The tables of table-node.ts. */
import { table } from '../../src/mnesia/definition.ts'

export interface RetainedRow {
  readonly topic: string
  readonly text: string
}

export interface RouteRow {
  readonly filter: string
  readonly node: string
}

export const RETAINED = table<RetainedRow>('retained_message', {
  type: 'ordered_set',
  key: 'topic',
  replication: 'shared',
  copies: 'disc_copies',
})

export const ROUTE = table<RouteRow>('route', {
  type: 'set',
  key: 'filter',
  replication: 'owned',
  copies: 'ram_copies',
})
