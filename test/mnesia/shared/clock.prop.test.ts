import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clockAt, HybridClock, msOf, SKEW_MS } from '../../../src/mnesia/shared/clock.ts'

const START_MS = 1_700_000_000_000

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  // Also backwards: wall clocks are set.
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.integer({ min: -200_000, max: 5000 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('see' as const), aheadMs: fc.integer({ min: -1e5, max: 1e6 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write over' as const), aheadMs: fc.nat(1e6) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('promise' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), kept: fc.nat(3) }) },
)

/** A node that makes values, and a disc that keeps the ceilings which were flushed, and perhaps some of the others. */
class Node {
  nowMs = START_MS
  onDisc = 0
  pending: { readonly ceiling: number; readonly raised: () => void }[] = []
  clock = this.#start()

  flush(): void {
    const flushed = this.pending
    this.pending = []
    for (const { ceiling, raised } of flushed) {
      this.onDisc = ceiling
      raised()
    }
  }

  restart(kept: number): void {
    for (const { ceiling } of this.pending.slice(0, kept)) this.onDisc = ceiling
    this.pending = []
    this.clock = this.#start()
  }

  #start(): HybridClock {
    const reserve = (ceiling: number, raised: () => void) => void this.pending.push({ ceiling, raised })
    return new HybridClock({ now: () => this.nowMs, ceiling: this.onDisc, reserve })
  }
}

test('values only grow, and of those up to the ceiling and of what was promised none is made a second time, over any number of restarts', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const node = new Node()
      /** Greatest value of this incarnation; and the least that the next ones may make. */
      let last = 0
      let floor = 0
      const made = (first: number, count: number, after = 0) => {
        expect(first).toBeGreaterThan(Math.max(last, floor, after))
        expect(Number.isSafeInteger(first + count)).toBe(true)
        last = first + count - 1
        expect(node.clock.last).toBe(last)
      }
      for (const each of steps) {
        const { clock } = node
        switch (each.do) {
          case 'time':
            node.nowMs += each.ms
            break
          case 'write':
            made(clock.next(0, each.count), each.count)
            break
          case 'write over': {
            const after = clockAt(node.nowMs + each.aheadMs)
            made(clock.next(after, 1), 1, after)
            break
          }
          case 'see': {
            const seen = clockAt(node.nowMs + each.aheadMs)
            const before = clock.last
            clock.observe(seen)
            // It follows, but no further than a minute beyond its own time.
            expect(clock.last).toBe(Math.max(before, Math.min(seen, clockAt(node.nowMs + SKEW_MS))))
            break
          }
          case 'promise':
            floor = Math.max(floor, clock.promise())
            break
          case 'flush':
            node.flush()
            break
          case 'restart':
            node.restart(each.kept)
            last = 0
        }
        floor = Math.max(floor, Math.min(node.clock.last, node.clock.ceiling))
        // What it makes goes out as soon as the disc has done what it was asked.
        const hasMade = each.do === 'write' || each.do === 'write over' || each.do === 'promise'
        if (hasMade && node.pending.length === 0) expect(node.clock.ceiling).toBeGreaterThan(node.clock.last)
      }
    }),
    { numRuns: 500 },
  )
})

test('restarts keep the clock near the time of the wall', () => {
  const node = new Node()
  for (let restarts = 0; restarts < 50; restarts++) {
    node.nowMs += 5000
    node.clock.next(0, 1)
    node.flush()
    node.restart(0)
  }
  expect(msOf(node.clock.next(0, 1)) - node.nowMs).toBeLessThan(5000)
})
