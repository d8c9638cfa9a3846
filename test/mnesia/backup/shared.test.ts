/** A backup of a shared table that is restored on one member reaches the others. */
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { backup } from '../../../src/mnesia/backup/backup.ts'
import { restore } from '../../../src/mnesia/backup/restore.ts'
import { dumpToText, loadText } from '../../../src/mnesia/backup/text.ts'
import { table } from '../../../src/mnesia/definition.ts'
import { startMnesia } from '../../../src/mnesia/mnesia.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import { simulate } from '../../../src/testing/simulation.ts'
import { backupDirectory, plain } from './backup-support.ts'

interface User {
  readonly name: string
  readonly town: string
}

const USERS = table<User>('users', { type: 'set', key: 'name', replication: 'shared', copies: 'disc_copies' })
const TAGS = table<User>('tags', {
  type: 'bag',
  key: 'name',
  replication: 'shared',
  copies: 'disc_copies',
  identity: ({ town }) => town,
})

async function cluster() {
  const sim = simulate({ seed: 42, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  /** Time passes only when told, so whoever waits has to let it. */
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let isOver = false
    const over = () => {
      isOver = true
    }
    promise.then(over, over)
    while (!isOver) await sim.advance('10ms')
    return promise
  }
  const start = async (name: string) => {
    const started = await settled(
      startMnesia(sim.node(name), { store: new MemoryStore(), tables: [USERS, TAGS], backup: async () => 'nowhere' }),
    )
    if (!started.ok) throw new Error(started.problem)
    return started.mnesia
  }
  const [a, b] = [await start('a'), await start('b')]
  expect(await settled(b.join('a@sim'))).toMatchObject({ ok: true })
  const on = (mnesia: typeof a) => ({ users: mnesia.open(USERS), tags: mnesia.open(TAGS) })
  return { sim, settled, a: on(a), b: on(b) }
}

test.each([
  ['backup', backup, restore],
  ['text', dumpToText, loadText],
])('a %s that is restored on one member is what all members have', async (_what, save, load) => {
  const file = join(backupDirectory(), 'saved')
  const { sim, settled, a, b } = await cluster()
  for (let i = 0; i < 700; i++) a.users.write({ name: `user ${i}`, town: String(i) })
  for (const town of ['London', 'Wilmslow']) b.tags.write({ name: 'alan', town })
  await sim.advance('5s')
  const of = { node: 'a@sim', now: Date.UTC(2026, 10, 26) }
  const saving: Promise<unknown> = save({ file, tables: [a.users, a.tags], ...of })
  await settled(saving)
  const saved = [plain(a.users.rows()), plain(a.tags.rows())]
  expect(saved[1]).toHaveLength(2)

  for (let i = 0; i < 700; i += 2) b.users.delete(`user ${i}`)
  b.users.write({ name: 'user 1', town: 'elsewhere' })
  b.users.write({ name: 'later', town: 'nowhere' })
  b.tags.deleteObject({ name: 'alan', town: 'London' })
  a.tags.write({ name: 'alan', town: 'Manchester' })
  await sim.advance('5s')
  expect(plain(a.users.rows())).toEqual(plain(b.users.rows()))

  const tables = new Map<string, typeof a.users>([
    ['users', b.users],
    ['tags', b.tags],
  ])
  const { tables: restored } = await settled(load({ file, table: (name) => tables.get(name), node: 'b@sim' }))
  expect(restored).toEqual([
    { name: 'users', rows: 700, written: 351, removed: 1, kept: 349 },
    { name: 'tags', rows: 2, written: 1, removed: 1, kept: 1 },
  ])
  await sim.advance('5s')
  for (const { users, tags } of [a, b]) expect([plain(users.rows()), plain(tags.rows())]).toEqual(saved)
})
