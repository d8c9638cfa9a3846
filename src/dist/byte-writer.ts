/**
 * A buffer that grows while bytes are appended, and gives them away in batches.
 *
 * Batches are slices of slabs that are allocated at a time, so that a small batch costs no allocation of its own, and what has been
 * given away is never written to again: a socket may hold it for as long as it likes.
 */

const SLAB_BYTES = 64 << 10
const NO_BYTES = Buffer.alloc(0)
// Below this length a loop measured faster than a call into the engine.
const SHORT_BINARY = 24

/** Thrown where a batch would grow beyond `maxLength`. */
export class Overflow {}

export class ByteWriter {
  readonly #slabBytes: number
  protected bytes: Buffer = NO_BYTES
  /** Where the next byte goes, in `bytes`. */
  protected at = 0
  /** Where the batch that has not been taken begins. */
  #start = 0
  /** The length that the batch must not outgrow. */
  protected maxLength = Number.POSITIVE_INFINITY

  constructor(slabBytes: number = SLAB_BYTES) {
    this.#slabBytes = slabBytes
  }

  /** Bytes written since the last `take`. Offsets into the batch are counted from its beginning. */
  get length(): number {
    return this.at - this.#start
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

  /** Overwrites four bytes at an offset in the batch, such as a length that is known only now. */
  patchUint32(offset: number, value: number): void {
    this.bytes.writeUInt32BE(value, this.#start + offset)
  }

  /** Appends bytes as they are. */
  raw(bytes: Uint8Array): void {
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

  /** Drops everything in the batch from an offset on. */
  truncate(length: number): void {
    this.at = this.#start + length
  }

  /** Ends the batch and returns it. The bytes are the caller's: they are never written to again. */
  take(): Buffer {
    const batch = this.bytes.subarray(this.#start, this.at)
    // A large buffer would stay in memory for the sake of the small batches that follow in its remainder; and a batch that outgrows
    // a short remainder would be copied.
    if (this.bytes.length > this.#slabBytes || this.bytes.length - this.at < this.#slabBytes / 4) {
      this.bytes = NO_BYTES
      this.at = 0
    }
    this.#start = this.at
    return batch
  }

  /** Makes room for that many bytes at `at`. */
  protected reserve(bytes: number): void {
    if (this.at + bytes > this.bytes.length) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    const used = this.length
    const needed = used + bytes
    if (needed > this.maxLength) throw new Overflow()
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
