import fs from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { backup } from '../../../src/mnesia/backup/backup.ts'
import { BACKUP_FORMAT, MAGIC } from '../../../src/mnesia/backup/backup-file.ts'
import { backupInfo, rewriteBackup, traverseBackup } from '../../../src/mnesia/backup/backup-reader.ts'
import { restore } from '../../../src/mnesia/backup/restore.ts'
import { dumpToText, loadText } from '../../../src/mnesia/backup/text.ts'
import { table } from '../../../src/mnesia/definition.ts'
import type { LocalTable } from '../../../src/mnesia/local/local-table.ts'
import { OwnedReplication } from '../../../src/mnesia/owned/owned-replication.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import { LinkNetwork } from '../../support/link-network.ts'
import { backupDirectory, localTables, plain } from './backup-support.ts'

interface User {
  readonly username: string
  readonly secret: Buffer | undefined
  readonly until: number
}

const USERS = table<User>('users', {
  type: 'ordered_set',
  key: 'username',
  replication: 'local_content',
  copies: 'ram_copies',
})
const NOW = { node: 'a@h', cluster: 'c0ffee', now: Date.UTC(2026, 10, 26, 12) }

function users(...names: string[]): LocalTable<User> {
  const opened = localTables().open(USERS, 'ram_copies')
  for (const username of names)
    opened.write({ username, secret: Buffer.from('hunter2'), until: Number.POSITIVE_INFINITY })
  return opened
}

function into(target: LocalTable<User>): { table: (name: string) => LocalTable<User> | undefined; node: string } {
  return { table: (name) => (name === 'users' ? target : undefined), node: 'a@h' }
}

