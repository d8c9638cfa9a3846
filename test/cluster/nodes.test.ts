/** Named nodes, as their users run them: the mesh, epmd, the cookie, names, a hidden node that looks. */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { nodes } from '../../src/dist/net-kernel.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { type Atom, atom, isTuple, type Tuple, text } from '../../src/dist/term.ts'
import { tlsTransport } from '../../src/dist/transport-tls.ts'
import { authority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'

const NAMES = [1, 2, 3, 4].map((index) => `node${index}@127.0.0.1`)

/** What `net_adm:names()` of a node answers, as names and ports. */
async function namesOf(peer: Peer): Promise<[name: string, port: number][]> {
  const answer = (await peer.rpc('net_adm', 'names')) as Tuple<[Atom, Tuple<[number[], number]>[]]>
  expect(answer.elements[0]).toBe(atom('ok'))
  return answer.elements[1]
    .map(({ elements: [name, port] }): [string, number] => [text(name)!, port])
    .filter(([name]) => !name.startsWith('test'))
}

describe('A1: four nodes', () => {
  it('one that connects to the three others brings them all together', async () => {
    const peers = await testPeers()
    const [node1, node2] = (await Promise.all(NAMES.map((name) => peers.start(name)))) as [Peer, Peer]
    for (const name of NAMES.slice(1)) expect(await node1.connect(name)).toBe(true)
    expect(await node1.nodes()).toEqual(NAMES.slice(1))
    await eventually(async () => expect((await node2.nodes()).sort()).toEqual([NAMES[0], NAMES[2], NAMES[3]]))
    expect(await node1.connect('missing@127.0.0.1')).toBe(false)
    expect(await node1.ping(NAMES[2]!)).toBe('pong')
    expect(await node1.ping('missing@127.0.0.1')).toBe('pang')
  })
})

describe('A2: epmd', () => {
  it('is started by the first node, lists short names and real ports, the oldest first, and forgets a node that is killed', async () => {
    const peers = await testPeers({ epmd: 'node' })
    const all = await peers.startAll(NAMES)
    const listed = all.map(({ distPort }, index): [string, number] => [`node${index + 1}`, distPort])
    expect(await namesOf(all[0]!)).toEqual(listed)
    await all[2]!.kill()
    await eventually(async () => expect(await namesOf(all[0]!)).toEqual(listed.toSpliced(2, 1)))
    // It is nobody's child: it outlives the node that has started it.
    expect(await all[0]!.stop()).toBe(0)
    expect(await peers.names()).toEqual([
      { name: 'node2', port: all[1]!.distPort },
      { name: 'node4', port: all[3]!.distPort },
    ])
  })
})

describe('A3: the cookie', () => {
  it('keeps a node with another one out, which the target logs, and never crosses the wire', async () => {
    const peers = await testPeers({ cuttable: true, cookie: 'the-cookie-of-all' })
    const wire: Buffer[] = []
    peers.tap((bytes) => void wire.push(bytes))
    const n1 = await peers.start('n1@127.0.0.1')
    const n2 = await peers.start('n2@127.0.0.1', { args: ['--join', n1.name] })
    await n1.logged('node n2@127.0.0.1 is up')
    // The stranger is told to come by its own command line, since the test's hidden node is none of its friends.
    const w = await peers.start('w@127.0.0.1', { cookie: 'the-cookie-of-w', args: ['--join', n1.name] })
    await n1.logged("Connection attempt from node 'w@127.0.0.1' rejected. Invalid challenge reply.")
    await w.logged('n1@127.0.0.1 cannot be reached')
    expect(await n1.connect(w.name)).toBe(false)
    expect(await n1.ping(w.name)).toBe('pang')
    await w.logged("Connection attempt from node 'n1@127.0.0.1' rejected. Invalid challenge reply.")
    expect(await n1.nodes()).toEqual([n2.name])
    const seen = Buffer.concat(wire)
    expect(seen.includes(`w@127.0.0.1`)).toBe(true)
    expect(seen.includes('the-cookie')).toBe(false)
  })

  it('comes from ~/.agner.cookie when no option gives it, and a file that others can read is refused', async () => {
    const peers = await testPeers({ cookie: 'of-the-file' })
    const path = join(peers.folder, '.agner.cookie')
    await writeFile(path, 'of-the-file\n', { mode: 0o600 })
    const n1 = await peers.start('n1@127.0.0.1', { cookie: undefined })
    expect(await n1.ping('n1@127.0.0.1')).toBe('pong')
    await chmod(path, 0o640)
    const n2 = peers.launch('n2@127.0.0.1', { cookie: undefined })
    expect(await n2.ended).toBe(2)
    expect(n2.err).toBe(`the cookie file ${path} has mode 0640, so others can use it; run: chmod 600 ${path}\n`)
  })
})

describe('A4: a name that is taken', () => {
  it('is refused on every address of the machine, and another name is not', async () => {
    const peers = await testPeers()
    const n1 = await peers.start('n1@127.0.0.1')
    for (const name of ['n1@127.0.0.1', 'n1@127.0.0.2']) {
      const second = peers.launch(name)
      expect(await second.ended).toBe(1)
      expect(second.err).toBe(`the name ${name} seems to be in use by another node\n`)
      expect(second.out).toBe('')
    }
    const n9 = await peers.start('n9@127.0.0.2')
    expect(await n9.ping(n1.name)).toBe('pong')
    expect(await n1.nodes()).toEqual([n9.name])
  })
})

describe('A5: a name', () => {
  it('has a host: an address, or one that resolves, with a warning when it has no dot', async () => {
    const peers = await testPeers()
    const [bare, lost] = [peers.launch('n1'), peers.launch('n1@no-such-host')]
    expect(await bare.ended).toBe(2)
    expect(bare.err).toMatch(/^the node name n1 has no host: write --name n1@127\.0\.0\.1, /)
    expect(await lost.ended).toBe(2)
    expect(lost.err).toMatch(/^the host of the node name n1@no-such-host does not resolve: /)
    const n1 = await peers.start('n1@localhost')
    expect(await n1.logged('should be an IP address or have a dot')).toMatchObject({ level: 'warn' })
    expect(await peers.names()).toEqual([{ name: 'n1', port: n1.distPort }])
  })

  it('that is short talks to short ones, and to no long one', async () => {
    const peers = await testPeers({ control: { name: `test${process.pid}@localhost` } })
    const n1 = await peers.start('n1@localhost', { args: ['--sname', 'n1@localhost'] })
    const n2 = await peers.start('n2@localhost', { args: ['--sname', 'n2@localhost', '--join', 'n1@localhost'] })
    await n1.logged('node n2@localhost is up')
    expect(await n2.nodes()).toEqual(['n1@localhost'])
    const long = await peers.start('n3@127.0.0.1')
    expect(await n1.connect(long.name)).toBe(false)
    expect(await n1.nodes()).toEqual(['n2@localhost'])
  })
})

describe('A6: a hidden node that looks', () => {
  it('sees processes, tables, tree and nodes, and is a peer of nobody', async () => {
    const peers = await testPeers({ control: { name: 'firecat@127.0.0.1' } })
    const n1 = await peers.start('n1@127.0.0.1')
    const n2 = await peers.start('n2@127.0.0.1', { args: ['--join', n1.name] })
    await n1.logged('node n2@127.0.0.1 is up')
    const { runtime } = await peers.control()
    expect(await ping(runtime, n1.name)).toBe('pong')
    expect(await n1.nodes()).toEqual([n2.name])
    expect(await n1.nodes('hidden')).toEqual(['firecat@127.0.0.1'])
    // Nor does one node tell another of it.
    expect(await n2.nodes('connected')).toContain(n1.name)
    expect(nodes(runtime, 'connected')).toContain(n1.name)

    const processes = (await n1.rpc('erlang', 'processes')) as Pid[]
    expect(processes.length).toBeGreaterThan(10)
    expect(processes.every((pid) => pid instanceof Pid && pid.node === n1.name)).toBe(true)
    const router = (await n1.rpc('erlang', 'whereis', [atom('router')])) as Pid
    expect(processes.some((pid) => pid.equals(router))).toBe(true)
    const info = await n1.rpc('erlang', 'process_info', [router, atom('registered_name')])
    expect(info).toEqual(expect.objectContaining({ elements: [atom('registered_name'), atom('router')] }))

    const tree = (await n1.rpc('supervisor', 'which_children', [atom('broker_sup')])) as Tuple[]
    expect(tree.every((entry) => isTuple(entry, 4))).toBe(true)
    expect(tree.map(({ elements: [id] }) => (id as Atom).name)).toContain('listener_tcp')
    const applications = (await n1.rpc('application', 'which_applications')) as Tuple[]
    expect(applications.map(({ elements: [name] }) => name)).toContain(atom('agner'))
    const tables = (await n1.rpc('observer_backend', 'get_table_list', [atom('mnesia'), []])) as Tuple[][]
    expect(tables.map(([name]) => (name!.elements[1] as Atom).name)).toEqual(
      expect.arrayContaining(['route', 'session']),
    )

    const refused = await rpc.call(runtime, n1.name, 'os', 'cmd', ['id'])
    expect(refused).toMatchObject({ ok: false, reason: { EXIT: expect.anything() } })
  })
})

describe('other ways to talk', () => {
  it('TLS: nodes with certificates of one authority are together, and one without stays out', async () => {
    const certificate = await (await authority()).sign('node', 'IP:127.0.0.1')
    const files = Object.entries(certificate.files).map(([key, path]) => `dist.tls.${key}=${path}`)
    const peers = await testPeers({ control: { transport: tlsTransport(certificate) } })
    const sets = ['dist.proto=inet_tls', ...files]
    const n1 = await peers.start('n1@127.0.0.1', { sets })
    const n2 = await peers.start('n2@127.0.0.1', { sets, args: ['--join', n1.name] })
    await n1.logged('node n2@127.0.0.1 is up')
    expect(await n2.nodes()).toEqual([n1.name])
    const plain = await peers.start('n3@127.0.0.1', { args: ['--join', n1.name] })
    await plain.logged('n1@127.0.0.1 cannot be reached')
    expect(await n1.nodes()).toEqual([n2.name])
  })

  it('IPv6: the address is in the name', async () => {
    const peers = await testPeers()
    const n1 = await peers.start('n1@::1')
    const n2 = await peers.start('n2@::1', { args: ['--join', n1.name], sets: ['dist.proto=inet6_tcp'] })
    await n1.logged('node n2@::1 is up')
    expect(await n2.nodes()).toEqual([n1.name])
    expect(n1.out).toContain(`listener on dist:[::1]:${n1.distPort}`)
  })
})
