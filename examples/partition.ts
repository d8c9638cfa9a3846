/** A cluster of three under virtual time, cut in two and healed: `node --import tsx examples/partition.ts`. */
import { isDownMessage } from 'agner/actors'
import { simulate } from 'agner/testing'

const sim = simulate({ seed: 42, nodes: ['a', 'b', 'c'] })

const server = sim.node('c').spawn(
  async (self) => {
    for (;;) console.log('c has', await self.receive())
  },
  { name: 'server' },
)

sim.node('a').spawn(async (self) => {
  self.monitor(server)
  self.send({ name: 'server', node: 'c@sim' }, 'a letter from a')
  const down = await self.receive(isDownMessage)
  console.log('a sees the server end:', down.reason)
})

await sim.settled()
await sim.partition(['a', 'b'], ['c']) // a sees the server end: noconnection
await sim.advance('30s')
await sim.heal()
sim.node('b').send(server, 'a letter from b')
await sim.settled() // c has a letter from b
sim.stop()
