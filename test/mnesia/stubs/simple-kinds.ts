import type { ReplicationKinds } from '../../../src/mnesia/mnesia.ts'
import { SharedTables } from '../../../src/mnesia/replications.ts'
import { emptyShared } from '../../../src/mnesia/shared/disc.ts'
import { SimpleReplication } from './simple-replications.ts'

export const SIMPLE: ReplicationKinds = {
  make: (cluster) => {
    const { links, store } = cluster
    return {
      owned: new SimpleReplication(links, store, 'owned'),
      shared: new SharedTables(cluster),
      local_content: new SimpleReplication(links, store, 'local_content'),
    }
  },
  emptyTables: (store) => {
    emptyShared(store)
    for (const space of store.spaces()) if (space.startsWith('owned/')) store.clear(space)
  },
}
