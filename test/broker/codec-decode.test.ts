import { describe, expect, it } from 'vitest'
import { Decoder, FrameReader } from '../../src/broker/codec.ts'
import { ownBytes } from '../../src/broker/own-bytes.ts'
import { RC } from '../../src/broker/reason-codes.ts'
import { structuralCopy } from '../../src/testing/structural-copy.ts'
import {
  accepted,
  connected,
  connectFrame,
  frame,
  MAX_PACKET_BYTES,
  NO_PROPERTIES,
  type Part,
  prefixed,
  properties,
  refused,
} from './codec-frames.ts'

const ILL_FORMED = prefixed(Buffer.from([0x61, 0xc3, 0x28]))
const SURROGATE = prefixed(Buffer.from([0xed, 0xa0, 0x80]))
const publish5 = (...parts: Part[]): Buffer => frame(0x30, 't', properties(...parts), Buffer.from('x'))
const subscribe4 = (filter: Part, options: number): Buffer => frame(0x82, 0, 1, filter, options)
const subscribe5 = (filter: Part, options: number): Buffer => frame(0x82, 0, 1, NO_PROPERTIES, filter, options)

describe('a decoder', () => {
  it('knows the protocol version after CONNECT', () => {
    const decoder = new Decoder({ maxPacketBytes: 100 })
    expect(decoder.protocolVersion).toBeUndefined()
    decoder.feed(connectFrame(5))
    expect(decoder.protocolVersion).toBe(5)
  })

  it('gives the packets before a fault, and after it only the fault', () => {
    const decoder = connected(4)
    const { packets, error } = decoder.feed(Buffer.concat([frame(0xc0), frame(0x00), frame(0xc0)]))
    expect(packets).toEqual([{ cmd: 'pingreq' }])
    expect(error).toMatchObject({ reasonCode: RC.malformed_packet, answer: 'close' })
    expect(decoder.feed(frame(0xc0))).toEqual({ packets: [], error })
  })

  it('gives plain objects, which can go on to a session on another node', () => {
    const subscribe = frame(0x82, 0, 1, NO_PROPERTIES, 'a/b', 1)
    const unsubscribe = frame(0xa2, 0, 2, NO_PROPERTIES, 'a/b')
    const puback = frame(0x40, 0, 3, 0, properties(0x1f, 'reason'))
    const { packets, error } = connected(5).feed(Buffer.concat([subscribe, unsubscribe, puback, publish5(0x01, 1)]))
    expect(error).toBeUndefined()
    expect(packets.map((packet) => packet.cmd)).toEqual(['subscribe', 'unsubscribe', 'puback', 'publish'])
    for (const packet of packets) expect(structuralCopy(packet)).toEqual(packet)
  })

  it('answers faults of 5.0 with DISCONNECT', () => {
    expect(refused(5, frame(0x00))).toMatchObject({ answer: 'disconnect', version: 5 })
  })

  it('refuses a second CONNECT', () => {
    expect(refused(5, connectFrame(5))).toMatchObject({ reasonCode: RC.protocol_error })
  })

  it('refuses a packet beyond the limit as soon as its header is known', () => {
    const decoder = connected(5)
    decoder.maxPacketBytes = 10
    expect(decoder.feed(Buffer.from([0x30])).error).toBeUndefined()
    expect(decoder.feed(Buffer.from([9])).error).toMatchObject({
      reasonCode: RC.packet_too_large,
      answer: 'disconnect',
    })
    expect(decoder.pendingBytes).toBeLessThan(10)
  })

  it('takes a packet of just the limit, fixed header included', () => {
    const decoder = connected(4)
    decoder.maxPacketBytes = 10
    expect(decoder.feed(frame(0x30, 't', Buffer.from('12345'))).packets).toHaveLength(1)
    expect(decoder.feed(frame(0x30, 't', Buffer.from('123456'))).error).toMatchObject({
      reasonCode: RC.packet_too_large,
    })
  })

  it('refuses a remaining length of more than four bytes', () => {
    const input = Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80])
    expect(refused(4, input)).toMatchObject({ reasonCode: RC.malformed_packet })
    const decoder = connected(4)
    for (const byte of input.subarray(0, 4)) expect(decoder.feed(Buffer.from([byte])).error).toBeUndefined()
    expect(decoder.feed(input.subarray(4)).error).toMatchObject({ reasonCode: RC.malformed_packet })
  })

  it('refuses a remaining length in more bytes than it needs in 5.0, and takes it in 3.1.1', () => {
    const input = Buffer.from([0xc0, 0x80, 0x00])
    expect(refused(5, input)).toMatchObject({ reasonCode: RC.malformed_packet })
    expect(accepted(4, input)).toMatchObject({ cmd: 'pingreq' })
  })

  it('puts together a packet that comes byte by byte, with what follows in the same chunk', () => {
    const decoder = connected(4)
    const payload = Buffer.alloc(1000, 'p')
    const input = Buffer.concat([frame(0x30, 'a/b', payload), frame(0xc0), frame(0x30, 'c', payload)])
    const packets = Array.from(input, (byte) => decoder.feed(Buffer.from([byte])).packets).flat()
    expect(packets).toMatchObject([{ topic: 'a/b', payload }, { cmd: 'pingreq' }, { topic: 'c', payload }])
    expect(decoder.pendingBytes).toBe(0)
  })

  it('reserves no memory for a length that is only announced', () => {
    const decoder = connected(4)
    decoder.maxPacketBytes = 300_000_000
    const before = process.memoryUsage().arrayBuffers
    decoder.feed(Buffer.concat([Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(1000)]))
    expect(decoder.pendingBytes).toBe(1005)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
  })

  it('shares a reader of rare frames with others, also after a fault', () => {
    const frames = new FrameReader()
    const versions = [3, 4, 5] as const
    const decoders = versions.map((version) => {
      const decoder = new Decoder({ maxPacketBytes: MAX_PACKET_BYTES, frames })
      decoder.feed(connectFrame(version))
      return decoder
    })
    expect(frames.read(frame(0x82, 0, 1, 'cut').subarray(0, 6), 4)).toBeInstanceOf(Error)
    const inputs = [subscribe4('a', 1), subscribe4('a', 1), subscribe5('a', 1)]
    for (const [i, decoder] of decoders.entries()) {
      expect(decoder.feed(inputs[i]!).packets).toMatchObject([
        { cmd: 'subscribe', subscriptions: [{ topic: 'a', qos: 1 }] },
      ])
    }
  })

  it('gives payloads as views of the chunk, which ownBytes copies', () => {
    const chunk = Buffer.concat([frame(0x30, 't', Buffer.from('payload')), Buffer.alloc(100)])
    const { packets } = connected(4).feed(chunk)
    const view = (packets[0] as { payload: Buffer }).payload
    const own = ownBytes(view)
    chunk.fill(0)
    expect(own.toString()).toBe('payload')
    expect(own.buffer.byteLength).toBe(7)
    expect(ownBytes(own)).toBe(own)
  })
})

