/** What the discs of all members say of who has the stored session of a client, and what it costs. */
import { expect, test } from 'vitest'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { StoredPlaces } from '../../src/broker/session/stored/stored-places.ts'
import { STORED_SESSION } from '../../src/broker/tables.ts'
import { TestTables } from '../support/tables.ts'
import { SessionNode } from './session-node.ts'
import { LIMITS } from './session-support.ts'

/** A client comes, and has its session when that is on disc, and goes. */
async function visit(node: SessionNode, changes: Partial<ClientInfo> = {}): Promise<boolean> {
  const connection = node.connect(changes)
  await node.pass('1s')
  const { present } = connection.session
  connection.disconnect()
  await node.pass('1s')
  return present
}

const has = (...ids: string[]) => ({ has: (clientId: string) => ids.includes(clientId) })

test('a stored session is written when it begins and deleted when it ends; its client may come and go meanwhile', async () => {
  const node = await new SessionNode(1, LIMITS, 1000, true).start()
  const changes: string[] = []
  node.tables.open(STORED_SESSION).subscribe((event) => void changes.push(event.type))
  for (let i = 0; i < 3; i++) {
    await visit(node, { clientId: 'lasting' })
    await visit(node, { clientId: 'transient', expirySec: 0 })
  }
  expect(changes).toEqual(['write'])
  await node.pass('2h')
  expect(node.sessions.count).toBe(0)
  expect(changes).toEqual(['write', 'delete'])
})

test('a session that does not outlive its connection any more is not one of them', async () => {
  const node = await new SessionNode(1, LIMITS, 1000, true).start()
  await visit(node)
  const table = node.tables.open(STORED_SESSION)
  expect(table.size).toBe(1)
  node.connect({ expirySec: 0 })
  await node.pass('1s')
  expect([node.sessions.count, table.size]).toEqual([1, 0])
})

test('one that crashes stays, unless it crashes too often', async () => {
  const node = await new SessionNode(1, LIMITS, 1000, true).start()
  await node.connected()
  const table = node.tables.open(STORED_SESSION)
  const sizes: number[] = []
  for (let i = 0; i < 4; i++) {
    node.runtime.exit(node.sessions.lookup('c')!.pid, 'kill')
    await node.pass('1s')
    sizes.push(table.size)
  }
  expect(sizes).toEqual([1, 1, 1, 0])
})

test('what an earlier run has left goes when all that are stored have been found', () => {
  const tables = new TestTables('a@sim')
  const table = tables.open(STORED_SESSION)
  for (const clientId of ['left', 'kept']) table.write({ clientId, node: 'a@sim' })
  new StoredPlaces('a@sim', tables, has('kept')).forgetFormer()
  expect([...table.rows()]).toEqual([{ clientId: 'kept', node: 'a@sim' }])
  new StoredPlaces('a@sim', tables, undefined).forgetFormer()
  expect(table.size).toBe(0)
})

test('the members of a stored session are known while they are down, also by one that joins meanwhile', () => {
  const a = new TestTables('a@sim')
  const placesOf = (tables: TestTables, store?: ReturnType<typeof has>) => new StoredPlaces(tables.name, tables, store)
  const places = placesOf(a, has('c'))
  const b = a.member('b@sim')
  placesOf(b, has('c', 'd')).align('c')
  placesOf(b, has('c', 'd')).align('d')
  places.align('c')
  places.align('d')
  a.settle()
  expect([places.of('c').sort(), places.of('d'), places.of('e')]).toEqual([['a@sim', 'b@sim'], ['b@sim'], []])
  a.network.kill('b@sim')
  a.settle()
  const c = placesOf(a.member('c@sim'))
  a.settle()
  for (const each of [places, c]) expect([each.of('c').sort(), each.of('d')]).toEqual([['a@sim', 'b@sim'], ['b@sim']])
})
