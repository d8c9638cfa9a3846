import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeBatch, encodePublish, publishBytes } from '../../src/broker/codec/encode.ts'
import { type Decoded, Decoder, FrameReader } from '../../src/broker/codec.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import type { ForwardedProperties, Packet, ProtocolVersion, QoS } from '../../src/broker/packet.ts'
import { binary, canonical, conversation, forwarded, messageId, reference, topicName } from './codec-arbitraries.ts'

const MAX_PACKET_BYTES = 1 << 20
const frames = new FrameReader()

function newDecoder(): Decoder {
  return new Decoder({ maxPacketBytes: MAX_PACKET_BYTES, frames })
}

/** Feeds the input in pieces of the given lengths, over and over, and collects what comes. */
function feedInPieces(decoder: Decoder, input: Buffer, lengths: readonly number[]): Decoded {
  const packets: Packet[] = []
  let error: Decoded['error']
  for (let at = 0, i = 0; at < input.length && error === undefined; i++) {
    // A copy, as a socket gives it: what the decoder keeps must not depend on the neighbours.
    const chunk = Buffer.from(input.subarray(at, at + lengths[i % lengths.length]!))
    at += chunk.length
    const decoded = decoder.feed(chunk)
    packets.push(...decoded.packets)
    error = decoded.error
  }
  return { packets, error }
}

/** Where frames end, by the simplest reading of the standard; undefined for a header that is malformed or incomplete. */
function frameEnd(input: Buffer, start: number): number | undefined {
  let length = 0
  for (let i = 1; i <= 4; i++) {
    const byte = input[start + i]
    if (byte === undefined) return undefined
    length += (byte & 127) * 128 ** (i - 1)
    if (byte < 128) return start + i + 1 + length
  }
  return undefined
}

const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), byte: fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128) }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), byte: fc.constant(0) }),
)

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

function mutated(frame: Buffer, mutations: readonly Mutation[], keepLength: boolean): Buffer {
  let bytes = [...frame]
  for (const { kind, at, byte } of mutations) {
    const i = at % Math.max(1, bytes.length)
    if (kind === 'set') bytes[i] = byte
    else if (kind === 'flip') bytes[i] = (bytes[i] ?? 0) ^ byte
    else if (kind === 'insert') bytes.splice(i, 0, byte)
    else bytes.splice(i, 1)
  }
  // Frames are short; with a length that fits, more mutants get past the header.
  if (keepLength && bytes.length >= 2 && bytes.length < 130) bytes = [bytes[0]!, bytes.length - 2, ...bytes.slice(2)]
  return Buffer.from(bytes)
}

/** What mqtt-packet lets pass and the decoder does not, by the words of its error. */
const HOLES = [
  /is not UTF-8$/,
  /contains U\+0000/,
  /^packet identifier is 0$/,
  /topic name (contains a wildcard|is empty)$/,
  /^PUBLISH has neither topic name nor topic alias$/,
  /^PUBLISH with QoS 0 has DUP set$/,
  /^will QoS is 3$/,
  /^password without user name$/,
  /trailing bytes$/,
  /^packet ends within /,
  /has no topic filter$/,
  /^(topic filter|shared? |shared subscription)/,
  /^no local on a shared subscription$/,
  /occurs twice$/,
  / is unknown in /,
  /is not for a client to send/,
  / is (neither 0 nor 1|0)$/,
  /fewest bytes$/,
  /^properties are longer than the packet$/,
  /longer than four bytes$/,
  /^second CONNECT$|^first packet is not CONNECT$/,
  /^protocol (level is not supported|name is not MQTT)$/,
  /^packet type is reserved$/,
  /^authentication data without authentication method$|^AUTH /,
]

