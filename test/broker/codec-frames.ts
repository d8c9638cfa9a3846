/** Frames written byte by byte, for tests of the codec: what no well-behaved encoder would write. */

import { writeVarInt } from '../../src/broker/codec/frame.ts'
import { type Decoded, type DecodeError, Decoder } from '../../src/broker/codec.ts'
import type { Packet, ProtocolVersion } from '../../src/broker/packet.ts'

export type Part = number | string | Buffer

/** A string or bytes with their two byte length; a number is one byte, a Buffer stands for itself. */
function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'number' ? Buffer.from([part]) : typeof part === 'string' ? prefixed(part) : part,
    ),
  )
}

export function prefixed(data: string | Buffer): Buffer {
  const raw = Buffer.from(data)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(raw.length)
  return Buffer.concat([length, raw])
}

function varInt(value: number): Buffer {
  const out = Buffer.alloc(4)
  return out.subarray(0, writeVarInt(out, value, 0))
}

/** A frame with the right remaining length. */
export function frame(first: number, ...parts: readonly Part[]): Buffer {
  const body = bytes(...parts)
  return Buffer.concat([Buffer.from([first]), varInt(body.length), body])
}

/** Property length and properties. */
export function properties(...parts: readonly Part[]): Buffer {
  const all = bytes(...parts)
  return Buffer.concat([varInt(all.length), all])
}

export const NO_PROPERTIES = properties()
export const MAX_PACKET_BYTES = 100_000

export function connectFrame(version: ProtocolVersion): Buffer {
  const name = version === 3 ? 'MQIsdp' : 'MQTT'
  return frame(0x10, name, version, 2, 0, 60, ...(version === 5 ? [NO_PROPERTIES] : []), 'client')
}

/** A decoder that has seen CONNECT. */
export function connected(version: ProtocolVersion): Decoder {
  const decoder = new Decoder({ maxPacketBytes: MAX_PACKET_BYTES })
  const { error } = decoder.feed(connectFrame(version))
  if (error !== undefined) throw new Error(error.reason)
  return decoder
}

/** Decodes one packet that must be right. */
export function accepted(version: ProtocolVersion, input: Buffer): Packet {
  const { packets, error } = connected(version).feed(input)
  if (error !== undefined || packets.length !== 1) throw new Error(error?.reason ?? `${packets.length} packets`)
  return packets[0]!
}

/** Decodes bytes that must be wrong. */
export function refused(version: ProtocolVersion, input: Buffer): DecodeError {
  return errorOf(connected(version).feed(input))
}

/** Decodes a CONNECT that must be wrong. */
export function refusedConnect(input: Buffer): DecodeError {
  return errorOf(new Decoder({ maxPacketBytes: MAX_PACKET_BYTES }).feed(input))
}

/** Decodes a CONNECT that must be right. */
export function acceptedConnect(input: Buffer): Packet {
  const { packets, error } = new Decoder({ maxPacketBytes: MAX_PACKET_BYTES }).feed(input)
  if (error !== undefined || packets.length !== 1) throw new Error(error?.reason ?? `${packets.length} packets`)
  return packets[0]!
}

function errorOf({ packets, error }: Decoded): DecodeError {
  if (error === undefined) throw new Error(`accepted: ${JSON.stringify(packets)}`)
  if (packets.length > 0) throw new Error('gave packets besides the error')
  return error
}
