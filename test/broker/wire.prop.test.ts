/**
 * Everything that the processes of one client and their publishers say to each other, through the real encoding between nodes: what
 * arrives is what was sent, whatever clients put into it.
 */
import fc, { type Arbitrary } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import { Batch, batchOf, type Matched, type Message, type Run } from '../../src/broker/message.ts'
import type { PublishProperties, QoS, SubscribeEntry, UserProperties } from '../../src/broker/packet.ts'
import type {
  ClientInfo,
  OutPacket,
  SessionPacket,
  ToConnection,
  ToSession,
  Will,
} from '../../src/broker/process-messages.ts'
import type { FromManager, OpenAnswer, ToManager } from '../../src/broker/session/session-messages.ts'
import type { ToSm } from '../../src/broker/session/sm.ts'
import { travellingPackets, travellingRun } from '../../src/broker/session/travel.ts'
import { messageFromTerm, messageToTerm } from '../../src/dist/envelope.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { structuralCopy } from '../../src/testing/structural-copy.ts'
import { decodeAll, isSameTerm } from '../dist/etf-support.ts'
import { pidOf } from '../support/routing.ts'

// MQTT's text: any but surrogates alone and U+0000, and longer than an atom may be.
const text = fc
  .oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ unit: 'grapheme', minLength: 250, maxLength: 300 }))
  .filter((value) => !/[\p{Surrogate}\0]/u.test(value))
const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array))
const qos = fc.constantFrom<QoS>(0, 1, 2)
const code = fc.nat(255)
const messageId = fc.integer({ min: 0, max: 0xffff })
const seconds = fc.nat(0xffff_ffff)
const wallMs = fc.oneof(fc.nat(Number.MAX_SAFE_INTEGER), fc.double({ min: 0, max: 1e15, noNaN: true }))
const pid: Arbitrary<Pid> = fc
  .record({ id: fc.nat(0xffff_ffff), node: fc.constantFrom('n1@127.0.0.1', 'n2@127.0.0.1'), creation: seconds })
  .map(({ id, node, creation }) => pidOf(id, { name: node, creation }))
const maybe = <T>(arbitrary: Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

/** As the codec makes them: without a prototype, with whatever names the client chose. */
const userProperties: Arbitrary<UserProperties> = fc
  .array(
    fc.tuple(fc.oneof(text, fc.constantFrom('__proto__', 'constructor', '', '1')), fc.oneof(text, fc.array(text))),
    { maxLength: 4 },
  )
  .map((pairs) => Object.assign(Object.create(null) as UserProperties, Object.fromEntries(pairs)))

const properties: Arbitrary<PublishProperties> = fc.record(
  {
    payloadFormatIndicator: fc.boolean(),
    contentType: text,
    responseTopic: text,
    correlationData: bytes,
    userProperties,
    userPropertyOrder: fc.array(text, { maxLength: 4 }),
    messageExpiryInterval: seconds,
  },
  { requiredKeys: [] },
)
const ackProperties = fc.record({ reasonString: text, userProperties }, { requiredKeys: [] })

const message: Arbitrary<Message> = fc.record({
  id: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 }),
  from: text,
  topic: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  publishedAtMs: wallMs,
  expiresAtMs: fc.oneof(wallMs, fc.constant(Number.POSITIVE_INFINITY)),
  properties: maybe(properties),
})
const batch = fc.array(message, { minLength: 1, maxLength: 4 }).map((messages) => new Batch(messages))
const ids = maybe(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }))
const matched: Arbitrary<Matched> = fc.record({
  qos,
  noLocal: fc.boolean(),
  rap: fc.boolean(),
  ids,
  share: maybe(fc.record({ group: text, filter: text })),
})
const ack = fc.record({
  cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const),
  messageId,
  reasonCode: code,
  properties: ackProperties,
})
const bareAck = fc.record({ cmd: fc.constantFrom('puback' as const, 'pubrel' as const), messageId })
const entry: Arbitrary<SubscribeEntry> = fc.record(
  { topic: text, qos, nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom<0 | 1 | 2>(0, 1, 2) },
  { requiredKeys: ['topic', 'qos'] },
)
const sessionPacket: Arbitrary<SessionPacket> = fc.oneof(
  fc.record(
    {
      cmd: fc.constant('publish' as const),
      topic: text,
      payload: bytes,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      messageId,
      properties,
      denied: code,
    },
    { requiredKeys: ['cmd', 'topic', 'payload', 'qos', 'retain', 'dup', 'denied'] },
  ),
  ack,
  bareAck,
  fc.record({
    cmd: fc.constant('subscribe' as const),
    messageId,
    subscriptions: fc.array(entry, { maxLength: 3 }),
    denied: fc.array(code, { maxLength: 3 }),
    properties: fc.record({ subscriptionIdentifier: seconds, userProperties }, { requiredKeys: [] }),
  }),
  fc.record({
    cmd: fc.constant('unsubscribe' as const),
    messageId,
    unsubscriptions: fc.array(text, { maxLength: 3 }),
  }),
)
const outPacket: Arbitrary<OutPacket> = fc.oneof(
  fc.record({
    cmd: fc.constant('publish' as const),
    message,
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId,
    ids,
  }),
  ack,
  bareAck,
  fc.record({
    cmd: fc.constantFrom('suback' as const, 'unsuback' as const),
    messageId,
    granted: fc.array(code, { maxLength: 3 }),
    properties: ackProperties,
  }),
)
const will: Arbitrary<Will> = fc.record({
  topic: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  delaySec: seconds,
  expirySec: maybe(seconds),
  properties: maybe(properties),
})
const client: Arbitrary<ClientInfo> = fc.record({
  clientId: text,
  username: maybe(text),
  peer: text,
  connection: pid,
  protocolVersion: fc.constantFrom(3 as const, 4 as const, 5 as const),
  cleanStart: fc.boolean(),
  expirySec: seconds,
  receiveMaximum: messageId,
  keepAliveSec: messageId,
  will: maybe(will),
  connectedAtMs: wallMs,
})
const tag = <T extends string>(name: T) => fc.constant(name)

