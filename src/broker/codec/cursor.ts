/**
 * Reads the fields of one frame with every check that [MQTT5-1.5] asks for.
 *
 * The first fault sticks: reads after it return empty values and do not move on, so that a caller checks once at the end
 * (or in a loop's condition) and not after each field.
 */
import { isUtf8 } from 'node:buffer'
import { RC } from '../reason-codes.ts'

/** What is wrong with a frame. */
export interface Fault {
  /** 5.0 reason code. */
  readonly reasonCode: number
  /** English, without bytes of the client's. */
  readonly reason: string
}

/** A place in a frame, between `at` and `end`. */
export class Cursor {
  readonly bytes: Buffer
  at: number
  end: number
  fault: Fault | undefined = undefined

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  /** Bytes that have not been read. */
  get left(): number {
    return this.end - this.at
  }

  /** Records a fault unless there is one already. */
  fail(reasonCode: number, reason: string): undefined {
    this.fault ??= { reasonCode, reason }
    this.at = this.end
  }

  /** One byte. */
  byte(what: string): number {
    if (this.at >= this.end) return this.#tooShort(what)
    return this.bytes[this.at++]!
  }

  /** Two byte integer. */
  uint16(what: string): number {
    if (this.left < 2) return this.#tooShort(what)
    const value = this.bytes.readUInt16BE(this.at)
    this.at += 2
    return value
  }

  /** Four byte integer. */
  uint32(what: string): number {
    if (this.left < 4) return this.#tooShort(what)
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  /** Variable byte integer; the encoding must be the shortest one [MQTT5-1.5.5-1]. */
  varInt(what: string): number {
    let value = 0
    for (let factor = 1; factor < 0x80 ** 4; factor *= 0x80) {
      if (this.at >= this.end) return this.#tooShort(what)
      const byte = this.bytes[this.at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        if (byte === 0 && factor > 1) this.fail(RC.malformed_packet, `${what} is not encoded in the fewest bytes`)
        return value
      }
    }
    this.fail(RC.malformed_packet, `${what} is longer than four bytes`)
    return 0
  }

  /** UTF-8 string: well-formed, no surrogates [MQTT5-1.5.4-1], no U+0000 [MQTT5-1.5.4-2]. */
  string(what: string): string {
    const from = this.skipPrefixed(what)
    return this.fault === undefined ? this.#text(what, from, this.at) : ''
  }

  /** Binary data, copied, so that it does not pin the chunk it came in. */
  binary(what: string): Buffer {
    const from = this.skipPrefixed(what)
    return Buffer.from(this.bytes.subarray(from, this.at))
  }

  /** Moves over data with a two byte length before it; returns where the data begins. */
  skipPrefixed(what: string): number {
    const length = this.uint16(what)
    const from = this.at
    if (length > this.left) {
      this.#tooShort(what)
      return this.at
    }
    this.at += length
    return from
  }

  /** Packet identifier, never 0 [MQTT5-2.2.1-3] [MQTT311-2.3.1-1]. */
  packetId(): number {
    const id = this.uint16('packet identifier')
    if (id === 0) this.fail(RC.protocol_error, 'packet identifier is 0')
    return id
  }

  #text(what: string, from: number, to: number): string {
    const fault = textFault(this.bytes, from, to)
    if (fault === undefined) return this.bytes.toString('utf8', from, to)
    this.fail(RC.malformed_packet, `${what} ${fault}`)
    return ''
  }

  #tooShort(what: string): 0 {
    this.fail(RC.malformed_packet, `packet ends within ${what}`)
    return 0
  }
}

/** Returns why the bytes are not an MQTT string, undefined when they are one. */
export function textFault(bytes: Buffer, from: number, to: number): string | undefined {
  let high = 0
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!
    if (byte === 0) return 'contains U+0000'
    high |= byte
  }
  if (high < 0x80) return undefined
  return isUtf8(bytes.subarray(from, to)) ? undefined : 'is not UTF-8'
}
