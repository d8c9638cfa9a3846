/** Shared tables of two to five members under faults of every kind; see docs/simulation-mnesia.md. */
import { expect, it } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { runSchedule } from './schedule.ts'

it('members that write, lose links, freeze, die and have wrong clocks agree when all is quiet, and lose nothing that was promised', async () => {
  let applied = 0
  await underSeeds(400, async (seed) => {
    const world = await runSchedule(seed)
    applied += world.count().get('applied') ?? 0
  })
  expect(applied).toBeGreaterThan(0)
}, 300_000)
