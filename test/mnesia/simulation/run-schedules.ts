import { test } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { Schedule } from './schedule.ts'

/** A test of `count` schedules, from the seed `first` on. They are in several files so that workers share them. */
export function testSchedules(first: number, count: number): void {
  test(`members that write, fail, join and leave in any order agree whenever all is quiet, and lose nothing that was promised: seeds from ${first}`, async () => {
    await underSeeds(count, (seed) => new Schedule({ seed }).run(), first)
  })
}
