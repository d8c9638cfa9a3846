/**
 * Frames: what the files of the store, and backups, consist of after their header.
 *
 * A frame is a header of 20 bytes (kind, length, sequence number, checksum of these three, checksum of the contents) and contents.
 * The header's own checksum tells a damaged length from a good one at once, so damage in one place costs one frame: what
 * follows is found by looking for the next header. All checksums begin with the salt of the file.
 */
import { crc32 } from './checksum.ts'
import { readAt } from './files.ts'

export const FRAME_BYTES = 20

const PREFIX = Buffer.of(0xa6, 0x9e, 0xf1)

/** Operations of one or several commits; they reach the disc as a whole. */
export const GROUP = kindOf('G')
/** Rows of one space, in the order of their keys. */
export const BLOCK = kindOf('B')
/** Where the blocks are; the last frame of a file. */
export const INDEX = kindOf('I')

/** Of a backup: what it is, rows, and its end. */
export const HEAD = kindOf('H')
export const ROWS = kindOf('R')
export const END = kindOf('E')

const KINDS: readonly number[] = [GROUP, BLOCK, INDEX, HEAD, ROWS, END]
const WINDOW_BYTES = 1 << 20

function kindOf(letter: string): number {
  return Buffer.concat([PREFIX, Buffer.from(letter)]).readUInt32LE()
}

/** Fills in the header of the frame at `from`, whose contents end at `to`. */
export function sealFrame(bytes: Buffer, from: number, to: number, kind: number, sequence: number, salt: number): void {
  const contents = from + FRAME_BYTES
  bytes.writeUInt32LE(kind, from)
  bytes.writeUInt32LE(to - contents, from + 4)
  bytes.writeUInt32LE(sequence >>> 0, from + 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(from, from + 12), salt), from + 12)
  bytes.writeUInt32LE(crc32(bytes.subarray(contents, to), salt), from + 16)
}

/** Length of the whole frame whose header is at `at`; undefined when there is none. The header must be within the bytes. */
export function frameLength(bytes: Buffer, at: number, salt: number): number | undefined {
  if (!KINDS.includes(bytes.readUInt32LE(at))) return undefined
  if (crc32(bytes.subarray(at, at + 12), salt) !== bytes.readUInt32LE(at + 12)) return undefined
  return FRAME_BYTES + bytes.readUInt32LE(at + 4)
}

/** True when the contents of a frame that is within the bytes are what was written. */
export function isFrameIntact(bytes: Buffer, at: number, length: number, salt: number): boolean {
  return crc32(bytes.subarray(at + FRAME_BYTES, at + length), salt) === bytes.readUInt32LE(at + 16)
}

export interface Frame {
  /** `GROUP`, `BLOCK` and so on. */
  readonly kind: number
  readonly sequence: number
  /** Where in the file its header begins, and where the next frame does. */
  readonly offset: number
  readonly end: number
  /** Contents, from `from` to `to`. Good until the next frame is asked for. */
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
}

/** A stretch of a file that is no frame, or a frame whose contents are damaged. */
export interface Gap {
  readonly kind: 'gap'
  readonly offset: number
  readonly end: number
  /** What the frame was, when its header is intact. */
  readonly was: { readonly kind: number; readonly sequence: number } | undefined
}

/** What a file holds between two offsets, in its order; never throws over what it finds. */
export async function* scanFrames(
  file: { readonly fd: number; readonly salt: number },
  from: number,
  to: number,
): AsyncIterableIterator<Frame | Gap> {
  const window = new Window(file.fd, to)
  let at = from
  while (at < to) {
    const { bytes, index } = await window.at(at, FRAME_BYTES)
    const length = bytes.length - index < FRAME_BYTES ? undefined : frameLength(bytes, index, file.salt)
    if (length === undefined || at + length > to) {
      const offset = at
      at = await nextFrame(window, at + 1, to, file.salt)
      yield { kind: 'gap', offset, end: at, was: undefined }
      continue
    }
    const whole = await window.at(at, length)
    const head = {
      kind: whole.bytes.readUInt32LE(whole.index),
      sequence: whole.bytes.readUInt32LE(whole.index + 8),
    }
    const end = at + length
    if (whole.bytes.length - whole.index < length || !isFrameIntact(whole.bytes, whole.index, length, file.salt)) {
      yield { kind: 'gap', offset: at, end, was: head }
    } else {
      yield {
        ...head,
        offset: at,
        end,
        bytes: whole.bytes,
        from: whole.index + FRAME_BYTES,
        to: whole.index + length,
      }
    }
    at = end
  }
}

/** The first offset from `from` on at which the header of a frame is; the end when there is none. */
async function nextFrame(window: Window, from: number, to: number, salt: number): Promise<number> {
  for (let at = await window.nextPrefix(from); at < to; at = await window.nextPrefix(at + 1)) {
    const { bytes, index } = await window.at(at, FRAME_BYTES)
    if (bytes.length - index < FRAME_BYTES) return to
    const length = frameLength(bytes, index, salt)
    if (length !== undefined && at + length <= to) return at
  }
  return to
}

/** The part of a file that is in memory, read as a scan moves through it. */
class Window {
  readonly #fd: number
  readonly #end: number
  #bytes = Buffer.alloc(0)
  #base = 0

  constructor(fd: number, end: number) {
    this.#fd = fd
    this.#end = end
  }

  /** Bytes in which the file from `at` on, `length` bytes if there are as many, begins at `index`. */
  async at(at: number, length: number): Promise<{ bytes: Buffer; index: number }> {
    const index = at - this.#base
    if (index >= 0 && index + length <= this.#bytes.length) return { bytes: this.#bytes, index }
    const size = Math.min(Math.max(length, WINDOW_BYTES), this.#end - at)
    const bytes = Buffer.allocUnsafeSlow(size)
    this.#bytes = bytes.subarray(0, await readAt(this.#fd, bytes, at))
    this.#base = at
    return { bytes: this.#bytes, index: 0 }
  }

  /** The first offset from `from` on at which a frame may begin; the end when there is none. */
  async nextPrefix(from: number): Promise<number> {
    for (let at = from; at < this.#end; ) {
      const { bytes, index } = await this.at(at, FRAME_BYTES)
      const found = bytes.indexOf(PREFIX, index)
      if (found >= 0) return at + found - index
      // The last two bytes may be the beginning of a prefix.
      at += Math.max(1, bytes.length - index - (PREFIX.length - 1))
    }
    return this.#end
  }
}
