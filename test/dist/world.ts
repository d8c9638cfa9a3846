/** Virtual time and a simulated network for the distribution, without processes. */
import { Challenges } from '../../src/dist/challenge.ts'
import { DistNetwork, type DistNetworkOptions } from '../../src/testing/dist-network.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualTime } from '../../src/testing/virtual-time.ts'

export class World {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly network: DistNetwork
  readonly system: { timers: VirtualTime; random: () => number }

  constructor(seed: number, options: DistNetworkOptions = {}) {
    this.random = new SeededRandom(seed)
    this.network = new DistNetwork(this.time, this.random, options)
    this.system = { timers: this.time, random: () => this.random.next() }
  }

  readonly randomFill = (buffer: Uint8Array): void => this.random.fill(buffer)

  challenges(): Challenges {
    return new Challenges(this.randomFill)
  }

  /** Lets time pass, and everything happen that is due on the way. */
  async advance(ms: number): Promise<void> {
    const endMs = this.time.monotonic() + ms
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const nextInMs = this.time.nextInMs
      if (nextInMs === undefined || this.time.monotonic() + nextInMs > endMs) break
      this.time.fireNext()
    }
    this.time.skip(endMs - this.time.monotonic())
  }

  /** Lets time pass until the promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    promise.then(settled, settled)
    for (let steps = 0; steps < 100_000; steps++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (isSettled) return promise
      this.time.fireNext()
    }
    throw new Error('it never settles')
  }
}
