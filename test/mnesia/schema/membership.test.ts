import { describe, expect, test } from 'vitest'
import { MNESIA_SCHEMA } from '../../../src/mnesia/schema/membership-process.ts'
import { full, SchemaWorld } from './schema-world.ts'

describe('joining', () => {
  test('makes one cluster, which each member knows and finds again when it starts', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    for (const [name, others] of [
      ['a', 'bc'],
      ['b', 'ac'],
      ['c', 'ab'],
    ] as const) {
      expect([world.members(name), world.linked(name)]).toEqual(['abc', others])
    }
    for (const name of ['a', 'b', 'c']) await world.stop(name)
    for (const name of ['c', 'b', 'a']) await world.start(name)
    await world.advance('5s')
    for (const name of ['a', 'b', 'c']) expect([world.members(name), world.linked(name).length]).toEqual(['abc', 2])
  })

  test('is refused with itself, a node that is down or runs no tables, and from within a cluster', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    await world.start('c')
    world.sim.start('e')
    expect(await world.join('c', 'c')).toMatchObject({ ok: false, reason: 'cannot_join_with_self', node: full('c') })
    expect(await world.join('c', 'd')).toMatchObject({ ok: false, reason: 'node_down', node: full('d') })
    expect(await world.join('c', 'e')).toMatchObject({ ok: false, reason: 'node_not_running', node: full('e') })
    const members = [full('a'), full('b')]
    expect(await world.join('a', 'c')).toMatchObject({ ok: false, reason: 'already_in_cluster', members })
    expect(await world.join('a', 'b')).toMatchObject({ ok: false, reason: 'already_in_cluster', members })
    expect(world.node('c').resets + world.node('a').resets).toBe(0)
    expect(world.node('c').backups).toEqual([])
    expect([world.members('a'), world.members('c')]).toEqual(['ab', 'c'])
  })

  test('needs a word when rows are replaced, saves them first, and counts them', async () => {
    const world = new SchemaWorld()
    await world.start('a')
    const b = await world.start('b')
    b.rows = [{ table: 'retained_message', rows: 50 }]
    expect(await world.join('b', 'a')).toMatchObject({ ok: false, reason: 'confirm', tables: b.rows })
    expect([b.backups, b.resets]).toEqual([[], 0])
    const replaced = b.rows
    expect(await world.join('b', 'a', { confirm: true })).toMatchObject({ ok: true, backup: 'join.bak', replaced })
    expect([b.backups, b.resets]).toEqual([['join'], 1])
  })

  test('is refused before anything changes when tables are defined in ways that exclude each other', async () => {
    const world = new SchemaWorld()
    const a = await world.start('a')
    const b = await world.start('b')
    const definition = { status: 'open', key: 'k', replication: 'shared', copies: 'disc_copies', functions: [] }
    a.cluster.write('table/t', { ...definition, type: 'bag' })
    b.cluster.write('table/t', { ...definition, type: 'set' })
    const mismatches = [{ table: 't', differences: ['type: set here, bag there'] }]
    expect(await world.join('b', 'a', { confirm: true })).toMatchObject({ reason: 'definitions_differ', mismatches })
    expect(b.backups).toEqual([])
  })

  test('of two nodes at once, and while a member is down, is learned by all', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    await world.start('c')
    await world.start('d')
    await world.stop('b')
    const results = await Promise.all([world.join('c', 'a'), world.join('d', 'a')])
    expect(results.map(({ ok }) => ok)).toEqual([true, true])
    await world.advance('2s')
    await world.start('b')
    await world.advance('5s')
    for (const name of ['a', 'b', 'c', 'd'])
      expect([world.members(name), world.linked(name).length]).toEqual(['abcd', 3])
  })

  test('of each other at the same moment makes no two clusters', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new SchemaWorld({ seed })
      await world.start('a')
      await world.start('b')
      const results = await Promise.all([world.join('a', 'b'), world.join('b', 'a')])
      if (!results.some(({ ok }) => ok)) {
        expect(results).toMatchObject([{ reason: 'busy' }, { reason: 'busy' }])
        await world.advance('40s')
        expect((await world.join('a', 'b')).ok).toBe(true)
      }
      await world.advance('2s')
      expect([world.members('a'), world.linked('a'), world.linked('b')]).toEqual(['ab', 'b', 'a'])
    }
  })

  test('then leaving then joining again works any number of times', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    for (let round = 0; round < 3; round++) {
      expect((await world.leave('b')).ok).toBe(true)
      await world.advance('1s')
      expect([world.members('a'), world.members('b'), world.members('c')]).toEqual(['ac', 'b', 'ac'])
      expect((await world.join('b', 'c')).ok).toBe(true)
      await world.advance('2s')
      expect([world.members('a'), world.linked('a'), world.linked('b')]).toEqual(['abc', 'bc', 'ac'])
    }
  })

  test('a crash at any moment leaves the old node or the new member', async () => {
    const found = new Set<string>()
    for (let seed = 1; seed <= 60; seed++) {
      const world = new SchemaWorld({ seed })
      await world.clusterOf('a', 'b')
      await world.start('c')
      const old = world.node('c').cluster.own.cluster
      void world.join('c', 'a').catch(() => {})
      await world.advance(seed / 3)
      world.kill('c')
      const c = await world.start('c')
      await world.advance('20s')
      const { cluster } = c.cluster.own
      expect(c.cluster.own.becoming).toBeUndefined()
      if (cluster === old) {
        expect([world.members('c'), world.members('a'), world.linked('c')]).toEqual(['c', 'ab', ''])
      } else {
        expect([world.members('c'), world.members('a'), world.linked('c')]).toEqual(['abc', 'abc', 'ab'])
      }
      found.add(cluster === old ? 'old' : 'new')
      world.sim.stop()
    }
    expect([...found].sort()).toEqual(['new', 'old'])
  })
})

