/** The handshake over a simulated network: its time limit, lost links, cancelled attempts. */
import { describe, expect, it } from 'vitest'
import { ourFlags } from '../../src/dist/flags.ts'
import { accept, initiate } from '../../src/dist/handshake.ts'
import type { Decision, HandshakeOptions, HandshakePeer } from '../../src/dist/handshake-types.ts'
import { type Negotiation, type Negotiator, negotiate } from '../../src/dist/negotiate.ts'
import { PendingLimit } from '../../src/dist/pending-limit.ts'
import type { ByteStream } from '../../src/dist/transport.ts'
import { World } from './world.ts'

const A = 'a@one.sim'
const B = 'b@two.sim'

/** Who is asked and told. */
class Recorder implements Negotiator {
  decision: Decision | undefined = 'ok'
  answer: ((decision: Decision) => void) | undefined
  connectedTo: HandshakePeer | undefined
  stream: ByteStream | undefined
  failure: string | undefined
  data = ''
  closed: string | undefined

  decide(_peer: unknown, answer: (decision: Decision) => void): void {
    if (this.decision === undefined) this.answer = answer
    else answer(this.decision)
  }

  askedIfNew(answer: (isNew: boolean) => void): void {
    answer(true)
  }

  connected(peer: HandshakePeer, stream: ByteStream) {
    this.connectedTo = peer
    this.stream = stream
    return {
      onData: (chunk: Buffer) => {
        this.data += chunk.toString('latin1')
      },
      onDrain: () => {},
      onClose: (reason: string) => {
        this.closed = reason
      },
    }
  }

  failed({ reason }: { reason: string }): void {
    expect(this.failure).toBeUndefined()
    this.failure = reason
  }
}

interface Scene {
  readonly world: World
  readonly a: Recorder
  readonly b: Recorder
  readonly attempt: Negotiation
  readonly options: { readonly a: HandshakeOptions; readonly b: HandshakeOptions }
}

async function scene(
  seed: number,
  cookies: [string, string] = ['x', 'x'],
  decision?: Decision | 'later',
): Promise<Scene> {
  const world = new World(seed, { mostPieceBytes: 7 })
  const optionsOf = (name: string, cookie: string): HandshakeOptions => ({
    own: { name, creation: 5, flags: ourFlags(false) },
    cookie,
    challenges: world.challenges(),
    headerBytes: 2,
  })
  const options = { a: optionsOf(A, cookies[0]), b: optionsOf(B, cookies[1]) }
  const [a, b] = [new Recorder(), new Recorder()]
  b.decision = decision === 'later' ? undefined : (decision ?? 'ok')
  await world.network.transport('two.sim').listen({ host: 'two.sim', port: 9 }, (stream) => {
    negotiate(stream, accept(options.b), [], world.time, b)
  })
  const connected = await world.until(world.network.transport('one.sim').connect({ host: 'two.sim', port: 9 }))
  if (!connected.ok) throw new Error(connected.reason)
  const [handshake, first] = initiate(options.a, B)
  return { world, a, b, options, attempt: negotiate(connected.stream, handshake, first, world.time, a) }
}

describe('a negotiation', () => {
  it('hands the stream over, and everything that comes after the handshake', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { world, a, b } = await scene(seed)
      await world.advance(1000)
      expect([a.connectedTo?.name, b.connectedTo?.name]).toEqual([B, A])
      b.stream!.write([Buffer.from('hello'), Buffer.from(' world')], 11)
      a.stream!.write([Buffer.from('hi')], 2)
      await world.advance(8000)
      expect([a.data, b.data]).toEqual(['hello world', 'hi'])
      a.stream!.destroy()
      await world.advance(100)
      expect([a.closed, b.closed]).toEqual(['closed', 'closed'])
      expect([a.failure, b.failure]).toEqual([undefined, undefined])
    }
  })

  it('fails on both sides when the cookies differ', async () => {
    const { world, a, b } = await scene(1, ['x', 'y'])
    await world.advance(1000)
    expect([a.failure, b.failure]).toEqual(['closed', 'bad_cookie'])
  })

  it('lets the peer read the status before the stream ends', async () => {
    const { world, a, b } = await scene(2, ['x', 'x'], 'not_allowed')
    await world.advance(1000)
    expect([a.failure, b.failure]).toEqual(['not_allowed', 'refused'])
  })

  it('waits for the decision', async () => {
    const { world, a, b } = await scene(3, ['x', 'x'], 'later')
    await world.advance(1000)
    expect(a.connectedTo).toBeUndefined()
    b.answer!('ok')
    await world.advance(1000)
    expect(a.connectedTo?.name).toBe(B)
  })

  it('ends after 7 seconds, on both sides, and gives its challenges back', async () => {
    const { world, a, b, options } = await scene(4, ['x', 'x'], 'later')
    await world.advance(6900)
    expect([a.failure, b.failure]).toEqual([undefined, undefined])
    await world.advance(200)
    expect([a.failure, b.failure]).toContain('timeout')
    expect([a.failure, b.failure]).not.toContain(undefined)
    b.answer!('ok')
    await world.advance(100)
    expect([options.a.challenges.size, options.b.challenges.size]).toEqual([0, 0])
  })

  it('ends when the network swallows everything', async () => {
    const { world, a, b } = await scene(5)
    world.network.cut('one.sim', 'two.sim')
    await world.advance(7100)
    expect([a.failure, b.failure]).toEqual(['timeout', 'timeout'])
  })

  it('fails when the link is lost', async () => {
    const { world, a, b } = await scene(6, ['x', 'x'], 'later')
    await world.advance(100)
    world.network.reset('one.sim', 'two.sim')
    await world.advance(100)
    expect([a.failure, b.failure]).toEqual(['closed', 'closed'])
  })

  it('that is cancelled says nothing more', async () => {
    const { world, a, b, attempt, options } = await scene(7, ['x', 'x'], 'later')
    attempt.cancel()
    await world.advance(8000)
    expect(a.failure).toBeUndefined()
    expect(b.failure).toBe('closed')
    expect(options.a.challenges.size).toBe(0)
  })
})

describe('the limit of handshakes', () => {
  it('holds in all and for one address, and counts only those that go on', () => {
    const limit = new PendingLimit({ maxPending: 3, maxPerHost: 2 })
    expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([true, true, false])
    expect([limit.take('b'), limit.take('c')]).toEqual([true, false])
    limit.release('a')
    expect([limit.pending, limit.take('c'), limit.take('a')]).toEqual([2, true, false])
    limit.release('unknown')
    for (const host of ['a', 'b', 'c']) limit.release(host)
    expect(limit.pending).toBe(0)
  })
})
