import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Core } from '../../../src/mnesia/shared/core.ts'
import { Origins } from '../../../src/mnesia/shared/origin.ts'
import { OPAQUE, Replica } from '../../../src/mnesia/shared/replica.ts'
import { purgeTombstones } from '../../../src/mnesia/shared/tombstones.ts'

const origin = new Origins().of('a', 1)

function replicaOf(name: string): Replica<Uint8Array> {
  const nothing = () => undefined
  const options = { bytes: OPAQUE, merge: undefined, isMerged: false, disc: undefined }
  return new Replica({ ...options, name, isBag: false, changed: nothing, run: nothing, touch: nothing })
}

/** Puts a row or a tombstone into a copy. */
function put(replica: Replica<Uint8Array>, key: string, clock: number, isRow: boolean): void {
  replica.cells.apply(key, '', isRow ? Buffer.from(key) : undefined, clock, origin)
}

const cellArb = fc.record({
  table: fc.nat(1),
  key: fc.nat(300),
  clock: fc.integer({ min: 1, max: 100 }),
  isRow: fc.boolean(),
})

test('tombstones up to a clock go, those that come meanwhile are not missed, and it is noted before how far that went', () => {
  fc.assert(
    fc.property(fc.array(cellArb, { maxLength: 300 }), fc.array(cellArb), fc.nat(100), (cells, later, upTo) => {
      const replicas = [replicaOf('t'), replicaOf('u')]
      let forgotten = 0
      const core = {
        replicas: new Map(replicas.map((replica) => [replica.name, replica])),
        purgeClock: upTo,
        counters: { tombstonesPurged: 0 },
        forgotUpTo: (clock: number) => {
          forgotten = Math.max(forgotten, clock)
        },
        touch: () => undefined,
      }
      const clocks = () =>
        replicas.map(({ cells: { tombstones } }) => [...tombstones.keys()].map((key) => tombstones.get(key, '')!.clock))
      const rows = () => replicas.map((replica) => [...replica.cells.rows.keys()].sort())
      for (const { table, key, clock, isRow } of cells) put(replicas[table]!, `k${key}`, clock, isRow)
      const before = [clocks().flat().sort(), rows()] as const
      const task = purgeTombstones(core as unknown as Core)
      const rest = [...later]
      let hasMore = false
      for (let step = task.next(); !step.done; step = task.next()) {
        for (const clock of before[0])
          if (!clocks().flat().includes(clock)) expect(forgotten).toBeGreaterThanOrEqual(clock)
        const next = rest.pop()
        if (next === undefined) continue
        hasMore = true
        put(replicas[next.table]!, `k${next.key}`, next.clock + 100, next.isRow)
      }
      for (const [i, replica] of replicas.entries()) {
        const held = clocks()[i]!
        expect(held.filter((clock) => clock <= upTo)).toEqual([])
        expect(replica.cells.oldestTombstone).toBeLessThanOrEqual(Math.min(...held))
      }
      if (hasMore) return
      expect([clocks().flat().sort(), rows()]).toEqual([before[0].filter((clock) => clock > upTo), before[1]])
      expect(core.counters.tombstonesPurged).toBe(before[0].length - clocks().flat().length)
      expect(forgotten).toBe(Math.max(0, ...before[0].filter((clock) => clock <= upTo)))
    }),
    { numRuns: 200 },
  )
})
