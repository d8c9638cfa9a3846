import { describe, expect, test } from 'vitest'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { RC } from '../../src/broker/reason-codes.ts'
import type { BetweenManagers } from '../../src/broker/session/directory.ts'
import type { FromManager } from '../../src/broker/session/session-messages.ts'
import { SESSION } from '../../src/broker/tables.ts'
import { pidOf } from '../support/routing.ts'
import { type Connection, SessionNode } from './session-node.ts'
import { client, LIMITS, message, will } from './session-support.ts'

const SEEDS = [1, 2, 3, 4, 5]

describe('opening a session', () => {
  test('a client gets a session of its own, found by its client id', async () => {
    const node = await new SessionNode(1).start()
    const a = await node.connected({ clientId: 'a' })
    const b = await node.connected({ clientId: 'b' })
    expect(a.session.present).toBe(false)
    expect(a.session.session.equals(b.session.session)).toBe(false)
    expect(node.sessions.lookup('a')?.pid.equals(a.session.session)).toBe(true)
    expect(node.sessions.lookup('nobody')).toBeUndefined()
    expect([...node.sessions.list()].map(({ clientId }) => clientId).sort()).toEqual(['a', 'b'])
    expect(node.sessions.count).toBe(2)
  })

  test('its row is written once, and again when its client comes back', async () => {
    const node = await new SessionNode(1).start()
    const written: string[] = []
    node.tables.open(SESSION).subscribe((event) => {
      if (event.type === 'write') written.push(event.row.clientId)
    })
    await node.connected({ clientId: 'a' })
    expect(written).toEqual(['a'])
    await node.connected({ clientId: 'a' })
    expect(written).toEqual(['a', 'a'])
  })

  test('a session without expiry ends with its connection, and its row goes', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected({ expirySec: 0 })
    connection.disconnect()
    await node.run()
    expect(node.livingSessions()).toEqual([])
    expect(node.sessions.count).toBe(0)
  })

  test('a client that comes back finds the same session process', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected()
    first.disconnect()
    await node.run()
    expect(node.livingSessions()).toHaveLength(1)
    const second = await node.connected()
    expect(second.session.present).toBe(true)
    expect(second.session.session.equals(first.session.session)).toBe(true)
  })

  test('a clean start gets another session, and the routes of the old one are gone [MQTT5-3.1.2-4]', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected()
    first.subscribe('t')
    first.disconnect()
    await node.run()
    expect(node.routing.stats().subscriptions.count).toBe(1)
    const second = await node.connected({ cleanStart: true })
    expect(second.session.present).toBe(false)
    expect(node.livingSessions()).toHaveLength(1)
    expect(node.routing.stats().subscriptions.count).toBe(0)
  })

  test('an expired session is gone, and the client gets a new one', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected({ expirySec: 60 })
    first.disconnect()
    await node.simulation.advance('59s')
    expect(node.sessions.count).toBe(1)
    await node.simulation.advance('2s')
    expect(node.sessions.count).toBe(0)
    expect((await node.connected()).session.present).toBe(false)
  })

  test('a session that came back in time does not expire at the old time', async () => {
    const node = await new SessionNode(1).start()
    ;(await node.connected({ expirySec: 60 })).disconnect()
    await node.simulation.advance('50s')
    ;(await node.connected({ expirySec: 60 })).disconnect()
    await node.simulation.advance('59s')
    expect(node.sessions.count).toBe(1)
  })

  test('without a manager the connection is refused', async () => {
    const node = new SessionNode(1)
    const connection = await node.connected()
    expect(connection.answer).toMatchObject({ tag: 'refused', reasonCode: RC.server_unavailable })
  })
})

