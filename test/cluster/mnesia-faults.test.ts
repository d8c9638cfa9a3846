/** Tables on real nodes whose links are cut, or that stand still. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Peer, type PeerOptions, type Peers, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'

const [N1, N2, N3] = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1']
const PROGRAM = program('test/support/table-node')

function start(peers: Peers, name: string, options: PeerOptions = {}): Promise<Peer> {
  return peers.start(name, { ...options, program: PROGRAM })
}

async function ask<T>(peer: Peer, what: string, ...args: string[]): Promise<T> {
  return JSON.parse(String(await peer.rpc('tables', 'call', [what, JSON.stringify(args)]))) as T
}

async function cluster(options: PeerOptions = {}): Promise<{ peers: Peers; n1: Peer; n2: Peer; n3: Peer }> {
  const peers = await testPeers({ cuttable: true })
  const [n1, n2, n3] = [
    await start(peers, N1, options),
    await start(peers, N2, options),
    await start(peers, N3, options),
  ] as const
  for (const peer of [n2, n3]) expect(await ask(peer, 'join', N1)).toMatchObject({ ok: true })
  for (const peer of [n1, n2, n3]) await sees(peer, [N1, N2, N3])
  return { peers, n1, n2, n3 }
}

async function sees(peer: Peer, running: string[], stopped: string[] = []): Promise<void> {
  await eventually(async () => expect(await ask(peer, 'status')).toMatchObject({ running, stopped }), {
    withinMs: 25_000,
  })
}

async function texts(topic: string, ...peers: Peer[]): Promise<(string | undefined)[]> {
  return Promise.all(peers.map(async (peer) => (await ask<{ text: string } | null>(peer, 'get', topic))?.text))
}

it('both sides of a partition serve, and merge row by row when it is over, twice in a row', async () => {
  const { peers, n1, n2, n3 } = await cluster()
  for (const round of ['1', '2']) {
    peers.partition([n1, n2], [n3], 'reset')
    await sees(n3, [N3], [N1, N2])
    await sees(n1, [N1, N2], [N3])
    await ask(n1, 'write', 'both', `n1 ${round}`)
    await ask(n1, 'write', `n1 ${round}`, 'x')
    await ask(n3, 'write', `n3 ${round}`, 'x')
    await ask(n3, 'write', 'both', `n3 ${round}`)
    peers.heal()
    for (const peer of [n1, n2, n3]) await sees(peer, [N1, N2, N3])
    await eventually(async () => {
      for (const topic of [`n1 ${round}`, `n3 ${round}`])
        expect(await texts(topic, n1, n2, n3)).toEqual(['x', 'x', 'x'])
      const last = `n3 ${round}`
      expect(await texts('both', n1, n2, n3)).toEqual([last, last, last])
      return true
    })
  }
  await n1.logged('inconsistent_database')
  await n3.logged('inconsistent_database')
})

it('by policy manual sides stay apart until one of them is told to heal', async () => {
  const { peers, n1, n2, n3 } = await cluster({ args: ['--policy', 'manual'] })
  peers.partition([n1, n2], [n3], 'reset')
  await sees(n3, [N3], [N1, N2])
  await sees(n1, [N1, N2], [N3])
  await ask(n1, 'write', 'one', 'n1')
  peers.heal()
  await eventually(async () => expect(await ask(n3, 'status')).toMatchObject({ partitioned: [N1, N2] }), {
    withinMs: 25_000,
  })
  expect(await texts('one', n2, n3)).toEqual(['n1', undefined])
  expect(await ask<string[]>(n3, 'heal')).toEqual([N1, N2])
  await sees(n3, [N1, N2, N3])
  await eventually(async () => expect(await texts('one', n3)).toEqual(['n1']))
})

it('a member that stands still holds nobody up, is taken for dead after the tick time, and comes back by itself', async () => {
  const { n1, n2, n3 } = await cluster({ args: ['--tick', '4000'] })
  await ask(n3, 'route', 'r3')
  await eventually(async () => expect(await ask(n1, 'routes')).toEqual([`r3 ${N3}`]))
  n3.freeze()
  await ask(n1, 'write', 'a', '1')
  await eventually(async () => expect(await texts('a', n2)).toEqual(['1']))
  expect(await ask(n1, 'write_members', 'b', '1')).toEqual({ unconfirmed: [N3] })
  await sees(n1, [N1, N2], [N3])
  await eventually(async () => expect(await ask(n1, 'routes')).toEqual([]))
  n3.thaw()
  for (const peer of [n1, n2, n3]) await sees(peer, [N1, N2, N3])
  await eventually(async () => expect(await texts('b', n3)).toEqual(['1']))
  await eventually(async () => expect(await ask(n1, 'routes')).toEqual([`r3 ${N3}`]))
})

it("of a member that is killed no route stays, and it is back with the others' rows when it starts again", async () => {
  const { peers, n1, n2, n3 } = await cluster()
  await ask(n3, 'route', 'r3')
  await eventually(async () => expect(await ask(n2, 'routes')).toEqual([`r3 ${N3}`]))
  await n3.kill()
  for (const peer of [n1, n2]) await eventually(async () => expect(await ask(peer, 'routes')).toEqual([]))
  await ask(n1, 'write', 'while it is down', 'x')
  const again = await start(peers, N3)
  expect(await texts('while it is down', again)).toEqual(['x'])
  await sees(n1, [N1, N2, N3])
})
