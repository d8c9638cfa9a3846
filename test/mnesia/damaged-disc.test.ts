/** Nodes whose disc has lost something: real files, and discs under virtual time in a cluster. */
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopRuntime } from '../../src/actors/application.ts'
import { type Replication, table } from '../../src/mnesia/definition.ts'
import { type Mnesia, startMnesia } from '../../src/mnesia/mnesia.ts'
import { openStore } from '../../src/mnesia/store/open-store.ts'
import type { Table } from '../../src/mnesia/table.ts'
import { testRuntime } from '../support/runtime.ts'
import { storeDirectory } from './log-store-support.ts'
import { fullName, MnesiaWorld } from './mnesia-world.ts'

interface User {
  readonly name: string
  readonly town: string
}

function users(replication: Replication) {
  return table<User>(replication, { type: 'set', key: 'name', replication, copies: 'disc_copies' })
}

const SHARED = users('shared')
const OWNED = users('owned')
const LOCAL = users('local_content')
const TABLES = [SHARED, OWNED, LOCAL]
const ROWS = 300

function damageTo(...spaces: string[]) {
  return [{ file: '00000001-00000003.rows', setAside: 'x.damaged', spaces, what: 'x was damaged', foundAt: '' }]
}

function townsOf(users: Table<User>): Record<string, string> {
  return Object.fromEntries([...users.rows()].map(({ name, town }) => [name, town]))
}

/** Two members, of which b is down; `lose` takes every other row of a space from its disc. */
async function twoNodes() {
  const world = new MnesiaWorld()
  await world.clusterOf(['a', 'b'], { tables: TABLES })
  for (const definition of TABLES) {
    const rows = world.table('a', definition)
    for (let i = 0; i < ROWS; i++) rows.write({ name: `u${i}`, town: `t${i}` })
  }
  world.table('b', OWNED).write({ name: 'own', town: 'b' })
  world.table('b', LOCAL).write({ name: 'own', town: 'b' })
  await world.advance('2s')
  await world.stop('b')
  const { contents } = world.disc('b')
  const lose = (space: string): void => {
    for (const [i, [key]] of [...contents.entries(space)].entries()) {
      if (i % 2 === 0) contents.commit([{ space, key, value: undefined }])
    }
  }
  return { world, contents, lose }
}

