/**
 * G1 to G3 of what is asked of a cluster, on real nodes, by bin/ctl and clients: links between nodes are cut and mended.
 */
import { describe, expect, it } from 'vitest'
import { binCtl } from '../support/bin-ctl.ts'
import {
  asked,
  client,
  disconnected,
  fill,
  haveRetained,
  joined,
  lossOf,
  N1,
  N2,
  N3,
  retain,
  retained,
  retainedText,
  sees,
  status,
} from '../support/clustered.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, type Peers, testPeers } from '../support/peer.ts'

interface Three {
  readonly peers: Peers
  readonly n1: Peer
  readonly n2: Peer
  readonly n3: Peer
}

/** Three members with three retained messages. */
async function three(...sets: string[]): Promise<Three> {
  const peers = await testPeers({ cuttable: true })
  const n1 = await peers.start(N1, { sets })
  const args = ['--join', N1]
  const [n2, n3] = await Promise.all([peers.start(N2, { args, sets }), peers.start(N3, { args, sets })])
  for (const node of [n1, n2, n3]) await sees(node, [N1, N2, N3])
  await fill(n1, 'r', 3)
  await haveRetained(3, n1, n2, n3)
  return { peers, n1, n2, n3 }
}

async function alarms(peer: Peer): Promise<string> {
  return (await asked(peer, 'alarms', 'list')).join('\n')
}

async function shows(topic: string, text: string, ...peers: Peer[]): Promise<void> {
  for (const peer of peers) {
    await eventually(async () => expect((await asked(peer, 'retained', 'show', topic))[1]).toBe(text), {
      withinMs: 30_000,
    })
  }
}

describe('G1: by policy manual', () => {
  it('both sides serve; after the cut they stay apart until one of them is started again', async () => {
    const { peers, n1, n2, n3 } = await three('cluster.partition=manual')
    const { did } = binCtl(peers)
    peers.partition([n1, n2], [n3], 'reset')
    await sees(n1, [N1, N2], { stopped_nodes: [N3] })
    await sees(n3, [N3], { stopped_nodes: [N1, N2] })
    expect(await alarms(n1)).toContain(`Alarm(member_down/${N3}, severity=warning`)
    await retain(n1, 'side', 'greater')
    await retain(n3, 'side', 'lesser')
    expect([await retainedText(n2, 'side'), await retainedText(n3, 'side')]).toEqual(['greater', 'lesser'])
    peers.heal()
    const line = await n1.logged(`inconsistent_database: ${N3} ran on while it was out of reach; it stays apart`)
    expect(line).toMatchObject({ level: 'error', context: 'running_partitioned_network' })
    await sees(n1, [N1, N2], { partitioned_nodes: [N3] })
    expect(await did(n3, 'cluster', 'status')).toEqual([status([N3], { partitioned_nodes: [N1, N2] })])
    expect(await alarms(n1)).toContain('Alarm(partition, severity=warning')
    expect([await retainedText(n2, 'side'), await retainedText(n3, 'side')]).toEqual(['greater', 'lesser'])
    expect(await n3.stop()).toBe(0)
    const again = await peers.start(N3, { sets: ['cluster.partition=manual'] })
    for (const node of [n1, n2, again]) await sees(node, [N1, N2, N3])
    await shows('side', 'lesser', n1, n2, again)
    await eventually(async () => expect(await alarms(n1)).toBe(''))
  })

  it('cluster heal merges them without a restart', async () => {
    const { peers, n1, n2, n3 } = await three('cluster.partition=manual')
    const { did, refused } = binCtl(peers)
    expect(await refused(n1, 'cluster', 'heal')).toEqual(['Failed to heal the cluster: not_partitioned'])
    const stays = await client(n3)
    peers.partition([n1, n2], [n3], 'reset')
    await sees(n3, [N3], { stopped_nodes: [N1, N2] })
    await retain(n3, 'side', 'lesser')
    peers.heal()
    await sees(n3, [N3], { partitioned_nodes: [N1, N2] })
    expect(await did(n3, 'cluster', 'heal')).toEqual(['Heal the cluster successfully.', status([N1, N2, N3])])
    for (const node of [n1, n2]) await sees(node, [N1, N2, N3])
    await shows('side', 'lesser', n1, n2)
    await stays.publishAsync('is/alive', 'x', { qos: 1 })
  })
})

