import { test } from 'vitest'
import { underSeeds } from '../../support/sim/seeds.ts'
import { Schedule } from './schedule.ts'

/** A test of `count` schedules, from the seed `first` on. They are in several files so that workers share them. */
export function testSchedules(first: number, count: number): void {
  test(`clients of a cluster whose nodes fail in any way get what was promised, and leave nothing behind: seeds from ${first}`, async () => {
    await underSeeds(count, (seed) => new Schedule({ seed }).run(), first)
  })
}
