/** Joining, leaving, stopping and starting in every order, as users of a cluster see it. */
import { describe, expect, test } from 'vitest'
import { table } from '../../src/mnesia/definition.ts'
import { TableError } from '../../src/mnesia/errors.ts'
import { fullName, MnesiaWorld } from './mnesia-world.ts'

interface Row {
  readonly topic: string
  readonly text: string
}

const RETAINED = table<Row>('retained_message', {
  type: 'ordered_set',
  key: 'topic',
  replication: 'shared',
  copies: 'disc_copies',
})
const ROUTE = table<{ filter: string; node: string }>('route', {
  type: 'set',
  key: 'filter',
  replication: 'owned',
  copies: 'ram_copies',
})

const tables = [RETAINED, ROUTE]

function fill(world: MnesiaWorld, name: string, count: number, prefix = name): void {
  const retained = world.table(name, RETAINED)
  for (let i = 0; i < count; i++) retained.write({ topic: `${prefix}/${i}`, text: name })
}

function sizes(world: MnesiaWorld, ...names: string[]): number[] {
  return names.map((name) => world.table(name, RETAINED).size)
}

describe('joining', () => {
  test('names the rows that it replaces, saves them, and leaves both with the rows of the cluster', async () => {
    const world = new MnesiaWorld()
    for (const name of ['a', 'b']) await world.start(name, { tables })
    fill(world, 'a', 100)
    fill(world, 'b', 50)
    const refused = await world.settle(world.mnesia('b').join(fullName('a')))
    expect(refused).toMatchObject({ ok: false, reason: 'confirm', tables: [{ table: 'retained_message', rows: 50 }] })
    expect(sizes(world, 'a', 'b')).toEqual([100, 50])
    const joined = await world.settle(world.mnesia('b').join(fullName('a'), { confirm: true }))
    expect(joined).toMatchObject({ ok: true, isInSync: true, members: ['a@sim', 'b@sim'] })
    expect(sizes(world, 'a', 'b')).toEqual([100, 100])
    const saved = world.backups.get((joined as { backup: string }).backup)!
    expect(saved.retained_message).toHaveLength(50)
    for (const row of saved.retained_message as Row[]) {
      const retained = world.table('b', RETAINED)
      if (!retained.has(row.topic)) retained.write(row)
    }
    await world.advance('1s')
    expect(sizes(world, 'a', 'b')).toEqual([150, 150])
  })

  test('of a table that is defined in another way is refused by name and difference, before anything changes', async () => {
    const world = new MnesiaWorld()
    await world.start('a', { tables })
    const bag = { ...RETAINED, type: 'bag' } as typeof RETAINED
    await world.start('b', { tables: [bag] })
    world.table('b', bag).write({ topic: 't', text: 'x' })
    expect(await world.settle(world.mnesia('b').join(fullName('a'), { confirm: true }))).toMatchObject({
      reason: 'definitions_differ',
      text: 'this node and a@sim define tables in different ways: retained_message (type: bag here, ordered_set there)',
    })
    expect([world.table('b', bag).size, world.backups.size]).toEqual([1, 0])
  })

  test('lets rows follow in both directions, and those of a node that has left go', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b', 'c'], { tables })
    const [onA, onB] = [world.table('a', RETAINED), world.table('b', RETAINED)]
    for (const [from, to] of [
      [onA, onB],
      [onB, onA],
    ] as const) {
      from.write({ topic: 't', text: '1' })
      await world.advance('1s')
      expect(to.get('t')?.text).toBe('1')
      from.write({ topic: 't', text: '2' })
      await world.advance('1s')
      expect(to.get('t')?.text).toBe('2')
      from.delete('t')
      await world.advance('1s')
      expect(to.get('t')).toBeUndefined()
    }
    fill(world, 'b', 5)
    world.table('b', ROUTE).write({ filter: 'x', node: 'b' })
    await world.advance('1s')
    expect(world.table('a', ROUTE).has('x')).toBe(true)
    expect(await world.settle(world.mnesia('b').leave())).toMatchObject({ ok: true, removed: [{ rows: 5 }] })
    await world.advance('1s')
    expect([world.status('a'), world.status('b'), sizes(world, 'a', 'b')]).toEqual(['a c', 'b', [5, 0]])
    expect(world.table('a', ROUTE).has('x')).toBe(false)
    expect(world.table('b', ROUTE).has('x')).toBe(true)
    expect([...world.backups.values()]).toMatchObject([{ retained_message: { length: 5 } }])
  })
})

