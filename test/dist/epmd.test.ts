/** Our epmd's client and server against each other, over TCP. */
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { RegistrationEvent } from '../../src/dist/epmd-client.ts'
import { encodeAlive2, encodePortPlease2, NAMES_REQUEST } from '../../src/dist/epmd-protocol.ts'
import { startEpmdServer } from '../../src/dist/epmd-server.ts'
import type { ByteStream, Transport } from '../../src/dist/transport.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { epmdClient, epmdServer, registered, system, transport } from './epmd-support.ts'

/** All bytes that come until the server closes. */
function ask(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk) => chunks.push(chunk as Buffer))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks)))
  })
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket))
    socket.once('error', reject)
    onTestFinished(() => void socket.destroy())
  })
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.on('close', () => resolve()).resume())

describe('epmd', () => {
  it('tells where a registered node listens, with all that it registered', async () => {
    const { port } = await epmdServer()
    await registered(epmdClient(port), 'n1', { port: 9101, nodeType: 72 })
    expect(await epmdClient(port).portPlease('n1', '127.0.0.1')).toEqual({
      ok: true,
      node: { name: 'n1', port: 9101, nodeType: 72, protocol: 0, highest: 6, lowest: 5, extra: Buffer.alloc(0) },
    })
    expect(await epmdClient(port).portPlease('n2', '127.0.0.1')).toMatchObject({ ok: false, reason: 'noport' })
  })

  it('lists the names, the newest first', async () => {
    const { port } = await epmdServer()
    for (const name of ['n1', 'n2', 'n3']) await registered(epmdClient(port), name)
    const names = await epmdClient(port).names()
    expect(names).toEqual({ ok: true, epmdPort: port, nodes: ['n3', 'n2', 'n1'].map((name) => ({ name, port: 4711 })) })
  })

  it('gives every incarnation another creation, never 0', async () => {
    const { port } = await epmdServer({ randomFill: (buffer) => buffer.fill(255) })
    const creations = new Set<number>()
    for (let i = 0; i < 5; i++) {
      const registration = await registered(epmdClient(port), `n${i}`)
      creations.add(registration.creation)
    }
    expect([...creations]).toEqual([4, 5, 6, 7, 8])
  })

  it('refuses a name that a living node has, and gives it again when its socket is gone', async () => {
    const server = await epmdServer()
    const client = epmdClient(server.port)
    const first = await registered(client, 'n1')
    expect(await client.register({ name: 'n1', port: 1, nodeType: 77 })).toMatchObject({
      ok: false,
      reason: 'name_in_use',
    })
    first.close()
    expect(first.isRegistered).toBe(false)
    await eventually(() => server.nodes().length === 0)
    const second = await registered(client, 'n1')
    expect(second.creation).not.toBe(first.creation)
  })

  it('serves IPv6 beside IPv4', async () => {
    const { port } = await epmdServer()
    await registered(epmdClient(port, { host: '::1' }), 'n1')
    expect(await epmdClient(port).portPlease('n1', '127.0.0.1')).toMatchObject({ ok: true })
    expect(await epmdClient(port).portPlease('n1', '::1')).toMatchObject({ ok: true })
  })

  it('of another loopback address is the one of this machine', async () => {
    const { port } = await epmdServer()
    await registered(epmdClient(port), 'n9')
    expect(await epmdClient(port).portPlease('n9', '127.0.0.2')).toMatchObject({ ok: true })
  })

  it('that is already there is noticed', async () => {
    const { port } = await epmdServer()
    const { timers, randomFill } = system
    expect(await startEpmdServer({ transport, timers, randomFill, port })).toEqual({
      ok: false,
      reason: 'already_running',
    })
  })

  it('closes on a request that is none', async () => {
    const { port } = await epmdServer()
    for (const bytes of ['0000', 'ffff', '000151', '00017a', 'ffffffffffff']) {
      expect(await ask(port, Buffer.from(bytes, 'hex'))).toEqual(Buffer.alloc(0))
    }
  })

  it('answers one request a socket, and ignores what a registered node sends', async () => {
    const server = await epmdServer()
    const { port } = server
    expect(await ask(port, Buffer.concat([NAMES_REQUEST, NAMES_REQUEST]))).toHaveLength(4)
    const socket = await opened(port)
    const node = { name: 'n1', port: 1, nodeType: 77, protocol: 0, highest: 6, lowest: 5, extra: Buffer.alloc(0) }
    socket.write(Buffer.concat([encodeAlive2(node), NAMES_REQUEST]))
    await eventually(() => server.nodes().length === 1)
    socket.write(Buffer.alloc(100_000, 255))
    expect(await epmdClient(port).names()).toMatchObject({ nodes: [{ name: 'n1' }] })
    socket.destroy()
    await eventually(() => server.nodes().length === 0)
  })

  it('takes no more sockets that have not registered than it may, and serves again when they are gone', async () => {
    const { port } = await epmdServer({ maxVisitors: 3 })
    const sockets = [await opened(port), await opened(port), await opened(port)]
    await closed(await opened(port))
    const before = epmdClient(port).names()
    expect(await before).not.toMatchObject({ ok: true })
    sockets[0]!.destroy()
    await eventually(async () => (await epmdClient(port).names()).ok)
  })

  it('registers no more nodes than it may', async () => {
    const { port } = await epmdServer({ maxNodes: 2 })
    const client = epmdClient(port)
    await registered(client, 'n1')
    await registered(client, 'n2')
    expect((await client.register({ name: 'n3', port: 1, nodeType: 77 })).ok).toBe(false)
  })

  it('closes a socket that does not ask in time, but not a registered one', async () => {
    const server = await epmdServer({ visitTimeoutMs: 50 })
    const registration = await registered(epmdClient(server.port), 'n1')
    const silent = await opened(server.port)
    const slow = await opened(server.port)
    slow.write(encodePortPlease2('n1').subarray(0, 3))
    await Promise.all([closed(silent), closed(slow)])
    expect(registration.isRegistered).toBe(true)
    expect(server.nodes()).toHaveLength(1)
  })

  it('is ended by KILL when no node is registered', async () => {
    const killed = new Promise<void>((resolve) => {
      void epmdServer({ onKilled: resolve }).then(async ({ port }) => {
        const client = epmdClient(port)
        const registration = await registered(client, 'n1')
        expect(await client.kill()).toBe('NO')
        registration.close()
        await eventually(async () => (await client.kill()) === 'OK')
        await eventually(async () => !(await client.names()).ok)
      })
    })
    await killed
  })

  it('unregisters by STOP only when it was told that it may', async () => {
    const strict = await epmdServer()
    await registered(epmdClient(strict.port), 'n1')
    expect(await epmdClient(strict.port).stop('n1')).toBe('')
    expect(strict.nodes()).toHaveLength(1)
    const relaxed = await epmdServer({ relaxedCommandCheck: true })
    await registered(epmdClient(relaxed.port), 'n1')
    expect(await epmdClient(relaxed.port).stop('n1')).toBe('STOPPED')
    expect(await epmdClient(relaxed.port).stop('n2')).toBe('NOEXIST')
    expect(relaxed.nodes()).toHaveLength(0)
  })
})