/** All messages that are plain data as they are. */
const plain: Arbitrary<ToSession | ToConnection | OpenAnswer | FromManager | ToManager | ToSm> = fc.oneof(
  fc.record({ tag: tag('packets'), from: pid, packets: fc.array(sessionPacket, { maxLength: 4 }), sync: fc.boolean() }),
  fc.record({ tag: tag('congested'), from: pid, on: fc.boolean() }),
  fc.record({ tag: tag('detach'), from: pid, publishWill: fc.boolean(), expirySec: maybe(seconds), reason: text }),
  fc.record({ tag: tag('synced'), from: pid }),
  fc.record({ tag: tag('close'), from: pid, reasonCode: code, reason: text }),
  fc.record({ tag: tag('opened'), session: pid, present: fc.boolean() }),
  fc.record({ tag: tag('refused'), reasonCode: code, reason: text }),
  fc.record({ tag: tag('open'), client }),
  fc.record({ tag: tag('open'), manager: fc.record({ name: text, node: text }), client }),
  fc.record({ tag: fc.constantFrom('discard' as const, 'kick' as const), reasonCode: code, reason: text }),
  fc.record({ tag: tag('opened'), session: pid, client }),
  fc.record({ tag: tag('detached'), session: pid, clientId: text, expirySec: seconds, will: maybe(will) }),
)

const decoder = new Decoder({ node: { name: 'n1@127.0.0.1', creation: 7 } })

function overTheWire<T>(value: T): T {
  return messageFromTerm(decodeAll(encode(messageToTerm(value)), decoder)) as T
}

/** Fields that are undefined count as fields; of two objects only whether they have a prototype may differ. */
function expectSame(arrived: unknown, sent: unknown): void {
  expect(isSameTerm(arrived, structuralCopy(sent))).toBe(true)
}

describe('between nodes', () => {
  test('all that connections, sessions and session managers say arrives as it was', () => {
    fc.assert(
      fc.property(plain, (sent) => expectSame(overTheWire(sent), sent)),
      { numRuns: 1000 },
    )
  })

  test('deliveries arrive as batches that say the same', () => {
    const run: Arbitrary<Run> = fc.record({ batch, matched })
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 3 }), (runs) => {
        const arrived = overTheWire({ tag: 'deliver', runs: runs.map(travellingRun) })
        expectSame(
          arrived.runs.map((each) => each.matched),
          runs.map((each) => each.matched),
        )
        for (const [i, each] of arrived.runs.entries()) {
          expect(each.batch).not.toBeInstanceOf(Batch)
          const { messages, ...summary } = batchOf(each.batch)
          const { messages: before, ...expected } = runs[i]!.batch as Batch
          expect(summary).toStrictEqual(expected)
          expectSame(messages, before)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('packets for a client arrive in order, batches as batches', () => {
    const packet = fc.oneof(outPacket, fc.record({ cmd: tag('batch'), batch }))
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 6 }), pid, (packets, from) => {
        const arrived = travellingPackets(packets).flatMap((part) => {
          return overTheWire({ tag: 'out', from, packets: part } as const).packets
        })
        expect(arrived).toHaveLength(packets.length)
        for (const [i, before] of packets.entries()) {
          const after = arrived[i]!
          if (before.cmd !== 'batch') expectSame(after, before)
          else expectSame(after.cmd === 'batch' && batchOf(after.batch).messages, before.batch.messages)
        }
      }),
      { numRuns: 500 },
    )
  })
})
