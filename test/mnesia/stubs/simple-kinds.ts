import type { ReplicationKinds } from '../../../src/mnesia/mnesia.ts'
import { SimpleReplication } from './simple-replications.ts'

export const SIMPLE: ReplicationKinds = {
  make: ({ links, store }) => ({
    owned: new SimpleReplication(links, store, 'owned'),
    shared: new SimpleReplication(links, store, 'shared'),
    local_content: new SimpleReplication(links, store, 'local_content'),
  }),
  emptyTables: (store) => {
    for (const space of store.spaces())
      if (space.startsWith('shared/') || space.startsWith('owned/')) store.clear(space)
  },
}