describe('PUBLISH', () => {
  it.each([3, 4, 5] as const)('is decoded in version %i with its flags and packet id', (version) => {
    const none = version === 5 ? [NO_PROPERTIES] : []
    const input = frame(0x3d, 'a/é/€', 0x12, 0x34, ...none, Buffer.from('data'))
    const expected = { cmd: 'publish', topic: 'a/é/€', qos: 2, retain: true, dup: true, messageId: 0x1234 }
    expect(accepted(version, input)).toEqual({ ...expected, payload: Buffer.from('data') })
  })

  it('gives each of many topics its own name', () => {
    const decoder = connected(4)
    const topics = Array.from({ length: 200 }, (_, i) => ['a/b', `t/${i % 7}`, 'ü', `long/${'x'.repeat(300)}`][i % 4]!)
    const { packets } = decoder.feed(Buffer.concat(topics.map((topic) => frame(0x30, topic))))
    expect(packets.map((packet) => 'topic' in packet && packet.topic)).toEqual(topics)
  })

  it('tells topics apart that differ in one byte only', () => {
    const decoder = connected(4)
    const topics = Array.from({ length: 60 }, (_, i) => ['x/1/2', 'y/1/2', 'x/9/2', 'x/1/6'][Math.floor(i / 3) % 4]!)
    const { packets } = decoder.feed(Buffer.concat(topics.map((topic) => frame(0x30, topic))))
    expect(packets.map((packet) => 'topic' in packet && packet.topic)).toEqual(topics)
  })

  it('keeps a byte order mark and control characters, which are only discouraged', () => {
    const topic = '\ufeffa\u0001b\u007fc\u0085\uffff'
    expect(accepted(5, frame(0x30, topic, NO_PROPERTIES))).toMatchObject({ topic })
  })

  it('may leave the topic to an alias in 5.0', () => {
    const packet = accepted(5, frame(0x30, '', properties(0x23, 0, 3)))
    expect(packet).toMatchObject({ topic: '', properties: { topicAlias: 3 } })
  })

  it('is decoded with all its properties', () => {
    const all = [0x01, 1, 0x02, 0, 0, 0, 9, 0x03, 'a/b', 0x08, 're/ply', 0x09, 'corr', 0x23, 0, 4, 0x26, 'k', 'v']
    expect(accepted(5, publish5(...all))).toMatchObject({
      properties: {
        payloadFormatIndicator: true,
        messageExpiryInterval: 9,
        contentType: 'a/b',
        responseTopic: 're/ply',
        correlationData: Buffer.from('corr'),
        topicAlias: 4,
        userProperties: { k: 'v' },
      },
    })
  })

  it('keeps repeated, empty and oddly named user properties', () => {
    const pairs: Part[] = [0x26, 'a', '', 0x26, 'a', 'x', 0x26, '', 'y', 0x26, '__proto__', 'z']
    const packet = accepted(5, publish5(...pairs)) as { properties: { userProperties: object } }
    expect(Object.entries(packet.properties.userProperties)).toEqual([
      ['a', ['', 'x']],
      ['', 'y'],
      ['__proto__', 'z'],
    ])
    expect(packet.properties).not.toHaveProperty('userPropertyOrder')
  })

  it('tells the order of user properties where an object cannot', () => {
    expect(accepted(5, publish5(0x26, 'a', '1', 0x26, 'b', '2', 0x26, 'a', '3'))).toMatchObject({
      properties: { userProperties: { a: ['1', '3'], b: '2' }, userPropertyOrder: ['a', 'b', 'a'] },
    })
    expect(accepted(5, publish5(0x26, '9', '1', 0x26, '7', '2'))).toMatchObject({
      properties: { userPropertyOrder: ['9', '7'] },
    })
  })

  it.each([
    ['QoS 3', frame(0x36, 't', 0, 1), RC.malformed_packet],
    ['DUP at QoS 0', frame(0x38, 't'), RC.malformed_packet],
    ['no topic length', frame(0x30, 0), RC.malformed_packet],
    ['a topic beyond its end', frame(0x30, 0, 9, 0x61), RC.malformed_packet],
    ['an empty topic', frame(0x30, ''), RC.protocol_error],
    ['a + in the topic', frame(0x30, 'a/+'), RC.topic_name_invalid],
    ['a # in the topic', frame(0x30, 'a/#'), RC.topic_name_invalid],
    ['U+0000 in the topic', frame(0x30, 'a\0b'), RC.malformed_packet],
    ['a topic that is not UTF-8', frame(0x30, ILL_FORMED), RC.malformed_packet],
    ['a surrogate in the topic', frame(0x30, SURROGATE), RC.malformed_packet],
    ['packet id 0', frame(0x32, 't', 0, 0), RC.protocol_error],
    ['half a packet id', frame(0x32, 't', 0), RC.malformed_packet],
    ['no packet id', frame(0x32, 't'), RC.malformed_packet],
  ])('with %s is refused', (_, input, reasonCode) => {
    expect(refused(4, input)).toMatchObject({ reasonCode, answer: 'close' })
  })

  it.each([
    ['neither topic nor alias', frame(0x30, '', NO_PROPERTIES), RC.protocol_error],
    ['no property length', frame(0x30, 't'), RC.malformed_packet],
    ['topic alias 0', publish5(0x23, 0, 0), RC.topic_alias_invalid],
    ['payload format indicator 2', publish5(0x01, 2), RC.protocol_error],
    ['a subscription identifier', publish5(0x0b, 1), RC.protocol_error],
    ['a content type twice', publish5(0x03, 'a', 0x03, 'a'), RC.protocol_error],
    ['an empty content type twice', publish5(0x03, '', 0x03, ''), RC.protocol_error],
    ['a wildcard in the response topic', publish5(0x08, 'a/#'), RC.protocol_error],
    ['an empty response topic', publish5(0x08, ''), RC.protocol_error],
    ['a content type that is not UTF-8', publish5(0x03, ILL_FORMED), RC.malformed_packet],
    ['a surrogate in a user property', publish5(0x26, SURROGATE, 'v'), RC.malformed_packet],
    ['U+0000 in a user property', publish5(0x26, 'k', '\0'), RC.malformed_packet],
    ['a property of CONNECT', publish5(0x21, 0, 1), RC.malformed_packet],
    ['an unknown property', publish5(0x04, 0), RC.malformed_packet],
    ['a property cut short', publish5(0x02, 0, 0), RC.malformed_packet],
    ['a property length of five bytes', frame(0x30, 't', 0x80, 0x80, 0x80, 0x80, 1), RC.malformed_packet],
  ])('of 5.0 with %s is refused', (_, input, reasonCode) => {
    expect(refused(5, input)).toMatchObject({ reasonCode, answer: 'disconnect' })
  })
})

