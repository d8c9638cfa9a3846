/** A replicated table on two nodes that are cut off from each other and merge: `node --import tsx examples/tables.ts`. */
import { MemoryStore, startMnesia, table } from 'agner/mnesia'
import { simulate } from 'agner/testing'

interface User {
  readonly name: string
  readonly town: string
}

const USERS = table<User>('users', { type: 'set', key: 'name', replication: 'shared', copies: 'disc_copies' })

const sim = simulate({ seed: 42, nodes: ['a', 'b'] })

/** Time passes only when told, so whoever waits has to let it. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  promise.then(over, over)
  while (!isOver) await sim.advance('10ms')
  return promise
}

async function start(name: string) {
  const options = { store: new MemoryStore(), tables: [USERS], backup: async () => 'nowhere' }
  const started = await settled(startMnesia(sim.node(name), options))
  if (!started.ok) throw new Error(started.problem)
  return started.mnesia
}

const [a, b] = [await start('a'), await start('b')]
const [onA, onB] = [a.open(USERS), b.open(USERS)]
onA.write({ name: 'ada', town: 'London' })

const joined = await settled(b.join('a@sim'))
console.log('b has joined:', joined.ok, onB.get('ada')?.town) // b has joined: true London

await sim.partition(['a'], ['b'])
onA.write({ name: 'alan', town: 'Wilmslow' })
await sim.advance('10s')
onB.write({ name: 'ada', town: 'Marylebone' })
console.log('apart:', onA.get('ada')?.town, onB.get('alan')?.town) // apart: London undefined

await sim.heal()
await sim.advance('30s')
console.log('together:', onA.get('ada')?.town, onB.get('alan')?.town) // together: Marylebone Wilmslow
sim.stop()
