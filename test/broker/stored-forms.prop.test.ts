import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Message } from '../../src/broker/message.ts'
import type { ForwardedProperties, QoS } from '../../src/broker/packet.ts'
import { parseFilter } from '../../src/broker/routing/topic.ts'
import type { Delivery } from '../../src/broker/session/delivery.ts'
import type { Subscription } from '../../src/broker/session/session-state.ts'
import {
  deliveryBytes,
  identifierBytes,
  readDelivery,
  readIdentifier,
  readReceived,
  readSession,
  readSubscription,
  receivedBytes,
  type StoredIdentifier,
  type StoredSession,
  sessionBytes,
  subscriptionBytes,
} from '../../src/broker/session/stored/forms.ts'
import { Damaged } from '../../src/mnesia/binary.ts'

const text = fc.oneof(fc.string({ maxLength: 50 }), fc.string({ unit: 'grapheme', maxLength: 20 }))
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const qos = fc.constantFrom<QoS>(0, 1, 2)
const timeMs = fc.integer({ min: 0, max: 8.64e15 })
const varint = fc.integer({ min: 0, max: 0xffffffff })
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })

/** As the codec makes them: a record without a prototype, since the names are a client's. */
const userProperties = fc
  .dictionary(
    fc.oneof(text, fc.constantFrom('__proto__', '7', 'constructor')),
    fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
  )
  .map((record) => Object.assign(Object.create(null), record))

const properties: fc.Arbitrary<ForwardedProperties> = fc.record(
  {
    payloadFormatIndicator: fc.boolean(),
    contentType: text,
    responseTopic: text,
    correlationData: bytes,
    userProperties,
    userPropertyOrder: fc.array(text, { maxLength: 4 }),
  },
  { requiredKeys: [] },
)

const message: fc.Arbitrary<Message> = fc.record({
  id: fc.oneof(text, fc.constant('0123456789abcdef0123456789abcdef')),
  from: text,
  topic: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  publishedAtMs: timeMs,
  expiresAtMs: fc.oneof(timeMs, fc.constant(Number.POSITIVE_INFINITY)),
  properties: maybe(properties),
})

const will = fc.record({
  topic: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  delaySec: varint,
  expirySec: maybe(varint),
  properties: maybe(properties),
})

test('a session comes back as it was', () => {
  const session: fc.Arbitrary<StoredSession> = fc
    .record({
      username: maybe(text),
      peer: text,
      protocolVersion: fc.constantFrom<3 | 4 | 5>(3, 4, 5),
      expirySec: varint,
      receiveMaximum: fc.integer({ min: 1, max: 65_535 }),
      keepAliveSec: fc.integer({ min: 0, max: 65_535 }),
      connectedAtMs: timeMs,
      createdAtMs: timeMs,
      detachedAtMs: timeMs,
      will: maybe(will),
    })
    .map(({ createdAtMs, detachedAtMs, ...rest }) => {
      const { expirySec, will: ofSession } = rest
      return { client: { clientId: 'c', ...rest }, createdAtMs, detachedAtMs, expirySec, will: ofSession }
    })
  fc.assert(
    fc.property(session, (each) => {
      expect(readSession('c', sessionBytes(each))).toEqual(each)
    }),
  )
})

test('a delivery comes back as it was, and owns its bytes', () => {
  const delivery: fc.Arbitrary<Delivery> = fc.record({
    number: varint,
    message,
    qos,
    retain: fc.boolean(),
    ids: maybe(fc.array(varint, { minLength: 1, maxLength: 3 })),
    share: maybe(fc.record({ group: text, filter: text, local: maybe(fc.constant(true as const)) })),
  })
  fc.assert(
    fc.property(delivery, fc.integer({ min: 0, max: 65_535 }), (each, sentAs) => {
      const block = Buffer.concat([deliveryBytes(each, sentAs), Buffer.alloc(4096)])
      const read = readDelivery(each.number, block.subarray(0, block.length - 4096))
      block.fill(0xee)
      expect(read).toEqual({ delivery: each, sentAs })
    }),
  )
})

test('a subscription, an identifier and a received message come back as they were', () => {
  const subscription: fc.Arbitrary<Subscription> = fc.record({
    filter: fc.constantFrom('a/+', '$share/g/#', '$local/x', '$local/$share/g/y').map((filter) => {
      const parsed = parseFilter(filter)
      if (!parsed.ok) throw new Error(filter)
      return parsed.value
    }),
    qos,
    noLocal: fc.boolean(),
    rap: fc.boolean(),
    rh: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    id: maybe(fc.integer({ min: 1, max: 268_435_455 })),
  })
  fc.assert(
    fc.property(subscription, (each) => {
      expect(readSubscription(each.filter.key, subscriptionBytes(each))).toEqual(each)
    }),
  )
  const identifier: fc.Arbitrary<StoredIdentifier> = fc.oneof(
    fc.record({ phase: fc.constant('publish' as const), order: varint, number: varint }),
    fc.record({ phase: fc.constantFrom('pubrel' as const, 'done' as const), order: varint, messageId: text }),
  )
  fc.assert(
    fc.property(identifier, (each) => {
      expect(readIdentifier(identifierBytes(each))).toEqual(each)
    }),
  )
  const received = maybe(fc.string({ minLength: 1 }))
  fc.assert(
    fc.property(received, (each) => {
      expect(readReceived(receivedBytes(each))).toBe(each)
    }),
  )
})

test('bytes of another version, or none at all, are refused', () => {
  fc.assert(
    fc.property(bytes, (any) => {
      for (const read of [
        () => readSession('c', any),
        () => readDelivery(1, any),
        () => readSubscription('a', any),
        () => readIdentifier(any),
      ]) {
        // Whatever is in them: read, or refused in one way.
        try {
          read()
        } catch (error) {
          expect(error).toBeInstanceOf(Damaged)
        }
      }
    }),
  )
  for (const read of [readReceived, readIdentifier]) {
    expect(() => read(Buffer.from([2, 0, 0]))).toThrow(
      expect.objectContaining({ reason: 'form 2; this version reads 1' }),
    )
  }
})
