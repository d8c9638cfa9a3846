/** Waiting for what was begun in a simulation. */
import type { Simulation } from '../../../src/testing/simulation.ts'

/** Runs a simulation, in which no time passes, until something that was begun has come about. */
export async function whenDone<T>(sim: Simulation, begun: Promise<T>): Promise<T> {
  let isDone = false
  const done = begun.finally(() => {
    isDone = true
  })
  while (!isDone) {
    await sim.run()
    await Promise.race([done, new Promise((resolve) => setImmediate(resolve))])
  }
  return begun
}
