import { describe, expect, it } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { runSchedule } from './schedule.ts'

describe('shared tables under faults', () => {
  it('are the same everywhere, and what they should be, whenever it is quiet', async () => {
    const totals = new Map<string, number>()
    await underSeeds(250, async (seed) => {
      const world = await runSchedule(seed)
      for (const [key, count] of world.count()) totals.set(key, (totals.get(key) ?? 0) + count)
    })
    // A world in which nothing of this happens would prove nothing.
    if (process.env.SEED !== undefined) return
    for (const what of [
      'applied',
      'gaps',
      'syncs',
      'losses',
      'tombstonesPurged',
      'durable',
      'members',
      'refusedAhead',
    ]) {
      expect(totals.get(what), what).toBeGreaterThan(0)
    }
  })

  it('run alike for one seed', async () => {
    for (const seed of [3, 10, 27, 60]) {
      const [one, two] = [await runSchedule(seed), await runSchedule(seed)]
      expect(two.network.trace.hash).toBe(one.network.trace.hash)
      expect(two.history).toEqual(one.history)
    }
  })
})
