import { expect, test } from 'vitest'
import { Schedule } from './schedule.ts'

test('runs of one seed have the same trace', async () => {
  for (const seed of [1, 2, 3]) {
    const traces: string[] = []
    for (let run = 0; run < 2; run++) {
      const schedule = new Schedule({ seed })
      await schedule.run()
      traces.push(`${schedule.world.sim.trace.length} ${schedule.world.sim.trace.hash}`)
    }
    expect(traces[0]).toBe(traces[1])
  }
})
