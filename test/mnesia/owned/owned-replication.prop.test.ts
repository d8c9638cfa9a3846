import { expect, test } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { type Happened, runSchedule } from './schedule.ts'

test('rows of every owner are its rows, wherever they are held, under random schedules', async () => {
  const all: Happened[] = []
  await underSeeds(100, async (seed) => void all.push(await runSchedule(seed)))
  if (process.env.SEED !== undefined) return
  // When nothing happens nothing can fail.
  for (const what of ['batches', 'snapshots', 'resumed'] as const) {
    expect(
      all.reduce((sum, happened) => sum + happened[what], 0),
      what,
    ).toBeGreaterThan(0)
  }
})
