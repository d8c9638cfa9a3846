/**
 * Waiting in tests: for a condition that no event announces, and for time itself.
 *
 * `eventually` polls a condition and fails with the last error when it never holds; its bound only limits how long a
 * broken test hangs, it is never what is measured. `elapse` is for the few statements of MQTT that are about time
 * passing (expiry, delay): there is nothing to await but the clock.
 */
import { setTimeout as delay } from 'node:timers/promises'

/** Resolves with the first truthy result of `condition`; throws its last error, or a plain one, after `withinMs`. */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { withinMs = 10_000 }: { withinMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs
  let failure: unknown = new Error(`the condition did not hold within ${withinMs} ms`)
  for (;;) {
    try {
      const result = await condition()
      if (result) return result
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) throw failure
    await delay(10)
  }
}

/** Lets `ms` of real time pass, for tests of what the standard defines by the clock. */
export async function elapse(ms: number): Promise<void> {
  await delay(ms)
}
