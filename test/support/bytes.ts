/**
 * MQTT written byte by byte, for what a packet generator refuses to produce: broken lengths, reserved bits, bad strings,
 * unknown properties. Every function returns a Buffer; `frame` adds the fixed header with the right remaining length.
 */

/** Bytes as given. */
export const raw = (...values: number[]): Buffer => Buffer.from(values)

/** Two bytes, big endian. */
export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

/** Four bytes, big endian. */
export const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

/** A variable byte integer in its shortest form. */
export function varint(value: number): Buffer {
  const out: number[] = []
  let rest = value
  do {
    const digit = rest % 128
    rest = Math.floor(rest / 128)
    out.push(rest > 0 ? digit | 0x80 : digit)
  } while (rest > 0)
  return Buffer.from(out)
}

/** A length-prefixed string or binary field; a Buffer goes in unchecked, so it may hold what no string may. */
export function field(value: string | Buffer): Buffer {
  const body = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([u16(body.length), body])
}

/** A control packet: the first byte (type and flags), the remaining length, the parts. */
export function frame(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([raw(first), varint(body.length), body])
}

/** A 5.0 property block: its length, then the properties as given. */
export function properties(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([varint(body.length), body])
}

/** One property of 5.0: identifier and value. */
export const property = (id: number, value: Buffer): Buffer => Buffer.concat([raw(id), value])

/** A user property (0x26). */
export const userProperty = (name: string | Buffer, value: string | Buffer): Buffer =>
  Buffer.concat([raw(0x26), field(name), field(value)])

/** What a CONNECT written by hand is made of; everything has a valid default. */
export interface ConnectParts {
  readonly protocolName?: string | Buffer
  readonly level?: number
  /** The connect flags, clean only by default. */
  readonly flags?: number
  /** Seconds. */
  readonly keepalive?: number
  /** 5.0 only; the empty block by default. */
  readonly properties?: Buffer
  /** The payload; one generated client id by default. */
  readonly payload?: Buffer
  /** The first byte of the packet. */
  readonly first?: number
}

let connects = 0

/** A CONNECT by hand. */
export function connectBytes(parts: ConnectParts = {}): Buffer {
  const level = parts.level ?? 4
  const isV5 = (level & 0x7f) === 5
  return frame(
    parts.first ?? 0x10,
    field(parts.protocolName ?? (level === 3 ? 'MQIsdp' : 'MQTT')),
    raw(level, parts.flags ?? 0x02),
    u16(parts.keepalive ?? 0),
    isV5 ? (parts.properties ?? properties()) : raw(),
    parts.payload ?? field(`hand${++connects}`),
  )
}

/** A PUBLISH by hand, of any flags. */
export function publishBytes(
  version: 3 | 4 | 5,
  topic: string | Buffer,
  options: { flags?: number; id?: number; properties?: Buffer; payload?: string | Buffer } = {},
): Buffer {
  return frame(
    0x30 | (options.flags ?? 0),
    field(topic),
    options.id === undefined ? raw() : u16(options.id),
    version === 5 ? (options.properties ?? properties()) : raw(),
    Buffer.from(options.payload ?? 'x'),
  )
}

/** A SUBSCRIBE by hand: filters with their options byte. */
export function subscribeBytes(
  version: 3 | 4 | 5,
  filters: ReadonlyArray<readonly [string | Buffer, number]>,
  options: { first?: number; id?: number; properties?: Buffer } = {},
): Buffer {
  return frame(
    options.first ?? 0x82,
    u16(options.id ?? 1),
    version === 5 ? (options.properties ?? properties()) : raw(),
    ...filters.map(([filter, byte]) => Buffer.concat([field(filter), raw(byte)])),
  )
}

/** An UNSUBSCRIBE by hand. */
export function unsubscribeBytes(
  version: 3 | 4 | 5,
  filters: ReadonlyArray<string | Buffer>,
  options: { first?: number; id?: number; properties?: Buffer } = {},
): Buffer {
  return frame(
    options.first ?? 0xa2,
    u16(options.id ?? 1),
    version === 5 ? (options.properties ?? properties()) : raw(),
    ...filters.map(field),
  )
}

/** Strings that no MQTT string field may hold [MQTT311-1.5.3-1, -2] [MQTT5-1.5.4-1, -2]. */
export const BAD_STRINGS: ReadonlyArray<readonly [name: string, bytes: Buffer]> = [
  ['a lone continuation byte', raw(0x61, 0x80)],
  ['a truncated sequence', raw(0x61, 0xe2, 0x82)],
  ['an overlong encoding', raw(0xc0, 0xaf)],
  ['a surrogate', raw(0x61, 0xed, 0xa0, 0x80)],
  ['a code point above U+10FFFF', raw(0xf4, 0x90, 0x80, 0x80)],
  ['the byte 0xFF', raw(0x61, 0xff)],
  ['U+0000', raw(0x61, 0x00, 0x62)],
]