describe('removing', () => {
  test('a dead member keeps it out: with its old data it says so, runs alone with empty tables, and may join again', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b'], { tables })
    fill(world, 'a', 10)
    await world.advance('1s')
    world.kill('b')
    await world.advance('1s')
    expect(await world.settle(world.mnesia('a').remove(fullName('b')))).toEqual({ ok: true, wasRunning: false })
    const b = await world.start('b', { tables })
    await world.advance('30s')
    expect([world.status('a'), world.status('b'), sizes(world, 'a', 'b')]).toEqual(['a', 'b', [10, 0]])
    expect(world.logs.some(({ msg }) => msg.startsWith('removed from the cluster'))).toBe(true)
    expect(b.events.some((event) => event.tag === 'cluster' && event.why === 'removed')).toBe(true)
    await world.join('b', 'a')
    expect(sizes(world, 'b')).toEqual([10])
  })
})

describe('a disc of another node', () => {
  test('is refused with what to do, and taken over with its rows when told to', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b'], { tables })
    fill(world, 'b', 7)
    await world.advance('1s')
    await world.stop('b')
    expect(await world.settle(world.tryStart('c', { tables }, 'b'))).toBe(
      'this data belongs to b@sim, which is a cluster member; run `cluster remove b@sim` on a@sim, then start with --rename to make it the data of c@sim',
    )
    await world.settle(world.mnesia('a').remove(fullName('b')))
    expect(await world.settle(world.tryStart('c', { tables, rename: true }, 'b'))).toBeTypeOf('object')
    expect([world.status('c'), sizes(world, 'c')]).toEqual(['c', [7]])
    await world.advance('30s')
    expect([world.status('a'), world.status('c')]).toEqual(['a', 'c'])
  })
})