describe('leaving', () => {
  test('alone is refused, and saves and empties the tables otherwise', async () => {
    const world = new SchemaWorld()
    await world.start('d')
    expect(await world.leave('d')).toMatchObject({ ok: false, reason: 'node_not_in_cluster' })
    await world.clusterOf('a', 'b')
    const b = world.node('b')
    b.rows = [{ table: 't', rows: 3 }]
    expect(await world.leave('b')).toMatchObject({ ok: true, backup: 'leave.bak' })
    expect([world.members('a'), world.members('b'), b.resets]).toEqual(['a', 'b', 2])
  })

  test('while no member is reached is told to them later', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    world.cut('a', 'b')
    expect((await world.leave('b')).ok).toBe(true)
    expect(world.members('a')).toBe('ab')
    world.mend('a', 'b')
    await world.advance('60s')
    expect([world.members('a'), world.members('b')]).toEqual(['a', 'b'])
  })

  test('is not undone by seeds', async () => {
    const world = new SchemaWorld()
    await world.start('a')
    await world.start('b', { seeds: ['a'] })
    await world.advance('5s')
    expect(world.members('b')).toBe('ab')
    await world.leave('b')
    await world.stop('b')
    await world.start('b', { seeds: ['a'] })
    await world.advance('60s')
    expect(world.members('b')).toBe('b')
  })
})

