import pino from 'pino'
import { expect, test } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { SharedReplication } from '../../../src/mnesia/shared/replication.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { LinkNetwork } from '../../support/link-network.ts'

interface Row {
  readonly key: string
  readonly by: string
}

const T = table<Row>('t', { type: 'set', key: 'key', replication: 'shared', copies: 'disc_copies' })
/** Tombstones are kept for three seconds. */
const LIMITS = { progressMs: 200, reportMs: 1000, checkMs: 5000, horizonMs: 3000 }

class World {
  readonly network: LinkNetwork
  readonly #discs = new Map<string, LossyDisc>()
  readonly #running = new Map<string, SharedReplication>()

  constructor(seed: number) {
    this.network = new LinkNetwork({ seed })
  }

  start(name: string): void {
    const { time } = this.network
    const disc = this.#discs.get(name) ?? new LossyDisc({ timers: time, random: new SeededRandom(1) })
    const isNew = !this.#discs.has(name)
    this.#discs.set(name, disc)
    const links = this.network.start(name)
    const logger = pino({ level: 'silent' })
    const replication = new SharedReplication({ links, store: disc.open(), logger, limits: LIMITS })
    replication.create(T, T.copies, { isNew })
    this.#running.set(name, replication)
  }

  kill(name: string): void {
    this.network.kill(name)
    this.#discs.get(name)!.kill()
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.network.advance(10)
      for (let i = 0; i < 8; i++) await undefined
    }
  }

  write(name: string, ...keys: readonly string[]): void {
    for (const key of keys) void this.#running.get(name)!.table('t')!.write({ key, by: name })
  }

  delete(name: string, key: string): void {
    void this.#running.get(name)!.table('t')!.delete(key)
  }

  keys(name: string): string[] {
    return [...this.#running.get(name)!.table('t')!.keys()].sort()
  }

  replication(name: string): SharedReplication {
    return this.#running.get(name)!
  }

  stop(): void {
    for (const replication of this.#running.values()) replication.stop()
  }
}

test('a member that was away for longer than tombstones are kept brings nothing back, and what others have never had of it stays', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = new World(seed)
    for (const name of ['a', 'b', 'c']) world.start(name)
    await world.advance(500)
    world.write('a', 'old', 'kept')
    world.write('b', 'old of b')
    await world.advance(3000)
    world.network.cut('a', 'b')
    world.network.cut('b', 'c')
    world.write('b', 'own')
    await world.advance(500)
    world.kill('b')
    for (const key of ['old', 'old of b']) world.delete('a', key)
    await world.advance(8000)
    expect(['a', 'c'].map((name) => world.replication(name).info().tombstones)).toEqual([0, 0])
    world.start('b')
    await world.advance(500)
    world.network.mendAll()
    world.write('c', 'later')
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c'])
      expect([seed, name, world.keys(name)]).toEqual([seed, name, ['kept', 'later', 'own']])
    world.stop()
  }
})

test('an entry that comes when the delete of its row has been forgotten does not bring it back', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = new World(seed)
    const { network } = world
    for (const name of ['a', 'b', 'c']) world.start(name)
    await world.advance(2000)
    // The writer reaches one member, which deletes the row; the other one hears of neither, and of the delete first.
    network.cut('b', 'c')
    network.cut('a', 'b')
    world.write('c', 'old')
    await world.advance(500)
    world.delete('a', 'old')
    await world.advance(500)
    world.kill('c')
    await world.advance(8000)
    expect(world.replication('a').info().tombstones).toBe(0)
    network.mend('a', 'b')
    await world.advance(3000)
    world.start('c')
    network.mendAll()
    await world.advance(40_000)
    for (const name of ['a', 'b', 'c']) expect([seed, name, world.keys(name)]).toEqual([seed, name, []])
    world.stop()
  }
})
