/** Nodes as their users run them: A1 to A6. */
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'

const NAMES = [1, 2, 3, 4].map((index) => `node${index}@127.0.0.1`)

describe('A1: four nodes', () => {
  it('connect to each other, and each knows the three others', async () => {
    const peers = await testPeers()
    const [node1, node2] = (await peers.startAll(NAMES)) as [Peer, Peer, Peer, Peer]
    for (const name of NAMES.slice(1)) expect(await node1.connect(name)).toBe(true)
    expect(await node1.nodes()).toEqual(NAMES.slice(1))
    await eventually(async () => expect((await node2.nodes()).sort()).toEqual([NAMES[0], NAMES[2], NAMES[3]]))
    expect(await node1.connect('missing@127.0.0.1')).toBe(false)
    expect(await node1.ping(NAMES[2]!)).toBe('pong')
    expect(await node1.ping('missing@127.0.0.1')).toBe('pang')
  })
})
describe('links', () => {
  it.each(['silence', 'reset'] as const)('can be cut: %s', async (how) => {
    const peers = await testPeers({ cuttable: true })
    const n1 = await peers.start('n1@127.0.0.1', { sets: ['dist.net_ticktime=2'] })
    const n2 = await peers.start('n2@127.0.0.1', { sets: ['dist.net_ticktime=2'], args: ['--join', 'n1@127.0.0.1'] })
    await n2.logged('n1@127.0.0.1 is up')
    peers.cut(n1, n2, how)
    await n2.logged('n1@127.0.0.1 is down')
    await n1.logged('n2@127.0.0.1 is down')
    expect(await n1.nodes()).toEqual([])
    peers.mend(n1, n2)
    await eventually(async () => expect(await n1.nodes()).toEqual(['n2@127.0.0.1']))
  })
})
