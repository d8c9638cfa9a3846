/**
 * What strangers, and peers that hold the cookie, can cost a whole node, over real sockets. The bytes and the machine behind each of these
 * have tests of their own: handshake.test.ts, negotiate.test.ts, etf-hostile.test.ts, hostile-live.test.ts, cookie.test.ts.
 */
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { realSystem } from '../../src/actors/system.ts'
import { atomCount } from '../../src/dist/atom-table.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { ourFlags } from '../../src/dist/flags.ts'
import { encodeName } from '../../src/dist/handshake-messages.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { connectNode, nodes } from '../../src/dist/net-kernel.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import type { Address, Transport } from '../../src/dist/transport.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { eventually } from '../support/eventually.ts'
import { type TestNode, testEpmd, testNode } from '../support/node.ts'
import { notes } from '../support/pair.ts'
import { connectHostile, framed, frameOf, type HostileOptions, headed, send } from './hostile-support.ts'

const A = 'a@127.0.0.1'
const B = 'b@127.0.0.1'

/** A socket to the port of a node, and all that the node says to it. */
async function stranger(node: TestNode): Promise<{ socket: Socket; said: Buffer[]; closed: Promise<void> }> {
  const socket = connect(node.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const said: Buffer[] = []
  socket.on('data', (chunk) => said.push(chunk))
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
  await new Promise((resolve) => socket.once('connect', resolve))
  return { socket, said, closed }
}

function hostile(node: TestNode, more: Partial<HostileOptions> = {}) {
  const at = { host: '127.0.0.1', port: node.port }
  return connectHostile({ transport: tcpTransport(), at, node: node.name, system: realSystem(), ...more })
}

function nameMessage(name: string, flags: bigint = ourFlags(false)): Buffer {
  return encodeName({ name, creation: 1, flags }, 2)
}

/** A way to nodes that notes where they listen and what goes over it, both ways. */
function overheard(): { transport: Transport; listens: Address[]; bytes: () => Buffer } {
  const inner = tcpTransport()
  const listens: Address[] = []
  const seen: Buffer[] = []
  const wrap = (stream: Parameters<Parameters<Transport['listen']>[1]>[0]): typeof stream => ({
    peer: stream.peer,
    get writableLength() {
      return stream.writableLength
    },
    start: (events) =>
      stream.start({
        onData: (chunk) => {
          seen.push(Buffer.from(chunk))
          events.onData(chunk)
        },
        onDrain: () => events.onDrain(),
        onClose: (reason) => events.onClose(reason),
      }),
    write: (buffers, bytes) => {
      seen.push(...buffers.map((buffer) => Buffer.from(buffer)))
      stream.write(buffers, bytes)
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    end: () => stream.end(),
    destroy: () => stream.destroy(),
  })
  return {
    listens,
    bytes: () => Buffer.concat(seen),
    transport: {
      proto: inner.proto,
      listen: (at, onAccept) => {
        listens.push(at)
        return inner.listen(at, (stream) => onAccept(wrap(stream)))
      },
      connect: async (to, signal) => {
        const connected = await inner.connect(to, signal)
        return connected.ok ? { ok: true, stream: wrap(connected.stream) } : connected
      },
    },
  }
}

describe('a stranger without the cookie', () => {
  it('makes no atom and no entry of a node by any number of names', async () => {
    const node = await testNode(A, await testEpmd())
    await expect(hostile(node, { cookie: 'wrong' })).rejects.toThrow()
    const before = atomCount()
    for (let i = 0; i < 300; i++) {
      const own = { name: `stranger_${i}_${'x'.repeat(200)}@h.example`, creation: i + 1 }
      await expect(hostile(node, { cookie: 'wrong', own })).rejects.toThrow()
    }
    expect(atomCount()).toBe(before)
    expect(nodes(node.runtime, 'known')).toEqual([A])
  })

  it('that sends what kills a node of Erlang, a name of 300 bytes with the flag for nodes without a name, is refused', async () => {
    const epmdPort = await testEpmd()
    const node = await testNode(A, epmdPort)
    const { socket, said, closed } = await stranger(node)
    socket.write(nameMessage('h'.repeat(300), ourFlags(false) | (1n << 33n)))
    await closed
    expect(Buffer.concat(said).toString('latin1')).not.toContain('ok')
    expect(await ping((await testNode(B, epmdPort)).runtime, A)).toBe('pong')
  })

  it('that says more than a handshake has room for is dropped at once', async () => {
    const node = await testNode(A, await testEpmd())
    for (const bytes of [Buffer.from([0xff, 0xff]), Buffer.alloc(100_000, 7), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const { socket, said, closed } = await stranger(node)
      socket.write(bytes)
      await closed
      expect(Buffer.concat(said)).toEqual(Buffer.alloc(0))
    }
  })

  it('that opens hundreds of sockets has 64 of them taken, and costs none of those that are connected', async () => {
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode(A, epmdPort), await testNode(B, epmdPort)]
    await connectNode(b.runtime, A)
    const sockets = await Promise.all(Array.from({ length: 300 }, () => stranger(a)))
    let closed = 0
    for (const one of sockets) void one.closed.then(() => closed++)
    await eventually(() => closed === 300 - 64)
    expect(await ping(b.runtime, A)).toBe('pong')
    for (const { socket } of sockets) socket.destroy()
    const c = await testNode('c@127.0.0.1', epmdPort)
    await eventually(async () => (await ping(c.runtime, A)) === 'pong')
  })

  it('that calls itself like a node that is connected does not cut it off, and like one that is dialled delays it by a second at most', async () => {
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode(A, epmdPort), await testNode(B, epmdPort)]
    await connectNode(a.runtime, B)
    const events: string[] = []
    a.distribution.subscribe(({ tag }) => events.push(tag))
    await expect(hostile(a, { cookie: 'wrong', own: { name: B, creation: 9 } })).rejects.toThrow()
    expect([events, nodes(a.runtime)]).toEqual([[], [B]])
    a.distribution.disconnect(B)
    await eventually(() => nodes(b.runtime).length === 0)
    // It gives its name and then says nothing more.
    const { socket, said } = await stranger(a)
    socket.write(nameMessage(B))
    await eventually(() => said.length > 0)
    expect(await connectNode(a.runtime, B)).toBe(true)
    expect(socket.destroyed).toBe(false)
  })

  it('is answered no challenge of ours, and learns nothing from a wrong answer but the end', async () => {
    const node = await testNode(A, await testEpmd())
    const { socket, said, closed } = await stranger(node)
    socket.write(nameMessage('s@h.example'))
    // Status and challenge: 2 + 3 and 2 + 19 + name.
    await eventually(() => Buffer.concat(said).length === 5 + 21 + A.length)
    const challenge = Buffer.concat(said).subarray(5 + 2 + 9, 5 + 2 + 13)
    const reply = Buffer.concat([Buffer.from([0, 21, 0x72]), challenge, Buffer.alloc(16)])
    const known = said.length
    socket.write(reply)
    await closed
    expect(said.length).toBe(known)
  })
})

describe('the cookie', () => {
  it('is never on the wire, to nodes or to epmd, and never in a log', async () => {
    const cookie = 'a_cookie_that_nobody_may_see'
    const { transport, bytes } = overheard()
    const seenByEpmd: Buffer[] = []
    const epmdPort = await testEpmd()
    const proxy = createServer((socket) => {
      const upstream = connect(epmdPort, '127.0.0.1')
      socket.on('data', (chunk) => seenByEpmd.push(chunk))
      socket.pipe(upstream).pipe(socket)
      for (const one of [socket, upstream]) one.on('error', () => {})
    })
    await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close())
    const port = (proxy.address() as { port: number }).port
    const a = await testNode(A, port, { cookie, transport })
    const b = await testNode(B, port, { cookie })
    const w = await testNode('w@127.0.0.1', port, { cookie: 'another_cookie_that_nobody_may_see' })
    expect(await ping(a.runtime, B)).toBe('pong')
    expect([await ping(w.runtime, A), await ping(a.runtime, w.name)]).toEqual(['pang', 'pang'])
    expect(bytes().length).toBeGreaterThan(100)
    expect(seenByEpmd.length).toBeGreaterThan(2)
    for (const text of [bytes().toString('latin1'), Buffer.concat(seenByEpmd).toString('latin1')]) {
      expect(text).not.toContain('cookie_that_nobody')
    }
    expect(JSON.stringify([a.logs, b.logs, w.logs])).not.toContain('cookie_that_nobody')
    expect(JSON.stringify(a.logs)).toContain('Invalid challenge')
  })
})

