import { describe, expect, it } from 'vitest'
import { connectPacket, Machine, otherSession, publishPacket, session, versions } from './protocol-harness.ts'

const v5 = { protocolVersion: 5 } as const
const will = { topic: 'w', payload: Buffer.from('gone'), qos: 1 as const, retain: false }

describe('keep alive', () => {
  function timer(m: Machine, nowMs: number): void {
    m.nowMs = nowMs
    m.event({ tag: 'timer', timer: 'keep_alive', nowMs })
  }
  const delays = (m: Machine) =>
    m.all('arm').flatMap((effect) => (effect.timer === 'keep_alive' ? [effect.delayMs] : []))

  it('cuts a silent client at exactly one and a half times [MQTT311-3.1.2-24] [MQTT5-3.1.2-22]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion, keepalive: 10 })
      expect(delays(m)).toEqual([15_000])
      m.nowMs = 4000
      m.packets({ cmd: 'pingreq' })
      expect(delays(m)).toEqual([15_000])
      timer(m, 15_000)
      expect(delays(m)).toEqual([15_000, 4000])
      timer(m, 18_999)
      expect(m.isClosed).toBe(false)
      timer(m, 19_000)
      expect(m.isClosed).toBe(true)
      expect(m.counted).toEqual(['keep_alive_timeout'])
      expect(m.all('detach')).toMatchObject([{ publishWill: true, reason: 'keep_alive_timeout' }])
      const last = m.sent.at(-1)
      expect(last).toMatchObject(protocolVersion === 5 ? { cmd: 'disconnect', reasonCode: 0x8d } : { cmd: 'pingresp' })
    }
  })

  it('of 0 is none [MQTT5-3.1.2.10]', () => {
    expect(delays(new Machine().connect({ keepalive: 0 }))).toEqual([])
  })

  it('is the one that the server set [MQTT5-3.2.2-21] [MQTT5-3.2.2-22]', () => {
    expect(delays(new Machine({ maxKeepAliveSec: 20 }).connect({ ...v5, keepalive: 100 }))).toEqual([30_000])
    // 3.1.1 cannot be told, so the client's own stays.
    expect(delays(new Machine({ maxKeepAliveSec: 20 }).connect({ keepalive: 100 }))).toEqual([150_000])
  })

  it('does not count the time in which the broker itself does not read', () => {
    const m = new Machine({ syncEveryMessages: 1, maxUnsynced: 0 }).connect({ keepalive: 10 })
    m.packets(publishPacket())
    expect(m.all('pause')).toHaveLength(2)
    timer(m, 15_000)
    expect(m.isClosed).toBe(false)
    m.event({ tag: 'session', message: { tag: 'synced', from: session } })
    timer(m, 29_999)
    expect(m.isClosed).toBe(false)
    timer(m, 30_000)
    expect(m.isClosed).toBe(true)
  })
})

describe('the session', () => {
  it('may speak before the answer of the session manager; CONNACK still comes first [MQTT311-3.2.0-1] [MQTT5-3.2.0-1]', () => {
    const m = new Machine()
    m.packets(connectPacket({ clean: false }))
    m.auth()
    m.event({ tag: 'session', message: { tag: 'out', from: session, packets: [{ cmd: 'puback', messageId: 1 }] } })
    m.event({ tag: 'session', message: { tag: 'out', from: otherSession, packets: [{ cmd: 'puback', messageId: 9 }] } })
    expect(m.all('deliver')).toEqual([])
    const tags = m.opened(true).map((effect) => effect.tag)
    expect(tags.indexOf('deliver')).toBeGreaterThan(tags.indexOf('send'))
    expect(m.all('deliver')).toMatchObject([{ packets: [{ messageId: 1 }] }])
  })

  it('is heard only while it is our own', () => {
    const m = new Machine().connect()
    m.event({ tag: 'session', message: { tag: 'out', from: otherSession, packets: [] } })
    m.event({ tag: 'session', message: { tag: 'close', from: otherSession, reasonCode: 0x8e, reason: 'taken over' } })
    expect(m.all('deliver')).toEqual([])
    expect(m.isClosed).toBe(false)
  })

  it('closes the connection when another takes over or an operator orders it [MQTT311-3.1.4-2] [MQTT5-3.1.4-3]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion })
      m.event({ tag: 'session', message: { tag: 'close', from: session, reasonCode: 0x8e, reason: 'taken over' } })
      // The session ignores this when it belongs to another connection by now.
      expect(m.all('detach')).toMatchObject([{ publishWill: true, reason: 'taken over' }])
      expect(m.all('close')).toHaveLength(1)
      expect(m.sent.slice(1)).toMatchObject(protocolVersion === 5 ? [{ cmd: 'disconnect', reasonCode: 0x8e }] : [])
    }
  })

  it('can close a connection that it has overtaken in opening', () => {
    const m = new Machine()
    m.packets(connectPacket(v5), publishPacket())
    m.auth()
    m.event({ tag: 'session', message: { tag: 'close', from: session, reasonCode: 0x8e, reason: 'taken over' } })
    m.opened()
    expect(m.sent.map((packet) => packet.cmd)).toEqual(['connack', 'disconnect'])
    expect(m.all('detach')).toHaveLength(1)
    expect(m.passed).toEqual([])
  })

  it('that fails ends the connection, which then sees to the will [MQTT5-3.1.2-8]', () => {
    const codes = [false, true].map((nodeDown) => {
      const m = new Machine().connect({ ...v5, will })
      m.event({ tag: 'session_down', nodeDown })
      expect(m.all('publish_will')).toMatchObject([{ will: { topic: 'w' } }])
      expect(m.all('detach')).toEqual([])
      return (m.sent.at(-1) as { reasonCode: number }).reasonCode
    })
    expect(codes).toEqual([0x83, 0x8b])
  })

  it('is let go when it opens for a connection that has ended meanwhile', () => {
    const m = new Machine()
    m.packets(connectPacket({ will }))
    m.auth()
    m.event({ tag: 'socket_closed', reason: 'econnreset', isWritable: false })
    expect(m.all('detach')).toEqual([])
    m.opened()
    m.opened()
    expect(m.all('detach')).toMatchObject([{ session, publishWill: false }])
    expect(m.sent).toEqual([])
  })
})

