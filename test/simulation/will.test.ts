import { test } from 'vitest'
import type { ProtocolVersion } from '../../src/broker/packet.ts'
import { SimClient } from '../support/sim/client.ts'
import { underSeeds } from '../support/sim/seeds.ts'
import { startWorld, type World } from '../support/sim/world.ts'

const KEEP_ALIVE_SEC = 10

const ENDINGS = ['disconnect', 'disconnect_with_will', 'lose', 'half_close', 'vanish', 'silence', 'take_over'] as const

interface Expected {
  readonly key: string
  /** ms since the start; undefined: never. */
  due: { from: number; to: number } | undefined
}

/** A client with a will, and the rules by which it is due. */
class WillClient {
  readonly client: SimClient
  readonly expected: Expected[] = []
  readonly #world: World
  readonly #delaySec: number
  readonly #expirySec: number
  #round = 0
  #comesBackSoon = false

  constructor(world: World, id: string) {
    this.#world = world
    const { random } = world.sim
    const version: ProtocolVersion = random.pick([4, 5, 5] as const)
    const isPersistent = random.below(3) > 0
    this.#delaySec = version === 5 ? random.pick([0, 5, 60]) : 0
    // 3.1.1 has no delay, so the expiry does not matter.
    this.#expirySec = isPersistent ? random.pick([30, 120]) : 0
    const options = { id, version, isPersistent, expirySec: this.#expirySec, keepAliveSec: KEEP_ALIVE_SEC }
    this.client = new SimClient(world, { ...options, reconnectMs: Number.POSITIVE_INFINITY })
  }

  connect(): void {
    const { id } = this.client
    const key = `${id}/${this.#round}`
    const topic = `will/${id}`
    const properties = this.#delaySec > 0 ? { willDelayInterval: this.#delaySec } : undefined
    this.client.will = {
      topic,
      payload: Buffer.from(key),
      qos: 2,
      retain: false,
      ...(properties !== undefined && { properties }),
    }
    const seq = this.#round++
    const published = { key, publisher: id, seq, topic, qos: 2 as const, attempts: 1, firstSentAtMs: 0, session: '' }
    this.#world.ledger.published.set(key, { ...published, acceptedAtMs: undefined })
    this.expected.push({ key, due: undefined })
    this.client.connect()
  }

  end(): void {
    const { client } = this
    const { random } = this.#world.sim
    const { version, isPersistent } = client.options
    this.#comesBackSoon = random.below(2) === 0
    const last = this.expected.at(-1)!
    const atMs = this.#world.nowMs
    const ending = random.pick(ENDINGS)
    const delayMs = Math.min(this.#delaySec, this.#expirySec) * 1000
    const isCancelled = this.#comesBackSoon && delayMs > 24_000
    const due = (fromMs: number, toMs: number) => {
      if (!isCancelled) last.due = { from: fromMs + delayMs, to: toMs + delayMs }
    }
    switch (ending) {
      case 'disconnect':
        client.disconnect()
        break
      case 'disconnect_with_will':
        client.disconnect(0x04)
        if (version === 5) due(atMs, atMs + 1000)
        break
      case 'lose':
        client.lose()
        due(atMs, atMs + 1000)
        break
      case 'half_close':
        client.halfClose()
        due(atMs, atMs + 1000)
        break
      case 'vanish':
        client.vanish()
        due(atMs, atMs + 1000)
        break
      case 'silence':
        client.link!.wire.silence()
        due(atMs + KEEP_ALIVE_SEC * 1000 - 1000, atMs + KEEP_ALIVE_SEC * 1500 + 1000)
        break
      case 'take_over':
        // A session that lives on takes a delayed will back; without delay it is due [MQTT5-3.1.2-8].
        if (!isPersistent || this.#delaySec === 0) last.due = { from: atMs, to: atMs + 1000 }
        this.connect()
        break
    }
  }

  comeBack(isSoon: boolean): void {
    if (isSoon === this.#comesBackSoon && !this.client.isUp) this.connect()
  }
}

test('a will is published when it is due, once, and not when it is not', async () => {
  await underSeeds(100, async (seed) => {
    const world = await startWorld({ seed, fronts: seed % 2 === 0 ? [] : ['a', 'c'] })
    const watcher = new SimClient(world, {
      id: 'watcher',
      version: 5,
      isPersistent: false,
      subscriptions: [{ filter: 'will/#', qos: 2 }],
    })
    watcher.connect()
    const clients = Array.from({ length: 6 }, (_, i) => new WillClient(world, `w${i}`))
    for (const each of clients) each.connect()
    await world.pass('2s')
    for (let round = 0; round < 3; round++) {
      for (const each of clients) each.end()
      await world.pass('24s')
      for (const each of clients) each.comeBack(true)
      await world.pass('1s')
      for (const each of clients) if (each.client.isUp) each.client.disconnect()
      await world.pass('130s')
      for (const each of clients) each.connect()
      await world.pass('1s')
    }
    const got = watcher.receipts[0]!.firstAtMs
    for (const { client, expected } of clients) {
      for (const { key, due } of expected) {
        const atMs = got.get(key)
        const what = `will ${key} of ${JSON.stringify(client.options)}: due ${due?.from}..${due?.to}, came ${atMs}`
        if (due === undefined ? atMs !== undefined : atMs === undefined || atMs < due.from || atMs > due.to) {
          world.fail(what)
        }
      }
    }
    world.sim.stop()
  })
})
