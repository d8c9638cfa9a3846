import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProtocolEvent } from '../../src/broker/connection/protocol-state.ts'
import type { Packet, ProtocolVersion } from '../../src/broker/packet.ts'
import { connectPacket, Machine, otherSession, publishPacket, session } from './protocol-harness.ts'

type Beginning = 'nothing' | 'opening' | 'connected'

function begin(m: Machine, beginning: Beginning, protocolVersion: ProtocolVersion): void {
  if (beginning === 'connected') m.connect({ protocolVersion })
  if (beginning === 'opening') {
    m.packets(connectPacket({ protocolVersion }))
    m.auth()
  }
}

const version = fc.constantFrom<ProtocolVersion[]>(3, 4, 5)
const topic = fc.constantFrom('', 'a', 'a/b', '1/2/3/4/5/6', 'x'.repeat(200))
const reasonCode = fc.constantFrom(0, 4, 0x18, 0x19, 0x80, 0x8e)
const from = fc.constantFrom(session, otherSession)

const connect: fc.Arbitrary<Packet> = fc
  .record({
    protocolVersion: version,
    clientId: fc.constantFrom('', 'c', 'x'.repeat(99)),
    clean: fc.boolean(),
    method: fc.boolean(),
    keepalive: fc.constantFrom(0, 10),
    will: fc.boolean(),
  })
  .map(({ method, will, ...rest }) =>
    connectPacket({
      ...rest,
      ...(method && rest.protocolVersion === 5 ? { properties: { authenticationMethod: 'm' } } : {}),
      ...(will ? { will: { topic: 'w', payload: Buffer.from('w'), qos: 0 as const, retain: false } } : {}),
    }),
  )
const packet: fc.Arbitrary<Packet> = fc.oneof(
  connect,
  fc.record({ topic, qos: fc.constantFrom(0, 1, 2) }).map((fields) => publishPacket(fields as never)),
  fc.constant<Packet>(publishPacket({ topic: 'a', properties: { topicAlias: 1 } })),
  fc.constantFrom<Packet[]>({ cmd: 'pingreq' }, { cmd: 'pingresp' }, { cmd: 'puback', messageId: 1 }),
  fc.record({
    cmd: fc.constant('subscribe' as const),
    messageId: fc.constant(1),
    subscriptions: fc.array(
      fc.record({ topic: fc.constantFrom('a', '#', 'a#', '$share/g/a'), qos: fc.constant(0 as const) }),
      { maxLength: 3 },
    ),
  }),
  reasonCode.map((code): Packet => ({ cmd: 'auth', reasonCode: code, properties: { authenticationMethod: 'm' } })),
  reasonCode.map((code): Packet => ({ cmd: 'disconnect', reasonCode: code })),
)
const event: fc.Arbitrary<ProtocolEvent> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      tag: fc.constant('packets' as const),
      packets: fc.array(packet, { maxLength: 4 }),
      bytes: fc.nat(2000),
      nowMs: fc.nat(100_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('accept', 'accept', 'continue', 'refuse')
      .map((outcome): ProtocolEvent => ({ tag: 'auth', result: { outcome, reasonCode: 0x87, reason: 'no' } as never })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      tag: fc.constant('opened' as const),
      session: fc.constant(session),
      present: fc.boolean(),
      nowMs: fc.nat(100_000),
    }),
  },
  {
    weight: 2,
    arbitrary: from.map((pid): ProtocolEvent => ({ tag: 'session', message: { tag: 'out', from: pid, packets: [] } })),
  },
  from.map((pid): ProtocolEvent => ({ tag: 'session', message: { tag: 'synced', from: pid } })),
  from.map(
    (pid): ProtocolEvent => ({
      tag: 'session',
      message: { tag: 'close', from: pid, reasonCode: 0x8e, reason: 'taken over' },
    }),
  ),
  fc.constant<ProtocolEvent>({ tag: 'refused', reasonCode: 0x97, reason: 'full' }),
  fc.boolean().map((nodeDown): ProtocolEvent => ({ tag: 'session_down', nodeDown })),
  fc.boolean().map((on): ProtocolEvent => ({ tag: 'congested', on })),
  fc.record({
    tag: fc.constant('timer' as const),
    timer: fc.constantFrom('connect', 'keep_alive', 'slow_consumer'),
    nowMs: fc.nat(100_000),
  }),
  fc.constant<ProtocolEvent>({
    tag: 'malformed',
    error: { reasonCode: 0x81, reason: 'bad', answer: 'disconnect', version: 5 },
  }),
  fc.constant<ProtocolEvent>({ tag: 'socket_closed', reason: 'closed', isWritable: false }),
  fc.constant<ProtocolEvent>({ tag: 'disconnect', reasonCode: 0x8b, reason: 'shutdown' }),
)
/** Most runs begin with a client that is being served or about to be, which random events seldom reach. */
const events = fc.tuple(
  fc.constantFrom<Beginning[]>('nothing', 'opening', 'connected'),
  version,
  fc.array(event, { maxLength: 30 }),
)