describe('a backup', () => {
  test('says of which node, cluster and time it is, and how many rows of which tables it has', async () => {
    const file = join(backupDirectory(), 'saved')
    const written = await backup({ file, tables: [users('ada', 'bob')], ...NOW })
    const info = await backupInfo(file)
    expect(info).toEqual(written)
    expect(info).toEqual({
      format: 1,
      node: 'a@h',
      cluster: 'c0ffee',
      at: '2026-11-26T12:00:00.000Z',
      tables: [
        {
          name: 'users',
          type: 'ordered_set',
          key: 'username',
          replication: 'local_content',
          copies: 'ram_copies',
          bytes: 'term',
          rows: 2,
        },
      ],
    })
  })

  test('may be of a table without rows, or of none', async () => {
    const file = join(backupDirectory(), 'saved')
    await backup({ file, tables: [users()], ...NOW })
    const target = users('ada')
    expect(await restore({ file, ...into(target) })).toEqual({
      tables: [{ name: 'users', rows: 0, written: 0, removed: 1, kept: 0 }],
      skipped: [],
    })
    await backup({ file, tables: [], ...NOW })
    expect((await backupInfo(file)).tables).toEqual([])
  })

  test('that cannot be written leaves what was there before, and nothing else', async () => {
    const directory = backupDirectory()
    const file = join(directory, 'saved')
    await backup({ file, tables: [users('ada')], ...NOW })
    const before = fs.readFileSync(file)
    const broken = users()
    broken.write({ username: 'bob', secret: (() => 'x') as unknown as Buffer, until: 0 })
    await expect(backup({ file, tables: [broken], ...NOW })).rejects.toThrow(
      `${file}: cannot be written: cannot send a function`,
    )
    expect(fs.readFileSync(file).equals(before)).toBe(true)
    expect(fs.readdirSync(directory)).toEqual(['saved'])
    await expect(backup({ file: join(directory, 'no', 'where'), tables: [users()], ...NOW })).rejects.toThrow(
      /cannot be written: ENOENT/,
    )
  })

  test('ends its interest in the tables, whatever becomes of it', async () => {
    const directory = backupDirectory()
    const followed = { count: 0 }
    const counted = (of: LocalTable<User>) => ({
      definition: of.definition,
      keys: () => of.keys(),
      read: (key: string) => of.read(key),
      rowsOf: (owner: string) => of.rowsOf(owner),
      subscribe: (listener: Parameters<typeof of.subscribe>[0]) => {
        followed.count++
        const end = of.subscribe(listener)
        return () => {
          followed.count--
          end()
        }
      },
    })
    const tables = [counted(users('ada')), counted(users())]
    await backup({ file: join(directory, 'saved'), tables, ...NOW })
    expect(followed.count).toBe(0)
    await expect(backup({ file: join(directory, 'no', 'where'), tables, ...NOW })).rejects.toThrow()
    await expect(dumpToText({ file: join(directory, 'no', 'where'), tables, ...NOW })).rejects.toThrow()
    expect(followed.count).toBe(0)
  })

  test('that is none, or of a later format, or not there, is named', async () => {
    const file = join(backupDirectory(), 'saved')
    const target = users('ada')
    const refused = async (content: string | Buffer, problem: string | RegExp): Promise<void> => {
      fs.writeFileSync(file, content)
      await expect(restore({ file, ...into(target) })).rejects.toThrow(problem)
    }
    await expect(restore({ file, ...into(target) })).rejects.toThrow(`${file}: there is no such file`)
    await refused('', `${file}: is empty`)
    await refused('PK\u0003\u0004 something else', `${file}: is no backup`)
    await refused(
      Buffer.concat([MAGIC, Buffer.of(BACKUP_FORMAT + 1, 0, 0, 0)]),
      'is of format 2, and this version reads format 1',
    )
    await refused(
      Buffer.concat([MAGIC, Buffer.of(BACKUP_FORMAT, 0, 0, 0)]),
      /ends at byte 12, before its end: it is not complete/,
    )
    await backup({ file, tables: [users('bob')], ...NOW })
    const whole = fs.readFileSync(file)
    await refused(whole.subarray(0, whole.length - 5), /is damaged or cut off at byte \d+ of \d+/)
    const flipped = Buffer.from(whole)
    flipped[whole.indexOf('bob')]! ^= 1
    await refused(flipped, /is damaged at byte \d+ of \d+/)
    expect([...target.keys()]).toEqual(['ada'])
  })

  test('is not restored into tables that are not there, or of another kind', async () => {
    const file = join(backupDirectory(), 'saved')
    await backup({ file, tables: [users('bob')], ...NOW })
    await expect(restore({ file, table: () => undefined, node: 'a@h' })).rejects.toThrow(
      'nothing has been restored: there is no table users here: skip it, or open it first',
    )
    const other = localTables().open({ ...USERS, type: 'set', key: 'until' }, 'ram_copies')
    await expect(restore({ file, ...into(other) })).rejects.toThrow(
      'type of users: ordered_set in the file, set here; key of users: username in the file, until here',
    )
    await expect(restore({ file, ...into(users()), keepTables: ['user'] })).rejects.toThrow(
      'has no table user; it has users',
    )
    expect(await restore({ file, table: () => undefined, node: 'a@h', skipTables: ['users'] })).toEqual({
      tables: [],
      skipped: ['users'],
    })
  })

  test('is rewritten by a function into another one', async () => {
    const directory = backupDirectory()
    const [source, target] = [join(directory, 'source'), join(directory, 'target')]
    await backup({ file: source, tables: [users('ada', 'bob', 'eve')], ...NOW })
    const info = await rewriteBackup(source, target, (row) => {
      const user = row as User
      return user.username === 'eve' ? [] : [{ ...user, username: user.username.toUpperCase() }]
    })
    expect(info.tables[0]!.rows).toBe(2)
    const found: unknown[] = []
    for await (const { row } of traverseBackup(target)) found.push((row as User).username)
    expect(found).toEqual(['ADA', 'BOB'])
    const restored = users('zoe')
    await restore({ file: target, ...into(restored), defaultOp: 'keep_tables' })
    expect([...restored.keys()]).toEqual(['ADA', 'BOB', 'zoe'])
  })

  test('of an owned table has the rows of this node, and brings them back as its own', async () => {
    const file = join(backupDirectory(), 'saved')
    const definition = table<User>('users', { ...USERS, type: 'set', replication: 'owned' })
    const net = new LinkNetwork({ seed: 1 })
    const [a, b] = ['a@h', 'b@h'].map((name) => {
      const links = net.start(name)
      const replication = new OwnedReplication({ links, store: new MemoryStore(), logger: pino({ level: 'silent' }) })
      links.handle('owned', replication)
      return replication.open(definition, 'ram_copies')
    })
    a!.write({ username: 'ada', secret: undefined, until: 1 })
    a!.write({ username: 'eve', secret: undefined, until: 1 })
    b!.write({ username: 'bob', secret: undefined, until: 2 })
    net.advance(5000)
    expect(a!.size).toBe(3)
    await backup({ file, tables: [a!], ...NOW })
    a!.delete('ada')
    a!.write({ username: 'zoe', secret: undefined, until: 3 })
    const result = await restore({ file, table: () => a!, node: 'a@h' })
    expect(result.tables).toEqual([{ name: 'users', rows: 2, written: 1, removed: 1, kept: 1 }])
    net.advance(5000)
    expect(plain(b!.rows()).map((row) => JSON.parse(row).username)).toEqual(['ada', 'bob', 'eve'])
  })
})

