/**
 * Runs a scenario under `count` seeds, from `first` on; one that fails is named. In the environment, `SEED=n` runs one seed alone,
 * `SEEDS=n` another number of them, `FIRST=n` those from another one on, and `FAILURES=n` goes on until so many have failed.
 */
export async function underSeeds(count: number, scenario: (seed: number) => Promise<void>, first = 1): Promise<void> {
  const { SEED, SEEDS, FIRST, FAILURES } = process.env
  const from = Number(SEED || FIRST || first)
  const last = from + (SEED ? 1 : Number(SEEDS || count)) - 1
  const failures: unknown[] = []
  let tried = 0
  for (let seed = from; seed <= last && failures.length < Number(FAILURES ?? 1); seed++) {
    tried++
    try {
      await scenario(seed)
    } catch (error) {
      failures.push(error)
    }
    // The runner of the tests talks to the process meanwhile.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (failures.length === 0) return
  const words = failures.map((error) => (error instanceof Error ? error.message : String(error)))
  const message = `${failures.length} of ${tried} seeds failed (replay with SEED=n); ${words.join('\n')}`
  throw new Error(message, { cause: failures[0] })
}
