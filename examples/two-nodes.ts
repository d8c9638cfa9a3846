/**
 * Two nodes that call, watch and lose each other: `node --import tsx examples/two-nodes.ts`. They share an OS process here and an epmd of
 * their own; nodes elsewhere are no different, whether this or Erlang runs them.
 */
import { genServer, isDownMessage, ok, realSystem, reply } from 'agner/actors'
import { connectNode, erpc, type Node, nodes, startEpmdServer, startNode, tcpTransport, text } from 'agner/dist'

const system = realSystem()
const epmd = await startEpmdServer({
  transport: tcpTransport(),
  timers: system.timers,
  randomFill: (buffer) => system.randomFill(buffer),
  port: 0,
  hosts: ['127.0.0.1'],
})
if (!epmd.ok) throw new Error(epmd.reason)
const epmdPort = epmd.server.port

async function start(name: string): Promise<Node> {
  const started = await startNode({ name, cookie: 'secret', epmdPort })
  if (!started.ok) throw new Error(started.problem)
  return started.node
}

const shop = await start('shop@127.0.0.1')
const till = await start('till@127.0.0.1')
console.log(await connectNode(till.runtime, 'shop@127.0.0.1'), nodes(shop.runtime)) // true [ 'till@127.0.0.1' ]

// A server is called the same way wherever it lives.
const stock = genServer<number, { take: (count: number) => number }>({
  label: 'stock',
  init: () => ok(10),
  calls: { take: ({ state }, count) => reply(state - count, state - count) },
})
await stock.start(shop.runtime, undefined, { name: 'stock' })
console.log(await stock.call(till.runtime, { name: 'stock', node: 'shop@127.0.0.1' }, 'take', 3)) // 7

// Other nodes call what is exported, and nothing else: `rpc:call('shop@127.0.0.1', shop, price, [<<"tea">>])` in Erlang.
shop.exports.register('shop', { 'price/1': (_context, article) => (text(article) === 'tea' ? 2.5 : 1) })
console.log(await erpc.call(till.runtime, 'shop@127.0.0.1', 'shop', 'price', ['tea'])) // 2.5

// A lost node is the end of its processes, as far as others can tell.
const ended = new Promise((resolve) => {
  till.runtime.spawn(async (self) => {
    self.monitor({ name: 'stock', node: 'shop@127.0.0.1' })
    await shop.stop()
    const down = await self.receive(isDownMessage)
    resolve(down.reason)
  })
})
console.log(await ended) // noconnection

await till.stop()
await epmd.server.close()
