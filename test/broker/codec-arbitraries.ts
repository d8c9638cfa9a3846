/** Arbitrary packets of clients, and `mqtt-packet` as the reference for reading them. */
import fc, { type Arbitrary } from 'fast-check'
import mqttPacket, { type Packet as RarePacket } from 'mqtt-packet'
import type { Packet, ProtocolVersion } from '../../src/broker/packet.ts'
import { RC } from '../../src/broker/reason-codes.ts'

const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((s) => !/[\p{Surrogate}\0]/u.test(s))
export const topicName = text.map((s) => `t/${s.replaceAll(/[+#]/g, '')}`)
const level = fc.oneof(fc.constant('+'), topicName)
const topicFilter = fc
  .tuple(
    fc.constantFrom('', '$share/group/'),
    fc.array(level, { minLength: 1, maxLength: 3 }),
    fc.constantFrom('', '/#'),
  )
  .map(([share, levels, hash]) => share + levels.join('/') + hash)
export const binary = fc.uint8Array({ maxLength: 40 }).map((a) => Buffer.from(a))
export const messageId = fc.integer({ min: 1, max: 0xffff })
const uint16 = fc.integer({ min: 1, max: 0xffff })
const uint32 = fc.integer({ min: 1, max: 0xffffffff })
const qos = fc.constantFrom(0, 1, 2)
// mqtt-packet loses empty values of names that are repeated.
const userProperties = fc.dictionary(
  text.filter((s) => s !== '__proto__'),
  fc.oneof(
    text.filter((s) => s !== ''),
    fc.array(
      text.filter((s) => s !== ''),
      { minLength: 2, maxLength: 3 },
    ),
  ),
  { minKeys: 1, maxKeys: 3, noNullPrototype: true },
)

const some = <T>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<unknown> =>
  fc.record(model, { requiredKeys: [] })

export const forwarded = {
  payloadFormatIndicator: fc.boolean(),
  contentType: text,
  responseTopic: topicName,
  correlationData: binary,
  userProperties,
}
const ackProperties = some({ reasonString: text, userProperties })

function connect(version: ProtocolVersion): Arbitrary<unknown> {
  const will = fc.record({
    topic: topicName,
    payload: binary,
    qos,
    retain: fc.boolean(),
    properties: some({ ...forwarded, willDelayInterval: uint32, messageExpiryInterval: uint32 }),
  })
  return fc
    .record({
      cmd: fc.constant('connect'),
      protocolId: fc.constant(version === 3 ? 'MQIsdp' : 'MQTT'),
      protocolVersion: fc.constant(version),
      clientId: text.map((s) => `c${s}`),
      clean: fc.boolean(),
      keepalive: fc.integer({ min: 0, max: 0xffff }),
      login: fc.option(fc.record({ username: text, password: binary }), { nil: {} }),
      will: fc.option(will, { nil: undefined }),
      properties: some({
        sessionExpiryInterval: uint32,
        receiveMaximum: uint16,
        maximumPacketSize: uint32,
        topicAliasMaximum: uint16,
        requestResponseInformation: fc.boolean(),
        requestProblemInformation: fc.boolean(),
        authenticationMethod: text,
        userProperties,
      }),
    })
    .map(({ login, ...packet }) => ({ ...packet, ...login }))
}

