/**
 * How keys and values lie in the files of the store.
 *
 * A key is a number, 4 times its length in bytes plus its form, and its bytes: ASCII, UTF-8, or UTF-16 for text that has half a
 * surrogate pair. A value is a number, 0 for a key that is removed, else its length plus 1, and its bytes. Numbers have seven
 * bits in a byte, the lowest first. Order among keys is that of their strings, never of these bytes.
 */

const ASCII = 0
const UTF8 = 1
const UTF16 = 2
/** Below this length four times the length is one byte, and a loop over the characters beats a call into the engine. */
const SHORT_TEXT = 32
const MAX_VARINT_BYTES = 8

/** Appends to a buffer that grows. What has been written since `start` stays in one piece. */
export class RecordWriter {
  readonly #slabBytes: number
  bytes: Buffer
  /** Where the next byte goes. */
  at = 0
  start = 0

  constructor(slabBytes: number) {
    this.#slabBytes = slabBytes
    this.bytes = Buffer.allocUnsafeSlow(slabBytes)
  }

  /** Makes room for that many bytes, in a new buffer if need be: the bytes since `start` are copied to its beginning. */
  reserve(bytes: number): void {
    if (this.at + bytes > this.bytes.length) this.grow(bytes)
  }

  protected grow(bytes: number): void {
    const kept = this.at - this.start
    // Doubled, so that a long record costs linear time.
    const next = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, 2 * (kept + bytes)))
    this.bytes.copy(next, 0, this.start, this.at)
    this.bytes = next
    this.at = kept
    this.start = 0
  }

  varint(value: number): void {
    this.reserve(MAX_VARINT_BYTES)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.at++] = rest
  }

  text(text: string): void {
    const { length } = text
    if (length >= SHORT_TEXT) {
      this.#longText(text)
      return
    }
    this.reserve(SHORT_TEXT)
    const from = this.at
    const { bytes } = this
    bytes[from] = length * 4 + ASCII
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) {
        this.#longText(text)
        return
      }
      bytes[from + 1 + i] = code
    }
    this.at = from + 1 + length
  }

  raw(source: Uint8Array): void {
    this.reserve(source.length)
    this.bytes.set(source, this.at)
    this.at += source.length
  }

  copy(source: Buffer, from: number, to: number): void {
    this.reserve(to - from)
    this.at += source.copy(this.bytes, this.at, from, to)
  }

  /** A value, or the mark of a key that is removed. */
  value(value: Uint8Array | undefined): void {
    if (value === undefined) this.varint(0)
    else {
      this.varint(value.length + 1)
      this.raw(value)
    }
  }

  uint32(value: number): void {
    this.reserve(4)
    this.at = this.bytes.writeUInt32LE(value, this.at)
  }

  #longText(text: string): void {
    if ((text as string & { isWellFormed(): boolean }).isWellFormed()) {
      const length = Buffer.byteLength(text)
      this.varint(length * 4 + (length === text.length ? ASCII : UTF8))
      this.reserve(length)
      this.at += this.bytes.write(text, this.at)
    } else {
      this.varint(text.length * 2 * 4 + UTF16)
      this.reserve(text.length * 2)
      this.at += this.bytes.write(text, this.at, 'utf16le')
    }
  }
}

/**
 * Reads records from bytes whose checksum has been found right: what is wrong in them all the same throws a RangeError,
 * and is the fault of whoever wrote them.
 */
export class RecordReader {
  bytes: Buffer
  at: number
  end: number
  /** Of the value read last: where it begins; `REMOVED` when its key is removed. */
  valueFrom = 0
  valueTo = 0

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get hasMore(): boolean {
    return this.at < this.end
  }

  varint(): number {
    const { bytes } = this
    let at = this.at
    let byte = bytes[at++]!
    if (byte < 0x80) {
      this.at = this.#checked(at)
      return byte
    }
    let value = byte & 0x7f
    for (let scale = 0x80; ; scale *= 0x80) {
      byte = bytes[at++]!
      value += (byte & 0x7f) * scale
      if (!(byte >= 0x80)) break
    }
    this.at = this.#checked(at)
    return value
  }

  text(): string {
    const size = this.varint()
    const from = this.at
    this.at = this.#checked(from + (size >>> 2))
    switch (size & 3) {
      case ASCII:
        return this.bytes.toString('latin1', from, this.at)
      case UTF8:
        return this.bytes.toString('utf8', from, this.at)
      default:
        return this.bytes.toString('utf16le', from, this.at)
    }
  }

  skipText(): void {
    const size = this.varint()
    this.at = this.#checked(this.at + (size >>> 2))
  }

  /** Skips a text, and says whether it is the one that `encodeText` has encoded, without making a string of it. */
  skipsText(encoded: Buffer): boolean {
    const from = this.at
    this.skipText()
    if (this.at - from !== encoded.length) return false
    return this.bytes.compare(encoded, 0, encoded.length, from, this.at) === 0
  }

  /** Sets `valueFrom` and `valueTo`. */
  value(): void {
    const size = this.varint()
    if (size === 0) this.valueFrom = REMOVED
    else {
      this.valueFrom = this.at
      this.valueTo = this.at = this.#checked(this.at + size - 1)
    }
  }

  uint32(): number {
    const from = this.at
    this.at = this.#checked(from + 4)
    return this.bytes.readUInt32LE(from)
  }

  #checked(at: number): number {
    if (!(at <= this.end)) throw new RangeError(`a record ends at ${at}, beyond ${this.end}`)
    return at
  }
}

/** A text as it lies in files: equal texts are equal bytes. */
export function encodeText(text: string): Buffer {
  const writer = new RecordWriter(text.length * 3 + SHORT_TEXT + MAX_VARINT_BYTES)
  writer.text(text)
  return writer.bytes.subarray(0, writer.at)
}

export const REMOVED = -1
