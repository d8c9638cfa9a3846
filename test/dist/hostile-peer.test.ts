/**
 * A peer that has the cookie and sends what it likes: whatever it is, the node lives, its processes get nothing that is not
 * meant for them, and other peers do not notice.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { Challenges } from '../../src/dist/challenge.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { FLAG, ourFlags } from '../../src/dist/flags.ts'
import { initiate } from '../../src/dist/handshake.ts'
import { negotiate } from '../../src/dist/negotiate.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import type { ByteStream } from '../../src/dist/transport.ts'
import { Cluster, nameOf } from './cluster.ts'

const PEER = { name: 'hostile@h.sim', creation: 3 }

/** Connects as a node that is written here, and resolves with its stream and what it receives. */
async function connectHostile(
  cluster: Cluster,
  flags: bigint = ourFlags(false),
): Promise<{ stream: ByteStream; received: Buffer[]; closed: string[] }> {
  const connected = await cluster.run(cluster.net.transport('h.sim').connect({ host: 'a.sim', port: 9100 }))
  if (!connected.ok) throw new Error(connected.reason)
  const received: Buffer[] = []
  const closed: string[] = []
  const challenges = new Challenges((buffer) => cluster.sim.random.fill(buffer))
  const options = { own: { ...PEER, flags }, cookie: 'secret', challenges, headerBytes: 2 as const }
  const [handshake, first] = initiate(options, nameOf('a'))
  const up = new Promise<ByteStream>((resolve, reject) => {
    negotiate(connected.stream, handshake, first, cluster.sim.time, {
      decide: (_peer, answer) => answer('not_allowed'),
      askedIfNew: (answer) => answer(true),
      connected: (_peer, stream) => {
        resolve(stream)
        return {
          onData: (chunk) => void received.push(chunk),
          onDrain: () => {},
          onClose: (reason) => void closed.push(reason),
        }
      },
      failed: ({ reason }) => reject(new Error(reason)),
    })
  })
  return { stream: await cluster.run(up), received, closed }
}

function frame(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.of(112), ...parts])
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.length)
  return Buffer.concat([header, body])
}

function send(stream: ByteStream, bytes: Buffer): void {
  stream.write([bytes], bytes.length)
}

