/** Nodes as bin/node runs them beside a real Erlang node: one mesh, and what becomes of it when one of them goes. */
import { expect, it } from 'vitest'
import { startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testPeers } from '../support/peer.ts'

const [N1, N2, E1] = ['n1@127.0.0.1', 'n2@127.0.0.1', 'e1@127.0.0.1']

/** Two nodes of ours and one of Erlang, all connected to each other. */
async function mesh() {
  const peers = await testPeers()
  const [n1, n2, erl] = await Promise.all([
    peers.start(N1),
    peers.start(N2, { args: ['--join', N1] }),
    startErl({ name: E1, epmdPort: peers.epmdPort }),
  ])
  await n1.logged(`node ${N2} is up`)
  expect(await erl.eval(`[net_adm:ping(N) || N <- ['${N1}', '${N2}']]`)).toBe('[pong,pong]')
  return { peers, n1, n2, erl }
}

it('two nodes of ours and one of Erlang are one mesh; one that is killed is down for all, and comes back', async () => {
  const { peers, n1, n2, erl } = await mesh()
  expect(await erl.eval('global:sync()')).toBe('ok')
  expect(await erl.eval('lists:sort(nodes())')).toBe(`['${N1}','${N2}']`)
  expect((await n1.nodes()).sort()).toEqual([E1, N2])
  expect((await n2.nodes()).sort()).toEqual([E1, N1])

  await erl.eval(`register(watcher, spawn(fun F() -> net_kernel:monitor_nodes(true),
    (fun G(Seen) -> receive {ask, P} -> P ! Seen, G(Seen); M -> G([M | Seen]) end end)([]) end))`)
  const seen = () => erl.eval('begin watcher ! {ask, self()}, receive S -> S after 5000 -> late end end')
  await n2.kill()
  await n1.logged(`node ${N2} is down: connection_closed`)
  await eventually(async () => expect(await seen()).toBe(`[{nodedown,'${N2}'}]`))

  const again = await peers.start(N2)
  await eventually(async () => expect(await again.nodes()).toEqual([N1]))
  expect(await again.ping(E1)).toBe('pong')
  await eventually(async () => expect(await seen()).toContain(`{nodeup,'${N2}'}`))
})

it('one of such a mesh stops in order, and an Erlang node that is killed is down for ours', async () => {
  const { peers, n1, n2, erl } = await mesh()
  expect(await n1.stop()).toBe(0)
  await n2.logged(`node ${N1} is down: connection_closed`)
  await eventually(async () => expect(await erl.eval('nodes()')).toBe(`['${N2}']`))
  erl.kill()
  await n2.logged(`node ${E1} is down: connection_closed`)
  await eventually(async () => expect(await peers.names()).toEqual([{ name: 'n2', port: n2.distPort }]))
})

it('a node whose epmd is that of Erlang is found by it, and does not start another', async () => {
  const peers = await testPeers()
  const erl = await startErl({ name: E1, epmdPort: peers.epmdPort })
  const n1 = await peers.start(N1)
  expect(await erl.eval(`net_adm:ping('${N1}')`)).toBe('pong')
  expect(await erl.eval('element(2, net_adm:names())')).toBe(
    await erl.eval(`element(2, rpc:call('${N1}', net_adm, names, []))`),
  )
  erl.kill()
  await n1.logged(`node ${E1} is down`)
})
