/**
 * The bytes of a peer, read from front to back by the decoder of terms: numbers and text, with a look at what is left before
 * each. Mistakes are thrown as `Malformed`, which the decoder turns into data.
 */
import { isUtf8 } from 'node:buffer'
import { readInteger } from './etf-integers.ts'
import type { DecodeLimits } from './etf-limits.ts'
import { MAX_CACHED_TEXT_BYTES, TextCache } from './text-cache.ts'

/** What is wrong with the bytes of a peer. */
export type DecodeReason =
  /** The first byte is not 131. */
  | 'bad_version'
  /** A length reaches past the end. */
  | 'truncated'
  | 'unknown_tag'
  /** A tag that is known and refused. */
  | 'refused_tag'
  /** What Erlang would call a corrupted external term. */
  | 'malformed'
  | 'too_deep'
  | 'integer_too_large'
  | 'too_large'
  /** The peer has more new atoms in use than its quota. */
  | 'too_many_atoms'

export interface DecodeError {
  readonly reason: DecodeReason
  /** Offset in the input at which it was noticed. */
  readonly at: number
}

/** Not an Error: no stack is wanted for the mistakes of others. */
export class Malformed {
  readonly reason: DecodeReason

  constructor(reason: DecodeReason) {
    this.reason = reason
  }
}

// Estimated bytes of heap, by which `maxHeapBytes` counts.
const NUMBER_HEAP = 16
const STRING_HEAP = 24
export const BUFFER_HEAP = 112
const NO_BYTES = Buffer.alloc(0)

export class ByteReader {
  protected readonly limits: DecodeLimits
  protected bytes: Buffer = NO_BYTES
  protected at = 0
  protected end = 0
  #heapLeft = 0
  readonly #texts = new TextCache()

  constructor(limits: DecodeLimits) {
    this.limits = limits
  }

  protected open(input: Uint8Array, from: number): void {
    this.bytes = Buffer.isBuffer(input) ? input : Buffer.from(input.buffer, input.byteOffset, input.length)
    this.at = from
    this.end = input.length
    this.#heapLeft = this.limits.maxHeapBytes
  }

  /** Lets go of the input. */
  protected close(): void {
    this.bytes = NO_BYTES
  }

  /** For a mistake that the byte just read makes: it is reported at that byte. */
  protected back(reason: DecodeReason): Malformed {
    this.at--
    return new Malformed(reason)
  }

  protected need(bytes: number): void {
    if (this.end - this.at < bytes) throw new Malformed('truncated')
  }

  protected spend(heapBytes: number): void {
    this.#heapLeft -= heapBytes
    if (this.#heapLeft < 0) throw new Malformed('too_large')
  }

  protected byte(): number {
    this.need(1)
    return this.bytes[this.at++]!
  }

  protected uint16(): number {
    this.need(2)
    const at = this.at
    this.at = at + 2
    return this.bytes[at]! * 256 + this.bytes[at + 1]!
  }

  protected uint32(): number {
    this.need(4)
    const bytes = this.bytes
    const at = this.at
    this.at = at + 4
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  }

  protected double(): number {
    this.need(8)
    this.spend(NUMBER_HEAP)
    const value = this.bytes.readDoubleBE(this.at)
    if (!Number.isFinite(value)) throw new Malformed('malformed')
    this.at += 8
    return value
  }

  /** A float as text, of nodes before OTP R11: `1.50000000000000000000e+00`, filled up with zeros to 31 bytes. */
  protected oldFloat(): number {
    this.need(31)
    this.spend(NUMBER_HEAP)
    const digits = /^ *(-?\d+\.\d+(?:e[+-]\d+)?)\0*$/.exec(this.bytes.toString('latin1', this.at, this.at + 31))
    const value = Number(digits?.[1] ?? Number.NaN)
    if (!Number.isFinite(value)) throw new Malformed('malformed')
    this.at += 31
    return value
  }

  /** Text of at least one byte. */
  protected text(length: number): string | Buffer {
    this.need(length)
    this.spend(STRING_HEAP + length)
    const from = this.at
    const to = from + length
    if (length <= MAX_CACHED_TEXT_BYTES) {
      const short = this.#texts.ascii(this.bytes, from, to)
      if (short !== undefined) {
        this.at = to
        return short
      }
    }
    const characters = this.bytes.toString('utf8', from, to)
    this.at = to
    if (characters.includes('\ufffd')) {
      // Some other node may have sent bytes that are no text under this tag.
      const bytes = this.bytes.subarray(from, to)
      if (!isUtf8(bytes)) {
        this.spend(BUFFER_HEAP)
        return bytes
      }
    }
    return characters
  }

  protected big(length: number): number | bigint {
    this.need(length + 1)
    if (length > this.limits.maxIntegerBytes) throw new Malformed('integer_too_large')
    // The hexadecimal text, twice as long, and the bytes turned round live for a moment beside the number.
    this.spend(NUMBER_HEAP + length * 4)
    const from = this.at + 1
    const isNegative = this.bytes[this.at] !== 0
    this.at = from + length
    return readInteger(this.bytes, from, this.at, isNegative)
  }
}
