/**
 * One node fails while all else is calm: it dies, and comes back within the time that its sessions are waited for, or after it. Sometimes a second
 * one dies while the first is away.
 *
 * Since nothing else fails, it is known of each client what becomes of its session, its messages and its will.
 */
import type { SeededRandom } from '../../../src/testing/random.ts'
import type { SimClient } from '../../support/sim/client.ts'
import type { ClusterWorld } from '../../support/sim/cluster-world.ts'
import type { Receipts } from '../../support/sim/ledger.ts'

/** A will is there by then when it was due at once: a node that has died is noticed, and what its home publishes arrives. */
const WILL_MS = 3000

/** The will of a client that stays away. */
interface Expected {
  readonly client: SimClient
  readonly key: string
  readonly delayMs: number
  /** Undefined: its connection and its session live on. */
  readonly dueAtMs: number | undefined
}

export interface OutageOptions {
  readonly world: ClusterWorld
  readonly names: readonly string[]
  readonly clients: readonly SimClient[]
  readonly topics: readonly string[]
  readonly start: (name: string) => void
  readonly kill: (name: string) => void
}

export class Outage {
  readonly #options: OutageOptions
  readonly #lost: string
  /** The second one. */
  readonly #other: string | undefined
  #wills: readonly Expected[] = []
  /** Clients that do not come back by themselves. */
  #leaving: readonly SimClient[] = []

  constructor(options: OutageOptions) {
    this.#options = options
    const { random } = options.world.sim
    const [lost, other] = shuffled(options.names, random)
    this.#lost = lost!
    this.#other = random.below(3) === 0 ? other : undefined
  }

  /** A node that stays up all the time; undefined when there is none. */
  get survivor(): string | undefined {
    return this.#options.names.find((name) => name !== this.#lost && name !== this.#other)
  }

  async run(): Promise<void> {
    const { world, clients, kill, start, names } = this.#options
    const { random } = world.sim
    const concerned = clients.filter((client) => client.isUp && this.#concerns(client))
    this.#leaving = concerned.filter(() => random.below(2) === 0)
    for (const client of this.#leaving) client.isWanted = false
    const others = clients.filter((client) => client.isUp && !concerned.includes(client))
    this.#wills = [...this.#leaving, ...others]
      .filter(({ link }) => link!.will !== undefined)
      .map((client) => this.#expected(client))
    const backAtMs = world.nowMs + (random.below(2) === 0 ? random.next() * 8000 : 12_000 + random.next() * 6000)
    kill(this.#lost)
    let other = this.#other
    while (world.nowMs < backAtMs) {
      for (const client of clients) if (client.isUp) this.#publish(client)
      await world.pass(random.below(4) === 0 ? random.below(4000) : random.next() * 80)
      if (other === undefined || random.below(4) > 0) continue
      kill(other)
      other = undefined
    }
    for (const name of shuffled(names, random)) if (!world.sim.isRunning(name)) start(name)
  }

  /**
   * Brings back who had stayed away. `wills`: what somebody who was there all the time has got of them; throws when one did not come as it was
   * due, or twice. To be called when all are over.
   */
  end(wills: Receipts | undefined): void {
    if (wills !== undefined && this.#other === undefined) for (const each of this.#wills) this.#check(each, wills)
    for (const client of this.#leaving) client.connect()
  }

  #publish(client: SimClient): void {
    const { world, topics } = this.#options
    const { random } = world.sim
    for (let n = random.below(3); n > 0; n--) client.publish(random.pick(topics), random.pick([0, 1, 2] as const))
  }

  /** Whether a client has its connection or its session on the node that dies. */
  #concerns({ link, session }: SimClient): boolean {
    const { places, wires } = this.#options.world
    return wires.get(link!.wire) === this.#lost || places.nodeOf(session) === this.#lost
  }

  #expected(client: SimClient): Expected {
    const { world } = this.#options
    const { willDelaySec = 0, version, isPersistent } = client.options
    // It does not wait beyond the end of the session.
    const delayMs = version === 5 && isPersistent ? willDelaySec * 1000 : 0
    return {
      client,
      key: client.link!.will!,
      delayMs,
      dueAtMs: this.#concerns(client) ? world.nowMs + delayMs : undefined,
    }
  }

  #check({ client, key, delayMs, dueAtMs }: Expected, { counts, firstAtMs }: Receipts): void {
    const count = counts.get(key) ?? 0
    const cameAtMs = firstAtMs.get(key) ?? 0
    // One that waits on the disc of a node waits on when that is back.
    const lastMs = delayMs > 0 ? Number.POSITIVE_INFINITY : (dueAtMs ?? 0) + WILL_MS
    const isRight = dueAtMs === undefined ? count === 0 : count === 1 && cameAtMs >= dueAtMs && cameAtMs <= lastMs
    if (isRight) return
    throw new Error(`${key} of ${JSON.stringify(client.options)}: due ${dueAtMs}, came ${count} times, at ${cameAtMs}`)
  }
}

function shuffled(names: readonly string[], random: SeededRandom): string[] {
  const left = [...names]
  return names.map(() => left.splice(random.below(left.length), 1)[0]!)
}
