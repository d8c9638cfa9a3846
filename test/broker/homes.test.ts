/** Which node is asked about a client id. */
import { expect, test } from 'vitest'
import { Homes } from '../../src/broker/session/home.ts'
import { SESSION_MANAGER } from '../../src/broker/tables.ts'
import { TestTables } from '../support/tables.ts'
import { SessionNode } from './session-node.ts'

const [A, B] = ['a@sim', 'b@sim'] as const

/** The session manager of a member is there. */
function join(member: TestTables): void {
  member.open(SESSION_MANAGER).write({ node: B, answers: true })
}

test('a member decides as soon as its session manager is there', () => {
  const tables = new TestTables(A)
  const member = tables.member(B)
  tables.settle()
  const homes = new Homes(tables)
  homes.join()
  tables.settle()
  expect([homes.isRunning(B), homes.nodes]).toEqual([true, [A]])
  join(member)
  tables.settle()
  expect(homes.nodes).toEqual([A, B])
})

test('a home that has not taken a claim is asked again, whenever that was sent', async () => {
  const node = new SessionNode(1)
  const { simulation, tables } = node
  join(tables.member(B))
  tables.settle()
  await node.start()
  tables.settle()
  const b = simulation.start('b')
  const claims: unknown[] = []
  b.spawn(
    {
      receive: (message) => {
        const { tag, client, sentAtMs } = message as { tag: string; client: unknown; sentAtMs: number | undefined }
        if (tag !== 'lease') return
        claims.push(sentAtMs)
        if (claims.length === 1) b.send({ name: 'sm', node: A }, { tag: 'ask_again', client })
      },
    },
    { name: 'sm' },
  )
  const homes = new Homes(tables)
  const clientId = Array.from({ length: 20 }, (_, i) => `c${i}`).find((each) => homes.of(each) === B)!
  const connection = node.connect({ clientId })
  await node.pass('100ms')
  expect(claims).toEqual([0, undefined])
  expect(connection.answer).toBeUndefined()
})
