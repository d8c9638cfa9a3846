import type { ReplicationKinds } from '../../../src/mnesia/mnesia.ts'
import { emptyOwned } from '../../../src/mnesia/owned/owner-disc.ts'
import { OwnedTables, SharedTables } from '../../../src/mnesia/replications.ts'
import { emptyShared } from '../../../src/mnesia/shared/disc.ts'
import { SimpleReplication } from './simple-replications.ts'

export const SIMPLE: ReplicationKinds = {
  make: (cluster) => {
    const { links, store } = cluster
    return {
      owned: new OwnedTables(cluster),
      shared: new SharedTables(cluster),
      local_content: new SimpleReplication(links, store, 'local_content'),
    }
  },
  emptyTables: (store, node) => {
    emptyShared(store)
    emptyOwned(store, node)
  },
}