describe('starting without the others', () => {
  /** Two members with 10 rows, whose row `x` is 0. */
  async function two(): Promise<MnesiaWorld> {
    const world = new MnesiaWorld()
    await world.clusterOf(['n1', 'n2'], { tables })
    fill(world, 'n1', 9)
    world.table('n1', RETAINED).write({ topic: 'x', text: '0' })
    await world.advance('1s')
    return world
  }

  async function startMs(world: MnesiaWorld, name: string): Promise<number> {
    const before = world.sim.time.monotonic()
    await world.start(name, { tables })
    return world.sim.time.monotonic() - before
  }

  test('the one that stopped first serves its own copy after a bounded wait, and says that it may be stale', async () => {
    const world = await two()
    await world.stop('n2')
    world.table('n1', RETAINED).write({ topic: 'x', text: '1' })
    await world.advance('1s')
    await world.stop('n1')
    expect(await startMs(world, 'n2')).toBeLessThan(15_000)
    expect([world.status('n2'), sizes(world, 'n2')]).toEqual(['n2 | n1', [10]])
    expect(world.node('n2').alarms.get('stale_tables')).toContain('n1@sim may have newer rows')
    expect(world.logs.some(({ msg }) => msg.includes('n1@sim may have newer rows'))).toBe(true)
    expect(world.mnesia('n2').tableInfo('retained_message')).toMatchObject({ stale: ['n1@sim'], loadState: 'loaded' })
    // Meanwhile a later value is written here.
    world.table('n2', RETAINED).write({ topic: 'x', text: '2' })
    await world.start('n1', { tables })
    await world.advance('30s')
    const values = ['n1', 'n2'].map((name) => world.table(name, RETAINED).get('x')?.text)
    expect([values, sizes(world, 'n1', 'n2')]).toEqual([
      ['2', '2'],
      [10, 10],
    ])
    expect(world.node('n2').alarms.size).toBe(0)
  })

  test('the one that stopped last serves at once', async () => {
    const world = await two()
    await world.stop('n1')
    await world.advance('1s')
    await world.stop('n2')
    expect(await startMs(world, 'n2')).toBeLessThan(1000)
    expect([sizes(world, 'n2'), world.node('n2').alarms.size]).toEqual([[10], 0])
  })

  test('either of two that were killed at the same instant serves', async () => {
    for (const first of ['n1', 'n2']) {
      const world = await two()
      world.kill('n1')
      world.kill('n2')
      expect(await startMs(world, first)).toBeLessThan(15_000)
      expect(sizes(world, first)).toEqual([10])
      const other = first === 'n1' ? 'n2' : 'n1'
      expect(await startMs(world, other)).toBeLessThan(5000)
      await world.advance('5s')
      expect([world.status(first), world.node(first).alarms.size]).toEqual(['n1 n2', 0])
    }
  })

  test('with an empty disc runs alone, and joins its seed when that appears', async () => {
    const world = await two()
    await world.stop('n2')
    await world.stop('n1')
    world.emptyDisc('n2')
    await world.start('n2', { tables, seeds: ['n1@sim'] })
    expect([world.status('n2'), sizes(world, 'n2')]).toEqual(['n2', [0]])
    await world.start('n1', { tables })
    await world.advance('30s')
    expect([world.status('n1'), world.status('n2'), sizes(world, 'n2')]).toEqual(['n1 n2', 'n1 n2', [10]])
  })

  test('learns of a member that joined, and of one that left, meanwhile', async () => {
    const world = await two()
    await world.start('n4', { tables })
    await world.join('n4', 'n1')
    await world.stop('n2')
    await world.start('n3', { tables })
    await world.join('n3', 'n1')
    await world.settle(world.mnesia('n4').leave())
    await world.start('n2', { tables })
    await world.advance('30s')
    for (const name of ['n1', 'n2', 'n3']) expect(world.status(name)).toBe('n1 n2 n3')
    expect(sizes(world, 'n1', 'n2', 'n3', 'n4')).toEqual([10, 10, 10, 0])
  })

  test('in any order of stops and starts comes together again', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new MnesiaWorld({ seed })
      const { random } = world.sim
      const names = ['a', 'b', 'c']
      await world.clusterOf(names, { tables })
      fill(world, 'a', 5)
      await world.advance('1s')
      for (let round = 0; round < 3; round++) {
        const order = [...names].sort(() => random.next() - 0.5)
        for (const name of order) {
          if (random.below(2) === 0) await world.stop(name)
          else world.kill(name)
          await world.advance(random.below(3000))
        }
        for (const name of [...names].sort(() => random.next() - 0.5))
          await world.start(name, { tables, startWaitMs: 2000 })
        await world.advance('60s')
        expect(names.map((name) => world.status(name))).toEqual(['a b c', 'a b c', 'a b c'])
        expect(sizes(world, 'a', 'b', 'c')).toEqual([5, 5, 5])
        expect(names.map((name) => world.node(name).alarms.size)).toEqual([0, 0, 0])
      }
    }
  })

  test('rows that were joined outlive all nodes', async () => {
    const world = await two()
    world.kill('n1')
    world.kill('n2')
    await world.start('n2', { tables })
    expect(world.table('n2', RETAINED).get('x')?.text).toBe('0')
  })
})

