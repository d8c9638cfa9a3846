import { describe, expect, it } from 'vitest'
import { RC } from '../../src/broker/reason-codes.ts'
import {
  acceptedConnect,
  frame,
  NO_PROPERTIES,
  type Part,
  prefixed,
  properties,
  refusedConnect,
} from './codec-frames.ts'

const CLEAN = 0x02
const WILL = 0x04
const WILL_QOS_3 = 0x18
const WILL_RETAIN = 0x20
const PASSWORD = 0x40
const USERNAME = 0x80

const v4 = (flags: number, ...payload: Part[]): Buffer => frame(0x10, 'MQTT', 4, flags, 0, 60, ...payload)
const v5 = (flags: number, ...payload: Part[]): Buffer => frame(0x10, 'MQTT', 5, flags, 0, 60, ...payload)

describe('CONNECT', () => {
  it('is decoded with all that it may carry', () => {
    const will = properties(0x18, 0, 0, 0, 7, 0x01, 1, 0x09, 'corr', 0x26, 'k', 'v')
    const own = properties(0x11, 0, 0, 1, 0, 0x21, 0, 9, 0x17, 0, 0x15, 'SCRAM', 0x16, 'data')
    const flags = CLEAN | WILL | WILL_RETAIN | 0x10 | PASSWORD | USERNAME
    expect(acceptedConnect(v5(flags, own, 'c1', will, 'last/words', 'bye', 'user', 'secret'))).toMatchObject({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId: 'c1',
      clean: true,
      keepalive: 60,
      username: 'user',
      password: Buffer.from('secret'),
      properties: {
        sessionExpiryInterval: 256,
        receiveMaximum: 9,
        requestProblemInformation: false,
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from('data'),
      },
      will: {
        topic: 'last/words',
        payload: Buffer.from('bye'),
        qos: 2,
        retain: true,
        properties: {
          willDelayInterval: 7,
          payloadFormatIndicator: true,
          correlationData: Buffer.from('corr'),
          userProperties: { k: 'v' },
        },
      },
    })
  })

  it('leaves no view of the chunk in what is kept', () => {
    const chunk = v4(CLEAN | WILL | PASSWORD | USERNAME, 'c1', 'last/words', 'bye', 'user', 'secret')
    const packet = acceptedConnect(chunk)
    chunk.fill(0)
    expect(packet).toMatchObject({ password: Buffer.from('secret'), will: { payload: Buffer.from('bye') } })
  })

  it('may have an empty client id, which is for the server to judge', () => {
    expect(acceptedConnect(v4(0, ''))).toMatchObject({ clientId: '', clean: false })
    expect(acceptedConnect(v5(CLEAN, NO_PROPERTIES, ''))).toMatchObject({ clientId: '', clean: true })
  })

  it('may have a password without a user name in 5.0', () => {
    const packet = acceptedConnect(v5(CLEAN | PASSWORD, NO_PROPERTIES, 'c1', 'secret'))
    expect(packet).toMatchObject({ password: Buffer.from('secret') })
    expect(packet).not.toHaveProperty('username')
  })

  it.each([
    ['3.1', 'MQIsdp', 0x83, 3],
    ['3.1.1', 'MQTT', 0x84, 4],
  ] as const)('may have the bridge bit in %s', (_, name, level, version) => {
    const packet = acceptedConnect(frame(0x10, name, level, CLEAN, 0, 60, 'bridge'))
    expect(packet).toMatchObject({ protocolVersion: version, bridgeMode: true })
  })

  it.each([
    ['no MQTT at all', frame(0x10, 'HTTP', 4, CLEAN, 0, 60, 'c1')],
    ['a protocol name that is not UTF-8', frame(0x10, prefixed(Buffer.from([0xff, 0xff])), 4, CLEAN, 0, 60, 'c1')],
    ['nothing in it', frame(0x10)],
    ['no protocol level', frame(0x10, 'MQTT')],
    ['reserved header bits in 3.1.1', frame(0x11, 'MQTT', 4, CLEAN, 0, 60, 'c1')],
    ['a reserved flag in 3.1.1', v4(CLEAN | 1, 'c1')],
    ['a password without a user name in 3.1.1', v4(CLEAN | PASSWORD, 'c1', 'secret')],
    ['trailing bytes in 3.1.1', v4(CLEAN, 'c1', 0)],
  ])('with %s gets no answer', (_, input) => {
    expect(refusedConnect(input)).toMatchObject({ answer: 'close' })
  })

  it.each([
    ['MQTT', 3, 4],
    ['MQTT', 0, 4],
    ['MQTT', 6, 5],
    ['MQTT', 0x85, 5],
    ['MQIsdp', 4, 4],
    ['MQIsdp', 0x84, 4],
  ] as const)(
    'of %s level %i is answered with "unsupported protocol version" in the words of level %i',
    (name, level, version) => {
      const error = refusedConnect(frame(0x10, name, level, CLEAN, 0, 60, 'c1'))
      expect(error).toMatchObject({ reasonCode: RC.unsupported_protocol_version, answer: 'connack', version })
    },
  )

  it.each([
    ['a reserved flag', v5(CLEAN | 1, NO_PROPERTIES, 'c1'), RC.malformed_packet],
    ['will QoS 3', v5(CLEAN | WILL | WILL_QOS_3, NO_PROPERTIES, 'c1', NO_PROPERTIES, 't', 'p'), RC.malformed_packet],
    ['will QoS without a will', v5(CLEAN | 0x08, NO_PROPERTIES, 'c1'), RC.malformed_packet],
    ['will retain without a will', v5(CLEAN | WILL_RETAIN, NO_PROPERTIES, 'c1'), RC.malformed_packet],
    ['an empty will topic', v5(CLEAN | WILL, NO_PROPERTIES, 'c1', NO_PROPERTIES, '', 'p'), RC.topic_name_invalid],
    [
      'a wildcard in the will topic',
      v5(CLEAN | WILL, NO_PROPERTIES, 'c1', NO_PROPERTIES, 'a/+', 'p'),
      RC.topic_name_invalid,
    ],
    ['no will payload', v5(CLEAN | WILL, NO_PROPERTIES, 'c1', NO_PROPERTIES, 't'), RC.malformed_packet],
    ['trailing bytes', v5(CLEAN, NO_PROPERTIES, 'c1', 0), RC.malformed_packet],
    ['a client id beyond its end', v5(CLEAN, NO_PROPERTIES, 0, 9, 0x61), RC.malformed_packet],
    ['U+0000 in the client id', v5(CLEAN, NO_PROPERTIES, 'a\0b'), RC.malformed_packet],
    [
      'a surrogate in the client id',
      v5(CLEAN, NO_PROPERTIES, prefixed(Buffer.from([0xed, 0xa0, 0x80]))),
      RC.malformed_packet,
    ],
    [
      'a user name that is not UTF-8',
      v5(CLEAN | USERNAME, NO_PROPERTIES, 'c1', prefixed(Buffer.from([0xc3]))),
      RC.malformed_packet,
    ],
    ['receive maximum 0', v5(CLEAN, properties(0x21, 0, 0), 'c1'), RC.protocol_error],
    ['maximum packet size 0', v5(CLEAN, properties(0x27, 0, 0, 0, 0), 'c1'), RC.protocol_error],
    ['request problem information 2', v5(CLEAN, properties(0x17, 2), 'c1'), RC.protocol_error],
    ['request response information 2', v5(CLEAN, properties(0x19, 2), 'c1'), RC.protocol_error],
    ['authentication data without a method', v5(CLEAN, properties(0x16, 'x'), 'c1'), RC.protocol_error],
    ['receive maximum twice', v5(CLEAN, properties(0x21, 0, 1, 0x21, 0, 1), 'c1'), RC.protocol_error],
    ['a property of PUBLISH', v5(CLEAN, properties(0x23, 0, 1), 'c1'), RC.malformed_packet],
    ['a property of the will', v5(CLEAN, properties(0x18, 0, 0, 0, 1), 'c1'), RC.malformed_packet],
    ['an unknown property', v5(CLEAN, properties(0x7f, 1), 'c1'), RC.malformed_packet],
    ['a property that goes beyond the properties', v5(CLEAN, 2, 0x21, 0, 0, 'c1'), RC.malformed_packet],
    ['properties that go beyond the packet', v5(CLEAN, 99, 'c1'), RC.malformed_packet],
    ['a property length in more bytes than it needs', v5(CLEAN, 0x80, 0, 'c1'), RC.malformed_packet],
    [
      'a payload format indicator of 2 in the will',
      v5(CLEAN | WILL, NO_PROPERTIES, 'c1', properties(1, 2), 't', 'p'),
      RC.protocol_error,
    ],
  ])('of 5.0 with %s is answered with the reason', (_, input, reasonCode) => {
    expect(refusedConnect(input)).toMatchObject({ reasonCode, answer: 'connack', version: 5 })
  })

  it('of 5.0 whose remaining length takes more bytes than it needs is refused', () => {
    const body = v5(CLEAN, NO_PROPERTIES, 'c1').subarray(2)
    const error = refusedConnect(Buffer.concat([Buffer.from([0x10, 0x80 | body.length, 0]), body]))
    expect(error).toMatchObject({ reasonCode: RC.malformed_packet, answer: 'connack' })
  })

  it('must come first', () => {
    expect(refusedConnect(frame(0xc0))).toMatchObject({ reasonCode: RC.protocol_error, answer: 'close' })
  })
})
