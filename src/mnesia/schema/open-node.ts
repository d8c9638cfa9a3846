/** What a node does with its disc before anything else: finds out who it is, finishes a change of cluster, begins an epoch. */
import type { System } from '../../actors/system.ts'
import { StoreError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { memberKey } from './members.ts'
import {
  becomeOperations,
  type Linked,
  type OwnRecord,
  openOwnRecord,
  ownOperation,
  readRegistry,
  renameOperations,
} from './own-record.ts'

export interface OpenNodeOptions {
  readonly store: Store
  readonly node: string
  readonly system: Pick<System, 'clock' | 'randomFill'>
  readonly rename: boolean
  /** Removes from the disc all that came from a cluster. */
  readonly emptyTables: (store: Store, node: string) => void
}

export type OpenNodeResult =
  | { readonly ok: true; readonly own: OwnRecord; readonly linked: Linked; readonly isLost: boolean }
  | { readonly ok: false; readonly reason: 'other_node' | 'bad_format' | 'disc'; readonly problem: string }

/** Resolves when the disc has taken the epoch, which must never be used again after a crash. */
export async function openNode({ store, node, system, rename, emptyTables }: OpenNodeOptions): Promise<OpenNodeResult> {
  const opened = openOwnRecord({ store, node, system, rename })
  if (!opened.ok) return opened
  let { own, linked } = opened
  if (opened.isRenamed || opened.isLost) {
    store.commit(renameOperations(store, own))
    linked = { up: [], seen: linked.seen }
  }
  if (own.becoming !== undefined) {
    emptyTables(store, node)
    const [after, operations] = becomeOperations(store, own, own.becoming)
    own = { ...after, epoch: Math.max(own.epoch, after.epoch) }
    store.commit(operations)
    linked = { up: [], seen: linked.seen }
  }
  store.commit([ownOperation(own)])
  const registry = readRegistry(store, () => {})
  if (registry.get(memberKey(node)) === undefined) registry.write(memberKey(node), { status: 'member' })
  try {
    await store.flushed()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return { ok: false, reason: 'disc', problem: error.message }
  }
  return { ok: true, own, linked, isLost: opened.isLost }
}
