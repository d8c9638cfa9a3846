/**
 * A process that writes to stores until it is killed, and says on its output what has been promised: a line with the number of
 * the store and that of the write, once `flushed` has resolved. It waits for a line on its input that says where to write.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { realSystem } from '../../src/actors/system.ts'
import { openStore } from '../../src/mnesia/store/open-store.ts'
import { writeOf } from './store-writes.ts'

export interface WriterOrder {
  readonly logBytes: number
  /** `next` is the number of the first write. */
  readonly stores: readonly { readonly directory: string; readonly seed: number; readonly next: number }[]
}

const [line] = (await once(createInterface(process.stdin), 'line')) as [string]
const { stores, logBytes } = JSON.parse(line) as WriterOrder

async function writeForEver(number: number): Promise<never> {
  const { directory, seed, next } = stores[number]!
  const { store, damage } = await openStore({ directory, system: realSystem(), logBytes, owner: `writer ${number}` })
  if (damage.length > 0) throw new Error(JSON.stringify(damage))
  for (let n = next; ; n++) {
    const write = writeOf(seed, n)
    if (write.do === 'clear') store.clear(write.space)
    else store.commit(write.operations)
    if (n % 7 === number % 7) {
      const flushed = store.flushed().then(() => process.stdout.write(`${number} ${n}\n`))
      // Often the next writes come while the flush is under way.
      if (n % 5 === 0) await flushed
    }
    if (n % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

process.stdout.write('writing\n')
await Promise.all(stores.map((_, number) => writeForEver(number)))