describe('take-over', () => {
  test('the older connection is closed with 0x8E and the session goes on [MQTT5-3.1.4-3]', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected()
    const second = await node.connected()
    expect(first.closed?.reasonCode).toBe(RC.session_taken_over)
    expect(second.session.present).toBe(true)
    await node.run()
    expect(second.closed).toBeUndefined()
    expect(node.livingSessions()).toHaveLength(1)
  })

  test.each(SEEDS)(
    '100 connections at once with one client id leave one session and one connection (seed %i)',
    async (seed) => {
      const node = await new SessionNode(seed).start()
      const connections: Connection[] = []
      for (let i = 0; i < 100; i += 1) {
        connections.push(node.connect({ cleanStart: i % 3 === 0, expirySec: i % 2 === 0 ? 0 : 100 }))
        // Some arrive while others are being served, some leave before they are.
        if (i % 10 === 0) await node.run()
        if (i % 7 === 0) connections[i]!.crash()
      }
      await node.run()
      const living = connections.filter(({ isAlive }) => isAlive)
      expect(living).toHaveLength(1)
      expect(living[0]!.answer?.tag).toBe('opened')
      expect(node.livingSessions()).toHaveLength(1)
      const row = node.sessions.lookup('c')
      expect(row?.pid.equals(living[0]!.session.session)).toBe(true)
      expect(row?.pid.equals(node.livingSessions()[0])).toBe(true)
      for (const each of connections) {
        if (each.answer?.tag === 'opened' && each !== living[0] && !each.isAlive && each.closed !== undefined) {
          expect(each.closed.reasonCode).toBe(RC.session_taken_over)
        }
      }
    },
  )
})

describe('a session that crashes', () => {
  test('leaves no row, and its client gets a new one', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected()
    node.runtime.exit(first.session.session, 'kill')
    await node.run()
    expect(node.sessions.count).toBe(0)
    const second = await node.connected()
    expect(second.session.present).toBe(false)
  })

  test('while it waited without a connection, has its will published by the manager', async () => {
    const node = await new SessionNode(1).start()
    const watcher = await node.connected({ clientId: 'watcher' })
    watcher.subscribe('will/#')
    const client = await node.connected({ will: will({ delaySec: 30 }) })
    client.disconnect(true)
    await node.run()
    node.runtime.exit(client.session.session, 'kill')
    await node.run()
    expect(watcher.payloads()).toEqual(['gone'])
  })

  test.each([
    [0, []],
    [30, ['gone']],
  ])(
    'while it had a connection and is stored, leaves a will with %i s delay to the one that sees to it',
    async (delaySec, published) => {
      const node = await new SessionNode(1, LIMITS, 1000, true).start()
      const watcher = await node.connected({ clientId: 'watcher', expirySec: 0 })
      watcher.subscribe('will/#')
      // In place of a connection, which publishes what need not wait.
      const client = node.connect({ will: will({ delaySec }) })
      await node.pass('1s')
      node.runtime.exit(client.session.session, 'kill')
      await node.pass('31s')
      expect(watcher.payloads()).toEqual(published)
    },
  )

  test('after its will was published, does not have it published again', async () => {
    const node = await new SessionNode(1).start()
    const watcher = await node.connected({ clientId: 'watcher' })
    watcher.subscribe('will/#')
    const client = await node.connected({ will: will({ delaySec: 30 }) })
    client.disconnect(true)
    await node.simulation.advance('31s')
    expect(watcher.payloads()).toEqual(['gone'])
    node.runtime.exit(client.session.session, 'kill')
    await node.run()
    expect(watcher.payloads()).toEqual(['gone'])
  })

  test('while it is asked for, does not keep the client from a session', async () => {
    const node = await new SessionNode(1).start()
    const first = await node.connected()
    first.disconnect()
    await node.run()
    const second = node.connect()
    node.runtime.exit(first.session.session, 'kill')
    await node.run()
    expect(second.session.present).toBe(false)
    expect(node.livingSessions()).toHaveLength(1)
  })
})