describe('the decoder', () => {
  it('gives what mqtt-packet gives, however the bytes are cut', () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(conversation(12), pieces, ({ version, frames: sent }, lengths) => {
        const input = Buffer.concat(sent)
        const expected = reference(input, version)!.map(canonical)
        for (const cuts of [lengths, [1], [input.length]]) {
          const { packets, error } = feedInPieces(newDecoder(), input, cuts)
          expect(error).toBeUndefined()
          expect(packets.map(canonical)).toEqual(expected)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('accepts nothing that mqtt-packet refuses, reads the rest alike, and refuses more only for known holes', () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 3 })
    const some = fc.record({ sent: conversation(1), mutations, keepLength: fc.boolean() })
    fc.assert(
      fc.property(some, ({ sent: { version, frames: sent }, mutations: changes, keepLength }) => {
        const decoder = newDecoder()
        if (sent.length > 1) decoder.feed(sent[0]!)
        const input = mutated(sent.at(-1)!, changes, keepLength)
        const { packets, error } = feedInPieces(decoder, input, [input.length])
        let at = 0
        for (const packet of packets) {
          const end = frameEnd(input, at)!
          const theirs = reference(input.subarray(at, end), version)
          expect(theirs).toBeDefined()
          if (!hasEmptyUserProperty(packet)) expect(canonical(packet)).toBe(canonical(theirs![0]!))
          at = end
        }
        if (error === undefined) return
        const end = frameEnd(input, at)
        if (end === undefined || end > input.length) return
        if (reference(input.subarray(at, end), version) !== undefined) {
          expect(HOLES.some((hole) => hole.test(error.reason)) ? '' : error.reason).toBe('')
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('never throws, and never gives a packet after an error', () => {
    fc.assert(
      fc.property(fc.constantFrom(3, 4, 5), fc.array(fc.uint8Array({ maxLength: 60 })), (level, chunks) => {
        const decoder = newDecoder()
        const name = level === 3 ? [0, 6, ...Buffer.from('MQIsdp')] : [0, 4, ...Buffer.from('MQTT')]
        const body = [...name, level, 2, 0, 0, ...(level === 5 ? [0] : []), 0, 1, 0x63]
        expect(decoder.feed(Buffer.from([0x10, body.length, ...body])).packets).toHaveLength(1)
        let failed = false
        for (const chunk of chunks) {
          const { packets, error } = decoder.feed(Buffer.from(chunk))
          if (failed) expect(packets).toEqual([])
          failed = error !== undefined
        }
      }),
      { numRuns: 1000 },
    )
  })
})

/** mqtt-packet forgets an empty value when its name comes again. */
function hasEmptyUserProperty(packet: Packet): boolean {
  return JSON.stringify(packet).includes('""')
}

const message: fc.Arbitrary<Message> = fc.record({
  id: fc.constant('1'),
  from: fc.constant('c'),
  topic: fc.constant('a/topic'),
  payload: fc.oneof(
    binary,
    fc.integer({ min: 100, max: 2000 }).map((n) => Buffer.alloc(n, 'x')),
  ),
  qos: fc.constantFrom<QoS>(0, 1, 2),
  retain: fc.boolean(),
  publishedAtMs: fc.constant(0),
  expiresAtMs: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 10_000_000 })),
  properties: fc.option(fc.record(forwarded, { requiredKeys: [] }), { nil: undefined }) as fc.Arbitrary<
    ForwardedProperties | undefined
  >,
})

function expected(from: Message, version: ProtocolVersion, nowMs: number, hop: object, own: object): string {
  const expiry = Number.isFinite(from.expiresAtMs)
    ? { messageExpiryInterval: Math.max(0, Math.ceil((from.expiresAtMs - nowMs) / 1000)) }
    : {}
  const properties = { ...from.properties, ...expiry, ...own }
  const packet = { cmd: 'publish', topic: from.topic, payload: from.payload, ...hop }
  const hasProperties = version === 5 && Object.keys(properties).length > 0
  return canonical((hasProperties ? { ...packet, properties } : packet) as Packet)
}

const version = fc.constantFrom<ProtocolVersion>(3, 4, 5)
const nowMs = fc.integer({ min: 0, max: 11_000_000 })

describe('the encoder', () => {
  it('writes batches that mqtt-packet reads back, at any time and again', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 5 }),
        fc.array(fc.tuple(version, nowMs)),
        (messages, sends) => {
          const batch = new Batch(messages)
          for (const [to, at] of sends) {
            const hop = { qos: 0, retain: false, dup: false }
            const packets = reference(encodeBatch(batch, to, at), to)!
            expect(packets.map(canonical)).toEqual(messages.map((each) => expected(each, to, at, hop, {})))
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  it('writes single messages that mqtt-packet reads back, for one subscriber after the other', () => {
    const hop = fc.record({ qos: fc.constantFrom<QoS>(0, 1, 2), retain: fc.boolean(), dup: fc.boolean(), messageId })
    const ids = fc.option(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 2, maxLength: 3 }), {
      nil: undefined,
    })
    const send = fc.record({ hop, ids, version, nowMs, alias: fc.option(messageId, { nil: undefined }) })
    fc.assert(
      fc.property(message, topicName, fc.array(send, { minLength: 1 }), (base, topic, sends) => {
        const each = { ...base, topic }
        for (const { hop: fields, ids: some, version: to, nowMs: at, alias } of sends) {
          const out = { cmd: 'publish', message: each, ids: some, ...fields } as const
          const outAlias = alias === undefined ? undefined : { alias, topic: true }
          const bytes = encodePublish(out, to, at, outAlias)
          expect(bytes.length).toBe(publishBytes(out, to, outAlias))
          const own = { ...(some && { subscriptionIdentifier: some }), ...(alias && { topicAlias: alias }) }
          const { messageId: id, ...flags } = fields
          const packets = reference(bytes, to)!.map(canonical)
          expect(packets).toEqual([expected(each, to, at, flags.qos > 0 ? { ...flags, messageId: id } : flags, own)])
        }
      }),
      { numRuns: 150 },
    )
  })
})
