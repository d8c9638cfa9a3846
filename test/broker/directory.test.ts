/** What becomes of a CONNECT whose session is on another member, while that is lost and comes back. */
import { expect, onTestFinished, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { ProcessContext } from '../../src/actors/process.ts'
import type { DownMessage } from '../../src/actors/signal.ts'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { AwayMembers } from '../../src/broker/session/away-members.ts'
import { Directory, type DirectoryTimer } from '../../src/broker/session/directory.ts'
import { StoredPlaces } from '../../src/broker/session/stored/stored-places.ts'
import { SESSION, STORED_SESSION } from '../../src/broker/tables.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import { TestTables } from '../support/tables.ts'
import { client } from './session-support.ts'

const HOME_WAIT_MS = 60_000

/** A home on `a`, and a session of the client `c` on `b` that says nothing. */
class World {
  readonly sim: Simulation = simulate({ seed: 1, nodes: ['a', 'b'] })
  readonly tables = new TestTables('a@sim')
  readonly session: Pid
  isStopping = false
  /** Tags of what the session and the manager of the connection are told. */
  readonly asked: string[] = []
  readonly told: string[] = []
  readonly #away: AwayMembers
  readonly #member: TestTables
  #directory: Directory | undefined

  constructor() {
    onTestFinished(() => this.sim.stop())
    const { sim, tables } = this
    const note = (tags: string[]) => (message: unknown) => void tags.push((message as { tag: string }).tag)
    this.session = sim.node('b').spawn({ receive: note(this.asked) })
    sim.node('a').spawn({ receive: note(this.told) }, { name: 'manager' })
    const table = tables.open(SESSION)
    const cluster = {
      open: tables.open.bind(tables),
      all: tables.all.bind(tables),
      status: () => ({ ...tables.status(), stopped: ['b@sim'] }),
      subscribe: tables.subscribe.bind(tables),
    }
    this.#away = new AwayMembers(cluster, sim.node('a').clock)
    this.#member = tables.member('b@sim')
    this.restore(this.session)
    this.#away.ready('b@sim')
    const receive = (message: unknown) => {
      const got = message as DownMessage | DirectoryTimer
      if (got.tag === 'DOWN') this.directory.down(got)
      else this.directory.timer(got)
    }
    const home = sim.node('a').process(sim.node('a').spawn({ receive }, { name: 'home' }))
    this.#directory = new Directory(home as ProcessContext, {
      table,
      name: { name: 'home', node: 'a@sim' },
      places: new StoredPlaces('a@sim', tables, undefined),
      away: this.#away,
      homeWaitMs: HOME_WAIT_MS,
      homeDown: 'new',
      hasManager: () => !this.isStopping,
    })
  }

  /** `b` has the session. */
  restore(pid: Pid): void {
    const times = { expirySec: 3600, connectedAtMs: 1 }
    const row = { clientId: 'c', pid, persistent: true, ...times, connection: undefined, will: undefined }
    this.#member.open(SESSION).write(row)
    this.store('c')
  }

  /** `b` has the session of a client on its disc. */
  store(clientId: string): void {
    this.#member.open(STORED_SESSION).write({ clientId, node: 'b@sim' })
    this.tables.settle()
  }

  get directory(): Directory {
    return this.#directory!
  }

  async claim(info = client({ clientId: 'c' })): Promise<void> {
    this.directory.claim(info, { name: 'manager', node: 'a@sim' })
    await this.sim.advance('1s')
  }

  /** A client of `a`. */
  client(clientId: string): ClientInfo {
    return client({ clientId, connection: this.sim.node('a').spawn({ receive: () => {} }) })
  }

  /** The connection ends, of which the table has not heard. */
  async loseConnection(): Promise<void> {
    await this.sim.partition(['a'], ['b'])
    await this.sim.advance('1s')
  }

  /** The table hears of it. */
  hide(): void {
    this.tables.network.cut('a@sim', 'b@sim')
    this.tables.settle()
  }

  async comeBack(): Promise<void> {
    await this.sim.heal()
    this.tables.network.mend('a@sim', 'b@sim')
    this.tables.settle()
    this.#away.ready('b@sim')
    await this.sim.advance('1s')
  }
}

test('a session behind a connection that has ended is waited for, though the table does not know yet that its member is lost', async () => {
  const world = new World()
  await world.claim()
  expect(world.asked).toEqual(['open'])
  await world.loseConnection()
  expect(world.told).toEqual([])
  world.hide()
  await world.sim.advance(HOME_WAIT_MS / 2)
  expect(world.told).toEqual([])
  await world.comeBack()
  expect([world.asked, world.told]).toEqual([['open', 'open'], []])
})

test('its client gets another session when the member stays away', async () => {
  const world = new World()
  await world.claim()
  await world.loseConnection()
  world.hide()
  await world.sim.advance(HOME_WAIT_MS)
  expect([world.asked, world.told]).toEqual([['open'], ['start']])
})

test('a session that ends with its node, which stops in order, is waited for', async () => {
  const world = new World()
  await world.claim()
  world.isStopping = true
  world.sim.node('b').exit(world.session, 'shutdown')
  await world.sim.advance('1s')
  expect([world.asked, world.told]).toEqual([['open'], []])
  world.hide()
  await world.sim.advance(HOME_WAIT_MS / 2)
  world.isStopping = false
  const note = (message: unknown) => void world.asked.push(`again ${(message as { tag: string }).tag}`)
  world.restore(world.sim.node('b').spawn({ receive: note }))
  await world.comeBack()
  expect([world.asked, world.told]).toEqual([['open', 'again open'], []])
})

test('a session that has ended is not asked again', async () => {
  const world = new World()
  await world.claim()
  world.sim.node('b').exit(world.session, 'kill')
  await world.sim.advance('1s')
  expect([world.asked, world.told]).toEqual([['open'], ['start']])
})

test('a claim that comes again is not taken twice', async () => {
  const world = new World()
  const info = world.client('c')
  await world.claim(info)
  await world.claim(info)
  world.directory.opened(world.session, info)
  await world.sim.advance('1s')
  expect([world.asked, world.told, world.directory.size]).toEqual([['open'], ['settled'], 0])
})

test('those who wait where another home decides now ask there', async () => {
  const world = new World()
  const [first, second] = [world.client('c'), world.client('c')]
  await world.claim(first)
  await world.claim(second)
  world.directory.keep(() => false)
  await world.sim.advance('1s')
  expect(world.told).toEqual(['ask_again'])
  world.directory.opened(world.session, first)
  await world.sim.advance('1s')
  expect([world.asked, world.told]).toEqual([['open'], ['ask_again', 'settled']])
})

test('a session that was opened a moment ago is found before the table has it', async () => {
  const world = new World()
  const [first, second] = [world.client('d'), world.client('d')]
  await world.claim(first)
  world.directory.started('d', { ok: true, pid: world.session })
  world.directory.opened(world.session, first)
  await world.claim(second)
  expect([world.asked, world.told]).toEqual([
    ['open', 'open'],
    ['start', 'settled'],
  ])
})

test('the session of a member that has just come back is sought there before the table has it', async () => {
  const world = new World()
  world.store('d')
  const asked: string[] = []
  const receive = (message: unknown) => void asked.push((message as { tag: string }).tag)
  world.sim.node('b').spawn({ receive }, { name: 'manager' })
  await world.claim(world.client('d'))
  expect([asked, world.told]).toEqual([['start'], []])
})