/** A transport on which all who connect seem to come from elsewhere. */
const remote: Transport = {
  ...transport,
  listen: (at, onAccept) =>
    transport.listen(at, (stream) => {
      const peer = { host: '192.0.2.1', port: 5 }
      onAccept(
        new Proxy(stream, {
          get: (target, key) => {
            if (key === 'peer') return peer
            const value = target[key as keyof ByteStream]
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
      )
    }),
}

describe('epmd, asked from another machine,', () => {
  it('answers for names and ports, registers nobody and cannot be ended', async () => {
    const server = await epmdServer({ transport: remote, relaxedCommandCheck: true })
    const client = epmdClient(server.port)
    expect(await client.names()).toMatchObject({ ok: true, nodes: [] })
    expect(await client.portPlease('n1', '127.0.0.1')).toMatchObject({ reason: 'noport' })
    expect(await client.register({ name: 'n1', port: 1, nodeType: 77 })).toMatchObject({ ok: false })
    expect(server.nodes()).toHaveLength(0)
    expect(await client.kill()).toBe('')
    expect(await client.stop('n1')).toBe('')
    expect(await ask(server.port, Buffer.from('000164', 'hex'))).toEqual(Buffer.alloc(0))
    expect(await client.names()).toMatchObject({ ok: true })
  })
})

describe('a registration', () => {
  it('is made again when epmd comes back, with the creation that the node has', async () => {
    const port = await freePort()
    const first = await epmdServer({ port })
    const events: RegistrationEvent[] = []
    const registration = await registered(epmdClient(port), 'n1', { onEvent: (event) => events.push(event) })
    const { creation } = registration
    await first.close()
    await eventually(() => events.length > 0)
    expect(registration.isRegistered).toBe(false)
    const second = await epmdServer({ port })
    await eventually(() => registration.isRegistered)
    expect(second.nodes().map(({ name }) => name)).toEqual(['n1'])
    expect(registration.creation).toBe(creation)
    expect(events[0]).toMatchObject({ tag: 'lost' })
    expect(events.at(-1)).toEqual({ tag: 'restored' })
  })

  it('is tried again while another node has taken the name, and made when that has gone', async () => {
    const port = await freePort()
    const first = await epmdServer({ port })
    const events: RegistrationEvent[] = []
    const registration = await registered(epmdClient(port), 'n1', { onEvent: (event) => events.push(event) })
    await first.close()
    await epmdServer({ port })
    const thief = await registered(epmdClient(port), 'n1')
    await eventually(() => events.some((event) => event.tag === 'retry' && event.reason === 'name_in_use'))
    thief.close()
    await eventually(() => registration.isRegistered)
  })

  it('starts an epmd when none answers', async () => {
    const port = await freePort()
    let starts = 0
    const startEpmd = async () => {
      starts++
      await epmdServer({ port })
    }
    await registered(epmdClient(port, { startEpmd }), 'n1')
    await registered(epmdClient(port, { startEpmd }), 'n2')
    expect(starts).toBe(1)
  })

  it('that is closed while it is being made again is not made', async () => {
    const port = await freePort()
    const first = await epmdServer({ port })
    const events: RegistrationEvent[] = []
    const registration = await registered(epmdClient(port), 'n1', { onEvent: (event) => events.push(event) })
    await first.close()
    await eventually(() => events.length > 0)
    registration.close()
    const second = await epmdServer({ port })
    const other = await registered(epmdClient(port), 'n1')
    expect(other.isRegistered).toBe(true)
    expect(second.nodes()).toHaveLength(1)
  })
})

describe('a client of epmd', () => {
  it('says that nobody is there', async () => {
    const client = epmdClient(await freePort())
    const unreachable = { ok: false, reason: 'unreachable', detail: 'ECONNREFUSED' }
    expect(await client.names()).toEqual(unreachable)
    expect(await client.portPlease('n1', '127.0.0.1')).toEqual(unreachable)
    expect(await client.register({ name: 'n1', port: 1, nodeType: 77 })).toEqual(unreachable)
    expect(await client.kill()).toBeUndefined()
  })

  it('gives up on one that does not answer, and says so when it talks nonsense', async () => {
    const talks: { say: string | undefined } = { say: undefined }
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      if (talks.say !== undefined) socket.end(talks.say)
    })
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const hasty = epmdClient(port, { timeoutMs: 100 })
    expect(await hasty.names()).toMatchObject({ reason: 'timeout' })
    expect(await hasty.register({ name: 'n1', port: 1, nodeType: 77 })).toMatchObject({ reason: 'timeout' })
    const client = epmdClient(port)
    talks.say = 'HTTP/1.1 400 Bad Request\r\n\r\n'
    expect(await client.names()).toMatchObject({ reason: 'bad_reply' })
    expect(await client.portPlease('n1', '127.0.0.1')).toMatchObject({ reason: 'bad_reply' })
    expect(await client.register({ name: 'n1', port: 1, nodeType: 77 })).toMatchObject({ reason: 'bad_reply' })
    talks.say = 'x'.repeat(2 << 20)
    expect(await client.names()).toMatchObject({ reason: 'bad_reply' })
  })
})