describe('a member whose disc has lost something', () => {
  it('takes the rows of a shared table from another member as soon as they are linked, and forgets the damage', async () => {
    const { world, lose } = await twoNodes()
    lose('shared/shared')
    world.disc('b').damage = damageTo('shared/shared')
    world.cut('a', 'b')
    const b = await world.start('b', { tables: TABLES, startWaitMs: 100 })
    expect(b.alarms.get('store_damaged')).toBe(
      'the disc has lost something: 00000001-00000003.rows; rows of shared may be missing or older than they were: they are taken from other members',
    )
    expect(b.mnesia.open(SHARED).size).toBeLessThan(ROWS)
    expect(world.logs.some(({ msg }) => msg.includes('the file as it was found is x.damaged'))).toBe(true)
    world.mend('a', 'b')
    // Well before the periodic comparison.
    await world.advance('15s')
    expect(townsOf(b.mnesia.open(SHARED))).toEqual(townsOf(world.table('a', SHARED)))
    expect(b.mnesia.open(SHARED).size).toBe(ROWS)
    expect(b.alarms.has('store_damaged')).toBe(false)
    expect(world.disc('b').damage).toEqual([])
    expect(b.events.filter(({ tag }) => tag === 'repaired')).toEqual([])
  })

  it('has them before its start is over when the other member is there', async () => {
    const { world, lose } = await twoNodes()
    lose('shared/shared')
    world.disc('b').damage = damageTo('shared/shared')
    const b = await world.start('b', { tables: TABLES })
    expect(b.mnesia.open(SHARED).size).toBe(ROWS)
  })

  it('does not give what it has lost for deleted, nor what is old for new', async () => {
    const { world, contents } = await twoNodes()
    const old = [...contents.entries('shared/shared')]
    const b = await world.start('b', { tables: TABLES })
    b.mnesia.open(SHARED).write({ name: 'u0', town: 'new' })
    b.mnesia.open(SHARED).delete('u1')
    await world.advance('2s')
    await world.stop('b')
    contents.clear('shared/shared')
    contents.commit(old.map(([key, value]) => ({ space: 'shared/shared', key, value })))
    world.disc('b').damage = damageTo('shared/shared')
    await world.start('b', { tables: TABLES })
    await world.advance('5s')
    for (const name of ['a', 'b']) {
      expect(world.table(name, SHARED).get('u0')).toEqual({ name: 'u0', town: 'new' })
      expect(world.table(name, SHARED).get('u1')).toBeUndefined()
      expect(world.table(name, SHARED).size).toBe(ROWS - 1)
    }
  })

  it('reads rows whose origins it has lost, and has all when it is linked', async () => {
    const { world, contents } = await twoNodes()
    contents.clear('shared')
    world.disc('b').damage = damageTo('shared')
    world.cut('a', 'b')
    const b = await world.start('b', { tables: TABLES, startWaitMs: 100 })
    expect(b.mnesia.open(SHARED).size).toBe(ROWS)
    b.mnesia.open(SHARED).write({ name: 'u0', town: 'b, later' })
    world.table('a', SHARED).write({ name: 'u1', town: 'a, later' })
    world.mend('a', 'b')
    await world.advance('15s')
    for (const name of ['a', 'b']) {
      expect(world.table(name, SHARED).get('u0')?.town).toBe('b, later')
      expect(world.table(name, SHARED).get('u1')?.town).toBe('a, later')
      expect(world.table(name, SHARED).size).toBe(ROWS)
    }
    expect(b.alarms.has('store_damaged')).toBe(false)
    // Whatever stands in for the origins is there after another start.
    await world.stop('b')
    const again = await world.start('b', { tables: TABLES })
    expect(again.mnesia.open(SHARED).size).toBe(ROWS)
  })

  it("takes another owner's rows anew, and says that its own may be lost", async () => {
    const { world, lose, contents } = await twoNodes()
    for (const space of contents.spaces()) if (space.startsWith(`owned/${fullName('a')}/`)) lose(space)
    const own = contents.spaces().filter((space) => space.startsWith('owned/'))
    world.disc('b').damage = damageTo(...own)
    world.cut('a', 'b')
    const b = await world.start('b', { tables: TABLES, startWaitMs: 100 })
    expect(b.mnesia.open(OWNED).get('own')?.town).toBe('b')
    world.mend('a', 'b')
    await world.advance('15s')
    expect(b.mnesia.open(OWNED).size).toBe(ROWS + 1)
    expect(b.alarms.get('store_damaged')).toBe(
      'the disc has lost something: 00000001-00000003.rows; so may rows of owned that nobody else writes',
    )
    await world.settle(b.mnesia.forgetDamage())
    expect(b.alarms.has('store_damaged')).toBe(false)
  })

  it('finds the rows of owners again whose place is lost, its own among them', async () => {
    const { world, contents } = await twoNodes()
    contents.clear('owned')
    world.disc('b').damage = damageTo('owned')
    const b = await world.start('b', { tables: TABLES })
    await world.advance('5s')
    expect(b.mnesia.open(OWNED).get('own')?.town).toBe('b')
    expect(b.mnesia.open(OWNED).size).toBe(ROWS + 1)
  })

  it('runs alone with its rows when it has lost which cluster it was in, and says so', async () => {
    const { world, contents } = await twoNodes()
    contents.clear('meta')
    world.disc('b').damage = damageTo('meta')
    const b = await world.start('b', { tables: TABLES, startWaitMs: 100 })
    expect(b.mnesia.open(SHARED).size).toBe(ROWS)
    expect(b.mnesia.status().running).toEqual([fullName('b')])
    expect(b.alarms.get('store_damaged')).toContain('does not know any more which cluster it was in')
    await world.join('b', 'a', true)
    await world.advance('5s')
    expect(world.status('a')).toBe('a b')
    expect(b.mnesia.open(SHARED).size).toBe(ROWS)
  })
})

