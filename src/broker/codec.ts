/**
 * Bytes to packets and back.
 *
 * A `Decoder` belongs to one connection: it is fed the chunks of the socket, cut anywhere, and gives the complete packets
 * of each. PUBLISH, its plain acknowledgements and PINGREQ are decoded by hand (fast-path.ts); every other frame is first
 * checked byte by byte (validate.ts: `mqtt-packet` takes much that the standard forbids) and then read by `mqtt-packet`.
 * The other direction is in encode.ts, but for the rare packets, which `mqtt-packet` writes here. This is the only file
 * that imports that package.
 */
import mqttPacket, { type Parser, type Packet as RarePacket } from 'mqtt-packet'
import { Cursor, type Fault } from './codec/cursor.ts'
import { encodeAck, encodePublishPacket, PINGRESP } from './codec/encode.ts'
import { decodePublish, decodeShort, RecentTopics } from './codec/fast-path.ts'
import { FrameSplitter } from './codec/frame.ts'
import { isShared } from './codec/topic-syntax.ts'
import { type ConnectFacts, checkConnect, checkFrame, MQTT5, PACKET_TYPE, readPublish } from './codec/validate.ts'
import type { ConnectPacket, Packet, ProtocolVersion, SubscribePacket } from './packet.ts'
import { RC, reasonText } from './reason-codes.ts'

// The cache holds a Buffer for each of the 65 536 packet ids: megabytes, for packets that are rare here.
mqttPacket.writeToStream.cacheNumbers = false

/** Why a decoder gave up. The connection must be closed; the decoder takes no more input. */
export interface DecodeError {
  /** 5.0 reason code (see reason-codes.ts). */
  readonly reasonCode: number
  /** For logs and for a reason string; English, without bytes of the client's. */
  readonly reason: string
  /**
   * How to end the connection: with a CONNACK that has this reason (`connack`: the CONNECT was at fault, in 5.0, or has a
   * level that is not supported), a DISCONNECT (`disconnect`: 5.0 after CONNECT), or by just closing it (`close`: 3.1 and
   * 3.1.1, no CONNECT yet, or not MQTT at all).
   */
  readonly answer: 'connack' | 'disconnect' | 'close'
  /** Version in which to encode that answer; for an unknown level above 5 it is 5, for any other 4 [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]. */
  readonly version: ProtocolVersion
}

/** What came of one chunk. */
export interface Decoded {
  /** The complete packets before the error, if there is one, in order. */
  readonly packets: Packet[]
  readonly error: DecodeError | undefined
}

export interface DecoderOptions {
  /** Largest packet that is taken, fixed header included; a larger one is refused as soon as its header is known. */
  readonly maxPacketBytes: number
  /** Reader of rare frames; one may serve all connections of a node. Default: the decoder makes its own when it needs it. */
  readonly frames?: FrameReader
  /**
   * What stands behind CONNECT in its chunk is left in `rest` for later. @default false
   */
  readonly stopsBehindConnect?: boolean
}

const NOTHING = Buffer.alloc(0)

/** `mqtt-packet`'s parser, given whole frames only, so that it keeps nothing between calls and can be shared. */
export class FrameReader {
  /** By version; the one without a version reads CONNECT. A new parser costs 10 µs, a tenth of what a connection may. */
  readonly #parsers = new Map<ProtocolVersion | undefined, Parser>()
  #packet: RarePacket | undefined = undefined
  #error: Error | undefined = undefined

  /** Reads one whole frame; `version` is undefined for CONNECT. Returns an Error when `mqtt-packet` refuses it. */
  read(frame: Buffer, version: ProtocolVersion | undefined): RarePacket | Error {
    this.#packet = undefined
    this.#error = undefined
    const parser = this.#parser(version)
    const left = parser.parse(frame)
    const packet = this.#packet as RarePacket | undefined
    const error = this.#error as Error | undefined
    this.#packet = undefined
    this.#error = undefined
    // A parser takes a CONNECT, password included, for its settings from then on.
    if (version === undefined) Object.assign(parser, { settings: {} })
    if (error === undefined && packet !== undefined && left === 0) return packet
    // A parser that stopped half way must not see the next frame.
    this.#parsers.delete(version)
    return error ?? new Error('frame is not one whole packet')
  }

