import pino from 'pino'
import { expect, it } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { SharedReplication } from '../../../src/mnesia/shared/replication.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import { LinkNetwork } from '../../support/link-network.ts'

interface User {
  readonly name: string
  readonly n: number
}
const USERS = table<User>('users', { type: 'set', key: 'name', replication: 'shared', copies: 'ram_copies' })

it('works', async () => {
  const network = new LinkNetwork({ seed: 1 })
  const nodes = ['a', 'b', 'c'].map((name) => {
    const node = network.start(name)
    const replication = new SharedReplication({
      links: node,
      store: new MemoryStore(),
      logger: pino({ level: 'warn' }),
      limits: { logBytes: 4000 },
    })
    return { replication, table: replication.create(USERS, 'ram_copies', { isNew: true }) }
  })
  network.advance(100)
  nodes[0]!.table.write({ name: 'x', n: 1 })
  network.advance(100)
  for (const { table } of nodes) expect(table.get('x')).toEqual({ name: 'x', n: 1 })
  network.cut('a', 'b')
  network.cut('a', 'c')
  network.advance(100)
  for (let i = 0; i < 3000; i++) nodes[0]!.table.write({ name: `k${i}`, n: i })
  for (let i = 0; i < 3000; i++) nodes[1]!.table.write({ name: `k${i * 2}`, n: -i })
  nodes[2]!.table.delete('x')
  network.advance(2000)
  network.mendAll()
  network.advance(20000)
  console.log(
    JSON.stringify(
      nodes.map((n) => n.replication.info()),
      null,
      1,
    ),
  )
  const all = nodes.map(({ table }) => [...table.rows()].sort((a, b) => (a.name < b.name ? -1 : 1)))
  expect(all[1]).toEqual(all[0])
  expect(all[2]).toEqual(all[0])
  expect(all[0]!.length).toBe(4500)
})
