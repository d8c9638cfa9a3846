/**
 * Tables on real nodes: OS processes, sockets, discs. Joining, removing, starting without the others (问题(1)), and what is there after
 * everybody was killed (问题(2)).
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Peer, type PeerOptions, type Peers, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'

const [N1, N2, N3] = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1']
const PROGRAM = program('test/support/table-node')

interface Status {
  readonly running: readonly string[]
  readonly stopped: readonly string[]
  readonly partitioned: readonly string[]
}

function start(peers: Peers, name: string, options: PeerOptions = {}): Promise<Peer> {
  return peers.start(name, { ...options, program: PROGRAM })
}

async function ask<T>(peer: Peer, what: string, ...args: string[]): Promise<T> {
  return JSON.parse(String(await peer.rpc('tables', 'call', [what, JSON.stringify(args)]))) as T
}

async function sizes(...peers: Peer[]): Promise<number[]> {
  return Promise.all(peers.map((peer) => ask<number>(peer, 'size')))
}

async function text(peer: Peer, topic: string): Promise<string | undefined> {
  return (await ask<{ text: string } | null>(peer, 'get', topic))?.text
}

/** Resolves when a node sees these members running, and these stopped. */
async function sees(peer: Peer, running: string[], stopped: string[] = []): Promise<void> {
  await eventually(async () => expect(await ask<Status>(peer, 'status')).toMatchObject({ running, stopped }), {
    withinMs: 20_000,
  })
}

/** Two members with 10 rows on both discs, of which `x` is 0. */
async function two(): Promise<{ peers: Peers; n1: Peer; n2: Peer }> {
  const peers = await testPeers({ cuttable: true })
  const n1 = await start(peers, N1)
  const n2 = await start(peers, N2)
  expect(await ask(n2, 'join', N1)).toMatchObject({ ok: true, isInSync: true })
  await ask(n1, 'fill', 'n1', '9')
  await ask(n1, 'write', 'x', '0')
  await eventually(async () => expect(await sizes(n1, n2)).toEqual([10, 10]))
  // Of what n2 has taken in, all is on disc when a later write of its own is.
  await ask(n2, 'write', 'x', '0')
  return { peers, n1, n2 }
}

describe('joining', () => {
  it('names the rows that it replaces and saves them to a file; another definition is refused before that', async () => {
    const peers = await testPeers({ cuttable: true })
    const n1 = await start(peers, N1)
    const n2 = await start(peers, N2)
    const n3 = await start(peers, N3, { args: ['--bag'] })
    await ask(n1, 'fill', 'n1', '100')
    await ask(n2, 'fill', 'n2', '50')
    await ask(n3, 'fill', 'n3', '3')
    const table = { table: 'retained_message', rows: 50 }
    expect(await ask(n2, 'join', N1)).toMatchObject({ ok: false, reason: 'confirm', tables: [table] })
    expect(await sizes(n1, n2)).toEqual([100, 50])
    const joined = await ask<{ backup: string }>(n2, 'join', N1, 'confirm')
    expect(joined).toMatchObject({ ok: true, members: [N1, N2], replaced: [table] })
    expect(await readdir(join(peers.folder, 'data', N2, 'backup'))).toHaveLength(1)
    await eventually(async () => expect(await sizes(n1, n2)).toEqual([100, 100]))
    expect(await ask(n3, 'join', N1, 'confirm')).toMatchObject({
      reason: 'definitions_differ',
      mismatches: [{ table: 'retained_message', differences: ['type: bag here, ordered_set there'] }],
    })
    expect(await sizes(n3)).toEqual([3])
  })
})

describe('removing', () => {
  it('keeps a member out that was dead: it says so, and runs alone with empty tables', async () => {
    const { peers, n1, n2 } = await two()
    await n2.kill()
    await sees(n1, [N1], [N2])
    expect(await ask(n1, 'remove', N2)).toEqual({ ok: true, wasRunning: false })
    const again = await start(peers, N2)
    await again.logged('removed from the cluster')
    await sees(again, [N2])
    await sees(n1, [N1])
    expect(await sizes(n1, again)).toEqual([10, 0])
  })

  it('refuses the disc of another node, with what to do', async () => {
    const { peers, n2 } = await two()
    await n2.stop()
    const renamed = peers.launch(N3, {
      program: PROGRAM,
      args: ['--data-dir', join(peers.folder, 'data', N2)],
    })
    expect(await renamed.ended).toBe(1)
    expect(renamed.err).toContain(
      `this data belongs to ${N2}, which is a cluster member; run \`cluster remove ${N2}\` on ${N1}`,
    )
  })
})

describe('问题(1): starting without the other', () => {
  it('the one that stopped first serves its older copy within the bound and says so; then the later value wins on both', async () => {
    const { peers, n1, n2 } = await two()
    await n2.stop()
    await ask(n1, 'write', 'x', '1')
    await n1.stop()
    const alone = await start(peers, N2)
    expect(await ask<number>(alone, 'start_ms')).toBeLessThan(15_000)
    expect(await ask(alone, 'status')).toMatchObject({ running: [N2], stopped: [N1] })
    expect([await text(alone, 'x'), await sizes(alone)]).toEqual(['0', [10]])
    expect(await ask(alone, 'alarms')).toHaveProperty('stale_tables')
    await ask(alone, 'write', 'x', '2')
    const back = await start(peers, N1)
    await eventually(async () => expect([await text(alone, 'x'), await text(back, 'x')]).toEqual(['2', '2']))
    expect(await sizes(alone, back)).toEqual([10, 10])
    await eventually(async () => expect(await ask(alone, 'alarms')).not.toHaveProperty('stale_tables'))
  })

  it('the one that stopped last serves at once', async () => {
    const { peers, n1, n2 } = await two()
    await n1.stop()
    await sees(n2, [N2], [N1])
    await n2.stop()
    const alone = await start(peers, N2)
    expect(await ask<number>(alone, 'start_ms')).toBeLessThan(5000)
    expect([await sizes(alone), await ask(alone, 'alarms')]).toEqual([[10], {}])
  })

  it('an empty disc runs alone and joins its seed when that appears', async () => {
    const peers = await testPeers({ cuttable: true })
    const n2 = await start(peers, N2, { args: ['--seed', N1] })
    expect(await ask(n2, 'status')).toMatchObject({ running: [N2], stopped: [] })
    const n1 = await start(peers, N1)
    await ask(n1, 'fill', 'n1', '10')
    await sees(n2, [N1, N2])
    await eventually(async () => expect(await sizes(n2)).toEqual([10]))
  })

  it('learns of a third that joined meanwhile', async () => {
    const { peers, n1, n2 } = await two()
    await n2.stop()
    const n3 = await start(peers, N3)
    expect(await ask(n3, 'join', N1)).toMatchObject({ ok: true })
    const back = await start(peers, N2)
    for (const peer of [n1, back, n3]) await sees(peer, [N1, N2, N3])
  })
})

describe('问题(2): rows of a cluster are on all discs', () => {
  it('both are killed at once, and either serves all rows alone', async () => {
    const { peers, n1, n2 } = await two()
    await Promise.all([n1.kill(), n2.kill()])
    const alone = await start(peers, N2)
    expect(await sizes(alone)).toEqual([10])
    expect(await text(alone, 'n1/3')).toBe('n1')
    const back = await start(peers, N1)
    await sees(back, [N1, N2])
    expect(await sizes(back)).toEqual([10])
  })
})