describe('a node', () => {
  it('whose name is of loopback listens on loopback alone, unless it is told otherwise', async () => {
    const epmdPort = await testEpmd()
    for (const [name, host] of [
      ['a@127.0.0.1', '127.0.0.1'],
      ['b@127.0.0.2', '127.0.0.2'],
      ['c@::1', '::1'],
    ] as const) {
      const { transport, listens } = overheard()
      await testNode(name, epmdPort, { transport })
      expect(
        listens.map((at) => at.host),
        name,
      ).toEqual([host])
    }
    const { transport, listens } = overheard()
    await testNode('d@127.0.0.1', epmdPort, { transport, listen: { host: '0.0.0.0' } })
    expect(listens.map((at) => at.host)).toEqual(['0.0.0.0'])
  })

  it('asks challenges that cannot be foretold: those of a node never come again', async () => {
    const node = await testNode(A, await testEpmd())
    const challenges = new Set<string>()
    for (let i = 0; i < 50; i++) {
      const { socket, said } = await stranger(node)
      socket.write(nameMessage(`s${i}@h.example`))
      await eventually(() => Buffer.concat(said).length >= 5 + 21)
      challenges.add(Buffer.concat(said).subarray(16, 20).toString('hex'))
      socket.destroy()
    }
    expect(challenges.size).toBe(50)
  })
})

