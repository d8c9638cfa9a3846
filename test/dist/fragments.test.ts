/** Large messages in fragments: joined as they were cut, between all others, and in the order of their sender. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import { FragmentedMessage, FragmentJoiner } from '../../src/dist/fragments.ts'
import { FrameSplitter } from '../../src/dist/frame.ts'
import { Cluster, nameOf } from './cluster.ts'

const MIB = 1 << 20
const LARGE = 8 * MIB

/** The frames of a message, each as its receiver gets it. */
function framesOf(sequence: number, parts: readonly Buffer[]): Buffer[] {
  const message = new FragmentedMessage(
    sequence,
    parts,
    parts.reduce((sum, { length }) => sum + length, 0),
  )
  const frames: Buffer[] = []
  while (message.bytesLeft > 0) {
    const buffers: Buffer[] = []
    const bytes = message.next(buffers)
    const frame = Buffer.concat(buffers)
    expect(frame.length).toBe(bytes)
    const splitter = new FrameSplitter()
    splitter.push(frame)
    frames.push(splitter.next() as Buffer)
  }
  return frames
}

/** Bytes that tell where they come from. */
function patterned(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) + seed) & 255
  return bytes
}

describe('fragments', () => {
  it('become the message again, whatever parts it has, mixed with those of other messages', () => {
    const part = fc.oneof({ weight: 3, arbitrary: fc.nat(200) }, fc.nat(600_000))
    const messages = fc.array(fc.array(part, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(messages, fc.infiniteStream(fc.nat(1000)), (lengths, picks) => {
        const sent = lengths.map((parts, seed) => parts.map((length, i) => patterned(length + 1, seed + i)))
        const queues = sent.map((parts, i) => framesOf(2 ** 40 + i, parts))
        const joiner = new FragmentJoiner(1 << 26, 1 << 27)
        const got = new Map<number, Buffer>()
        while (queues.some((queue) => queue.length > 0)) {
          const open = [...queues.keys()].filter((i) => queues[i]!.length > 0)
          const i = open[picks.next().value! % open.length]!
          const joined = joiner.take([queues[i]!.shift()!])
          expect(joined === undefined).toBe(queues[i]!.length > 0)
          if (joined instanceof Buffer) got.set(i, joined)
        }
        for (const [i, parts] of sent.entries()) expect(got.get(i)!.equals(Buffer.concat(parts))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })
})

/** Two connected nodes; `received` is what a process named `box` on the second gets, large binaries as their length. */
async function connected(): Promise<{ cluster: Cluster; received: unknown[]; box: { name: string; node: string } }> {
  const cluster = new Cluster({ nodes: ['a', 'b'] })
  await cluster.run(cluster.distribution('a').connect(nameOf('b')))
  const received: unknown[] = []
  cluster
    .runtime('b')
    .spawn(
      { receive: (message) => void received.push(message instanceof Buffer ? message.length : message) },
      { name: 'box', trapExit: true },
    )
  return { cluster, received, box: { name: 'box', node: nameOf('b') } }
}

describe('a large message', () => {
  it('arrives unchanged, as do several at once', async () => {
    const { cluster } = await connected()
    const messages: Buffer[] = []
    cluster.runtime('b').spawn({ receive: (message) => void messages.push(message as Buffer) }, { name: 'keep' })
    const sent = [1, 2, 3].map((seed) => patterned(LARGE + seed, seed))
    for (const body of sent) {
      cluster.runtime('a').spawn(async (self) => self.send({ name: 'keep', node: nameOf('b') }, body))
    }
    await cluster.sim.advance('60s')
    expect(messages).toHaveLength(3)
    for (const body of sent) expect(messages.some((message) => message.equals(body))).toBe(true)
  })

  it('does not hold up what other processes send', async () => {
    const { cluster, received, box } = await connected()
    const a = cluster.runtime('a')
    a.spawn(async (self) => self.send(box, Buffer.alloc(4 * LARGE)))
    await cluster.sim.run()
    a.spawn(async (self) => self.send(box, 'small'))
    await cluster.sim.advance('60s')
    expect(received).toEqual(['small', 4 * LARGE])
  })

  it('is not overtaken by what its own sender does after it, its end and that of its link included', async () => {
    const { cluster, received, box } = await connected()
    const a = cluster.runtime('a')
    const b = cluster.runtime('b')
    const sender = a.spawn(
      async (self) => {
        const watcher = (await self.receive()) as Pid
        self.link(watcher)
        self.send(box, Buffer.alloc(LARGE))
        self.send(box, 'then')
        self.send(box, Buffer.alloc(LARGE + 1))
        self.send(watcher, 'last')
        self.stop('done')
      },
      { name: 'sender' },
    )
    const watcher = b.process(b.whereis('box')!)!
    watcher.monitor({ name: 'sender', node: nameOf('a') })
    b.send(sender, watcher.pid)
    await cluster.sim.advance('60s')
    expect(received.slice(0, 4)).toEqual([LARGE, 'then', LARGE + 1, 'last'])
    expect(received.slice(4)).toHaveLength(2)
    expect(received.slice(4)).toContainEqual({ tag: 'EXIT', from: sender, reason: 'done' })
    expect(received.slice(4)).toContainEqual(expect.objectContaining({ tag: 'DOWN', reason: 'done' }))
  })

  it('that was sent before the connection was up arrives after it', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const received: unknown[] = []
    cluster.runtime('b').spawn({ receive: (message) => void received.push(message) }, { name: 'box' })
    const a = cluster.runtime('a')
    a.spawn(async (self) => {
      self.send({ name: 'box', node: nameOf('b') }, patterned(LARGE, 5))
      self.send({ name: 'box', node: nameOf('b') }, 'then')
    })
    await cluster.sim.advance('60s')
    expect(received).toHaveLength(2)
    expect((received[0] as Buffer).equals(patterned(LARGE, 5))).toBe(true)
    expect(received[1]).toBe('then')
  })

  it('blocks its sender until it has left, and nobody when the connection is lost', async () => {
    const { cluster, received, box } = await connected()
    const a = cluster.runtime('a')
    const pid = a.spawn({ receive: (message) => a.sendFrom(pid, box, message) })
    a.send(pid, Buffer.alloc(4 * LARGE))
    a.send(pid, 'second')
    await cluster.sim.run()
    expect(a.process(pid)!.status).toBe('suspended')
    await cluster.sim.advance('60s')
    expect(received).toEqual([4 * LARGE, 'second'])
    a.send(pid, Buffer.alloc(4 * LARGE))
    await cluster.sim.run()
    expect(a.process(pid)!.status).toBe('suspended')
    cluster.cut('a', 'b')
    await cluster.sim.advance('1s')
    expect(a.process(pid)!.status).toBe('waiting')
  })

  it('leaves to its end before a disconnect on purpose', async () => {
    const { cluster, received, box } = await connected()
    const a = cluster.runtime('a')
    a.spawn(async (self) => self.send(box, Buffer.alloc(LARGE)))
    await cluster.sim.run()
    cluster.distribution('a').disconnect(nameOf('b'))
    await cluster.sim.advance('60s')
    expect(received).toEqual([LARGE])
  })
})