  #parser(version: ProtocolVersion | undefined): Parser {
    let parser = this.#parsers.get(version)
    if (parser === undefined) {
      parser = this.#listen(mqttPacket.parser(version === undefined ? {} : { protocolVersion: version }))
      this.#parsers.set(version, parser)
    }
    return parser
  }

  #listen(parser: Parser): Parser {
    parser.on('packet', (packet) => {
      this.#packet = packet
    })
    parser.on('error', (error: Error) => {
      this.#error ??= error
    })
    return parser
  }
}

/**
 * Decodes what a client sends to the server on one connection.
 *
 * The first packet must be CONNECT, which fixes `protocolVersion`; a second one is a protocol error.
 */
export class Decoder {
  readonly #splitter: FrameSplitter
  /** Made with the first PUBLISH: many clients only listen. */
  #topics: RecentTopics | undefined = undefined
  #frames: FrameReader | undefined
  #version: ProtocolVersion | undefined = undefined
  #isBridge = false
  readonly #stopsBehindConnect: boolean
  #rest: Buffer = NOTHING
  #error: DecodeError | undefined = undefined

  constructor(options: DecoderOptions) {
    this.#splitter = new FrameSplitter(options.maxPacketBytes)
    this.#frames = options.frames
    this.#stopsBehindConnect = options.stopsBehindConnect ?? false
  }

  /** Undefined until a valid CONNECT came. */
  get protocolVersion(): ProtocolVersion | undefined {
    return this.#version
  }

  /** May be changed at any time, for instance once the client is authenticated; holds for packets that begin afterwards. */
  get maxPacketBytes(): number {
    return this.#splitter.maxPacketBytes
  }

  set maxPacketBytes(bytes: number) {
    this.#splitter.maxPacketBytes = bytes
  }

  /** Bytes of an incomplete packet that the decoder holds. */
  get pendingBytes(): number {
    return this.#splitter.pendingBytes
  }

