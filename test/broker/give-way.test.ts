/** Which session gives way to which other one of its client id, as the table of sessions changes. */
import { expect, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import { AwayMembers } from '../../src/broker/session/away-members.ts'
import { FormerSessions } from '../../src/broker/session/former-sessions.ts'
import type { HandedOver, HandOverTaken } from '../../src/broker/session/hand-over.ts'
import { Homes } from '../../src/broker/session/home.ts'
import { sm } from '../../src/broker/session/sm.ts'
import { StoredPlaces } from '../../src/broker/session/stored/stored-places.ts'
import { SESSION } from '../../src/broker/tables.ts'
import { pidOf } from '../support/routing.ts'
import type { TestTables } from '../support/tables.ts'
import { SessionNode } from './session-node.ts'
import { client, LIMITS, message } from './session-support.ts'

/** A session manager whose only session does nothing but note to whom it is to give way. */
class Manager {
  readonly node = new SessionNode(1)
  readonly givesWayTo: string[] = []
  /** Members may still have something that they have kept for the node. */
  mayGive = false

  async start(): Promise<this> {
    const { runtime, environment, tables } = this.node
    const receive = (message: unknown) => {
      const { tag, to } = message as { tag: string; to: Pid }
      if (tag === 'give_way') this.givesWayTo.push(to.node)
    }
    const options = {
      ...{ environment, tables },
      homes: new Homes(tables),
      away: new AwayMembers(tables, runtime.clock),
      places: new StoredPlaces(runtime.node.name, tables, undefined),
      mayGive: () => this.mayGive,
      startSession: async () => ({ ok: true as const, pid: runtime.spawn({ receive }) }),
    }
    await this.node.startRouter()
    await sm.start(runtime, options, { name: 'sm' })
    this.node.sessions.open(client({ connection: runtime.spawn({ receive: () => {} }) }))
    await this.settle()
    return this
  }

  /** A member with a session of the same client id. */
  member(name: string, connectedAtMs: number): TestTables {
    const tables = this.node.tables.member(name)
    const pid = pidOf(1, { name, creation: 1 })
    const row = { clientId: 'c', pid, connectedAtMs, persistent: true, expirySec: 60 }
    tables.open(SESSION).write({ ...row, connection: undefined, will: undefined })
    return tables
  }

  async settle(): Promise<void> {
    await this.node.run()
    this.node.tables.settle()
    await this.node.run()
  }
}

test('a session gives way to the latest, and to the next when that is gone', async () => {
  const manager = await new Manager().start()
  const b = manager.member('b@sim', 1)
  await manager.settle()
  const c = manager.member('c@sim', 2)
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim', 'c@sim'])
  c.open(SESSION).delete('c')
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim', 'c@sim', 'b@sim'])
  b.open(SESSION).delete('c')
  await manager.settle()
  expect(manager.givesWayTo).toHaveLength(3)
})

test('a session gives way to the next when the node of the latest is lost, and to the latest when that is back', async () => {
  const manager = await new Manager().start()
  manager.member('b@sim', 1)
  manager.member('c@sim', 2)
  await manager.settle()
  manager.givesWayTo.length = 0
  manager.node.tables.network.kill('c@sim')
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim'])
  manager.member('c@sim', 2)
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim', 'c@sim'])
})

test('a session gives way when members have given what they had kept for its node', async () => {
  const manager = await new Manager().start()
  manager.mayGive = true
  manager.member('b@sim', 1)
  await manager.settle()
  expect(manager.givesWayTo).toEqual([])
  manager.mayGive = false
  manager.node.runtime.send({ name: 'sm', node: manager.node.runtime.node.name }, { tag: 'hints_given' })
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim'])
})

test('of two sessions that were opened at the same time one gives way', async () => {
  const manager = await new Manager().start()
  manager.member('b@sim', 0)
  await manager.settle()
  expect(manager.givesWayTo).toEqual(['b@sim'])
  // The name of its node decides, on either side.
  const other = await new Manager().start()
  other.member('A@sim', 0)
  await other.settle()
  expect(other.givesWayTo).toEqual([])
})

test('a session that is restored gives way to one that its client has got since', async () => {
  const node = await new SessionNode(1, LIMITS, 1000, true).start()
  const connection = node.connect()
  await node.pass('50ms')
  connection.subscribe('t')
  await node.pass('50ms')
  connection.crash()
  node.publish(message({ id: 'a', topic: 't', qos: 1 }))
  const got: string[] = []
  const receive = (part: unknown) => void got.push(...(part as HandedOver).messages.map(({ id }) => id))
  const pid = node.simulation.start('b').spawn({ receive })
  const row = { clientId: 'c', pid, connectedAtMs: 1, persistent: true, expirySec: 60, connection: undefined }
  node.tables
    .member('b@sim')
    .open(SESSION)
    .write({ ...row, will: undefined })
  node.tables.settle()
  await node.pass('50ms')
  expect(got).toEqual(['a'])
  node.runtime.exit(connection.session.session, 'kill')
  await node.pass('50ms')
  expect(got).toEqual(['a', 'a'])
})

test('a session that has given way is known as long as other members may have something for it', async () => {
  const node = new SessionNode(1)
  const other = { now: () => 0, maxAgeMs: 1e6, others: () => ['b@sim', 'c@sim'], onNoted: () => {} }
  const former = new FormerSessions({ store: undefined, ...other })
  Object.assign(node.environment, { former })
  await node.start()
  const connection = await node.connected()
  connection.subscribe('t')
  await node.run()
  connection.crash()
  node.publish(message({ id: 'a', topic: 't', qos: 1 }))
  await node.run()
  const b = node.simulation.start('b')
  const unwanted = { reason: 'not_subscribed', places: [] } as const
  const pid: Pid = b.spawn({
    receive: (sent) => {
      const { from, part } = sent as HandedOver
      b.send(from, { tag: 'hand_over_taken', from: pid, part, taken: 1, unwanted } satisfies HandOverTaken)
    },
  })
  const row = { clientId: 'c', pid, connectedAtMs: 1, persistent: true, expirySec: 60, connection: undefined }
  node.tables
    .member('b@sim')
    .open(SESSION)
    .write({ ...row, will: undefined })
  node.tables.settle()
  await node.pass('50ms')
  expect(node.livingSessions()).toEqual([])
  expect(former.match('t', 'c@sim')).toMatchObject([{ clientId: 'c', node: 'b@sim' }])
})
