/** A table on disc, saved, changed, and brought back: `node --import tsx examples/backup.ts`. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRuntime } from 'agner/actors'
import { backup, backupInfo, backupTo, dumpToText, openStore, restore, startMnesia, table } from 'agner/mnesia'

interface User {
  readonly name: string
  readonly town: string
}

const USERS = table<User>('users', { type: 'ordered_set', key: 'name', replication: 'shared', copies: 'disc_copies' })

const directory = mkdtempSync(join(tmpdir(), 'agner-example-'))
const runtime = startRuntime()
const node = runtime.node.name
const { store, damage } = await openStore({ directory: join(directory, 'tables'), system: runtime.system, owner: node })
if (damage.length > 0) console.log('damaged:', damage)
const started = await startMnesia(runtime, {
  store,
  tables: [USERS],
  backup: backupTo(runtime, join(directory, 'backup')),
})
if (!started.ok) throw new Error(started.problem)
const users = started.mnesia.open(USERS)
await users.batch(
  [
    { op: 'write', row: { name: 'ada', town: 'London' } },
    { op: 'write', row: { name: 'alan', town: 'Wilmslow' } },
  ],
  {
    wait: 'durable',
  },
)

const file = join(directory, 'users.backup')
await backup({ file, tables: [users], node, now: runtime.clock.now() })
console.log((await backupInfo(file)).tables.map(({ name, rows }) => `${name}: ${rows} rows`).join()) // users: 2 rows

users.delete('ada')
users.write({ name: 'alan', town: 'Manchester' })
const missing = await restore({ file, table: (name) => started.mnesia.table(name), node, missingOnly: true })
console.log(missing.tables[0], users.get('alan')?.town)
const all = await restore({ file, table: (name) => started.mnesia.table(name), node })
console.log(all.tables[0], users.get('alan')?.town)

const text = join(directory, 'users.txt')
await dumpToText({ file: text, tables: [users], node, now: 0 })
console.log(readFileSync(text, 'utf8'))
await started.mnesia.stop()
rmSync(directory, { recursive: true })
