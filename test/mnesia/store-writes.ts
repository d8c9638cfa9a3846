/** A sequence of writes that is the same wherever it is made: by a process that will be killed, and by the test that looks what is left. */
import type { StoreOperation } from '../../src/mnesia/store/store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { StoreStep } from './store-support.ts'

export const WRITE_SPACES = ['a', 'b', 'count']

/** The write of a number. All but those that clear a space note the number, under `n` in the space `count`. */
export function writeOf(seed: number, n: number): Extract<StoreStep, { do: 'commit' | 'clear' }> {
  const random = new SeededRandom(seed * 1_000_003 + n)
  if (n % 97 === 0) return { do: 'clear', space: random.pick(['a', 'b']) }
  const operations: StoreOperation[] = [{ space: 'count', key: 'n', value: Buffer.from(String(n)) }]
  for (let left = random.below(6); left >= 0; left--) {
    const key = `${'topic/'.repeat(random.below(60) === 0 ? 400 : 1)}${random.below(300)}`
    const length = random.below(50) === 0 ? random.below(30_000) : random.below(300)
    const value = random.below(4) === 0 ? undefined : Buffer.alloc(length, n)
    operations.push({ space: random.pick(['a', 'b']), key, value })
  }
  return { do: 'commit', operations }
}