describe('removing', () => {
  test('is refused for this node and for strangers', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    expect(await world.remove('a', 'a')).toMatchObject({ ok: false, reason: 'cannot_remove_self' })
    expect(await world.remove('a', 'x')).toMatchObject({ ok: false, reason: 'node_not_in_cluster' })
    expect(world.members('a')).toBe('ab')
  })

  test('takes out a member that runs: it saves its rows, runs alone, and says so', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    const b = world.node('b')
    b.rows = [{ table: 't', rows: 3 }]
    expect(await world.remove('a', 'b')).toMatchObject({ ok: true, wasRunning: true })
    await world.advance('5s')
    expect([world.members('a'), world.members('b'), world.members('c')]).toEqual(['ac', 'b', 'ac'])
    expect([world.linked('a'), world.linked('b')]).toEqual(['c', ''])
    expect(b.events).toContainEqual({ tag: 'cluster', why: 'removed', backup: 'removed.bak' })
    expect(world.logs.some(({ msg }) => msg.startsWith('removed from the cluster'))).toBe(true)
  })

  test('of a member that is down keeps it out when it returns, whoever it meets first', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    world.kill('b')
    await world.advance('1s')
    expect(await world.remove('a', 'b')).toMatchObject({ ok: true, wasRunning: false })
    await world.advance('1s')
    await world.start('b')
    await world.advance('40s')
    expect([world.members('a'), world.members('b'), world.members('c')]).toEqual(['ac', 'b', 'ac'])
    expect(world.node('b').backups).toEqual(['removed'])
    expect((await world.join('b', 'a')).ok).toBe(true)
    await world.advance('2s')
    expect([world.members('b'), world.members('c')]).toEqual(['abc', 'abc'])
  })

  test('at any moment of a greeting is learned by the removed node', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = new SchemaWorld({ seed })
      const { network, random } = world.sim
      await world.clusterOf('a', 'b')
      network.reset(full('a'), full('b'))
      while (!network.isConnected(full('b'), full('a'))) await world.advance(1)
      await world.advance(random.next() * 15)
      expect(await world.remove('b', 'a')).toMatchObject({ ok: true })
      await world.advance('60s')
      expect([seed, world.members('a'), world.members('b')]).toEqual([seed, 'a', 'b'])
      world.sim.stop()
    }
  })

  test('of a node that is still joining is learned by it, also when the process that joins crashes', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('b', 'c')
    await world.start('a', { syncMs: 3000 })
    const joining = world.join('a', 'b').catch(() => undefined)
    await world.advance(100)
    expect([world.linked('a'), world.node('a').cluster.isChanging]).toEqual(['bc', true])
    await world.remove('b', 'a')
    await world.advance(100)
    const runtime = world.sim.node('a')
    runtime.exit(runtime.whereis(MNESIA_SCHEMA)!, 'kill')
    await world.advance(100)
    expect(await world.leave('a')).toMatchObject({ ok: false, reason: 'busy' })
    await joining
    await world.advance('30s')
    expect([world.members('a'), world.members('b')]).toEqual(['a', 'bc'])
  })

  test('during a partition is learned by the removed node when it ends', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    world.cut('a', 'b')
    world.cut('c', 'b')
    expect((await world.remove('a', 'b')).ok).toBe(true)
    await world.advance('10s')
    expect([world.members('b'), world.members('c')]).toEqual(['abc', 'ac'])
    world.mend('c', 'b')
    await world.advance('60s')
    expect([world.members('b'), world.members('c')]).toEqual(['b', 'ac'])
  })

  test('of each other on both sides of a partition makes two clusters, and empties neither', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b', 'c')
    world.cut('a', 'b')
    world.cut('a', 'c')
    await world.remove('a', 'b')
    await world.remove('a', 'c')
    await world.remove('b', 'a')
    await world.advance('10s')
    world.mend('a', 'b')
    world.mend('a', 'c')
    await world.advance('60s')
    expect([world.members('a'), world.members('b'), world.members('c')]).toEqual(['a', 'bc', 'bc'])
    expect(['a', 'b', 'c'].flatMap((name) => world.node(name).backups.filter((why) => why === 'removed'))).toEqual([])
    expect((await world.join('a', 'b')).ok).toBe(true)
    await world.advance('2s')
    expect([world.members('a'), world.linked('c')]).toEqual(['abc', 'ab'])
  })
})

describe('seeds', () => {
  test('are joined by a new node as soon as one is there', async () => {
    const world = new SchemaWorld()
    await world.start('b', { seeds: ['a', 'b'] })
    await world.advance('10s')
    expect(world.members('b')).toBe('b')
    await world.start('a', { seeds: ['a', 'b'] })
    await world.advance('20s')
    expect([world.members('a'), world.linked('b')]).toEqual(['ab', 'a'])
  })

  test('of nodes that start at the same moment lead to one cluster', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new SchemaWorld({ seed })
      const seeds = ['a', 'b', 'c']
      for (const name of seeds) await world.start(name, { seeds })
      await world.advance('240s')
      expect(seeds.map((name) => world.members(name))).toEqual(['abc', 'abc', 'abc'])
      world.sim.stop()
    }
  })

  test('bring a node back whose disc was emptied', async () => {
    const world = new SchemaWorld()
    await world.clusterOf('a', 'b')
    world.kill('b')
    world.discs.delete(full('b'))
    await world.stop('a')
    await world.start('b', { seeds: ['a'] })
    await world.advance('10s')
    expect(world.members('b')).toBe('b')
    await world.start('a')
    await world.advance('20s')
    expect([world.members('b'), world.linked('a')]).toEqual(['ab', 'b'])
  })
})
