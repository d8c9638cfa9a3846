import { connectAsync } from 'mqtt'
import { describe, expect, it } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { AccessRule } from '../../src/broker/config.ts'
import { type TcpListenerOptions, tcpListener } from '../../src/broker/connection/listener-tcp.ts'
import type { ProtocolLimits } from '../../src/broker/connection/protocol-state.ts'
import { Batch } from '../../src/broker/message.ts'
import type { ProtocolVersion } from '../../src/broker/packet.ts'
import { parseCidr } from '../../src/dist/ip.ts'
import type { RawClient } from '../support/raw-client.ts'
import { testRuntime } from '../support/runtime.ts'
import { bytesOf, FakeBroker } from './connection-harness.ts'
import { connectPacket, publishPacket } from './protocol-harness.ts'
import { connectClient, openClient } from './tcp-client.ts'

const ALL: AccessRule = { permission: 'allow', cidr: undefined }

/** A listener on a free port. */
class Listening {
  readonly runtime: Runtime
  readonly broker: FakeBroker
  readonly pid: Pid
  port = 0

  private constructor(runtime: Runtime, broker: FakeBroker, pid: Pid) {
    this.runtime = runtime
    this.broker = broker
    this.pid = pid
  }

  static async start(
    options: Partial<TcpListenerOptions> = {},
    limits: Partial<ProtocolLimits> = {},
  ): Promise<Listening> {
    const { runtime } = testRuntime()
    const broker = new FakeBroker(runtime, limits, { highWatermarkBytes: 1_000_000, maxUnsentBytes: 50_000_000 })
    const pid = await tcpListener.start(runtime, optionsOf(broker, options))
    const listening = new Listening(runtime, broker, pid)
    listening.port = (await listening.info()).port
    return listening
  }

  info() {
    return tcpListener.call(this.runtime, this.pid, 'info')
  }

  /** A client that is connected by TCP only. */
  socket(version?: ProtocolVersion): Promise<RawClient> {
    return openClient(this.port, version)
  }

  async until(holds: (info: Awaited<ReturnType<Listening['info']>>) => boolean): Promise<void> {
    while (!holds(await this.info())) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Lets the event loop go round until something holds. */
async function turnsUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

function optionsOf(broker: FakeBroker, options: Partial<TcpListenerOptions>): TcpListenerOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    maxConnections: 100,
    maxConnPerSec: Number.POSITIVE_INFINITY,
    backlog: 100,
    access: [ALL],
    shutdownMs: 5000,
    environment: broker,
    ...options,
  }
}

describe('a TCP listener', () => {
  it('serves real clients of 3.1.1 and 5.0', async () => {
    const listening = await Listening.start()
    for (const protocolVersion of [4, 5] as const) {
      const client = await connectAsync(`mqtt://127.0.0.1:${listening.port}`, { protocolVersion, clientId: 'real' })
      await client.publishAsync('t', 'hello')
      const arrived = new Promise<string>((resolve) => client.once('message', (_, payload) => resolve(String(payload))))
      const { session } = listening.broker
      const text = { id: '', from: '', topic: 'back', payload: Buffer.from('hi'), qos: 0, retain: false } as const
      const message = { ...text, publishedAtMs: 0, expiresAtMs: Number.POSITIVE_INFINITY, properties: undefined }
      session.out({ cmd: 'batch', batch: new Batch([message]) })
      expect(await arrived).toBe('hi')
      await turnsUntil(() => session.packets.length > 0)
      expect(session.packets).toMatchObject([{ topic: 't', payload: Buffer.from('hello') }])
      await client.endAsync()
      await listening.until((info) => info.currentClients === 0)
    }
    expect(await listening.info()).toEqual({
      protocol: 'mqtt',
      host: '127.0.0.1',
      port: listening.port,
      maxClients: 100,
      currentClients: 0,
      peakClients: 1,
      shutdownCount: { normal: 2 },
    })
  })

  it('does not start on a port that is taken, and says why', async () => {
    const first = await Listening.start()
    const options = optionsOf(first.broker, { port: first.port })
    await expect(tcpListener.start(first.runtime, options)).rejects.toMatchObject({ reason: { error: 'EADDRINUSE' } })
  })

  it('frees its port when it is stopped', async () => {
    const { runtime, broker, port, pid } = await Listening.start()
    runtime.exit(pid, 'kill')
    const again = await tcpListener.start(runtime, optionsOf(broker, { port }))
    expect(await tcpListener.call(runtime, again, 'info')).toMatchObject({ port })
  })

  it('serves no more connections than it may', async () => {
    const listening = await Listening.start({ maxConnections: 2 })
    await listening.socket()
    await listening.socket()
    await listening.until((info) => info.currentClients === 2)
    await (await listening.socket()).expectEnd()
    expect(listening.broker.metrics['connections/refused/max_connections']).toBe(1)
    expect((await listening.info()).currentClients).toBe(2)
  })

  it('asks the access rules in order; none means no', async () => {
    const rule = (permission: 'allow' | 'deny', cidr: string): AccessRule => ({ permission, cidr: parseCidr(cidr) })
    const served = async (...access: AccessRule[]) => {
      const listening = await Listening.start({ access })
      const client = await listening.socket()
      client.send(connectPacket())
      return (await client.next()) !== 'closed'
    }
    expect(await served(rule('deny', '10.0.0.0/8'), rule('allow', '127.0.0.0/8'))).toBe(true)
    expect(await served(rule('deny', '127.0.0.1'), ALL)).toBe(false)
    expect(await served(rule('allow', '10.0.0.0/8'))).toBe(false)
  })

  it('spreads a burst of connections over time and closes what is too much', async () => {
    const listening = await Listening.start({ maxConnPerSec: 3 })
    const clients = await Promise.all(Array.from({ length: 10 }, () => listening.socket()))
    for (const client of clients) client.send(connectPacket())
    const outcomes = await Promise.all(clients.map((client) => client.next()))
    const served = outcomes.filter((packet) => packet !== 'closed').length
    expect(served).toBeGreaterThanOrEqual(6)
    expect(listening.broker.metrics['connections/refused/rate']).toBe(10 - served)
    expect(listening.broker.metrics['connections/accepted']).toBe(served)
  })

  it('takes its connections down with it, each with a word to its client', async () => {
    const listening = await Listening.start()
    const clients = [await listening.socket(5), await listening.socket(5), await listening.socket(5)] as const
    const packet = connectPacket({ protocolVersion: 5 })
    clients[0].send(packet)
    clients[1].send({ ...packet, clientId: 'c2' })
    await Promise.all([clients[0].next(), clients[1].next()])
    await listening.until((info) => info.currentClients === 3)
    const { runtime, pid } = listening
    const gone = new Promise((resolve) => {
      runtime.spawn({
        create: (self) => {
          self.monitor(pid)
          return { receive: resolve }
        },
      })
    })
    // As its supervisor does; a gen_server ends in order when its parent tells it to.
    runtime.send(pid, { tag: 'EXIT', from: runtime.init.pid, reason: 'shutdown' })
    const last = await Promise.all(clients.map((client) => client.drainToEnd()))
    expect(await gone).toMatchObject({ tag: 'DOWN', reason: 'shutdown' })
    const shuttingDown = { cmd: 'disconnect', reasonCode: 0x8b }
    // Nobody knows what version the third one speaks.
    expect(last).toMatchObject([[shuttingDown], [shuttingDown], []])
    expect(listening.broker.sessions.map((session) => session.detaches.length)).toEqual([1, 1])
  })
})

