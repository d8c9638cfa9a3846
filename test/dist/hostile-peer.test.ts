/**
 * A peer that has the cookie and sends what it likes: whatever it is, the node lives, its processes get nothing that is not
 * meant for them, and other peers do not notice.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { call } from '../../src/actors/gen.ts'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { FLAG, ourFlags } from '../../src/dist/flags.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import { Cluster, nameOf } from './cluster.ts'
import { connectHostile, framed, frameOf, type Hostile, headed, PEER, send } from './hostile-support.ts'

/** Connects to node `a`. */
function connect(cluster: Cluster, flags = ourFlags(false)): Promise<Hostile> {
  const { time, random } = cluster.sim
  const system = { timers: time, randomFill: (buffer: Uint8Array) => random.fill(buffer) }
  const transport = cluster.net.transport('h.sim')
  return cluster.run(connectHostile({ transport, at: { host: 'a.sim', port: 9100 }, node: nameOf('a'), system, flags }))
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
            const hostile = await connect(cluster)
            const body = Buffer.from(frames[which]!)
            body[Math.floor(at * body.length)] = byte
            const bytes = cut ? body.subarray(0, Math.floor(at * body.length)) : body
            send(hostile, framed(bytes))
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
      framed(Buffer.of(112, 131, 255)),
      frameOf(tuple(99)),
      frameOf('no tuple'),
      frameOf(tuple(2, atom(''), new Pid(PEER, 1, 0))),
      frameOf(tuple(5), 1, 2),
      Buffer.of(0, 0, 0, 1, 113),
      Buffer.of(255, 255, 255, 255),
    ]) {
      const cluster = new Cluster({ nodes: ['a', 'b'] })
      await cluster.run(cluster.distribution('a').connect(nameOf('b')))
      const downs: unknown[] = []
      cluster.distribution('a').subscribe((event) => event.tag === 'nodedown' && downs.push(event.reason))
      const hostile = await connect(cluster)
      send(hostile, bytes)
      await cluster.sim.advance('1s')
      expect(downs).toEqual(['corrupt_frame'])
      expect(hostile.closed).toHaveLength(1)
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
    const hostile = await connect(cluster)
    const stranger = new Ref(PEER, [9, 9, 9])
    for (const control of [
      tuple(1, new Pid({ name: 'c@c.sim', creation: 1 }, 1, 0), pid),
      tuple(3, other, pid, atom('lie')),
      tuple(21, other, pid, ref, atom('lie')),
      tuple(19, other, pid, stranger),
      tuple(35, 7, other, pid),
    ]) {
      send(hostile, frameOf(control))
    }
    await cluster.sim.advance('1s')
    expect(messages).toEqual([])
    expect([...process.links!].map((linked) => linked.key)).toEqual([other.key])
    expect(cluster.runtime('a').footprint().foreignMonitors).toBe(0)
  })

  it('that is called cannot have the caller wait for ever by answering what is no reply', async () => {
    const cluster = new Cluster({ nodes: ['a'] })
    const hostile = await connect(cluster)
    const runtime = cluster.runtime('a')
    const outcomes: unknown[] = []
    const to = { name: 'server', node: PEER.name }
    for (const timeout of [1000, 'infinity'] as const) {
      call(runtime, to, ['x'], timeout).then(
        (value) => outcomes.push(value),
        (error) => outcomes.push(error.reason),
      )
    }
    await cluster.sim.advance('100ms')
    const from = new Pid(PEER, 5, 0)
    const answer = (alias: number, term: unknown) =>
      send(hostile, frameOf(tuple(33, from, new Ref({ name: nameOf('a'), creation: 1 }, [alias, 0, 0])), term))
    // References of a node are numbers that grow; those of the calls are among the first.
    for (let alias = 1; alias < 20; alias++) {
      for (const term of [null, 1, tuple(), { tag: '$gen_reply' }, tuple(atom('x'), 1, 2)]) answer(alias, term)
    }
    await cluster.sim.advance('2s')
    expect(outcomes).toEqual(['timeout'])
    hostile.stream.destroy()
    await cluster.sim.advance('1s')
    expect(outcomes).toEqual(['timeout', 'nodedown'])
    expect(runtime.footprint().activeAliases).toBe(0)
  })

  it.each([
    ['whole messages with a header', ourFlags(false), headed],
    ['frames without a header', ourFlags(false) & ~FLAG.FRAGMENTS, frameOf],
  ])('gets an answer to every unlink, and noproc for what is not there, in %s', async (_form, flags, answer) => {
    const cluster = new Cluster({ nodes: ['a'] })
    const hostile = await connect(cluster, flags)
    const { received } = hostile
    await cluster.sim.advance('1s')
    received.length = 0
    const from = new Pid(PEER, 5, 0)
    const gone = new Pid({ name: nameOf('a'), creation: 1 }, 4000, 0)
    const ref = new Ref(PEER, [1, 2, 3])
    send(hostile, frameOf(tuple(35, 42, from, gone)))
    send(hostile, headed(tuple(1, from, gone)))
    send(hostile, frameOf(tuple(19, from, atom('nobody'), ref)))
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
    ['that is cut short', framed(Buffer.of(131, 70, 1, 2, 3))],
    ['that refers to atoms of a cache', framed(Buffer.concat([Buffer.of(131, 69), Buffer.alloc(15), Buffer.of(2, 1)]))],
    ['of a message that is no term', fragment(69, 7, 1, Buffer.of(1, 2, 3))],
  ] satisfies [string, ...Buffer[]][])('loses its connection over a fragment %s', async (_what, ...frames) => {
    const cluster = new Cluster({ nodes: ['a'] })
    const hostile = await connect(cluster)
    const { closed } = hostile
    for (const bytes of frames) send(hostile, bytes as Buffer)
    await cluster.sim.advance('1s')
    expect(closed).toHaveLength(1)
    expect(cluster.distribution('a').nodes('connected')).toEqual([])
  })

  it('loses its connection over fragments that are more than may be held', async () => {
    const cluster = new Cluster({ nodes: ['a'], options: { limits: { maxFrameBytes: 10_000 } } })
    const hostile = await connect(cluster)
    const { closed } = hostile
    for (let sequence = 0; sequence < 7; sequence++) send(hostile, fragment(69, sequence, 2, Buffer.alloc(9000)))
    await cluster.sim.advance('1s')
    expect(closed).toEqual([])
    for (let sequence = 10; sequence < 100; sequence++) send(hostile, fragment(69, sequence, 2, Buffer.alloc(1)))
    await cluster.sim.advance('1s')
    expect(closed).toHaveLength(1)
  })
})

function fragment(kind: number, sequence: number, number: number, data: Buffer): Buffer {
  const head = Buffer.alloc(kind === 69 ? 19 : 18)
  head[0] = 131
  head[1] = kind
  head.writeBigUInt64BE(BigInt(sequence), 2)
  head.writeBigUInt64BE(BigInt(number), 10)
  return framed(Buffer.concat([head, data]))
}
