/**
 * Frames after the handshake: a length of 4 bytes and as many bytes; length 0 is a tick.
 *
 * Reading keeps the chunks that have come in a list and joins those of one frame once, when it is whole: joining at every
 * chunk made a message of 50 MB take 17 s. A length that is announced reserves nothing, so a liar costs what it sends. Frames are
 * written by outbox.ts.
 */

/** Longest frame unless told otherwise. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024

const HEADER_BYTES = 4

/** Chunks below this size are copied together: a frame sent byte by byte would otherwise hold an object for each. */
const SMALL_CHUNK_BYTES = 1024
const GATHER_BYTES = 16_384

/** Chunks that are used up leave the list this many at a time. */
const MAX_USED_CHUNKS = 64

/** From this length on a frame may be given in pieces. */
const PIECES_BYTES = 64 << 10

/** Takes chunks and gives frames. */
export class FrameSplitter {
  readonly #maxFrameBytes: number
  #chunks: Buffer[] = []
  /** Index of the first chunk that is not used up, and how much of it is. */
  #head = 0
  #offset = 0
  /** Bytes that have come and have not been given. */
  #buffered = 0
  /** Of the frame that is awaited; undefined before its length has come. */
  #frameBytes: number | undefined
  /** Where small chunks go, and how much of it is filled; the filled part is the last of the chunks. */
  #gather: Buffer | undefined
  #gathered = 0

  constructor(maxFrameBytes: number = MAX_FRAME_BYTES) {
    this.#maxFrameBytes = maxFrameBytes
  }

  /** Bytes that are held. */
  get bufferedBytes(): number {
    return this.#buffered
  }

  /** Takes a chunk, which must not be changed afterwards. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#buffered += chunk.length
    if (chunk.length >= SMALL_CHUNK_BYTES || this.#head === this.#chunks.length) {
      this.#gather = undefined
      this.#chunks.push(chunk)
      return
    }
    const start = this.#gathered
    if (this.#gather !== undefined && start + chunk.length <= GATHER_BYTES) {
      this.#gather.set(chunk, start)
      this.#gathered = start + chunk.length
      this.#chunks[this.#chunks.length - 1] = this.#gather.subarray(0, this.#gathered)
      return
    }
    this.#gather = Buffer.allocUnsafe(GATHER_BYTES)
    this.#gather.set(chunk, 0)
    this.#gathered = chunk.length
    this.#chunks.push(this.#gather.subarray(0, chunk.length))
  }

  /**
   * The next whole frame, empty for a tick; undefined when none is whole; `too_large` for ever once a length is above
   * the limit. As a rule it is a view into a chunk: copy what is kept.
   */
  next(): Buffer | 'too_large' | undefined {
    const frame = this.nextInPieces()
    return Array.isArray(frame) ? Buffer.concat(frame) : frame
  }

  /** As `next`, but a frame of 64 KiB and more that came in several chunks is given as those. */
  nextInPieces(): Buffer | Buffer[] | 'too_large' | undefined {
    let length = this.#frameBytes
    if (length === undefined) {
      if (this.#buffered < HEADER_BYTES) return undefined
      length = this.#takeLength()
      this.#frameBytes = length
    }
    if (length > this.#maxFrameBytes) return 'too_large'
    if (this.#buffered < length) return undefined
    this.#frameBytes = undefined
    if (length >= PIECES_BYTES) return this.#takePieces(length)
    return length === 0 ? TICK : this.#take(length)
  }

  #takeLength(): number {
    const first = this.#chunks[this.#head]!
    const offset = this.#offset
    if (first.length - offset < HEADER_BYTES) return this.#take(HEADER_BYTES).readUInt32BE(0)
    this.#advance(first, HEADER_BYTES)
    return first[offset]! * 2 ** 24 + ((first[offset + 1]! << 16) | (first[offset + 2]! << 8) | first[offset + 3]!)
  }

  #takePieces(length: number): Buffer | Buffer[] {
    const pieces: Buffer[] = []
    for (let left = length; left > 0; ) {
      const chunk = this.#chunks[this.#head]!
      const piece = chunk.subarray(this.#offset, this.#offset + left)
      pieces.push(piece)
      left -= piece.length
      this.#advance(chunk, piece.length)
    }
    return pieces.length === 1 ? pieces[0]! : pieces
  }

  #take(length: number): Buffer {
    const first = this.#chunks[this.#head]!
    const start = this.#offset
    if (first.length - start >= length) {
      this.#advance(first, length)
      return first.subarray(start, start + length)
    }
    const joined = Buffer.allocUnsafe(length)
    let filled = 0
    while (filled < length) {
      const chunk = this.#chunks[this.#head]!
      const part = Math.min(chunk.length - this.#offset, length - filled)
      joined.set(chunk.subarray(this.#offset, this.#offset + part), filled)
      filled += part
      this.#advance(chunk, part)
    }
    return joined
  }

  #advance(chunk: Buffer, bytes: number): void {
    this.#offset += bytes
    this.#buffered -= bytes
    if (this.#offset < chunk.length) return
    this.#offset = 0
    // What is used up must not stay in memory until it leaves the list.
    this.#chunks[this.#head] = TICK
    this.#head++
    if (this.#head === this.#chunks.length) {
      this.#chunks = []
      this.#head = 0
      this.#gather = undefined
    } else if (this.#head === MAX_USED_CHUNKS) {
      this.#chunks.splice(0, MAX_USED_CHUNKS)
      this.#head = 0
    }
  }
}

const TICK: Buffer = Buffer.alloc(0)