describe('a socket', () => {
  it('of a client that resets the connection harms nobody else', async () => {
    const listening = await Listening.start()
    const healthy = await listening.socket()
    healthy.send(connectPacket())
    await healthy.next()
    for (const bytes of [Buffer.alloc(0), Buffer.from([0x10]), bytesOf(4, connectPacket({ clientId: 'c2' }))]) {
      const client = await listening.socket()
      client.socket.write(bytes)
      await listening.until((info) => info.currentClients === 2)
      client.socket.resetAndDestroy()
      await listening.until((info) => info.currentClients === 1)
    }
    healthy.send({ cmd: 'pingreq' })
    expect(await healthy.next()).toMatchObject({ cmd: 'pingresp' })
    expect(Object.values((await listening.info()).shutdownCount).reduce((a, b) => a + b)).toBe(3)
  })

  it('whose client closes its half behind the last packet still brings the answers', async () => {
    const listening = await Listening.start()
    const client = await listening.socket()
    client.socket.end(bytesOf(4, connectPacket(), { cmd: 'pingreq' }))
    expect((await client.drainToEnd()).map((packet) => packet.cmd)).toEqual(['connack', 'pingresp'])
  })

  it('is told what is wrong before it is closed, though it goes on sending', async () => {
    const listening = await Listening.start()
    const client = await connectClient(listening.port, { protocolVersion: 5 })
    client.send(connectPacket({ protocolVersion: 5 }))
    for (let i = 0; i < 50; i++) client.send(publishPacket({ payload: Buffer.alloc(10_000) }))
    expect((await client.drainToEnd()).at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  })

  it('that is not read is told to its session, and drains when it is', async () => {
    const listening = await Listening.start()
    const client = await connectClient(listening.port, { keepalive: 0 })
    client.socket.pause()
    const { session } = listening.broker
    const payload = Buffer.alloc(100_000, 'x')
    const base = { id: '', from: '', topic: 't', qos: 0, retain: false, publishedAtMs: 0 } as const
    const message = { ...base, payload, expiresAtMs: Number.POSITIVE_INFINITY, properties: undefined }
    const congested = () => session.messages.flatMap((each) => (each.tag === 'congested' ? [each.on] : []))
    let sent = 0
    while (congested().length === 0) {
      session.out({ cmd: 'batch', batch: new Batch([message]) })
      sent++
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.socket.resume()
    for (let i = 0; i < sent; i++) expect(await client.next()).toMatchObject({ cmd: 'publish' })
    await turnsUntil(() => congested().length === 2)
    expect(congested()).toEqual([true, false])
  })
})