describe('back-pressure', () => {
  it('asks the session to confirm now and then, by messages and by bytes', () => {
    const m = new Machine({ syncEveryMessages: 3, syncEveryBytes: 100 }).connect()
    const pass = (bytes: number) => m.event({ tag: 'packets', packets: [publishPacket()], bytes, nowMs: 0 })
    for (const bytes of [10, 10, 10, 10, 90, 10, 10, 10]) pass(bytes)
    expect(m.all('to_session').map((effect) => effect.sync)).toEqual([
      false,
      false,
      true,
      false,
      true,
      false,
      false,
      true,
    ])
  })

  it('pauses reading while too much is unconfirmed, and resumes at half', () => {
    const m = new Machine({ syncEveryMessages: 1, maxUnsynced: 2 }).connect()
    const synced = () =>
      m.event({ tag: 'session', message: { tag: 'synced', from: session } }).map((effect) => effect.tag)
    m.packets(publishPacket())
    m.packets(publishPacket())
    const before = m.all('pause').length
    m.packets(publishPacket())
    expect(m.all('pause').length).toBe(before + 1)
    expect(synced()).toEqual([])
    expect(synced()).toEqual(['resume'])
    expect(synced()).toEqual([])
  })

  it('tells the session when the socket is full and when it has drained', () => {
    const m = new Machine().connect()
    const on = m.event({ tag: 'congested', on: true })
    expect(m.event({ tag: 'congested', on: true })).toEqual([])
    const off = m.event({ tag: 'congested', on: false })
    expect(on).toEqual([
      { tag: 'session_congested', on: true },
      { tag: 'arm', timer: 'slow_consumer', delayMs: 60_000 },
    ])
    expect(off).toEqual([
      { tag: 'session_congested', on: false },
      { tag: 'disarm', timer: 'slow_consumer' },
    ])
  })

  it('cuts off a client that does not drain in time, without waiting for its socket', () => {
    const m = new Machine().connect(v5)
    m.event({ tag: 'congested', on: true })
    m.event({ tag: 'timer', timer: 'slow_consumer', nowMs: 60_000 })
    expect(m.all('close')).toEqual([{ tag: 'close', reason: 'slow_consumer', abort: true }])
    expect(m.all('detach')).toMatchObject([{ publishWill: true }])
    expect(m.counted).toEqual(['slow_consumer'])
  })
})

describe('the end', () => {
  it('by the socket publishes the will [MQTT311-3.1.2-8] [MQTT5-3.1.2-8]', () => {
    const m = new Machine().connect()
    m.event({ tag: 'socket_closed', reason: 'econnreset', isWritable: false })
    expect(m.effects.slice(-2)).toEqual([
      { tag: 'detach', session, publishWill: true, expirySec: undefined, reason: 'econnreset' },
      { tag: 'close', reason: 'econnreset', abort: true },
    ])
  })

  it('by an operator or a shutdown has its own reason code in 5.0, and may name another server', () => {
    const m = new Machine().connect(v5)
    m.event({ tag: 'disconnect', reasonCode: 0x9d, reason: 'moved', serverReference: 'b:1883' })
    expect(m.sent.at(-1)).toEqual({
      cmd: 'disconnect',
      reasonCode: 0x9d,
      properties: { reasonString: 'moved', serverReference: 'b:1883' },
    })
    const old = new Machine().connect()
    old.event({ tag: 'disconnect', reasonCode: 0x8b, reason: 'shutdown' })
    expect(old.sent).toHaveLength(1)
    expect(old.all('close')).toHaveLength(1)
  })

  it('by a shutdown comes as CONNACK while CONNECT is unanswered, as nothing before', () => {
    const m = new Machine()
    m.packets(connectPacket())
    m.event({ tag: 'disconnect', reasonCode: 0x8b, reason: 'shutdown' })
    expect(m.sent).toEqual([{ cmd: 'connack', sessionPresent: false, returnCode: 3 }])
    const idle = new Machine()
    idle.event({ tag: 'disconnect', reasonCode: 0x8b, reason: 'shutdown' })
    expect(idle.sent).toEqual([])
    expect(idle.isClosed).toBe(true)
  })
})
