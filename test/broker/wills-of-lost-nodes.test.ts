/** The wills of clients whose sessions are on nodes that are lost: who publishes them, and when. */
import { describe, expect, test } from 'vitest'
import type { BetweenManagers } from '../../src/broker/session/directory.ts'
import { Homes } from '../../src/broker/session/home.ts'
import { SESSION, SESSION_MANAGER, type SessionRow } from '../../src/broker/tables.ts'
import { pidOf } from '../support/routing.ts'
import type { TestTables } from '../support/tables.ts'
import { type Connection, SessionNode } from './session-node.ts'
import { will } from './session-support.ts'

/** Node `a`, and what members tell it by their tables. */
class World {
  readonly node = new SessionNode(1)
  readonly #members = new Map<string, TestTables>()
  #watcher: Connection | undefined

  async start(): Promise<this> {
    await this.node.start()
    this.#watcher = await this.node.connected({ clientId: 'watcher' })
    this.#watcher.subscribe('will/#')
    await this.node.run()
    return this
  }

  /** Topics of the wills that were published. */
  get published(): string[] {
    return this.#watcher!.publishes().map(({ message }) => message.topic)
  }

  /** A member with a session manager, and a session of `b` as a member tells it. */
  async member(name: string, ...sessions: Partial<SessionRow>[]): Promise<void> {
    const tables = this.#members.get(name) ?? this.node.tables.member(name)
    this.#members.set(name, tables)
    tables.open(SESSION_MANAGER).write({ node: name, answers: true })
    for (const session of sessions) {
      const { clientId = 'c' } = session
      const pid = pidOf(1, { name, creation: 1 })
      const times = { expirySec: 60, connectedAtMs: 1 }
      const row = { clientId, pid, persistent: true, ...times, connection: name, will: willOf(clientId, 0), ...session }
      tables.open(SESSION).write(row)
    }
    await this.settle()
  }

  async lose(...names: string[]): Promise<void> {
    for (const name of names) {
      this.node.tables.network.kill(name)
      this.#members.delete(name)
    }
    await this.settle()
  }

  async settle(): Promise<void> {
    this.node.tables.settle()
    await this.node.pass('10ms')
  }
}

const willOf = (clientId: string, delaySec: number) => will({ topic: `will/${clientId}`, delaySec })

describe('when the node of a session is lost, the home of its client', () => {
  test('publishes the will when it is due, once', async () => {
    const world = await new World().start()
    const sessions = [
      { clientId: 'now', will: willOf('now', 0) },
      { clientId: 'later', will: willOf('later', 30) },
      { clientId: 'without', will: undefined },
    ]
    await world.member('b@sim', ...sessions)
    await world.lose('b@sim')
    expect(world.published).toEqual(['will/now'])
    await world.node.pass('29s')
    expect(world.published).toEqual(['will/now'])
    await world.node.pass('2m')
    expect(world.published).toEqual(['will/now', 'will/later'])
  })

  test('publishes it, and other nodes do not', async () => {
    const world = await new World().start()
    const ids = ['x', 'y', 'z', 'one', 'two', 'three', 'four', 'five', 'six']
    await world.member('b@sim', ...ids.map((clientId) => ({ clientId })))
    await world.member('c@sim')
    await world.lose('b@sim')
    const homes = new Homes(world.node.tables)
    const own = ids.filter((id) => homes.of(id) === 'a@sim')
    expect(own.length).toBeGreaterThan(0)
    expect(own.length).toBeLessThan(ids.length)
    expect(world.published.sort()).toEqual(own.map((id) => `will/${id}`).sort())
  })

  test('leaves one without delay to the connection, if that is on a node that is there', async () => {
    const world = await new World().start()
    const sessions = ['a@sim', 'c@sim'].map((connection) => ({ clientId: connection, connection }))
    await world.member('c@sim')
    await world.member('b@sim', ...sessions.map((each) => ({ ...each, will: willOf(each.clientId, 0) })))
    await world.lose('b@sim', 'c@sim')
    expect(world.published).toEqual(['will/c@sim'])
  })

  test('does not publish it when the client is back, wherever', async () => {
    const world = await new World().start()
    await world.member('b@sim', { will: willOf('c', 30) })
    await world.lose('b@sim')
    await world.member('c@sim', { connectedAtMs: 2, will: undefined })
    await world.node.pass('2m')
    expect(world.published).toEqual([])
  })

  test('tells the node of the session when that is back, unless the client has been there since', async () => {
    const world = await new World().start()
    const told: BetweenManagers[] = []
    const receive = (message: unknown) => void told.push(message as BetweenManagers)
    world.node.simulation.start('b').spawn({ receive }, { name: 'sm' })
    const sessions = ['same', 'since'].map((clientId) => ({ clientId, will: willOf(clientId, 0) }))
    await world.member('b@sim', ...sessions)
    await world.lose('b@sim')
    expect(world.published).toHaveLength(2)
    await world.member('b@sim', sessions[0]!, { ...sessions[1], connectedAtMs: 2 })
    await world.node.pass('1s')
    expect(told).toEqual([{ tag: 'will_settled', clientId: 'same', connectedAtMs: 1 }])
  })
})
