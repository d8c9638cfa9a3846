/**
 * A buffer that grows while bytes are appended, and gives them away in batches.
 *
 * Batches are slices of slabs that are allocated at a time, so that a small batch costs no allocation of its own, and what has been
 * given away is never written to again: a socket may hold it for as long as it likes. Long binaries may be taken into a batch
 * as they are, which then consists of parts: to copy a megabyte, and to collect the copy later, costs more than to send it.
 */

const SLAB_BYTES = 64 << 10
const NO_BYTES = Buffer.alloc(0)
// Below this length a loop measured faster than a call into the engine.
const SHORT_BINARY = 24

/** Thrown where a batch would grow beyond `maxLength`. */
export class Overflow {}

export interface ByteWriterOptions {
  /** Bytes that are allocated at a time; batches are slices of such a slab. */
  readonly slabBytes?: number
  /** Binaries of at least this length are not copied, and must not be changed any more. @default every one is copied */
  readonly shareBytes?: number
}

export class ByteWriter {
  readonly #slabBytes: number
  readonly #shareBytes: number
  protected bytes: Buffer = NO_BYTES
  /** Where the next byte goes, in `bytes`. */
  protected at = 0
  /** Where the last part of the batch, the one that is being written, begins. */
  #start = 0
  /** What comes before it in the batch, and how long that is. */
  #parts: Buffer[] = []
  #partsLength = 0
  /** The length that the batch must not outgrow. */
  protected maxLength = Number.POSITIVE_INFINITY

  constructor({ slabBytes = SLAB_BYTES, shareBytes = Number.POSITIVE_INFINITY }: ByteWriterOptions = {}) {
    this.#slabBytes = slabBytes
    this.#shareBytes = shareBytes
  }

  /** Bytes written since the last `take`. Offsets into the batch are counted from its beginning. */
  get length(): number {
    return this.#partsLength + this.at - this.#start
  }

  /** Appends one byte. */
  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  /** Appends four bytes. */
  uint32(value: number): void {
    this.reserve(4)
    this.putUint32(value)
  }

  /** Overwrites four bytes that `uint32` has written at an offset in the batch, such as a length that is known only now. */
  patchUint32(offset: number, value: number): void {
    let from = this.#partsLength
    if (offset >= from) {
      this.bytes.writeUInt32BE(value, this.#start + offset - from)
      return
    }
    let i = this.#parts.length
    while (offset < from) from -= this.#parts[--i]!.length
    this.#parts[i]!.writeUInt32BE(value, offset - from)
  }

  /** Appends bytes as they are. */
  raw(bytes: Uint8Array): void {
    if (bytes.length >= this.#shareBytes) this.#share(bytes)
    else this.copy(bytes)
  }

  /** As `raw`, and copies them however many they are. */
  protected copy(bytes: Uint8Array): void {
    const length = bytes.length
    this.reserve(length)
    const at = this.at
    if (length < SHORT_BINARY) {
      const target = this.bytes
      for (let i = 0; i < length; i++) target[at + i] = bytes[i]!
    } else {
      this.bytes.set(bytes, at)
    }
    this.at = at + length
  }

  /** Appends again what stands at an offset of the batch; returns false, and appends nothing, when that part has ended. */
  repeat(offset: number, length: number): boolean {
    if (offset < this.#partsLength) return false
    this.reserve(length)
    const from = this.#start + offset - this.#partsLength
    this.bytes.copyWithin(this.at, from, from + length)
    this.at += length
    return true
  }

  #share(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.maxLength) throw new Overflow()
    this.#cut()
    this.#add(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  }

  /** Ends the part that is being written. */
  #cut(): void {
    if (this.at === this.#start) return
    this.#add(this.bytes.subarray(this.#start, this.at))
    this.#start = this.at
  }

  #add(part: Buffer): void {
    this.#parts.push(part)
    this.#partsLength += part.length
  }

  /** Drops everything in the batch from an offset on. */
  truncate(length: number): void {
    this.at = this.#start + Math.max(0, length - this.#partsLength)
    while (this.#partsLength > length) {
      const part = this.#parts.pop()!
      this.#partsLength -= part.length
      if (this.#partsLength < length) this.#add(part.subarray(0, length - this.#partsLength))
    }
  }

  /** Takes out of the batch what was appended from an offset on. */
  takeFrom(offset: number): Buffer[] {
    this.#cut()
    const taken: Buffer[] = []
    while (this.#partsLength > offset) {
      const part = this.#parts.pop()!
      this.#partsLength -= part.length
      const kept = Math.max(0, offset - this.#partsLength)
      if (kept > 0) this.#add(part.subarray(0, kept))
      taken.unshift(part.subarray(kept))
    }
    return taken
  }

  /** Ends the batch and returns it. The bytes are the caller's: they are never written to again. */
  take(): Buffer {
    if (this.#partsLength > 0) return Buffer.concat(this.takeParts())
    const batch = this.bytes.subarray(this.#start, this.at)
    this.#next()
    return batch
  }

  /** As `take`; the parts are those that were shared, and what lies between them. */
  takeParts(): Buffer[] {
    this.#cut()
    const parts = this.#parts
    this.#parts = []
    this.#partsLength = 0
    this.#next()
    return parts
  }

  /** Begins a batch. */
  #next(): void {
    // A large buffer would stay in memory for the sake of the small batches that follow in its remainder; and a batch that outgrows
    // a short remainder would be copied.
    if (this.bytes.length > this.#slabBytes || this.bytes.length - this.at < this.#slabBytes / 4) {
      this.bytes = NO_BYTES
      this.at = 0
    }
    this.#start = this.at
  }

  /** Makes room for that many bytes at `at`. */
  protected reserve(bytes: number): void {
    if (this.at + bytes > this.bytes.length) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    if (this.length + bytes > this.maxLength) throw new Overflow()
    const used = this.at - this.#start
    const needed = used + bytes
    // What has to be copied is doubled, so that appending takes linear time; one large binary is not.
    const size = needed <= this.#slabBytes ? this.#slabBytes : needed + Math.max(used, this.#slabBytes)
    const target = Buffer.allocUnsafeSlow(size)
    this.bytes.copy(target, 0, this.#start, this.at)
    this.bytes = target
    this.#start = 0
    this.at = used
  }

  /** The room has been made. */
  protected putUint32(value: number): void {
    const bytes = this.bytes
    const at = this.at
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
    this.at = at + 4
  }
}