describe('the manager', () => {
  test('is restarted and knows the sessions that are there, and those that ended meanwhile', async () => {
    const node = await new SessionNode(1).start()
    const a = await node.connected({ clientId: 'a' })
    const b = await node.connected({ clientId: 'b' })
    node.runtime.exit(node.runtime.whereis('sm')!, 'kill')
    await node.run()
    node.runtime.exit(b.session.session, 'kill')
    await node.startSm()
    await node.run()
    expect(node.sessions.lookup('b')).toBeUndefined()
    const again = await node.connected({ clientId: 'a' })
    expect(again.session.present).toBe(true)
    expect(again.session.session.equals(a.session.session)).toBe(true)
    node.runtime.exit(a.session.session, 'kill')
    await node.run()
    expect(node.sessions.lookup('a')).toBeUndefined()
  })

  test('kicks a client off; its session lives on', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected()
    expect(node.sessions.kick('c')).toBe(true)
    expect(node.sessions.kick('nobody')).toBe(false)
    await node.run()
    expect(connection.closed?.reasonCode).toBe(RC.administrative_action)
    expect(node.sessions.count).toBe(1)
    expect((await node.connected()).session.present).toBe(true)
  })

  test('ends a session with its connection', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected()
    expect(node.sessions.discard('c')).toBe(true)
    await node.run()
    expect(connection.closed?.reasonCode).toBe(RC.administrative_action)
    expect(node.livingSessions()).toEqual([])
    expect(node.sessions.count).toBe(0)
  })
})

describe('homes that do not see each other', () => {
  /** A home elsewhere, and the sessions of which it has been told. */
  function home(node: SessionNode, name: string) {
    const told: string[] = []
    const receive = (message: unknown) => {
      const { outcome } = message as Extract<BetweenManagers, { tag: 'started' }>
      if (outcome.ok) told.push(outcome.pid!.key)
    }
    node.runtime.spawn({ receive }, { name })
    const start = (info: ClientInfo) => {
      const message: BetweenManagers = { tag: 'start', client: info, home: { name, node: node.runtime.node.name } }
      node.runtime.send(node.runtime.whereis('sm')!, message)
    }
    return { told, start }
  }

  test('get the session that is there', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected()
    const other = home(node, 'other')
    other.start(client())
    await node.run()
    expect(other.told).toEqual([connection.session.session.key])
    expect(connection.isAlive).toBe(true)
    expect(node.livingSessions()).toHaveLength(1)
  })

  test('have a session made that is later than that of another node, on disc too', async () => {
    const node = await new SessionNode(1, LIMITS, 1000, true).start()
    const { runtime, tables, sessions, stored } = node
    const connectedAtMs = runtime.clock.now() + 5000
    const other = pidOf(1, { name: 'b@sim', creation: 1 })
    const common = { clientId: 'c', persistent: true, expirySec: 100, connection: undefined, will: undefined }
    tables
      .member('b@sim')
      .open(SESSION)
      .write({ ...common, pid: other, connectedAtMs })
    tables.settle()
    const connection = runtime.spawn({ receive: () => {} })
    const opener = client({ expirySec: 100, connectedAtMs: runtime.clock.now(), connection })
    home(node, 'other').start(opener)
    await node.pass('50ms')
    const open: FromManager = { tag: 'open', home: { name: 'other', node: runtime.node.name }, client: opener }
    runtime.send(sessions.lookup('c')!.pid, open)
    await node.pass('50ms')
    expect(sessions.lookup('c')).toMatchObject({ connectedAtMs: connectedAtMs + 1 })
    expect(stored!.store.rowOf('c')?.client.connectedAtMs).toBe(connectedAtMs + 1)
  })

  test('have two sessions made at the same time, of which one stays', async () => {
    const node = await new SessionNode(1).start()
    for (const name of ['one', 'another']) home(node, name).start(client())
    await node.pass('1s')
    expect(node.livingSessions()).toHaveLength(1)
    expect(node.sessions.lookup('c')?.pid.equals(node.livingSessions()[0])).toBe(true)
  })
})

test('messages for a session that is away wait and are delivered when its client returns', async () => {
  const node = await new SessionNode(1).start()
  const first = await node.connected()
  first.subscribe('t')
  await node.run()
  first.disconnect()
  await node.run()
  node.publish(message({ qos: 1, payload: Buffer.from('1') }))
  node.publish(message({ qos: 0, payload: Buffer.from('2') }))
  await node.run()
  const second = await node.connected()
  expect(second.payloads()).toEqual(['1', '2'])
})
