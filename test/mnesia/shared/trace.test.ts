import { expect, test } from 'vitest'
import { runSchedule } from './schedule.ts'

test('runs of one seed are alike', async () => {
  for (const seed of [3, 10, 27, 60]) {
    const [one, two] = [await runSchedule(seed), await runSchedule(seed)]
    expect(two.network.trace.hash).toBe(one.network.trace.hash)
    expect(two.history).toEqual(one.history)
  }
})
