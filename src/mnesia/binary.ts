/**
 * The primitives of our binary forms: what entries of a log, rows on the wire and records on disc are made of.
 *
 * Integers are varints of up to 53 bits, least significant seven bits first. Text is UTF-8, or UTF-16 when it holds half a surrogate
 * pair: a key has to come back as it went. Whoever reads bytes of a peer or of a disc catches `Damaged`.
 */
import { ByteWriter } from '../dist/byte-writer.ts'

const SLAB_BYTES = 16 << 10
const LONGEST_VARINT = 8
/** Below this length a loop measured faster than a call into the engine. */
const SHORT_TEXT = 40
const WORD = 2 ** 32

/** What is wrong with bytes. Not an Error: no stack is wanted for the mistakes of others. */
export class Damaged {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

export class BinaryWriter extends ByteWriter {
  constructor(slabBytes: number = SLAB_BYTES) {
    super({ slabBytes })
  }

  /** A safe integer that is not negative. */
  varint(value: number): void {
    this.reserve(LONGEST_VARINT)
    let rest = value
    while (rest > 0x7fffffff) {
      this.bytes[this.at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    while (rest > 127) {
      this.bytes[this.at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.bytes[this.at++] = rest
  }

  /** A safe integer that is not negative, in seven bytes. */
  integer(value: number): void {
    this.reserve(7)
    const high = Math.floor(value / WORD)
    const at = this.at
    this.bytes[at] = high >>> 16
    this.bytes[at + 1] = high >>> 8
    this.bytes[at + 2] = high
    this.at = at + 3
    this.putUint32(value >>> 0)
  }

  text(text: string): void {
    const { length } = text
    if (length < SHORT_TEXT && this.#ascii(text)) return
    if (!(text as string & { isWellFormed(): boolean }).isWellFormed()) {
      this.varint(length * 4 + 1)
      this.raw(Buffer.from(text, 'utf16le'))
      return
    }
    const bytes = Buffer.byteLength(text)
    this.varint(bytes * 2)
    this.reserve(bytes)
    this.at += this.bytes.write(text, this.at)
  }

  /** Bytes with their length before them. */
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  #ascii(text: string): boolean {
    const { length } = text
    this.reserve(length + 1)
    const { bytes, at } = this
    bytes[at] = length * 2
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) return false
      bytes[at + 1 + i] = code
    }
    this.at = at + 1 + length
    return true
  }
}

export class BinaryReader {
  /** Where the next byte is taken from. */
  at = 0
  #bytes: Buffer
  #end: number

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes)
    this.#end = bytes.length
  }

  /** Begins anew with other bytes. */
  open(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.#bytes = asBuffer(bytes)
    this.at = from
    this.#end = to
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end
  }

  get left(): number {
    return this.#end - this.at
  }

  byte(): number {
    if (this.at >= this.#end) throw new Damaged('truncated')
    return this.#bytes[this.at++]!
  }

  varint(): number {
    let value = this.byte()
    if (value < 128) return value
    value &= 127
    for (let scale = 128; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (value > Number.MAX_SAFE_INTEGER) throw new Damaged('integer too large')
      if (byte < 128) return value
    }
  }

  integer(): number {
    this.#need(7)
    const { at } = this
    const bytes = this.#bytes
    this.at = at + 7
    const value = bytes.readUIntBE(at, 3) * WORD + bytes.readUInt32BE(at + 3)
    if (value > Number.MAX_SAFE_INTEGER) throw new Damaged('integer too large')
    return value
  }

  text(): string {
    const header = this.varint()
    const length = Math.floor(header / 2)
    this.#need(length)
    const from = this.at
    this.at = from + length
    if (header % 2 === 0) return this.#bytes.toString('utf8', from, this.at)
    if (length % 2 !== 0) throw new Damaged('half a character')
    return this.#bytes.toString('utf16le', from, this.at)
  }

  /** A view of the bytes: copy what is kept. */
  blob(): Buffer {
    const length = this.varint()
    this.#need(length)
    const from = this.at
    this.at = from + length
    return this.#bytes.subarray(from, this.at)
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    const from = this.at
    this.at = this.#end
    return this.#bytes.subarray(from, this.#end)
  }

  #need(length: number): void {
    if (length > this.#end - this.at) throw new Damaged('truncated')
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