describe('tables as text', () => {
  test('are a row a line, sorted by key, and readable', async () => {
    const file = join(backupDirectory(), 'users.txt')
    const source = users('bob', 'ada')
    source.write({ username: 'eve', secret: Buffer.from([0, 255]), until: 5 })
    source.write({ username: 'dan', secret: undefined, until: 7 })
    expect(await dumpToText({ file, tables: [source], ...NOW })).toEqual([{ name: 'users', rows: 4 }])
    expect(fs.readFileSync(file, 'utf8')).toBe(
      [
        'agner tables, text format 1, of a@h at 2026-11-26T12:00:00.000Z',
        'table {"name":"users","type":"ordered_set","key":"username","replication":"local_content","copies":"ram_copies"}',
        '{"username":"ada","secret":{"$text":"hunter2"},"until":{"$":"Infinity"}}',
        '{"username":"bob","secret":{"$text":"hunter2"},"until":{"$":"Infinity"}}',
        '{"username":"dan","secret":{"$":"undefined"},"until":7}',
        '{"username":"eve","secret":{"$bytes":"AP8="},"until":5}',
        'end',
        '',
      ].join('\n'),
    )
  })

  const EDITED = [
    'agner tables, text format 1',
    '# a comment, and then an empty line',
    '',
    'table {"name":"users","type":"ordered_set","key":"username"}',
    '  {"username":"zoe","secret":null,"until":1}\r',
    '{"username":"ada","secret":{"$text":"x"},"until":2}',
    'end',
  ]

  test('may be edited: out of order, with comments, with the line ends of others', async () => {
    const file = join(backupDirectory(), 'users.txt')
    fs.writeFileSync(file, EDITED.join('\n'))
    const target = users('bob', 'ada')
    expect(await loadText({ file, ...into(target) })).toEqual({
      tables: [{ name: 'users', rows: 2, written: 2, removed: 2, kept: 0 }],
      skipped: [],
    })
    expect([...target.rows()]).toEqual([
      { username: 'ada', secret: Buffer.from('x'), until: 2 },
      { username: 'zoe', secret: null, until: 1 },
    ])
    expect(await loadText({ file, ...into(target), defaultOp: 'keep_tables' })).toMatchObject({ tables: [{ kept: 2 }] })
  })

  test('with a mistake are refused with its line, before anything is changed', async () => {
    const file = join(backupDirectory(), 'users.txt')
    const target = users('bob')
    const refused = async (lines: readonly string[], problem: string | RegExp): Promise<void> => {
      fs.writeFileSync(file, lines.join('\n'))
      await expect(loadText({ file, ...into(target) })).rejects.toThrow(problem)
    }
    const changed = (number: number, text: string): string[] => EDITED.toSpliced(number - 1, 1, text)
    await refused([], `${file}: is empty`)
    await refused(changed(1, 'agner tables, text format 9'), 'is of format 9, and this version reads format 1')
    await refused(changed(1, '{"username":1}'), /is no text of tables/)
    await refused(EDITED.slice(0, -1), "ends with line 6 and not with 'end': it is not complete")
    await refused([...EDITED, '{}'], `${file}: line 8: behind the end`)
    await refused(changed(2, '{"username":"early"}'), 'line 2: a row before the first table')
    await refused(changed(4, 'table users'), /line 4: no table/)
    await refused(changed(6, '{"username":"ada"'), /line 6: no row: .*JSON/)
    await refused(
      changed(6, '{"username":"ada","until":{"$":"forever"}}'),
      'line 6: no row: what $ has is no such value',
    )
    await refused(changed(6, '{"username":"ada","until":{"$later":1}}'), 'line 6: no row: $later is none of the forms')
    await refused(changed(6, '{"username":"ada","$bytes":"AA=="}'), 'line 6: no row: $bytes among other keys')
    await refused(
      changed(6, '{"username":7}'),
      'a row of users in line 5 or after has no text in its field username, which is its key',
    )
    await refused(changed(6, '[]'), 'which is its key')
    expect([...target.keys()]).toEqual(['bob'])
  })
})
