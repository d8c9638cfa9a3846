/** `session.migrate`: nodes and links that fail at any moment of the move of a session. */
import { expect, onTestFinished, test } from 'vitest'
import { SimClient } from '../support/sim/client.ts'
import { ClusterWorld } from '../support/sim/cluster-world.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { Invariants } from './cluster/invariants.ts'

const SEEDS = 10
const NAMES = ['a', 'b', 'c'] as const
const EXPIRY_SEC = 300
const CONFIG = {
  session: { maxInflight: 5, expirySec: EXPIRY_SEC, migrate: true },
  broker: { sysIntervalMs: Number.POSITIVE_INFINITY },
} as const
/** A move takes so long, or half of it, as the discs are fast or slow. */
const MOVE_MS = [60, 150, 500] as const
/** Within this after a session has its client it is on disc there, and the other node hears of it. */
const OPENED_MS = 10
const QUIET_MS = 60_000
/** A session is waited for for longer than this and a start. */
const WAITED_MS = 5000

/** A client on node `a` that gets messages and publishes itself, and others on `c`; there is a group of two. */
class Scene {
  readonly world: ClusterWorld
  readonly clients: readonly SimClient[]
  readonly #mover: SimClient
  readonly #invariants: Invariants

  constructor(seed: number) {
    this.world = new ClusterWorld({ seed, config: CONFIG })
    onTestFinished(() => this.world.sim.stop())
    const { random } = this.world.sim
    const common = { version: random.pick([4, 5] as const), isPersistent: true, expirySec: EXPIRY_SEC, window: 4 }
    const filters = [{ filter: 't/#', qos: 2 } as const, { filter: '$share/g/u/#', qos: 1 } as const]
    this.#mover = new SimClient(this.world, { ...common, id: 'm', subscriptions: filters.slice(0, 1), ackDelayMs: 30 })
    const publisher = new SimClient(this.world, { ...common, id: 'p', subscriptions: filters.slice(0, 1) })
    const members = ['g1', 'g2'].map((id) => {
      return new SimClient(this.world, { ...common, id, subscriptions: filters.slice(1), ackDelayMs: 30 })
    })
    this.clients = [this.#mover, publisher, ...members]
    this.#invariants = new Invariants(this.world, this.clients)
  }

  async begin(): Promise<void> {
    const { world } = this
    await world.settle(world.start('a'))
    await world.settle(Promise.all([world.start('b', 'a'), world.start('c', 'a')]))
    await world.pass('15s')
    for (const [i, client] of this.clients.entries()) client.connect(i === 1 ? 'c' : 'a')
    await this.untilQuiet()
  }

  /**
   * Messages for all, some of which are in flight or wait when clients go to `b`; `fault` happens at some moment of that, in half of the cases when the session
   * has just been opened there.
   */
  async move(fault: () => void): Promise<void> {
    const { random } = this.world.sim
    await this.#publish(6)
    this.#mover.lose()
    await this.#publish(4)
    for (const client of [this.#mover, this.clients[2]!]) client.connect('b')
    let isOver = false
    const failOnce = () => {
      if (!isOver) fault()
      isOver = true
    }
    const faultMs = random.next() * random.pick(MOVE_MS)
    if (random.below(2) === 0) {
      this.world.services.get('b')!.hooks.on('session.resumed', () => {
        this.world.sim.time.set(random.next() * OPENED_MS, failOnce)
      })
    } else this.world.sim.time.set(faultMs, failOnce)
    for (let passedMs = 0; passedMs < 600 && !isOver; passedMs += 5) await this.#publish(1)
    failOnce()
    await this.#publish(4)
  }

  async #publish(count: number): Promise<void> {
    const { random } = this.world.sim
    for (let n = 0; n < count; n += 1) {
      for (const client of this.clients) client.publish(random.pick(['t/1', 'u/1']), random.pick([0, 1, 2] as const))
      await this.world.pass(random.next() * 10)
    }
  }

  async untilQuiet(): Promise<void> {
    await this.#invariants.whenTrue(QUIET_MS)
    this.world.isQuiet(NAMES)
  }

  /** Whatever had failed is there again after a while. The client that moves has the session that it had, if that is less than it is waited for. */
  async mend(): Promise<void> {
    const { world } = this
    const { random } = world.sim
    const { session } = this.#mover
    const awayMs = random.pick([500, 5000, 14_000]) * random.next()
    await world.pass(awayMs)
    world.mendAll()
    for (const name of NAMES) world.thaw(name)
    for (const name of NAMES) if (!world.sim.isRunning(name)) await world.settle(world.start(name))
    await this.untilQuiet()
    if (awayMs < WAITED_MS) expect(this.#mover.session).toBe(session)
  }
}

test('sessions that move when nothing fails are on the node of their client', async () => {
  await underSeeds(SEEDS, async (seed) => {
    const scene = new Scene(seed)
    await scene.begin()
    await scene.move(() => {})
    await scene.untilQuiet()
    const homes = [...scene.world.liveSessions().values()].map(({ node, snapshot }) => `${snapshot.clientId} ${node}`)
    expect(homes.sort()).toEqual(['g1 b', 'g2 a', 'm b', 'p c'])
  })
})

const FAULTS: Record<string, (world: ClusterWorld) => void> = {
  'the node that a session leaves dies': (world) => world.kill('a'),
  'the node to which a session goes dies': (world) => world.kill('b'),
  'both nodes die': (world) => {
    world.kill('a')
    world.kill('b')
  },
  'the link of both nodes is cut': (world) => world.cut('a', 'b'),
  'the link of both nodes is lost and made anew': (world) => world.reset('a', 'b'),
  'the node that a session leaves is cut off': (world) => {
    world.cut('a', 'b')
    world.cut('a', 'c')
  },
  'the node to which a session goes stands still': (world) => world.freeze('b'),
}

test.each(Object.keys(FAULTS))(
  '%s at any moment of the move: nothing is lost, and one session counts',
  async (what) => {
    await underSeeds(SEEDS, async (seed) => {
      const scene = new Scene(seed)
      await scene.begin()
      await scene.move(() => FAULTS[what]!(scene.world))
      await scene.mend()
    })
  },
)