describe('a peer with the cookie', () => {
  it('cannot end the node by frames that are changed at random', async () => {
    const target = new Pid({ name: nameOf('a'), creation: 1 }, 1, 0)
    const from = new Pid(PEER, 5, 0)
    const ref = new Ref(PEER, [1, 2, 3])
    const frames = [
      [tuple(1, from, target)],
      [tuple(2, atom(''), target), tuple(atom('$gen_call'), tuple(from, ref), atom('x'))],
      [tuple(6, from, atom(''), atom('net_kernel')), tuple(atom('$gen_cast'), [1])],
      [tuple(6, from, atom(''), atom('rex')), tuple(from, tuple(atom('call'), 1, 2, 3, 4))],
      [tuple(6, from, atom(''), atom('global_name_server')), tuple(atom('$gen_cast'), tuple(atom('init_connect'), 1))],
      [tuple(6, from, atom(''), atom('agner_mesh')), tuple(atom('peers'), atom(PEER.name), [atom('x@y.z'), 1])],
      [tuple(6, from, atom(''), atom('init')), tuple(atom('system'), tuple(from, ref), atom('get_status'))],
      [tuple(8, from, target, atom('x'))],
      [tuple(19, from, atom('net_kernel'), ref)],
      [tuple(20, from, atom('net_kernel'), ref)],
      [tuple(21, target, target, ref, atom('x'))],
      [tuple(29, ref, from, from, tuple(atom('os'), atom('cmd'), 1), [atom('link'), atom('monitor')]), ['x']],
      [tuple(35, 1, from, target)],
      [tuple(36, 1, from, target)],
    ].map((terms) => Buffer.concat([Buffer.of(112), ...terms.map((term) => encode(term))]))
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            which: fc.nat({ max: frames.length - 1 }),
            at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
            byte: fc.integer({ min: 0, max: 255 }),
            cut: fc.boolean(),
          }),
          { maxLength: 12 },
        ),
        fc.nat(),
        async (changes, seed) => {
          const cluster = new Cluster({ seed, nodes: ['a', 'b'] })
          await cluster.run(cluster.distribution('a').connect(nameOf('b')))
          for (const { which, at, byte, cut } of changes) {
            const { stream } = await connectHostile(cluster)
            const body = Buffer.from(frames[which]!)
            body[Math.floor(at * body.length)] = byte
            const bytes = cut ? body.subarray(0, Math.floor(at * body.length)) : body
            send(stream, Buffer.concat([Buffer.of(0, 0, bytes.length >> 8, bytes.length & 255), bytes]))
            await cluster.sim.advance('50ms')
          }
          expect(cluster.runtime('a').whereis('net_kernel')).toBeDefined()
          expect(cluster.runtime('a').init.alive).toBe(true)
          expect(cluster.distribution('a').isConnected(nameOf('b'))).toBe(true)
          expect(await cluster.run(cluster.distribution('b').connect(nameOf('a')))).toBe(true)
          cluster.sim.stop()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is dropped for a frame that cannot be read, and only it', async () => {
    for (const bytes of [
      frame(Buffer.of(131, 255)),
      frame(encode(tuple(99))),
      frame(encode('no tuple')),
      frame(encode(tuple(2, atom(''), new Pid(PEER, 1, 0)))),
      frame(encode(tuple(5)), encode(1), encode(2)),
      Buffer.of(0, 0, 0, 1, 113),
      Buffer.of(255, 255, 255, 255),
    ]) {
      const cluster = new Cluster({ nodes: ['a', 'b'] })
      await cluster.run(cluster.distribution('a').connect(nameOf('b')))
      const downs: unknown[] = []
      cluster.distribution('a').subscribe((event) => event.tag === 'nodedown' && downs.push(event.reason))
      const { stream, closed } = await connectHostile(cluster)
      send(stream, bytes)
      await cluster.sim.advance('1s')
      expect(downs).toEqual(['corrupt_frame'])
      expect(closed).toHaveLength(1)
      expect(cluster.distribution('a').nodes()).toEqual([nameOf('b')])
      cluster.sim.stop()
    }
  })

  it('cannot link or monitor in the name of a process elsewhere, or answer monitors that are not its own', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const messages: unknown[] = []
    const pid = cluster.runtime('a').spawn({ receive: (message) => void messages.push(message) }, { trapExit: true })
    const process = cluster.runtime('a').process(pid)!
    const other = cluster.runtime('b').spawn({ receive: () => {} })
    process.link(other)
    const ref = process.monitor(other)
    await cluster.sim.advance('1s')
    const { stream } = await connectHostile(cluster)
    const stranger = new Ref(PEER, [9, 9, 9])
    for (const control of [
      tuple(1, new Pid({ name: 'c@c.sim', creation: 1 }, 1, 0), pid),
      tuple(3, other, pid, atom('lie')),
      tuple(21, other, pid, ref, atom('lie')),
      tuple(19, other, pid, stranger),
      tuple(35, 7, other, pid),
    ]) {
      send(stream, frame(encode(control)))
    }
    await cluster.sim.advance('1s')
    expect(messages).toEqual([])
    expect([...process.links!].map((linked) => linked.key)).toEqual([other.key])
    expect(cluster.runtime('a').footprint().foreignMonitors).toBe(0)
  })

  it.each([
    ['whole messages with a header', ourFlags(false), headed],
    ['frames without a header', ourFlags(false) & ~FLAG.FRAGMENTS, (term: unknown) => frame(encode(term))],
  ])('gets an answer to every unlink, and noproc for what is not there, in %s', async (_form, flags, answer) => {
    const cluster = new Cluster({ nodes: ['a'] })
    const { stream, received } = await connectHostile(cluster, flags)
    await cluster.sim.advance('1s')
    received.length = 0
    const from = new Pid(PEER, 5, 0)
    const gone = new Pid({ name: nameOf('a'), creation: 1 }, 4000, 0)
    const ref = new Ref(PEER, [1, 2, 3])
    send(stream, frame(encode(tuple(35, 42, from, gone))))
    send(stream, headed(tuple(1, from, gone)))
    send(stream, frame(encode(tuple(19, from, atom('nobody'), ref))))
    await cluster.sim.advance('1s')
    expect(Buffer.concat(received)).toEqual(
      Buffer.concat([
        answer(tuple(36, 42, gone, from)),
        answer(tuple(3, gone, from, atom('noproc'))),
        answer(tuple(21, atom('nobody'), from, ref, atom('noproc'))),
      ]),
    )
  })

  it.each([
    ['that continues what has not begun', fragment(70, 7, 3, Buffer.alloc(10))],
    ['with the number 0', fragment(69, 7, 0, Buffer.alloc(10))],
    ['that is out of order', fragment(69, 7, 3, Buffer.alloc(10)), fragment(70, 7, 1, Buffer.alloc(10))],
    ['that begins twice', fragment(69, 7, 3, Buffer.alloc(10)), fragment(69, 7, 3, Buffer.alloc(10))],
    ['that is cut short', whole(Buffer.of(131, 70, 1, 2, 3))],
    ['that refers to atoms of a cache', whole(Buffer.concat([Buffer.of(131, 69), Buffer.alloc(15), Buffer.of(2, 1)]))],
    ['of a message that is no term', fragment(69, 7, 1, Buffer.of(1, 2, 3))],
  ] satisfies [string, ...Buffer[]][])('loses its connection over a fragment %s', async (_what, ...frames) => {
    const cluster = new Cluster({ nodes: ['a'] })
    const { stream, closed } = await connectHostile(cluster)
    for (const bytes of frames) send(stream, bytes as Buffer)
    await cluster.sim.advance('1s')
    expect(closed).toHaveLength(1)
    expect(cluster.distribution('a').nodes('connected')).toEqual([])
  })

  it('loses its connection over fragments that are more than may be held', async () => {
    const cluster = new Cluster({ nodes: ['a'], options: { maxFrameBytes: 10_000 } })
    const { stream, closed } = await connectHostile(cluster)
    for (let sequence = 0; sequence < 7; sequence++) send(stream, fragment(69, sequence, 2, Buffer.alloc(9000)))
    await cluster.sim.advance('1s')
    expect(closed).toEqual([])
    for (let sequence = 10; sequence < 100; sequence++) send(stream, fragment(69, sequence, 2, Buffer.alloc(1)))
    await cluster.sim.advance('1s')
    expect(closed).toHaveLength(1)
  })
})

function whole(body: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** A whole message of one term, with a distribution header. */
function headed(term: unknown): Buffer {
  return whole(Buffer.concat([Buffer.of(131, 68, 0), encode(term).subarray(1)]))
}

function fragment(kind: number, sequence: number, number: number, data: Buffer): Buffer {
  const head = Buffer.alloc(kind === 69 ? 19 : 18)
  head[0] = 131
  head[1] = kind
  head.writeBigUInt64BE(BigInt(sequence), 2)
  head.writeBigUInt64BE(BigInt(number), 10)
  return whole(Buffer.concat([head, data]))
}
