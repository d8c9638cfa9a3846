import { vi } from 'vitest'

// Many seeds in one test, perhaps on a busy machine: a bound for a scenario that hangs.
vi.setConfig({ testTimeout: 300_000 })

/**
 * Runs a scenario under many seeds; one that fails is named. In the environment, `SEED=n` runs one seed alone, `SEEDS=n` another
 * number of them, and `FAILURES=n` goes on until so many have failed.
 */
export async function underSeeds(count: number, scenario: (seed: number) => Promise<void>): Promise<void> {
  const only = process.env.SEED
  const seeds =
    only === undefined ? Array.from({ length: Number(process.env.SEEDS ?? count) }, (_, i) => i + 1) : [Number(only)]
  const failures: unknown[] = []
  for (const seed of seeds) {
    try {
      await scenario(seed)
    } catch (error) {
      failures.push(error)
      if (failures.length >= Number(process.env.FAILURES ?? 1)) break
    }
  }
  if (failures.length === 0) return
  const first = failures[0]
  const words = first instanceof Error ? first.message : String(first)
  const message = `${failures.length} of ${seeds.length} seeds failed (replay with SEED=n); ${words}`
  throw new Error(message, { cause: first })
}