describe('any sequence of events', () => {
  it('ends a connection at most once, lets its session go at most once, and asks for nothing afterwards', () => {
    fc.assert(
      fc.property(events, ([beginning, protocolVersion, sequence]) => {
        const m = new Machine({ syncEveryMessages: 1, maxUnsynced: 1, maxPipelinedPackets: 3 })
        begin(m, beginning, protocolVersion)
        let opens = beginning === 'connected' ? 1 : 0
        for (const each of sequence) {
          // The session manager answers once, and only when it was asked.
          if (each.tag === 'opened' || each.tag === 'refused') {
            if (m.all('open').length === opens) continue
            opens = m.all('open').length
          }
          m.event(each)
        }
        m.event({ tag: 'socket_closed', reason: 'closed', isWritable: false })
        if (m.state.phase !== 'closed') {
          // Its last packets are waiting for an answer that is still to come.
          m.event({ tag: 'disconnect', reasonCode: 0x8b, reason: 'shutdown' })
        }
        const tags = m.effects.map((effect) => effect.tag)
        expect(m.all('close')).toHaveLength(1)
        expect(m.all('open').length).toBeLessThanOrEqual(1)
        const after = tags.slice(tags.indexOf('close') + 1)
        expect(after.filter((tag) => tag !== 'detach')).toEqual([])
        expect(m.all('detach').length).toBeLessThanOrEqual(1)
        // The session hears of the end exactly once, unless it is no more.
        const wasTold = m.all('detach').length === 1
        const knows = m.all('connected').length === 0 || sequence.some((each) => each.tag === 'session_down')
        expect(wasTold || knows).toBe(true)
      }),
      { numRuns: 1500 },
    )
  })

  it('sends CONNACK at most once, before all else but AUTH, and never DISCONNECT before it', () => {
    fc.assert(
      fc.property(events, ([beginning, protocolVersion, sequence]) => {
        const m = new Machine({ maxPipelinedPackets: 3 })
        begin(m, beginning, protocolVersion)
        for (const each of sequence) m.event(each)
        const kinds = m.sent.map((sent) => sent.cmd)
        expect(kinds.filter((kind) => kind === 'connack').length).toBeLessThanOrEqual(1)
        const first = kinds.find((kind) => kind !== 'auth')
        expect(first === undefined || first === 'connack').toBe(true)
        const disconnects = kinds.filter((kind) => kind === 'disconnect')
        expect(disconnects.length).toBeLessThanOrEqual(1)
        if (disconnects.length > 0) {
          expect(m.state.version).toBe(5)
          expect(kinds.at(-1)).toBe('disconnect')
        }
        const pauses = m.effects.filter((effect) => effect.tag === 'pause' || effect.tag === 'resume')
        expect(pauses.every((effect, i) => effect.tag === (i % 2 === 0 ? 'pause' : 'resume'))).toBe(true)
      }),
      { numRuns: 1500 },
    )
  })
})
