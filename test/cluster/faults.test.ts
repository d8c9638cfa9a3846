/**
 * Three nodes of ours and one of Erlang under random kills, freezes and restarts: every link and monitor between them tells exactly once
 * and with the right reason, every call ends, nothing is left behind, and all are connected again.
 *
 * In the environment, `FAULT_SECONDS` says how long it goes on and `SEED` which faults there are; without it every run has others.
 */
import { describe, it } from 'vitest'
import { hasErlang } from '../support/erl.ts'
import { FaultCluster } from '../support/fault-cluster.ts'

const SECONDS = Number(process.env.FAULT_SECONDS ?? 60)

describe.skipIf(!hasErlang)('three nodes of ours and one of Erlang', () => {
  it('tell of every end exactly once, leave nothing behind and find each other again, whatever is killed or frozen', {
    timeout: (SECONDS + 180) * 1000,
  }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    const cluster = await FaultCluster.start(seed)
    try {
      const until = performance.now() + SECONDS * 1000
      do {
        await cluster.work()
        await cluster.fault()
        await cluster.check()
      } while (performance.now() < until || cluster.faults < 4)
      await cluster.work()
      await cluster.end()
    } catch (error) {
      throw new Error(`SEED=${seed}: ${(error as Error).message}\n${cluster.describe()}`, { cause: error })
    }
  })
})
