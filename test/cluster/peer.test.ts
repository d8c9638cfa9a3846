/** What the suites of this folder stand on: links between real nodes that can be cut. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Peer, type Peers, testPeers } from '../support/peer.ts'

function pair(peers: Peers): Promise<[Peer, Peer]> {
  const sets = ['dist.net_ticktime=2']
  const second = { sets, args: ['--join', 'n1@127.0.0.1'] }
  return Promise.all([peers.start('n1@127.0.0.1', { sets }), peers.start('n2@127.0.0.1', second)])
}

it.each(['silence', 'reset'] as const)(
  'a link that is cut by %s is down on both sides until it is mended',
  async (how) => {
    const peers = await testPeers({ cuttable: true })
    const [n1, n2] = await pair(peers)
    await n2.logged('node n1@127.0.0.1 is up')
    peers.cut(n1, n2, how)
    const reason = how === 'silence' ? 'net_tick_timeout' : 'connection_closed'
    expect(await n1.logged('node n2@127.0.0.1 is down')).toMatchObject({ reason })
    expect(await n2.logged('node n1@127.0.0.1 is down')).toMatchObject({ reason })
    expect(await n1.nodes()).toEqual([])
    expect(await n1.nodes('hidden')).toHaveLength(1)
    peers.mend(n1, n2)
    await eventually(async () => expect(await n1.nodes()).toEqual([n2.name]))
  },
)

it('a node that is frozen is given up after the tick time, and is back when it goes on', async () => {
  const peers = await testPeers()
  const [n1, n2] = await pair(peers)
  await n1.logged('node n2@127.0.0.1 is up')
  n2.freeze()
  expect(await n1.logged('node n2@127.0.0.1 is down')).toMatchObject({ reason: 'net_tick_timeout' })
  n2.thaw()
  await eventually(async () => expect(await n1.nodes()).toEqual([n2.name]))
  expect(await n2.nodes()).toEqual([n1.name])
})