describe('G2: by policy autoheal', () => {
  it('they are one again by themselves: routes are equal, what the lesser side wrote is merged, or named row by row', async () => {
    const { peers, n1, n2, n3 } = await three()
    peers.partition([n1, n2], [n3], 'reset')
    await sees(n1, [N1, N2], { stopped_nodes: [N3] })
    await sees(n3, [N3], { stopped_nodes: [N1, N2] })
    const [greater, lesser] = [await client(n1, { clientId: 'greater' }), await client(n3, { clientId: 'lesser' })]
    await retain(n3, 'both', 'lesser')
    await retain(n3, 'only/lesser', 'kept')
    await retain(n1, 'both', 'greater')
    await lesser.subscribeAsync('from/lesser')
    await greater.subscribeAsync('from/greater')
    peers.heal()
    for (const node of [n1, n2, n3]) await sees(node, [N1, N2, N3])
    await shows('only/lesser', 'kept', n1, n2, n3)
    // Which of two writes within a moment is the later one is for their clocks to say; all have the same, and the other is named.
    const { keptBy } = (await lossOf('both', n1, n2, n3)) as { keptBy: string }
    expect([N1, N3]).toContain(keptBy)
    await shows('both', keptBy === N1 ? 'greater' : 'lesser', n1, n2, n3)
    const routes = [`from/greater -> ${N1}`, `from/lesser -> ${N3}`]
    for (const node of [n1, n2, n3]) {
      await eventually(async () => expect(await asked(node, 'routes', 'list')).toEqual(routes))
    }
  })
})

describe('G3', () => {
  it('two halves, and the same cut again, heal', async () => {
    const { peers, n1, n2 } = await joined({ cuttable: true })
    for (const round of ['1', '2']) {
      peers.cut(n1, n2, 'reset')
      await sees(n1, [N1], { stopped_nodes: [N2] })
      await sees(n2, [N2], { stopped_nodes: [N1] })
      await retain(n1, `n1/${round}`, 'x')
      await retain(n2, `n2/${round}`, 'x')
      peers.heal()
      for (const node of [n1, n2]) await sees(node, [N1, N2])
      await haveRetained(2 * Number(round), n1, n2)
    }
    expect(await retained(n1)).toEqual(await retained(n2))
  })

  it('three parts of one each heal', async () => {
    const { peers, n1, n2, n3 } = await three()
    const nodes = [n1, n2, n3]
    for (const [a, b] of [
      [n1, n2],
      [n2, n3],
      [n1, n3],
    ] as const)
      peers.cut(a, b, 'reset')
    for (const node of nodes) {
      const others = [N1, N2, N3].filter((name) => name !== node.name)
      await sees(node, [node.name], { stopped_nodes: others })
      await retain(node, `only/${node.name}`, 'x')
    }
    peers.heal()
    for (const node of nodes) await sees(node, [N1, N2, N3])
    await haveRetained(6, ...nodes)
  })

  it('a cut that is longer than autoclean heals too: the greater side removes the others, who join again', async () => {
    const { peers, n1, n2, n3 } = await three('cluster.autoclean=2s')
    peers.partition([n1, n2], [n3], 'reset')
    await sees(n1, [N1, N2])
    await n3.logged('this side is not the greater one, and removes nobody')
    await sees(n3, [N3], { stopped_nodes: [N1, N2] })
    const c3 = await client(n3, { protocolVersion: 5 })
    await retain(n3, 'only/n3', 'x')
    await retain(n1, 'only/n1', 'x')
    const reason = disconnected(c3)
    peers.heal()
    expect(await reason).toBe(0x98)
    for (const node of [n1, n2, n3]) await sees(node, [N1, N2, N3])
    await haveRetained(4, n1, n2, n3)
    const { backup } = (await n3.logged('removed from the cluster')) as { backup: string }
    await asked(n3, 'data', 'import', backup, '--missing-only')
    await haveRetained(5, n1, n2, n3)
  })

  it('of two halves only that with the first name removes the other', async () => {
    const { peers, n1, n2 } = await joined({ cuttable: true }, { sets: ['cluster.autoclean=2s'] })
    peers.cut(n1, n2, 'reset')
    await sees(n1, [N1])
    await n2.logged('this side is not the greater one, and removes nobody')
    await sees(n2, [N2], { stopped_nodes: [N1] })
    peers.heal()
    for (const node of [n1, n2]) await sees(node, [N1, N2])
  })

  it('a member that was killed and cleaned joins again when it is started', async () => {
    const sets = ['cluster.autoclean=2s']
    const { peers, n1, n3 } = await three(...sets)
    await n3.kill()
    await sees(n1, [N1, N2])
    const again = await peers.start(N3, { sets })
    await sees(again, [N1, N2, N3])
    await haveRetained(3, again)
  })
})
