import { expect, test } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { type Happened, runSchedule } from './schedule.ts'

/** A test of `count` schedules, from the seed `first` on. They are in several files so that workers share them. */
export function testSchedules(first: number, count: number): void {
  test(`rows of every owner are its rows, wherever they are held, under faults: seeds from ${first}`, async () => {
    const all: Happened[] = []
    await underSeeds(count, async (seed) => void all.push(await runSchedule(seed)), first)
    if (process.env.SEED !== undefined) return
    // When nothing happens nothing can fail.
    for (const what of ['batches', 'snapshots', 'resumed'] as const) {
      expect(
        all.reduce((sum, happened) => sum + happened[what], 0),
        what,
      ).toBeGreaterThan(0)
    }
  })
}
