/** A process that writes rows of 1000 bytes to a store until it is killed, and says what becomes of them. */
import { setTimeout as delay } from 'node:timers/promises'
import { realSystem } from '../../src/actors/system.ts'
import { openStore } from '../../src/mnesia/store/open-store.ts'

const [directory] = process.argv.slice(2)
const say = (text: string): void => void process.stdout.write(`${text}\n`)
const { store } = await openStore({
  directory: directory!,
  system: realSystem(),
  retryMs: 50,
  onFailure: ({ fault, message }) => say(`failure ${fault}: ${message}`),
  onRecovery: () => say('recovered'),
})
for (let n = 1; ; n++) {
  store.commit([{ space: 's', key: String(n), value: Buffer.alloc(1000, n) }])
  await store.flushed().then(
    () => say(`promised ${n}`),
    ({ fault }) => say(`refused ${n} ${fault}`),
  )
  await delay(1)
}