  /**
   * Takes the next chunk and returns the packets that are complete with it. Never throws. After an error every call
   * returns that error and no packets.
   *
   * The `payload` of a PUBLISH is a view of the chunk and holds all of it in memory: who keeps the payload for longer than
   * the current turn calls `ownBytes` first. All other Buffers of packets are copies. The chunk must not change while such
   * views are in use.
   */
  feed(chunk: Buffer): Decoded {
    const packets: Packet[] = []
    this.#rest = NOTHING
    if (this.#error !== undefined) return { packets, error: this.#error }
    const splitter = this.#splitter
    splitter.push(chunk)
    for (;;) {
      const status = splitter.next()
      if (status === 'incomplete') break
      if (status !== 'frame') {
        this.#fail(
          status === 'too_large'
            ? { reasonCode: RC.packet_too_large, reason: reasonText(RC.packet_too_large) }
            : { reasonCode: RC.malformed_packet, reason: 'remaining length is longer than four bytes' },
        )
        break
      }
      const packet = this.#decode()
      if (packet === undefined) break
      packets.push(packet)
      if (this.#stopsBehindConnect && packet.cmd === 'connect') {
        this.#rest = splitter.takeRest()
        break
      }
    }
    return { packets, error: this.#error }
  }

  /** What the last chunk had behind CONNECT, when the decoder stops there; to be fed when it may be looked at. */
  get rest(): Buffer {
    return this.#rest
  }

  /** Decodes the frame that the splitter shows; returns undefined after an error. */
  #decode(): Packet | undefined {
    const { bytes, start, body, end } = this.#splitter
    const first = bytes[start]!
    const version = this.#version
    if (version === undefined) return this.#decodeConnect()
    // [MQTT5-1.5.5-1]; 3.1.1 does not ask for the shortest encoding of the remaining length.
    if (version === MQTT5 && isOverlong(bytes, start, body)) return this.#fail(OVERLONG)
    if (first >> 4 !== PACKET_TYPE.publish) {
      return decodeShort(bytes, first, body, end, version) ?? this.#decodeChecked(version)
    }
    this.#topics ??= new RecentTopics()
    return decodePublish(bytes, first, body, end, version, this.#topics) ?? this.#decodeChecked(version)
  }

  #decodeChecked(version: ProtocolVersion): Packet | undefined {
    const { bytes, start, body, end } = this.#splitter
    const first = bytes[start]!
    const cursor = new Cursor(bytes, body, end)
    if (first >> 4 === PACKET_TYPE.publish) return readPublish(cursor, first, version) ?? this.#fail(cursor.fault)
    const properties = checkFrame(cursor, first, version)
    if (cursor.fault !== undefined) return this.#fail(cursor.fault)
    const packet = this.#read(version)
    if (packet !== undefined && properties !== undefined) (packet as { properties?: unknown }).properties = properties
    if (packet?.cmd === 'subscribe' && this.#isBridge) asBridge(packet)
    return packet
  }

  #decodeConnect(): Packet | undefined {
    const { bytes, start, body, end } = this.#splitter
    const first = bytes[start]!
    if (first >> 4 !== PACKET_TYPE.connect) {
      return this.#fail({ reasonCode: RC.protocol_error, reason: 'first packet is not CONNECT' }) // [MQTT5-3.1.0-1]
    }
    const cursor = new Cursor(bytes, body, end)
    const facts = checkConnect(cursor, first)
    if (facts.version === MQTT5 && isOverlong(bytes, start, body)) cursor.fail(OVERLONG.reasonCode, OVERLONG.reason)
    if (cursor.fault !== undefined) return this.#failConnect(cursor.fault, facts)
    const packet = this.#read(undefined) as ConnectPacket | undefined
    if (packet === undefined) return undefined
    if (facts.properties !== undefined) packet.properties = facts.properties
    if (packet.password !== undefined) packet.password = Buffer.from(packet.password)
    if (packet.will !== undefined) {
      packet.will.payload = Buffer.from(packet.will.payload)
      if (facts.willProperties !== undefined) packet.will.properties = facts.willProperties
    }
    this.#version = facts.version
    this.#isBridge = facts.bridge
    return packet
  }

  /** Reads the frame, which has passed all checks, by `mqtt-packet`. */
  #read(version: ProtocolVersion | undefined): Packet | undefined {
    const { bytes, start, end } = this.#splitter
    this.#frames ??= new FrameReader()
    const read = this.#frames.read(bytes.subarray(start, end), version)
    if (read instanceof Error) return this.#fail({ reasonCode: RC.malformed_packet, reason: read.message })
    // Plain data, not mqtt-packet's class: some packets go on to a session, which may be on another node.
    return { ...read } as Packet
  }

  #fail(fault: Fault | undefined): undefined {
    const version = this.#version ?? 4
    const answer = version === MQTT5 ? 'disconnect' : 'close'
    const { reasonCode, reason } = fault ?? { reasonCode: RC.malformed_packet, reason: reasonText(RC.malformed_packet) }
    this.#error = { reasonCode, reason, answer, version }
  }

  #failConnect(fault: Fault, facts: ConnectFacts): undefined {
    const level = facts.level ?? facts.version ?? 0
    const isLevel = facts.version === undefined && facts.level !== undefined
    const answer = isLevel || facts.version === MQTT5 ? 'connack' : 'close'
    this.#error = { ...fault, answer, version: level >= MQTT5 ? MQTT5 : 4 }
  }
}

const OVERLONG: Fault = {
  reasonCode: RC.malformed_packet,
  reason: 'remaining length is not encoded in the fewest bytes',
}