describe('a peer with the cookie', () => {
  it('that makes up 200,000 atoms is cut off, and new peers with new atoms are not', async () => {
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode(A, epmdPort), await testNode(B, epmdPort)]
    await connectNode(b.runtime, A)
    const { messages } = notes(a.runtime, 'box')
    const greedy = await hostile(a)
    const from = new Pid({ name: 'hostile@h.sim', creation: 3 }, 1, 0)
    for (let batch = 0; batch < 20 && greedy.closed.length === 0; batch++) {
      const names = Array.from({ length: 10_000 }, (_, i) => `w\x0a${String(batch * 10_000 + i).padStart(10, 'g')}`)
      const list = Buffer.concat([
        Buffer.from([131, 108, 0, 0, 0x27, 0x10]),
        Buffer.from(names.join('')),
        Buffer.of(106),
      ])
      const control = encode(tuple(6, from, atom(''), atom('box')))
      send(greedy, framed(Buffer.concat([Buffer.of(112), control, list])))
      await eventually(() => messages.length === batch + 1 || greedy.closed.length > 0)
    }
    expect(greedy.closed).toHaveLength(1)
    expect(messages.length).toBeLessThan(20)
    const other = await hostile(a, { own: { name: 'other@h.sim', creation: 4 } })
    const known = messages.length
    const hello = atom(`an_atom_of_${Date.now()}`)
    send(other, frameOf(tuple(6, new Pid({ name: 'other@h.sim', creation: 4 }, 1, 0), atom(''), atom('box')), hello))
    await eventually(() => messages.length === known + 1)
    expect(messages.at(-1)).toBe(hello)
    expect(nodes(a.runtime)).toContain(B)
  })

  it.each([
    ['a frame longer than may be', Buffer.from([0x7f, 0xff, 0xff, 0xff, 112])],
    ['a compressed term', framed(Buffer.from([112, 131, 80, 0, 0, 0, 100, 0x78, 0x9c, 1]))],
    [
      'terms in each other without end',
      framed(Buffer.concat([Buffer.of(112, 131), Buffer.alloc(200_000, Buffer.of(104, 1))])),
    ],
    ['a count that is a lie', framed(Buffer.from([112, 131, 108, 255, 255, 255, 255, 106]))],
    [
      'an integer beyond the limit',
      framed(Buffer.concat([Buffer.from([112, 131, 111, 0, 32, 0, 0, 0]), Buffer.alloc(2 << 20, 255)])),
    ],
  ])('that sends %s is cut off, and nobody else notices', async (_name, bytes) => {
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode(A, epmdPort), await testNode(B, epmdPort)]
    await connectNode(b.runtime, A)
    const peer = await hostile(a)
    send(peer, bytes)
    while (peer.closed.length === 0) await peer.heard()
    expect(await ping(b.runtime, A)).toBe('pong')
    await eventually(() => expect(nodes(a.runtime)).toEqual([B]))
  })

  it('that asks for what is not exported, or asks in a way that makes no sense, is answered and harms nobody', async () => {
    const a = await testNode(A, await testEpmd())
    const peer = await hostile(a)
    const own = { name: 'hostile@h.sim', creation: 3 }
    const from = new Pid(own, 1, 0)
    const to = (name: string) => tuple(6, from, atom(''), atom(name))
    const before = a.runtime.processes.count
    const tags = ['$gen_call', '$gen_cast', '$gen_reply', '$gen_event', '$gen_notify', '$supervisor', '$system']
    const objects = [...tags, 'DOWN', 'EXIT', 'timeout', 'nodeup', 'nodedown', 'retry', 'pg'].flatMap((tag) =>
      [{}, { from }, { from: { pid: from }, request: 5 }, { request: [] }, { ref: 1 }, { node: 5 }, { node: 'x' }].map(
        (fields) => ({ tag, ...fields }),
      ),
    )
    const junk = [
      1,
      'text',
      null,
      tuple(),
      [tuple(atom('a'))],
      tuple(atom('$gen_call')),
      tuple(atom('$gen_cast'), 1, 2),
    ]
    for (const term of [...junk, ...objects]) {
      for (const name of ['net_kernel', 'rex', 'global_name_server', 'agner_mesh', 'net_sup', 'init']) {
        send(peer, frameOf(to(name), term))
        send(peer, frameOf(to(name), tuple(atom('$gen_cast'), term)))
        send(peer, frameOf(to(name), tuple(atom('$gen_call'), tuple(from, term), term)))
        send(peer, frameOf(to(name), tuple(atom('system'), tuple(from, term), term)))
      }
    }
    send(peer, frameOf(to('rex'), tuple(atom('$gen_cast'), tuple(atom('cast'), atom('os'), atom('cmd'), ['id'], from))))
    const rex = a.runtime.whereis('rex')
    // Answered when all before it has been read.
    send(peer, frameOf(tuple(35, 4711, from, a.runtime.whereis('init'))))
    const acknowledged = headed(tuple(36, 4711, a.runtime.whereis('init'), from))
    while (!Buffer.concat(peer.received).includes(acknowledged)) await peer.heard()
    await eventually(() => expect(a.runtime.processes.count).toBe(before))
    expect(peer.closed).toEqual([])
    expect(a.runtime.whereis('rex')).toBe(rex)
  })

  it('that links to the processes of the node and goes takes none of them with it, and those that it kills come back', async () => {
    const a = await testNode(A, await testEpmd())
    const own = { name: 'hostile@h.sim', creation: 3 }
    const peer = await hostile(a)
    const names = ['net_kernel', 'rex', 'global_name_server', 'agner_mesh', 'net_sup', 'init']
    const pids = names.map((name) => a.runtime.whereis(name)!)
    for (const pid of pids) send(peer, frameOf(tuple(1, new Pid(own, 1, 0), pid)))
    await eventually(() => a.distribution.peer(own.name)?.counts.links === names.length)
    peer.stream.destroy()
    await eventually(() => nodes(a.runtime).length === 0)
    expect(names.map((name) => a.runtime.whereis(name))).toEqual(pids)
    const again = await hostile(a)
    for (const name of ['rex', 'global_name_server', 'agner_mesh']) {
      send(again, frameOf(tuple(8, new Pid(own, 1, 0), a.runtime.whereis(name)!, atom('kill'))))
    }
    await eventually(() => !a.runtime.isAlive(pids[1]!) && !a.runtime.isAlive(pids[2]!) && !a.runtime.isAlive(pids[3]!))
    await eventually(() => names.every((name) => a.runtime.whereis(name) !== undefined))
  })
})