describe('PUBACK, PUBREC, PUBREL and PUBCOMP', () => {
  const firsts = [
    ['puback', 0x40],
    ['pubrec', 0x50],
    ['pubrel', 0x62],
    ['pubcomp', 0x70],
  ] as const

  it.each(firsts)('%s is decoded short and long', (cmd, first) => {
    const plain = { cmd, messageId: 258, reasonCode: 0 }
    for (const version of [3, 4, 5] as const) expect(accepted(version, frame(first, 1, 2))).toEqual(plain)
    expect(accepted(5, frame(first, 1, 2, 0))).toEqual(plain)
    expect(accepted(5, frame(first, 1, 2, 0, 0))).toEqual(plain)
    const code = first < 0x60 ? RC.quota_exceeded : RC.packet_identifier_not_found
    expect(accepted(5, frame(first, 1, 2, code))).toMatchObject({ ...plain, reasonCode: code })
    const reason = properties(0x1f, 'why', 0x26, 'k', 'v')
    expect(accepted(5, frame(first, 1, 2, code, reason))).toMatchObject({
      properties: { reasonString: 'why', userProperties: { k: 'v' } },
    })
  })

  it.each(firsts)('%s with a fault is refused', (_, first) => {
    expect(refused(4, frame(first ^ 1, 0, 1)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(4, frame(first ^ 8, 0, 1)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(4, frame(first)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(4, frame(first, 1)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(4, frame(first, 0, 0)).reasonCode).toBe(RC.protocol_error)
    expect(refused(4, frame(first, 0, 1, 0)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(5, frame(first, 0, 0)).reasonCode).toBe(RC.protocol_error)
    expect(refused(5, frame(first, 0, 1, 0, 0, 0)).reasonCode).toBe(RC.malformed_packet)
    expect(refused(5, frame(first, 0, 1, 1)).reasonCode).toBe(RC.protocol_error)
    expect(refused(5, frame(first, 0, 1, 0, properties(0x23, 0, 1))).reasonCode).toBe(RC.malformed_packet)
    expect(refused(5, frame(first, 0, 1, 0, properties(0x1f, 'a', 0x1f, 'b'))).reasonCode).toBe(RC.protocol_error)
  })

  it('do not share reason codes', () => {
    expect(refused(5, frame(0x62, 0, 1, RC.quota_exceeded)).reasonCode).toBe(RC.protocol_error)
    expect(refused(5, frame(0x40, 0, 1, RC.packet_identifier_not_found)).reasonCode).toBe(RC.protocol_error)
  })
})

describe('SUBSCRIBE', () => {
  it('is decoded with its options', () => {
    const input = frame(0x82, 0, 7, properties(0x0b, 0x80, 1, 0x26, 'k', 'v'), 'a/#', 0x2d, '$share/g/+/b', 0x02)
    expect(accepted(5, input)).toMatchObject({
      cmd: 'subscribe',
      messageId: 7,
      subscriptions: [
        { topic: 'a/#', qos: 1, nl: true, rap: true, rh: 2 },
        { topic: '$share/g/+/b', qos: 2, nl: false, rap: false, rh: 0 },
      ],
      properties: { subscriptionIdentifier: 128, userProperties: { k: 'v' } },
    })
  })

  it('of a 3.1.1 bridge asks for RETAIN as published and no local', () => {
    const decoder = new Decoder({ maxPacketBytes: 1000 })
    decoder.feed(frame(0x10, 'MQTT', 0x84, 2, 0, 60, 'bridge'))
    const { packets } = decoder.feed(frame(0x82, 0, 1, 'a', 1, '$share/g/a', 1))
    expect(packets).toMatchObject([
      {
        subscriptions: [
          { nl: true, rap: true, rh: 0 },
          { nl: false, rap: true, rh: 0 },
        ],
      },
    ])
  })

  it.each([
    ['reserved header bits', frame(0x80, 0, 1, 'a', 0), RC.malformed_packet],
    ['packet id 0', frame(0x82, 0, 0, 'a', 0), RC.protocol_error],
    ['no filter', frame(0x82, 0, 1), RC.protocol_error],
    ['no options', frame(0x82, 0, 1, 'a'), RC.malformed_packet],
    ['QoS 3', subscribe4('a', 3), RC.protocol_error],
    ['reserved options', subscribe4('a', 4), RC.malformed_packet],
    ['a filter that is not UTF-8', subscribe4(ILL_FORMED, 0), RC.malformed_packet],
    ['U+0000 in a filter', subscribe4('a\0', 0), RC.malformed_packet],
  ])('of 3.1.1 with %s is refused', (_, input, reasonCode) => {
    expect(refused(4, input)).toMatchObject({ reasonCode, answer: 'close' })
  })

  it.each([
    ['no filter', frame(0x82, 0, 1, NO_PROPERTIES), RC.protocol_error],
    ['QoS 3', subscribe5('a', 3), RC.protocol_error],
    ['retain handling 3', subscribe5('a', 0x30), RC.protocol_error],
    ['reserved options', subscribe5('a', 0x40), RC.malformed_packet],
    ['no local on a shared subscription', subscribe5('$share/g/a', 4), RC.protocol_error],
    ['subscription identifier 0', frame(0x82, 0, 1, properties(0x0b, 0), 'a', 0), RC.protocol_error],
    ['two subscription identifiers', frame(0x82, 0, 1, properties(0x0b, 1, 0x0b, 2), 'a', 0), RC.protocol_error],
    ['a reason string', frame(0x82, 0, 1, properties(0x1f, 'x'), 'a', 0), RC.malformed_packet],
    ['no properties', frame(0x82, 0, 1), RC.malformed_packet],
  ])('of 5.0 with %s is refused', (_, input, reasonCode) => {
    expect(refused(5, input)).toMatchObject({ reasonCode, answer: 'disconnect' })
  })

  it.each([
    '',
    'a#',
    'a/#/b',
    'a+/b',
    '+a',
    '#a',
    '$share/',
    '$share/g',
    '$share//a',
    '$share/g/',
    '$share/g+/a',
    '$share/g/a#',
  ])('for the filter "%s" is refused, as is its UNSUBSCRIBE', (filter) => {
    expect(refused(5, subscribe5(filter, 0)).reasonCode).toBe(RC.topic_filter_invalid)
    expect(refused(4, subscribe4(filter, 0)).answer).toBe('close')
    expect(refused(5, frame(0xa2, 0, 1, NO_PROPERTIES, filter)).reasonCode).toBe(RC.topic_filter_invalid)
  })

  it.each(['#', '+', '/', '+/+', '/#', 'a/+/b/#', '$SYS/#', '$share', '$share/g/#', '$share/g//', '$shared/+', ' '])(
    'for the filter "%s" is taken',
    (filter) => {
      expect(accepted(5, subscribe5(filter, 0))).toMatchObject({ subscriptions: [{ topic: filter }] })
      expect(accepted(4, frame(0xa2, 0, 1, filter))).toMatchObject({ unsubscriptions: [filter] })
    },
  )
})

describe('UNSUBSCRIBE', () => {
  it.each([
    ['reserved header bits', 4, frame(0xa0, 0, 1, 'a'), RC.malformed_packet],
    ['packet id 0', 4, frame(0xa2, 0, 0, 'a'), RC.protocol_error],
    ['no filter', 4, frame(0xa2, 0, 1), RC.protocol_error],
    ['no filter in 5.0', 5, frame(0xa2, 0, 1, NO_PROPERTIES), RC.protocol_error],
    ['a filter cut short', 4, frame(0xa2, 0, 1, 0, 4, 0x61), RC.malformed_packet],
    ['a subscription identifier', 5, frame(0xa2, 0, 1, properties(0x0b, 1), 'a'), RC.malformed_packet],
  ] as const)('with %s is refused', (_, version, input, reasonCode) => {
    expect(refused(version, input)).toMatchObject({ reasonCode })
  })
})

describe('PINGREQ, DISCONNECT and AUTH', () => {
  it('are decoded', () => {
    expect(accepted(4, frame(0xe0))).toMatchObject({ cmd: 'disconnect' })
    expect(accepted(5, frame(0xe0))).toMatchObject({ cmd: 'disconnect', reasonCode: 0 })
    expect(accepted(5, frame(0xe0, 4))).toMatchObject({ reasonCode: RC.disconnect_with_will })
    const expiry = properties(0x11, 0, 0, 0, 5, 0x1f, 'why')
    expect(accepted(5, frame(0xe0, 0, expiry))).toMatchObject({
      properties: { sessionExpiryInterval: 5, reasonString: 'why' },
    })
    expect(accepted(5, frame(0xf0, 0x18, properties(0x15, 'SCRAM', 0x16, 'x')))).toMatchObject({
      cmd: 'auth',
      reasonCode: RC.continue_authentication,
      properties: { authenticationMethod: 'SCRAM', authenticationData: Buffer.from('x') },
    })
  })

  it.each([
    ['PINGREQ with reserved bits', 4, frame(0xc1), RC.malformed_packet],
    ['PINGREQ with a body', 4, frame(0xc0, 0), RC.malformed_packet],
    ['DISCONNECT with reserved bits', 4, frame(0xe1), RC.malformed_packet],
    ['DISCONNECT of 3.1.1 with a body', 4, frame(0xe0, 0), RC.malformed_packet],
    ['DISCONNECT with a reason only a server has', 5, frame(0xe0, RC.session_taken_over), RC.protocol_error],
    ['DISCONNECT with an unknown reason', 5, frame(0xe0, 1), RC.protocol_error],
    ['DISCONNECT with a server reference', 5, frame(0xe0, 0, properties(0x1c, 'x')), RC.protocol_error],
    ['DISCONNECT with trailing bytes', 5, frame(0xe0, 0, 0, 0), RC.malformed_packet],
    ['AUTH in 3.1.1', 4, frame(0xf0), RC.malformed_packet],
    ['AUTH with reserved bits', 5, frame(0xf1, 0x18, properties(0x15, 'm')), RC.malformed_packet],
    ['AUTH without a reason', 5, frame(0xf0), RC.protocol_error],
    ['AUTH that says success', 5, frame(0xf0, 0, properties(0x15, 'm')), RC.protocol_error],
    ['AUTH without a method', 5, frame(0xf0, 0x18, 0), RC.protocol_error],
    ['AUTH without properties', 5, frame(0xf0, 0x18), RC.malformed_packet],
    ['the reserved type 0', 5, frame(0x00), RC.malformed_packet],
    ['CONNACK', 5, frame(0x20, 0, 0, 0), RC.protocol_error],
    ['SUBACK', 5, frame(0x90, 0, 1, 0, 0), RC.protocol_error],
    ['UNSUBACK', 5, frame(0xb0, 0, 1, 0, 0), RC.protocol_error],
    ['PINGRESP', 4, frame(0xd0), RC.protocol_error],
  ] as const)('%s is refused', (_, version, input, reasonCode) => {
    expect(refused(version, input)).toMatchObject({ reasonCode })
  })
})
