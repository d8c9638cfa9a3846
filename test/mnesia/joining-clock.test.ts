import { expect, test } from 'vitest'
import { table } from '../../src/mnesia/definition.ts'
import { fullName, MnesiaWorld } from './mnesia-world.ts'

const VOTES = table<{ key: string; by: readonly string[] }>('votes', {
  type: 'set',
  key: 'key',
  replication: 'shared',
  copies: 'disc_copies',
  merge: (a, b) => ({ key: a.key, by: [...new Set([...a.by, ...b.by])].sort() }),
})
const NOTES = table<{ key: string }>('notes', { type: 'set', key: 'key', replication: 'shared', copies: 'disc_copies' })

test('what a node whose clock is slow writes as soon as it has joined is not taken for what all have seen', async () => {
  const world = new MnesiaWorld()
  const tables = [VOTES, NOTES]
  await world.clusterOf(['a', 'c'], { tables })
  // Deletes have members tell each other up to where they have seen everything.
  const notes = world.table('a', NOTES)
  for (let i = 0; i < 6; i++) {
    notes.write({ key: 'k' })
    notes.delete('k')
    await world.advance('10s')
  }
  world.sim.skew('b', -45_000)
  await world.start('b', { tables })
  const joining = world.mnesia('b').join(fullName('a'))
  while (world.mnesia('b').status().cluster !== world.mnesia('a').status().cluster) await world.advance(1)
  const votes = (name: string) => world.table(name, VOTES)
  votes('b').write({ key: 'v', by: ['b'] })
  votes('a').write({ key: 'v', by: ['a'] })
  await world.settle(joining)
  await world.advance('30s')
  for (const name of ['a', 'b', 'c']) expect([name, votes(name).get('v')?.by]).toEqual([name, ['a', 'b']])
})
