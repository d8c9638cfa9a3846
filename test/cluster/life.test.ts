/** Nodes come and go while others are connected: killed, restarted, stopped in order, joined before they are there. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { testPeers } from '../support/peer.ts'

const [N1, N2, N3] = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1']

it('a node that is killed is down for all others, and epmd forgets it; started again, it is one of them', async () => {
  const peers = await testPeers()
  const join = { args: ['--join', N1] }
  const n1 = await peers.start(N1)
  const [n2, n3] = await Promise.all([peers.start(N2, join), peers.start(N3, join)])
  await eventually(async () => expect((await n3.nodes()).sort()).toEqual([N1, N2]))
  // That two of them may have connected to each other at once is no news.
  expect(n1.err + n2.err + n3.err).not.toContain('"level":"warn"')
  await n2.kill()
  for (const left of [n1, n3]) {
    expect(await left.logged(`node ${N2} is down`)).toMatchObject({ level: 'info', reason: 'connection_closed' })
  }
  await eventually(async () => expect((await peers.names()).map(({ name }) => name)).toEqual(['n1', 'n3']))
  // Nobody tells it whom to join: the others try again.
  const again = await peers.start(N2)
  await eventually(async () => expect((await again.nodes()).sort()).toEqual([N1, N3]))
  await eventually(async () => expect((await n1.nodes()).sort()).toEqual([N2, N3]))
})

it('a node that is stopped while others are connected leaves in order', async () => {
  const peers = await testPeers()
  const n1 = await peers.start(N1)
  const n2 = await peers.start(N2)
  await n1.connect(N2)
  expect(await n1.stop()).toBe(0)
  const said = n1.log.map(({ msg }) => msg)
  expect(said.slice(said.indexOf('stopping')).filter((msg) => /^(node|stopp)/.test(String(msg)))).toEqual([
    'stopping',
    `node ${N2} is down: net_kernel_terminated`,
    'stopped',
  ])
  expect(await n2.logged(`node ${N1} is down`)).toMatchObject({ reason: 'connection_closed' })
  expect(await peers.names()).toEqual([{ name: 'n2', port: n2.distPort }])
})

it('a node joins another that is not there yet, and again each time that it comes back', async () => {
  const peers = await testPeers()
  const n2 = await peers.start(N2, { args: ['--join', N1] })
  await n2.logged(`${N1} cannot be reached; trying until it can`)
  const n1 = await peers.start(N1)
  await n1.logged(`node ${N2} is up`)
  expect(await n1.stop()).toBe(0)
  await n2.logged(`node ${N1} is down`)
  const again = await peers.start(N1)
  await again.logged(`node ${N2} is up`)
  expect(await n2.nodes()).toEqual([N1])
})

it('a hidden node connects without being a peer', async () => {
  const peers = await testPeers()
  const n1 = await peers.start(N1)
  const n2 = await peers.start(N2, { args: ['--join', N1] })
  await n1.logged(`node ${N2} is up`)
  const n3 = await peers.start(N3, { args: ['--hidden'] })
  expect(await n3.connect(N1)).toBe(true)
  await n1.logged(`hidden node ${N3} is up`)
  expect(await n1.nodes()).toEqual([N2])
  expect(await n1.nodes('hidden')).toContain(N3)
  expect(await n3.nodes('connected')).not.toContain(N2)
  expect(await n2.nodes('connected')).not.toContain(N3)
})

it('an epmd that ends is started again by the nodes, which are found again', async () => {
  const peers = await testPeers({ epmd: 'node' })
  const n1 = await peers.start(N1)
  const n2 = await peers.start(N2)
  await peers.killEpmd()
  await n1.logged('registration at epmd: lost')
  await eventually(async () => expect((await peers.names()).map(({ name }) => name).sort()).toEqual(['n1', 'n2']))
  expect(await n1.connect(N2)).toBe(true)
  expect(await n2.nodes()).toEqual([N1])
})

it('nodes that do not connect to all stay apart', async () => {
  const peers = await testPeers()
  const sets = ['dist.connect_all=false']
  const n1 = await peers.start(N1, { sets })
  const [n2, n3] = await Promise.all([peers.start(N2, { sets }), peers.start(N3, { sets })])
  expect([await n1.connect(N2), await n1.connect(N3)]).toEqual([true, true])
  expect(await n2.nodes()).toEqual([N1])
  expect(await n3.nodes()).toEqual([N1])
})