/** Whether the remaining length, between the type byte and the body, ends in a byte that adds nothing. */
function isOverlong(bytes: Buffer, start: number, body: number): boolean {
  return body - start > 2 && bytes[body - 1] === 0
}

/** A bridge of 3.1 or 3.1.1 wants what 5.0 would say by options: RETAIN as published, and not its own messages back. */
function asBridge(packet: SubscribePacket): void {
  for (const subscription of packet.subscriptions) {
    subscription.rap = true
    subscription.rh = 0
    subscription.nl = !isShared(subscription.topic)
  }
}

/** What a client asked for that limits what is sent to it. */
export interface EncodeLimits {
  /** Bytes; Infinity when the client set no maximum packet size. */
  readonly maxPacketBytes: number
  /** False: reason strings and user properties go only into PUBLISH, CONNACK and DISCONNECT [MQTT5-3.1.2-29]. */
  readonly problemInformation: boolean
}

/**
 * Encodes any packet; PUBLISH for subscribers is better encoded by encode.ts.
 *
 * With `limits`, reason string and user properties are left out when the client did not ask for them, or when the packet
 * would be too large with them [MQTT5-3.2.2-19, 20]; returns undefined when it is too large all the same: it must not be
 * sent [MQTT5-3.1.2-24]. The packet is not changed; the returned Buffer may be shared and must not be. Throws on a packet
 * that cannot be encoded (an id that is missing, a string beyond 65535 bytes).
 */
export function encode(packet: Packet, version: ProtocolVersion, limits?: EncodeLimits): Buffer | undefined {
  if (limits === undefined) return encodeWhole(packet, version)
  const isAlwaysInformed = packet.cmd === 'publish' || packet.cmd === 'connack' || packet.cmd === 'disconnect'
  const allowed =
    limits.problemInformation || isAlwaysInformed ? packet : without(packet, 'reasonString', 'userProperties')
  const bytes = encodeWhole(allowed, version)
  if (bytes.length <= limits.maxPacketBytes) return bytes
  if (packet.cmd === 'publish') return undefined
  const noUserProperties = encodeWhole(without(allowed, 'userProperties'), version)
  if (noUserProperties.length <= limits.maxPacketBytes) return noUserProperties
  const bare = encodeWhole(without(allowed, 'reasonString', 'userProperties'), version)
  return bare.length <= limits.maxPacketBytes ? bare : undefined
}

function encodeWhole(packet: Packet, version: ProtocolVersion): Buffer {
  switch (packet.cmd) {
    case 'publish':
      return encodePublishPacket(packet, version)
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      if (packet.properties === undefined || version !== MQTT5) {
        return encodeAck(packet.cmd, packet.messageId, packet.reasonCode ?? RC.success, version)
      }
      break
    case 'pingresp':
      return PINGRESP
    case 'connack':
      if (version !== MQTT5) return Buffer.from([0x20, 2, packet.sessionPresent ? 1 : 0, packet.returnCode ?? 0])
      break
  }
  const bytes = mqttPacket.generate(withoutEmpty(packet) as RarePacket, { protocolVersion: version })
  // Some of what it cannot write it leaves out without a word, and a frame with it.
  if (bytes.length === 0) throw new RangeError(`${packet.cmd} cannot be encoded`)
  return bytes
}

/** Takes a user property record without entries away, on which `mqtt-packet` gives up. */
function withoutEmpty(packet: Packet): Packet {
  if (!('properties' in packet) || packet.properties === undefined || !('userProperties' in packet.properties))
    return packet
  const user = packet.properties.userProperties
  return user !== undefined && Object.keys(user).length > 0 ? packet : without(packet, 'userProperties')
}

function without(packet: Packet, ...names: readonly ('reasonString' | 'userProperties')[]): Packet {
  if (!('properties' in packet) || packet.properties === undefined) return packet
  const properties: Record<string, unknown> = { ...packet.properties }
  for (const name of names) delete properties[name]
  const { properties: _, ...rest } = packet
  return (Object.keys(properties).length === 0 ? rest : { ...rest, properties }) as Packet
}
