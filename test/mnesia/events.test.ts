/** Subscriptions of processes to tables and to the cluster. */
import { expect, it } from 'vitest'
import { table } from '../../src/mnesia/definition.ts'
import { subscribeSystem, subscribeTable } from '../../src/mnesia/events.ts'
import { MnesiaWorld } from './mnesia-world.ts'

const ITEM = table<{ id: string; n: number }>('item', {
  type: 'set',
  key: 'id',
  replication: 'shared',
  copies: 'ram_copies',
})

it('a process gets the changes of a table, of this node and of others, in their order, until it ends', async () => {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b'], { tables: [ITEM] })
  const [a, b] = [world.table('a', ITEM), world.table('b', ITEM)]
  const { runtime } = world.mnesia('b')
  const seen: unknown[] = []
  const watcher = runtime.spawn({
    create: (self) => {
      subscribeTable(self, b)
      return { receive: (message) => void seen.push(message) }
    },
  })
  await world.advance('10ms')
  a.write({ id: 'x', n: 1 })
  await world.advance('1s')
  b.write({ id: 'x', n: 2 })
  b.delete('x')
  await world.advance('1s')
  const event = (rest: object) => ({ tag: 'mnesia_table_event', table: 'item', event: rest })
  expect(seen).toEqual([
    event({ type: 'write', row: { id: 'x', n: 1 }, old: undefined }),
    event({ type: 'write', row: { id: 'x', n: 2 }, old: { id: 'x', n: 1 } }),
    event({ type: 'delete', row: { id: 'x', n: 2 } }),
  ])
  runtime.exit(watcher, 'kill')
  await world.advance('10ms')
  a.write({ id: 'y', n: 1 })
  await world.advance('1s')
  expect(seen).toHaveLength(3)
})

it('a process hears of members that come and go', async () => {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b', 'c'], { tables: [ITEM] })
  const { runtime } = world.mnesia('a')
  const seen: unknown[] = []
  runtime.spawn({
    create: (self) => {
      subscribeSystem(self, world.mnesia('a'))
      return { receive: (message) => void seen.push(message) }
    },
  })
  await world.advance('10ms')
  world.kill('c')
  await world.advance('1s')
  expect(seen).toContainEqual({
    tag: 'mnesia_system_event',
    event: { tag: 'mnesia_down', node: 'c@sim', reason: 'nodedown' },
  })
  await world.start('c', { tables: [ITEM] })
  await world.advance('2s')
  expect(seen).toContainEqual({ tag: 'mnesia_system_event', event: { tag: 'mnesia_up', node: 'c@sim' } })
})