async function realNode(directory: string): Promise<{
  mnesia: Mnesia
  alarms: Map<string, string>
  logs: Record<string, unknown>[]
  stop: () => Promise<void>
}> {
  const { runtime, logs } = testRuntime()
  const alarms = new Map<string, string>()
  const { store } = await openStore({ directory, system: runtime.system, logBytes: 10_000, retryMs: 20 })
  const started = await startMnesia(runtime, {
    store,
    tables: [SHARED, LOCAL],
    backup: async () => 'none',
    alarms: { raise: (alarm, text) => void alarms.set(alarm, text), clear: (alarm) => void alarms.delete(alarm) },
  })
  if (!started.ok) throw new Error(started.problem)
  const { mnesia } = started
  return { mnesia, alarms, logs, stop: () => mnesia.stop().then(() => stopRuntime(runtime)) }
}

describe('a node alone on real files', () => {
  it('starts with what is left of a damaged file, which is kept aside, and says so at each start until that is forgotten', async () => {
    const directory = join(storeDirectory({ inMemory: true }), 'tables')
    const first = await realNode(directory)
    // A group of writes is damaged as a whole.
    for (let i = 0; i < 100; i++) {
      await first.mnesia.open(SHARED).write({ name: `u${i}`, town: `t${i}` }, { wait: 'durable' })
    }
    await first.mnesia.open(LOCAL).write({ name: 'x', town: 'y' }, { wait: 'durable' })
    await first.stop()
    const file = fs.readdirSync(directory).find((name) => /\.(rows|log)$/.test(name))!
    const bytes = fs.readFileSync(join(directory, file))
    bytes[Math.floor(bytes.length / 2)]! ^= 0x10
    fs.writeFileSync(join(directory, file), bytes)

    const second = await realNode(directory)
    const rows = second.mnesia.open(SHARED)
    expect(rows.size).toBeGreaterThan(0)
    expect([...rows.rows()].every(({ name, town }) => name.slice(1) === town.slice(1))).toBe(true)
    const text = second.alarms.get('store_damaged')!
    expect(text).toContain(file)
    expect(text).toContain('no other member has them')
    const [damage] = second.mnesia.systemInfo().damage
    expect(fs.existsSync(join(directory, damage!.setAside!))).toBe(true)
    expect(second.logs.some(({ msg, setAside }) => setAside === damage!.setAside && String(msg).includes(file))).toBe(
      true,
    )
    await second.stop()

    const third = await realNode(directory)
    expect(third.alarms.get('store_damaged')).toContain(file)
    await third.mnesia.forgetDamage()
    expect(third.alarms.has('store_damaged')).toBe(false)
    await third.stop()
    const fourth = await realNode(directory)
    expect(fourth.alarms.has('store_damaged')).toBe(false)
    await fourth.stop()
  })
})

describe('a disc that refuses', () => {
  it('is an alarm while it does, and nothing is lost', async () => {
    const world = new MnesiaWorld()
    const a = await world.start('a', { tables: TABLES })
    world.disc('a').setFull(true)
    const write = a.mnesia.open(SHARED).write({ name: 'ada', town: 'London' }, { wait: 'durable' })
    await expect(world.settle(write!)).rejects.toThrow('the disc is full')
    expect(a.alarms.get('disc_refuses')).toContain('the disc is full')
    expect(world.logs.filter(({ level, msg }) => level === 50 && msg.includes('the disc is full'))).toHaveLength(1)
    world.disc('a').setFull(false)
    await world.advance('1s')
    expect(a.alarms.has('disc_refuses')).toBe(false)
    world.kill('a')
    const again = await world.start('a', { tables: TABLES })
    expect(again.mnesia.open(SHARED).get('ada')?.town).toBe('London')
  })
})