describe('tables', () => {
  test('of another definition are refused by difference, and those of the same are the same', async () => {
    const world = new MnesiaWorld()
    await world.start('a', { tables })
    const opened = world.table('a', RETAINED)
    expect(world.table('a', { ...RETAINED })).toBe(opened)
    expect(() => world.table('a', { ...RETAINED, replication: 'owned' })).toThrow(
      new TableError(
        'definition_differs',
        'table retained_message is defined in another way: replication: owned here, shared there',
      ),
    )
  })

  test('that one member creates are there on all, and gone when one deletes them', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b'], { tables })
    const made = table<{ k: string; v: number }>('made', {
      type: 'set',
      key: 'k',
      replication: 'shared',
      copies: 'disc_copies',
    })
    world.table('a', made).write({ k: 'x', v: 1 })
    await world.advance('1s')
    expect(world.mnesia('b').table('made')?.get('x')).toEqual({ k: 'x', v: 1 })
    expect(world.mnesia('b').tableInfo('made')).toMatchObject({
      copy: 'disc_copies',
      copies: { disc_copies: ['a@sim', 'b@sim'], ram_copies: [] },
    })
    world.kill('b')
    await world.start('b', { tables })
    await world.advance('30s')
    expect(world.mnesia('b').table('made')?.get('x')).toEqual({ k: 'x', v: 1 })
    world.mnesia('b').deleteTable('made')
    await world.advance('1s')
    expect(['a', 'b'].map((name) => world.mnesia(name).table('made'))).toEqual([undefined, undefined])
    expect(() => world.mnesia('a').deleteTable('made')).toThrow('there is no table made')
    world.table('a', made)
    await world.advance('1s')
    expect(world.mnesia('b').table('made')?.size).toBe(0)
  })

  test('move between memory and disc, and a member without a copy says who has one and passes writes on', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b', 'c'], { tables })
    fill(world, 'a', 5)
    await world.advance('1s')
    const { mnesia } = world.node('a')
    mnesia.delTableCopy('retained_message', fullName('b'))
    mnesia.changeTableCopyType('retained_message', fullName('c'), 'ram_copies')
    // Who has a copy is told every ten seconds.
    await world.advance('12s')
    expect(world.mnesia('b').tableInfo('retained_message')).toMatchObject({
      copy: 'none',
      copies: { disc_copies: ['a@sim'], ram_copies: ['c@sim'] },
      size: undefined,
    })
    expect(() => world.table('b', RETAINED).size).toThrow(
      'table retained_message has no copy on this node; a@sim, c@sim have one',
    )
    world.table('b', RETAINED).write({ topic: 'of b', text: 'x' })
    await world.advance('1s')
    expect(sizes(world, 'a', 'c')).toEqual([6, 6])
    mnesia.addTableCopy('retained_message', fullName('b'), 'disc_copies')
    await world.advance('5s')
    expect(sizes(world, 'a', 'b', 'c')).toEqual([6, 6, 6])
    for (const name of ['a', 'b', 'c']) world.kill(name)
    await world.start('b', { tables, startWaitMs: 100 })
    expect(sizes(world, 'b')).toEqual([6])
    await world.start('c', { tables })
    await world.advance('5s')
    expect(sizes(world, 'b', 'c')).toEqual([6, 6])
    expect(() => mnesia.addTableCopy('nothing', fullName('b'), 'ram_copies')).toThrow('there is no table nothing')
  })

  test('lose nothing when a copy goes: it does not before another one is complete, and the table ends with the last', async () => {
    const world = new MnesiaWorld()
    await world.clusterOf(['a', 'b', 'c'], { tables: [] })
    const open = (name: string) => world.table(name, RETAINED)
    open('a')
    await world.advance('1s')
    const { mnesia } = world.node('a')
    for (const name of ['b', 'c']) mnesia.delTableCopy('retained_message', fullName(name))
    fill(world, 'a', 5)
    await world.advance('1s')
    // What it told of the copy that it had before does not count.
    mnesia.addTableCopy('retained_message', fullName('b'), 'disc_copies')
    await world.advance('1s')
    mnesia.delTableCopy('retained_message', fullName('b'))
    mnesia.addTableCopy('retained_message', fullName('b'), 'disc_copies')
    expect(() => mnesia.delTableCopy('retained_message', fullName('a'))).toThrow(
      'no other running member has all of table retained_message: see b@sim',
    )
    await world.advance('1s')
    expect(await world.settle(mnesia.moveTableCopy('retained_message', fullName('a'), fullName('c')))).toEqual({
      ok: true,
    })
    await world.advance('1s')
    expect([world.mnesia('b').tableInfo('retained_message').copies.disc_copies, sizes(world, 'b', 'c')]).toEqual([
      ['b@sim', 'c@sim'],
      [5, 5],
    ])
    expect(() => mnesia.changeTableCopyType('retained_message', fullName('a'), 'ram_copies')).toThrow(
      'a@sim has no copy of table retained_message',
    )
    expect(() => mnesia.addTableCopy('retained_message', fullName('b'), 'ram_copies')).toThrow(
      'b@sim has disc_copies of table retained_message already',
    )
    mnesia.delTableCopy('retained_message', fullName('b'))
    world.kill('c')
    await world.advance('20s')
    // Who is down has the rows, and nobody else could give them.
    const moving = mnesia.moveTableCopy('retained_message', fullName('c'), fullName('a'), 1000)
    expect(await world.settle(moving)).toEqual({ ok: false, reason: 'timeout', tables: ['retained_message'] })
    await world.start('c', { tables: [] })
    await world.advance('20s')
    expect(sizes(world, 'a', 'c')).toEqual([5, 5])
    for (const name of ['a', 'c']) mnesia.delTableCopy('retained_message', fullName(name))
    await world.advance('1s')
    expect(['a', 'b', 'c'].map((name) => world.mnesia(name).table('retained_message'))).toEqual(
      Array(3).fill(undefined),
    )
    // One of its name begins with the copies of its definition.
    open('b')
    await world.advance('1s')
    expect(sizes(world, 'a', 'b', 'c')).toEqual([0, 0, 0])
  })

  test('are waited for within a bound', async () => {
    const world = new MnesiaWorld()
    await world.start('a', { tables })
    const mnesia = world.mnesia('a')
    expect(await mnesia.waitForTables(['route'], 1000)).toEqual({ ok: true })
    const waiting = mnesia.waitForTables(['route', 'other'], 1000)
    expect(await world.settle(waiting)).toEqual({ ok: false, reason: 'timeout', tables: ['other'] })
  })
})

