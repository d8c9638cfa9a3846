import { expect, test } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { runSchedule } from './schedule.ts'

/** What has to have happened: a world in which nothing of this happens would prove nothing. */
const HAPPENS = ['applied', 'gaps', 'syncs', 'losses', 'tombstonesPurged', 'durable', 'members', 'refusedAhead']

/** A test of `count` schedules, from the seed `first` on. They are in several files so that workers share them. */
export function testSchedules(first: number, count: number): void {
  test(`shared tables under faults are the same everywhere, and what they should be, whenever it is quiet: seeds from ${first}`, async () => {
    const totals = new Map<string, number>()
    const run = async (seed: number) => {
      const world = await runSchedule(seed)
      for (const [key, total] of world.count()) totals.set(key, (totals.get(key) ?? 0) + total)
    }
    await underSeeds(count, run, first)
    if (process.env.SEED !== undefined) return
    for (const what of HAPPENS) expect(totals.get(what), what).toBeGreaterThan(0)
  })
}
