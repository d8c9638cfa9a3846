/** A process that runs the schedules of seeds FIRST to LAST with whatever fault is in, and tells its parent of each. */
import { Schedule } from '../simulation/cluster/schedule.ts'

/** `failure` is undefined when the schedule found nothing. */
export interface Ran {
  readonly seed: number
  readonly failure: string | undefined
}

const { FIRST, LAST } = process.env

for (let seed = Number(FIRST); seed <= Number(LAST); seed += 1) {
  let failure: string | undefined
  try {
    await new Schedule({ seed }).run()
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
  }
  await new Promise((told) => process.send?.({ seed, failure } satisfies Ran, told))
}
process.disconnect()