test('rows of a master node take the place of those of a node that starts, which are saved', async () => {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b'], { tables, partitionPolicy: 'manual' })
  fill(world, 'a', 2, 'both')
  await world.advance('1s')
  world.cut('a', 'b')
  fill(world, 'a', 3, 'onlyA')
  fill(world, 'b', 4, 'onlyB')
  await world.advance('20s')
  world.mend('a', 'b')
  await world.advance('60s')
  expect([world.status('a'), sizes(world, 'a', 'b')]).toEqual(['a | b', [5, 6]])
  expect(world.mnesia('a').status().partitioned).toEqual(['b@sim'])
  expect(world.node('a').alarms.get('partition')).toContain('b@sim ran apart')
  await world.settle(world.mnesia('b').setMasterNodes(['a@sim']))
  await world.stop('b')
  await world.start('b', { tables })
  await world.advance('10s')
  expect([world.status('a'), sizes(world, 'a', 'b')]).toEqual(['a b', [5, 5]])
  expect([...world.backups.values()]).toMatchObject([{ retained_message: { length: 6 } }])
  expect(world.node('a').alarms.size).toBe(0)
})

test('the processes of a node crash without loss, and links come back', async () => {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b'], { tables })
  fill(world, 'a', 5)
  for (const name of ['mnesia', 'mnesia_schema', 'mnesia']) {
    const runtime = world.sim.node('a')
    runtime.exit(runtime.whereis(name)!, 'kill')
    world.table('a', RETAINED).write({ topic: name, text: 'while it is down' })
    await world.advance('5s')
    expect(runtime.whereis(name)).toBeDefined()
  }
  expect([sizes(world, 'a', 'b'), world.status('a')]).toEqual([[7, 7], 'a b'])
  expect(world.node('a').events.filter(({ tag }) => tag === 'inconsistent_database')).toEqual([])
})

test('a node that stops leaves no timer, no process and no name behind', async () => {
  const world = new MnesiaWorld()
  await world.start('a', { tables })
  const bare = world.sim.start('bare')
  await world.join('a', 'a').catch(() => {})
  const runtime = world.sim.node('a')
  const before = bare.footprint().names
  await world.settle(world.mnesia('a').stop())
  await world.advance('1s')
  expect(runtime.registered().filter((name) => name.startsWith('mnesia'))).toEqual([])
  expect(runtime.footprint().names).toBe(before + 1)
  expect(world.sim.time.pending).toBe(0)
})
