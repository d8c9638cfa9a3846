/**
 * B1 to B9 of what is asked of a cluster, on real nodes, by bin/ctl and clients: joining, leaving, being removed, and what becomes of rows
 * and clients.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'mqtt'
import { describe, expect, it, onTestFinished } from 'vitest'
import { binCtl } from '../support/bin-ctl.ts'
import {
  asked,
  client,
  closing,
  disconnected,
  expectConnected,
  fill,
  haveRetained,
  joined,
  N1,
  N2,
  N3,
  retain,
  retained,
  retainedText,
  sees,
  status,
  two,
} from '../support/clustered.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'

const TABLE_NODE = program('test/support/table-node')

describe('B1', () => {
  it('join makes one cluster of two, whichever of them is told to', async () => {
    const { n1, n2, did } = await two()
    expect(await did(n2, 'cluster', 'join', N1)).toEqual(['Join the cluster successfully.', status([N1, N2])])
    for (const node of [n1, n2]) expect(await did(node, 'cluster', 'status')).toEqual([status([N1, N2])])
    await asked(n2, 'cluster', 'leave')
    expect(await did(n1, 'cluster', 'join', 'n2')).toEqual(['Join the cluster successfully.', status([N1, N2])])
    for (const node of [n1, n2]) await sees(node, [N1, N2])
  })
})

describe('B1, of three', () => {
  it('the one that joins shows all members at once, sorted, in one line', async () => {
    const { peers, did } = await joined()
    const n3 = await peers.start(N3)
    expect(await did(n3, 'cluster', 'join', N2)).toEqual(['Join the cluster successfully.', status([N1, N2, N3])])
  })
})

describe('B2', () => {
  it('what cannot be is refused in words of emqttd, and changes nothing', async () => {
    const { peers, n1, n2, did, refused, run } = await two()
    await fill(n2, 'kept', 2)
    const cannotJoin = async (node: Peer, other: string, ...reason: string[]) => {
      expect(await refused(node, 'cluster', 'join', other)).toEqual([
        `Failed to join the cluster: ${reason[0]}`,
        ...reason.slice(1),
      ])
    }
    await cannotJoin(n2, N2, `{cannot_join_with_self,'${N2}'}`)
    await cannotJoin(n2, 'n3', `{node_not_running,'${N3}'}`)
    expect(await refused(n2, 'cluster', 'leave')).toEqual(['Failed to leave the cluster: node_not_in_cluster'])
    const cannotRemove = async (other: string, reason: string) => {
      expect(await refused(n2, 'cluster', 'remove', other)).toEqual([
        `Failed to remove the node from cluster: ${reason}`,
      ])
    }
    await cannotRemove(N2, `{cannot_remove_self,'${N2}'}`)
    await cannotRemove(N1, 'node_not_in_cluster')
    await cannotRemove(N3, 'node_not_in_cluster')
    await did(n1, 'cluster', 'join', N2)
    await haveRetained(2, n1)
    await cannotJoin(n2, N1, `{already_clustered,'${N1}'}`)
    await cannotJoin(n1, N2, `{already_clustered,'${N2}'}`)
    await cannotJoin(n1, N3, `{node_not_running,'${N3}'}`)
    await peers.start(N3)
    const remedy = `${N1} is in a cluster with ${N2}: leave it first (\`cluster leave\`)`
    await cannotJoin(n1, N3, `{already_in_other_cluster,['${N1}','${N2}']}`, remedy)
    for (const node of [n1, n2]) {
      await sees(node, [N1, N2])
      await haveRetained(2, node)
    }
    expect((await run(n1, 'cluster', 'join')).out).toContain('cluster join <Node> [--yes]                     # ')
  })
})

describe('B3', () => {
  it('rows that a join replaces are named, saved, and can be brought back; only clients of the node that joins are cut', async () => {
    const { peers, n1, n2, did, refused } = await two()
    await fill(n1, 'n1', 100)
    await fill(n2, 'n2', 50)
    const [c1, c2, old] = [
      await client(n1, { protocolVersion: 5 }),
      await client(n2, { protocolVersion: 5 }),
      await client(n2, { protocolVersion: 4 }),
    ]
    expect(await refused(n2, 'cluster', 'join', N1)).toEqual([
      `Failed to join the cluster: {confirm,'${N1}'}`,
      `joining ${N1} replaces tables of this node: retained_message (50 rows); they are saved to a backup file first; confirm with --yes`,
    ])
    await expectConnected(c2)
    await haveRetained(50, n2)
    const [reason, closed] = [disconnected(c2), closing(old)]
    const lines = await did(n2, 'cluster', 'join', N1, '--yes')
    const [file] = await readdir(join(peers.folder, 'data', N2, 'backup'))
    const path = join(peers.folder, 'data', N2, 'backup', file!)
    expect(lines).toEqual([
      'Join the cluster successfully.',
      status([N1, N2]),
      `Replaced: retained_message (50 rows). Saved to ${path}`,
      `What the cluster does not have comes back with: bin/ctl data import ${path} --missing-only`,
    ])
    expect(await reason).toBe(0x98)
    await closed
    await expectConnected(c1)
    await haveRetained(100, n1, n2)
    expect(await did(n2, 'data', 'import', path, '--missing-only')).toContain(
      'retained_message: 50 rows, 50 written, 0 kept',
    )
    await haveRetained(150, n1, n2)
  })

  it('a persistent session of a client that is cut stays where it is', async () => {
    const { n1, n2 } = await two()
    const persistent = { clientId: 'pers', clean: false, protocolVersion: 4 } as const
    const before = await client(n2, persistent)
    await before.subscribeAsync('t', { qos: 1 })
    const closed = closing(before)
    await asked(n2, 'cluster', 'join', N1)
    await closed
    const publisher = await client(n1)
    await publisher.publishAsync('t', 'while away', { qos: 1 })
    const after = connect(`mqtt://127.0.0.1:${n2.mqttPort}`, { ...persistent, reconnectPeriod: 0 })
    onTestFinished(() => after.endAsync(true))
    const message = new Promise((resolve) => after.once('message', (_, payload) => resolve(payload.toString())))
    expect(await message).toBe('while away')
  })
})

describe('B4', () => {
  it('leave empties shared tables and keeps a backup; the others know the node and its routes no more', async () => {
    const { peers, n1, n2, did } = await joined()
    await fill(n1, 'n1', 3)
    await haveRetained(3, n2)
    const [stays, goes] = [await client(n1), await client(n2, { clientId: 'goes', protocolVersion: 5 })]
    await goes.subscribeAsync('only/n2')
    await eventually(async () => expect(await asked(n1, 'routes', 'show', 'only/n2')).toEqual([`only/n2 -> ${N2}`]))
    const reason = disconnected(goes)
    const [first, second, third] = await did(n2, 'cluster', 'leave')
    expect([first, second]).toEqual(['Leave the cluster successfully.', status([N2])])
    expect(third).toMatch(/^Emptied: retained_message \(3 rows\)\. Saved to .*-leave-.*\.backup$/)
    expect(await reason).toBe(0x98)
    expect(await readdir(join(peers.folder, 'data', N2, 'backup'))).toHaveLength(1)
    await haveRetained(0, n2)
    await haveRetained(3, n1)
    await sees(n1, [N1])
    await eventually(async () => expect(await asked(n1, 'routes', 'list')).toEqual([]))
    expect(await asked(n1, 'sessions', 'show', 'goes')).toEqual(['Not Found.'])
    await expectConnected(stays)
  })
})

describe('B5', () => {
  it('a member that is removed while it runs is alone, and its clients are cut', async () => {
    const { n1, n2, did } = await joined()
    await fill(n1, 'n1', 3)
    await haveRetained(3, n2)
    const [stays, goes] = [await client(n1), await client(n2, { protocolVersion: 5 })]
    const reason = disconnected(goes)
    expect(await did(n1, 'cluster', 'remove', N2)).toEqual(['Remove the node from cluster successfully.', status([N1])])
    expect(await reason).toBe(0x98)
    await n2.logged('removed from the cluster')
    await sees(n2, [N2])
    await haveRetained(0, n2)
    await expectConnected(stays)
  })

  it('one that is removed while it is down does not slip back in: it says so, runs alone, and can join', async () => {
    const { peers, n1, n2, did } = await joined()
    await fill(n1, 'n1', 3)
    await haveRetained(3, n2)
    await n2.kill()
    await sees(n1, [N1], { stopped_nodes: [N2] })
    expect(await did(n1, 'cluster', 'force-leave', N2)).toEqual([
      'Remove the node from cluster successfully.',
      status([N1]),
    ])
    const again = await peers.start(N2)
    await again.logged('removed from the cluster')
    await sees(again, [N2])
    await sees(n1, [N1])
    await haveRetained(0, again)
    expect(await did(again, 'cluster', 'join', N1)).toEqual(['Join the cluster successfully.', status([N1, N2])])
    await haveRetained(3, again)
  })
})

describe('B6', () => {
  it('what is retained, changed or deleted on one is so on the other', async () => {
    const { n1, n2 } = await joined()
    for (const [here, there] of [
      [n1, n2],
      [n2, n1],
    ] as const) {
      await retain(here, 'x', 'added')
      await eventually(async () => expect((await asked(there, 'retained', 'show', 'x'))[1]).toBe('added'), {
        withinMs: 1000,
      })
      await retain(here, 'x', 'changed')
      await eventually(async () => expect((await asked(there, 'retained', 'show', 'x'))[1]).toBe('changed'), {
        withinMs: 1000,
      })
      expect(await retainedText(there, 'x')).toBe('changed')
      await retain(here, 'x', '')
      await eventually(async () => expect(await retained(there)).toEqual([]), { withinMs: 1000 })
    }
  })
})

describe('B7', () => {
  it('both are stopped and started, and are one cluster without a new join', async () => {
    const { peers, n1, n2 } = await joined()
    expect([await n1.stop(), await n2.stop()]).toEqual([0, 0])
    const [a, b] = await Promise.all([peers.start(N1), peers.start(N2)])
    for (const node of [a, b]) await sees(node, [N1, N2])
  })
})

describe('B8', () => {
  it('a disc of another name is refused with the remedy, which works', async () => {
    const { peers, n1, n2, did } = await joined()
    await fill(n1, 'n1', 3)
    await haveRetained(3, n2)
    await n2.stop()
    const args = ['--data-dir', join(peers.folder, 'data', N2)]
    const renamed = peers.launch(N3, { args })
    expect(await renamed.ended).toBe(1)
    expect(renamed.err).toBe(
      `this data belongs to ${N2}, which is a cluster member; run \`cluster remove ${N2}\` on ${N1}, then start with --rename to make it the data of ${N3}\n`,
    )
    await did(n1, 'cluster', 'remove', N2)
    const n3 = await peers.start(N3, { args: [...args, '--rename'] })
    await sees(n3, [N3])
    await haveRetained(3, n3)
    expect(await did(n3, 'cluster', 'join', N1, '--yes')).toContain(status([N1, N3]))
  })
})

describe('B9', () => {
  it('a table that is defined in another way is named, with the difference, and nothing is replaced', async () => {
    const peers = await testPeers()
    const { refused } = binCtl(peers)
    const n1 = await peers.start(N1)
    await fill(n1, 'n1', 3)
    await peers.start(N2, { program: TABLE_NODE, args: ['--bag'] })
    expect(await refused(n1, 'cluster', 'join', N2, '--yes')).toEqual([
      `Failed to join the cluster: {definitions_differ,'${N2}'}`,
      expect.stringMatching(
        new RegExp(
          `^this node and ${N2} define tables in different ways: .*retained_message .*type: ordered_set here, bag there`,
        ),
      ),
    ])
    await sees(n1, [N1])
    await haveRetained(3, n1)
  })
})
