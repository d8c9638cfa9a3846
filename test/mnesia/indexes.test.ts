/** Indexes that come and go while a cluster runs. */
import { describe, expect, it } from 'vitest'
import { type Replication, table } from '../../src/mnesia/definition.ts'
import type { Table } from '../../src/mnesia/table.ts'
import { MnesiaWorld } from './mnesia-world.ts'

interface User {
  readonly name: string
  readonly town: string
}

function users(replication: Replication, index: readonly (keyof User & string)[] = []) {
  return table<User>('users', { type: 'set', key: 'name', replication, copies: 'disc_copies', index })
}

const ADA = { name: 'ada', town: 'London' }
const ALAN = { name: 'alan', town: 'Wilmslow' }
const MARY = { name: 'mary', town: 'London' }

function namesIn(users: Table<User>, town: string): string[] {
  return users
    .indexRead('town', town)
    .map(({ name }) => name)
    .sort()
}

describe.each<Replication>(['shared', 'owned'])('an index that is added to a %s table', (replication) => {
  it('is there on every member, for rows that were there and for those to come', async () => {
    const world = new MnesiaWorld()
    const definition = users(replication)
    await world.clusterOf(['a', 'b'], { tables: [definition] })
    const [a, b] = [world.table('a', definition), world.table('b', definition)]
    a.write(ADA)
    b.write(ALAN)
    await world.advance('1s')
    world.mnesia('a').addTableIndex('users', 'town')
    await world.advance('1s')
    b.write(MARY)
    await world.advance('1s')
    for (const each of [a, b]) expect(namesIn(each, 'London')).toEqual(['ada', 'mary'])
    expect(world.mnesia('b').tableInfo('users').index).toEqual(['town'])
    a.delete('ada')
    a.delete('mary')
    await world.advance('1s')
    for (const each of [a, b]) expect(namesIn(each, 'London')).toEqual(replication === 'owned' ? ['mary'] : [])
  })

  it('is there after a restart, on a member that was down, and on one that joins', async () => {
    const world = new MnesiaWorld()
    const definition = users(replication)
    await world.clusterOf(['a', 'b'], { tables: [definition] })
    world.table('a', definition).write(ADA)
    await world.advance('1s')
    await world.stop('b')
    world.mnesia('a').addTableIndex('users', 'town')
    await world.start('b', { tables: [definition] })
    await world.advance('1s')
    expect(namesIn(world.table('b', definition), 'London')).toEqual(['ada'])
    await world.stop('b')
    await world.start('b', { tables: [definition] })
    await world.start('c', { tables: [definition] })
    await world.join('c', 'a')
    await world.advance('2s')
    for (const name of ['b', 'c']) expect(namesIn(world.table(name, definition), 'London')).toEqual(['ada'])
  })
})

it('an index of the definition can be deleted, on all members, and added again', async () => {
  const world = new MnesiaWorld()
  const definition = users('shared', ['town'])
  await world.clusterOf(['a', 'b'], { tables: [definition] })
  const b = world.table('b', definition)
  b.write(ADA)
  world.mnesia('a').delTableIndex('users', 'town')
  await world.advance('1s')
  expect(() => b.indexRead('town', 'London')).toThrow('users has no index on town')
  expect(b.match({ town: 'London' })).toEqual([ADA])
  world.mnesia('b').addTableIndex('users', 'town')
  expect(namesIn(b, 'London')).toEqual(['ada'])
})

it('a table that is created again has the indexes of its definition', async () => {
  const world = new MnesiaWorld()
  const definition = users('shared')
  await world.start('a', { tables: [definition] })
  const mnesia = world.mnesia('a')
  mnesia.addTableIndex('users', 'town')
  mnesia.deleteTable('users')
  expect(mnesia.open(definition).indexes).toEqual([])
})

it('a member whose definition has an index that the others do not have has it alone', async () => {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b'])
  const a = world.table('a', users('shared'))
  a.write(ADA)
  await world.advance('1s')
  // The table is there already, made from the schema.
  expect(world.mnesia('b').table('users')).toBeDefined()
  expect(namesIn(world.table('b', users('shared', ['town'])), 'London')).toEqual(['ada'])
  expect(() => a.indexRead('town', 'London')).toThrow('users has no index on town')
})

it('an index of buffers and of rows that are written again and again finds what is there', async () => {
  const world = new MnesiaWorld()
  const definition = table<{ id: string; tag: Buffer }>('tags', {
    type: 'set',
    key: 'id',
    replication: 'shared',
    copies: 'ram_copies',
    index: ['tag'],
  })
  await world.start('a', { tables: [definition] })
  const tags = world.table('a', definition)
  for (let i = 0; i < 3; i++) tags.write({ id: 'x', tag: Buffer.from('one') })
  expect(tags.indexRead('tag', Buffer.from('one'))).toHaveLength(1)
  tags.write({ id: 'x', tag: Buffer.from('two') })
  expect(tags.indexRead('tag', Buffer.from('one'))).toEqual([])
})

it('clearTable removes the rows of a shared table everywhere, and of an owned one those of the node', async () => {
  const world = new MnesiaWorld()
  const shared = users('shared')
  const owned = { ...users('owned'), name: 'owned' }
  await world.clusterOf(['a', 'b'], { tables: [shared, owned] })
  for (const name of ['a', 'b']) {
    world.table(name, shared).write({ name, town: 'x' })
    world.table(name, owned).write({ name, town: 'x' })
  }
  await world.advance('1s')
  world.mnesia('a').clearTable('users')
  world.mnesia('a').clearTable('owned')
  await world.advance('1s')
  expect(world.table('b', shared).size).toBe(0)
  expect([...world.table('b', owned).keys()]).toEqual(['b'])
})
