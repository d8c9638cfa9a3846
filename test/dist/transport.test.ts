/** Streams over real sockets: one suite for TCP and TLS, and what only TLS has. */
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Address, ByteStream, Transport } from '../../src/dist/transport.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { tlsTransport } from '../../src/dist/transport-tls.ts'
import { type Authority, authority, type Certificate } from '../support/certificates.ts'
import { deferred } from '../support/deferred.ts'
import { eventually } from '../support/eventually.ts'

/** A stream with what it has brought. */
class Seen {
  readonly stream: ByteStream
  readonly #chunks: Buffer[] = []
  closed: string | undefined
  drains = 0

  constructor(stream: ByteStream) {
    this.stream = stream
    onTestFinished(() => stream.destroy())
    stream.start({
      onData: (chunk) => this.#chunks.push(chunk),
      onDrain: () => this.drains++,
      onClose: (reason) => {
        expect(this.closed).toBeUndefined()
        this.closed = reason
      },
    })
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }

  say(...words: string[]): void {
    const buffers = words.map((word) => Buffer.from(word))
    this.stream.write(buffers, Buffer.concat(buffers).length)
  }
}

async function listen(transport: Transport, host = '127.0.0.1') {
  const accepted: Seen[] = []
  const result = await transport.listen({ host, port: 0 }, (stream) => accepted.push(new Seen(stream)))
  if (!result.ok) throw new Error(result.reason)
  onTestFinished(() => result.listener.close())
  return { ...result.listener, accepted, address: result.listener.address }
}

async function dial(transport: Transport, to: Address, signal?: AbortSignal) {
  const result = await transport.connect(to, signal)
  if (!result.ok) throw new Error(result.reason)
  return new Seen(result.stream)
}

let ca: Authority
let certificate: Certificate
let unknown: Certificate
let misnamed: Certificate

async function certificates(): Promise<void> {
  ca = await authority()
  certificate = await ca.sign('n1', 'IP:127.0.0.1')
  misnamed = await ca.sign('n2', 'DNS:other.example')
  unknown = await (await authority()).sign('n3', 'IP:127.0.0.1')
}

describe.each(['inet_tcp', 'inet_tls'] as const)('a stream over %s', (proto) => {
  const transport = async () => {
    if (proto === 'inet_tcp') return tcpTransport()
    await certificates()
    return tlsTransport(certificate)
  }

  it('carries bytes in order both ways and ends when what was written has left', async () => {
    const over = await transport()
    expect(over.proto).toBe(proto)
    const { address, accepted } = await listen(over)
    const client = await dial(over, address)
    client.say('a', 'b', 'c'.repeat(100_000))
    await eventually(() => accepted[0]?.text.length === 100_002)
    expect(accepted[0]!.stream.peer.host).toBe('127.0.0.1')
    accepted[0]!.say('x'.repeat(100_000), 'y')
    accepted[0]!.stream.end()
    await eventually(() => client.closed !== undefined && accepted[0]!.closed !== undefined)
    expect(client.text).toBe(`${'x'.repeat(100_000)}y`)
    expect([client.closed, accepted[0]!.closed]).toEqual(['closed', 'closed'])
    client.say('late')
  })

  it('tells when what was written has left', async () => {
    const over = await transport()
    const { address, accepted } = await listen(over)
    const client = await dial(over, address)
    await eventually(() => accepted.length === 1)
    accepted[0]!.stream.pause()
    for (let i = 0; i < 20; i++) client.say('x'.repeat(1_000_000))
    expect(client.stream.writableLength).toBeGreaterThan(0)
    accepted[0]!.stream.resume()
    await eventually(() => client.drains > 0 && client.stream.writableLength === 0)
  })

  it('is not to be had where nobody listens, and not when it is given up', async () => {
    const over = await transport()
    const { address, close } = await listen(over)
    const give = new AbortController()
    const attempt = over.connect(address, give.signal)
    give.abort()
    expect(await attempt).toEqual({ ok: false, reason: 'aborted' })
    expect(await over.connect(address, give.signal)).toEqual({ ok: false, reason: 'aborted' })
    await close()
    expect(await over.connect(address)).toEqual({ ok: false, reason: 'ECONNREFUSED' })
    expect(await over.connect({ host: 'no.such.host.invalid', port: 1 })).toMatchObject({ ok: false })
  })

  it('leaves an address that is taken to whoever has it', async () => {
    const over = await transport()
    const { address } = await listen(over)
    expect(await over.listen(address, () => {})).toEqual({ ok: false, reason: 'EADDRINUSE' })
  })
})

describe('TLS', () => {
  it('lets nobody in whose certificate is of another authority', async () => {
    await certificates()
    const { address, accepted } = await listen(tlsTransport(certificate))
    const refused = await tlsTransport({ ...unknown, ca: certificate.ca }).connect(address)
    // With TLS 1.3 the refusal comes after the client has taken its side for done.
    if (refused.ok) {
      const client = new Seen(refused.stream)
      await eventually(() => client.closed !== undefined)
    }
    expect(accepted).toHaveLength(0)
    expect(await tlsTransport(unknown).connect(address)).toMatchObject({ ok: false })
  })

  it('does not take one node for another, unless it is told not to look', async () => {
    await certificates()
    const { address, accepted } = await listen(tlsTransport(misnamed))
    expect(await tlsTransport(certificate).connect(address)).toEqual({
      ok: false,
      reason: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
    await dial(tlsTransport({ ...certificate, verifyHost: false }), address)
    await eventually(() => accepted.length > 0)
  })

  it('drops who connects and does not begin', async () => {
    await certificates()
    const { address, accepted } = await listen(tlsTransport({ ...certificate, handshakeTimeoutMs: 50 }))
    const closed = deferred<void>()
    const socket = connect(address.port, address.host).resume()
    socket.on('error', () => {})
    socket.on('close', () => closed.resolve())
    await closed.promise
    expect(accepted).toHaveLength(0)
  })
})
