/**
 * Bytes to packets and back.
 *
 * A `Decoder` belongs to one connection: it is fed the chunks of the socket, cut anywhere, and gives the complete packets
 * of each. PUBLISH without properties, its acknowledgements and PINGREQ are decoded by hand (fast-path.ts); every other
 * frame is first checked byte by byte (validate.ts: `mqtt-packet` takes much that the standard forbids) and then read by
 * `mqtt-packet`. The other direction is in encode.ts, but for the rare packets, which `mqtt-packet` writes here. This is
 * the only file that imports that package.
 */
import type { Packet, ProtocolVersion } from './packet.ts'

/** Why a decoder gave up. The connection must be closed; the decoder takes no more input. */
export interface DecodeError {
  /** 5.0 reason code (see reason-codes.ts). */
  readonly reasonCode: number
  /** For logs and for a reason string; English, without bytes of the client's. */
  readonly reason: string
  /**
   * How to end the connection: with a CONNACK that has this reason (`connack`: the CONNECT was at fault, 5.0 or a wrong
   * level), a DISCONNECT (`disconnect`: 5.0 after CONNECT), or by just closing it (`close`: 3.1 and 3.1.1, no CONNECT yet,
   * or not MQTT at all).
   */
  readonly answer: 'connack' | 'disconnect' | 'close'
  /** Version in which to encode that answer; 4 for an unknown level below 5, 5 for one above [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]. */
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
}

/** `mqtt-packet`'s parser, given whole frames only, so that it keeps nothing between calls and can be shared. */
export class FrameReader {}

/**
 * Decodes what a client sends to the server on one connection.
 *
 * The first packet must be CONNECT, which fixes `protocolVersion`; a second one is a protocol error.
 */
export class Decoder {
  /** May be changed at any time, for instance once the client is authenticated; holds for packets that begin afterwards. */
  maxPacketBytes: number

  constructor(options: DecoderOptions) {
    this.maxPacketBytes = options.maxPacketBytes
  }

  /** Undefined until a valid CONNECT came. */
  get protocolVersion(): ProtocolVersion | undefined {
    return undefined
  }

  /** Bytes of an incomplete packet that the decoder holds. */
  get pendingBytes(): number {
    return 0
  }

  /**
   * Takes the next chunk and returns the packets that are complete with it. Never throws. After an error every call
   * returns that error and no packets.
   *
   * The `payload` of a PUBLISH is a view of the chunk and holds all of it in memory: who keeps the payload for longer than the current
   * turn calls `ownBytes` first. All other Buffers of packets are copies.
   */
  feed(_chunk: Buffer): Decoded {
    throw new Error('not written yet')
  }
}

/** Returns bytes that hold no more memory than they need: a copy when `view` is a small part of a larger Buffer, else `view`. */
export function ownBytes(view: Buffer): Buffer {
  return view
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
 * With `limits`, reason string and user properties are left out when the client did not ask for them or when the packet
 * would be too large with them [MQTT5-3.2.2-19, 20]; returns undefined when it is too large all the same: it must not be
 * sent [MQTT5-3.1.2-24].
 */
export function encode(_packet: Packet, _version: ProtocolVersion, _limits?: EncodeLimits): Buffer | undefined {
  throw new Error('not written yet')
}
