/** The tables of the simulation: one of each kind. Every row that is written has a number of its own. */
import { table } from '../../../src/mnesia/definition.ts'

export interface SharedRow {
  readonly key: string
  /** In a bag: which of the rows of the key. */
  readonly part: string
  /** Number of the write. */
  readonly n: number
  readonly by: string
}

export interface MergedRow {
  readonly key: string
  /** Numbers of all writes, sorted. */
  readonly ns: readonly number[]
}

export interface OwnedRow {
  readonly key: string
  readonly node: string
  readonly n: number
  readonly isDurable: boolean
}

export interface LocalRow {
  readonly key: string
  readonly n: number
}

const SHARED_DISC = table<SharedRow>('shared_disc', {
  type: 'ordered_set',
  key: 'key',
  replication: 'shared',
  copies: 'disc_copies',
  index: ['by'],
})

export const SHARED_RAM = table<SharedRow>('shared_ram', {
  type: 'set',
  key: 'key',
  replication: 'shared',
  copies: 'ram_copies',
})

const SHARED_BAG = table<SharedRow>('shared_bag', {
  type: 'bag',
  key: 'key',
  replication: 'shared',
  copies: 'disc_copies',
  identity: (row) => row.part,
})

export const SHARED_MERGED = table<MergedRow>('shared_merged', {
  type: 'set',
  key: 'key',
  replication: 'shared',
  copies: 'disc_copies',
  merge: (a, b) => ({ key: a.key, ns: [...new Set([...a.ns, ...b.ns])].sort((x, y) => x - y) }),
})

const OWNED_RAM = table<OwnedRow>('owned_ram', {
  type: 'set',
  key: 'key',
  replication: 'owned',
  copies: 'ram_copies',
})

export const OWNED_DISC = table<OwnedRow>('owned_disc', {
  type: 'set',
  key: 'key',
  replication: 'owned',
  copies: 'disc_copies',
  parked: (row) => row.isDurable,
})

export const LOCAL = table<LocalRow>('local', {
  type: 'set',
  key: 'key',
  replication: 'local_content',
  copies: 'disc_copies',
})

/** Shared tables in which the later write of a row stays. */
export const SHARED = [SHARED_DISC, SHARED_RAM, SHARED_BAG] as const
export const OWNED = [OWNED_RAM, OWNED_DISC] as const
export const ALL = [...SHARED, SHARED_MERGED, ...OWNED, LOCAL] as const