function afterConnect(version: ProtocolVersion): Arbitrary<unknown> {
  const ack = (cmd: string, codes: readonly number[]): Arbitrary<unknown> =>
    fc.record({
      cmd: fc.constant(cmd),
      messageId,
      reasonCode: fc.constantFrom(...codes),
      properties: fc.option(ackProperties, { nil: undefined }),
    })
  const publish = fc.record({
    cmd: fc.constant('publish'),
    topic: topicName,
    payload: binary,
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId,
    properties: fc.option(some({ ...forwarded, messageExpiryInterval: uint32, topicAlias: uint16 }), {
      nil: undefined,
    }),
  })
  const subscription = fc
    .record({ topic: topicFilter, qos, nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) })
    .map((entry) => ({ ...entry, nl: entry.nl && !entry.topic.startsWith('$share/') }))
  return fc.oneof(
    publish.map((packet) => (packet.qos === 0 ? { ...packet, dup: false } : packet)),
    ack('puback', [RC.success, RC.not_authorized, RC.quota_exceeded]),
    ack('pubrec', [RC.success, RC.no_matching_subscribers]),
    ack('pubrel', [RC.success, RC.packet_identifier_not_found]),
    ack('pubcomp', [RC.success, RC.packet_identifier_not_found]),
    fc.record({
      cmd: fc.constant('subscribe'),
      messageId,
      subscriptions: fc.array(subscription, { minLength: 1, maxLength: 3 }),
      properties: some({ subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }), userProperties }),
    }),
    fc.record({
      cmd: fc.constant('unsubscribe'),
      messageId,
      unsubscriptions: fc.array(topicFilter, { minLength: 1, maxLength: 3 }),
      properties: some({ userProperties }),
    }),
    fc.constant({ cmd: 'pingreq' }),
    fc.record({
      cmd: fc.constant('disconnect'),
      reasonCode: fc.constantFrom(RC.normal_disconnection, RC.disconnect_with_will),
      properties: some({ sessionExpiryInterval: uint32, reasonString: text, userProperties }),
    }),
    ...(version === 5
      ? [
          fc.record({
            cmd: fc.constant('auth'),
            reasonCode: fc.constantFrom(RC.continue_authentication, RC.reauthenticate),
            properties: fc.record({ authenticationMethod: text, authenticationData: binary, userProperties }),
          }),
        ]
      : []),
  )
}

export interface Conversation {
  readonly version: ProtocolVersion
  /** One frame for each packet, CONNECT first. */
  readonly frames: Buffer[]
}

/** A CONNECT and what a client may send after it, as written by `mqtt-packet`. */
export function conversation(maxPackets: number): Arbitrary<Conversation> {
  return fc.constantFrom<ProtocolVersion>(3, 4, 5).chain((version) =>
    fc.tuple(connect(version), fc.array(afterConnect(version), { maxLength: maxPackets })).map(([first, rest]) => ({
      version,
      frames: [first, ...rest].map((packet) => mqttPacket.generate(packet as RarePacket, { protocolVersion: version })),
    })),
  )
}

/** What `mqtt-packet` makes of whole frames; undefined when it refuses one. */
export function reference(frames: Buffer, version: ProtocolVersion): RarePacket[] | undefined {
  const packets: RarePacket[] = []
  let isRefused = false
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', () => {
    isRefused = true
  })
  const left = parser.parse(frames)
  return isRefused || left > 0 ? undefined : packets
}

const FIELDS: Record<Packet['cmd'], readonly string[]> = {
  connect: [
    'protocolId',
    'protocolVersion',
    'clientId',
    'clean',
    'keepalive',
    'username',
    'password',
    'will',
    'properties',
  ],
  connack: ['sessionPresent', 'returnCode', 'reasonCode', 'properties'],
  publish: ['topic', 'payload', 'qos', 'retain', 'dup', 'messageId', 'properties'],
  puback: ['messageId', 'reasonCode', 'properties'],
  pubrec: ['messageId', 'reasonCode', 'properties'],
  pubrel: ['messageId', 'reasonCode', 'properties'],
  pubcomp: ['messageId', 'reasonCode', 'properties'],
  subscribe: ['messageId', 'subscriptions', 'properties'],
  suback: ['messageId', 'granted', 'properties'],
  unsubscribe: ['messageId', 'unsubscriptions', 'properties'],
  unsuback: ['messageId', 'granted', 'properties'],
  pingreq: [],
  pingresp: [],
  disconnect: ['reasonCode', 'properties'],
  auth: ['reasonCode', 'properties'],
}

/** The fields that mean something, as text that is equal for equal packets. */
export function canonical(packet: Packet | RarePacket): string {
  const fields = FIELDS[packet.cmd].map((name) => {
    const value = (packet as unknown as Record<string, unknown>)[name]
    return [name, name === 'reasonCode' ? (value ?? 0) : value]
  })
  return JSON.stringify([packet.cmd, fields], (key, value: unknown) => {
    // The order of user properties is ours alone.
    if (key === 'userPropertyOrder') return undefined
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
