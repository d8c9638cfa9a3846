import { describe, expect, it } from 'vitest'
import { EpmdClient } from '../../src/dist/epmd-client.ts'
import { startEpmdServer } from '../../src/dist/epmd-server.ts'
import type { ByteStream } from '../../src/dist/transport.ts'
import { World } from '../dist/world.ts'

/** Two ends of a stream, and what came to each. */
async function streams(world: World) {
  const ends: { stream: ByteStream; data: string; closed: string | undefined; drains: number }[] = []
  const keep = (stream: ByteStream) => {
    const end = { stream, data: '', closed: undefined as string | undefined, drains: 0 }
    ends.push(end)
    stream.start({
      onData: (chunk) => {
        end.data += chunk.toString()
      },
      onDrain: () => end.drains++,
      onClose: (reason) => {
        expect(end.closed).toBeUndefined()
        end.closed = reason
      },
    })
  }
  await world.network.transport('b').listen({ host: 'b', port: 1 }, keep)
  const connected = await world.until(world.network.transport('a').connect({ host: 'b', port: 1 }))
  if (!connected.ok) throw new Error(connected.reason)
  keep(connected.stream)
  const [b, a] = ends
  return { a: a!, b: b! }
}

const say = (stream: ByteStream, text: string) => stream.write([Buffer.from(text)], text.length)

describe('the simulated network', () => {
  it('delivers all bytes in order, and then the end', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const world = new World(seed, { mostPieceBytes: 5 })
      const { a, b } = await streams(world)
      const words = Array.from({ length: 50 }, (_, i) => `word ${i};`)
      for (const word of words) say(a.stream, word)
      say(b.stream, 'answer')
      a.stream.end()
      await world.advance(1000)
      expect(b.data).toBe(words.join(''))
      expect([a.closed, b.closed]).toEqual(['closed', 'closed'])
    }
  })

  it('holds bytes back while the link is cut or the reader pauses, and tells when they have left', async () => {
    const world = new World(1)
    const { a, b } = await streams(world)
    world.network.cut('a', 'b')
    say(a.stream, 'one')
    await world.advance(60_000)
    expect([b.data, a.stream.writableLength, a.drains]).toEqual(['', 3, 0])
    world.network.mend('a', 'b')
    await world.advance(100)
    expect([b.data, a.stream.writableLength, a.drains]).toEqual(['one', 0, 1])
    b.stream.pause()
    say(a.stream, 'two')
    await world.advance(100)
    expect(b.data).toBe('one')
    b.stream.resume()
    await world.advance(100)
    expect(b.data).toBe('onetwo')
  })

  it('ends streams on both sides when the link is reset or a machine dies', async () => {
    const world = new World(2)
    const first = await streams(world)
    world.network.reset('b', 'a')
    await world.advance(10)
    expect([first.a.closed, first.b.closed]).toEqual(['ECONNRESET', 'ECONNRESET'])
    world.network.kill('b')
    const gone = world.network.transport('a').connect({ host: 'b', port: 1 })
    expect(await world.until(gone)).toEqual({ ok: false, reason: 'ECONNREFUSED' })
  })

  it('runs epmd as it is, with the registration that comes back', async () => {
    const world = new World(3, { mostPieceBytes: 3 })
    const start = (host: string) =>
      startEpmdServer({
        transport: world.network.transport(host),
        timers: world.time,
        randomFill: world.randomFill,
        port: 4369,
        hosts: [host],
      })
    const client = (host: string) =>
      new EpmdClient({ transport: world.network.transport(host), system: world.system, port: 4369 })
    const first = await world.until(start('m1'))
    if (!first.ok) throw new Error(first.reason)
    expect(await world.until(start('m1'))).toEqual({ ok: false, reason: 'already_running' })
    // On the machine itself epmd sees loopback.
    const registered = await world.until(client('m1').register({ name: 'n1', port: 77, nodeType: 77 }))
    expect(registered).toMatchObject({ ok: true })
    expect(await world.until(client('m2').portPlease('n1', 'm1'))).toMatchObject({ ok: true, node: { port: 77 } })
    expect(await world.until(client('m2').names('m1'))).toMatchObject({ nodes: [{ name: 'n1', port: 77 }] })
    expect(await world.until(client('m2').portPlease('n1', 'm3'))).toMatchObject({ reason: 'unreachable' })
    await first.server.close()
    await world.advance(5000)
    const second = await world.until(start('m1'))
    if (!second.ok) throw new Error(second.reason)
    await world.advance(20_000)
    expect(second.server.nodes().map(({ name }) => name)).toEqual(['n1'])
    world.network.cut('m1', 'm2')
    const silent = client('m2').portPlease('n1', 'm1')
    await world.advance(5100)
    expect(await silent).toMatchObject({ reason: 'timeout' })
  })
})
