/**
 * Writes a rows file: the rows of any number of spaces, sorted, in blocks that can be read one by one.
 *
 * A block holds rows of one space, about 16 KiB of them: the name of the space, 1 when what older files hold of it is gone, the number
 * of rows, and keys and values. After the blocks comes an index, with the length and first key of each, and its offset.
 * The file is made under a name that nobody looks at and takes its own when it is whole and on disc.
 */
import { join } from 'node:path'
import { crc32 } from './checksum.ts'
import { encodeHeader, type FileHeader, fileName } from './file-header.ts'
import { BLOCK, FRAME_BYTES, INDEX, sealFrame } from './frames.ts'
import { NewFile } from './new-file.ts'
import { REMOVED, RecordWriter } from './records.ts'

const BLOCK_BYTES = 16 << 10
const WRITE_BYTES = 256 << 10
const TRAILER_MAGIC = Buffer.from('AGNEREND')
export const TRAILER_BYTES = 18

interface BlockEntry {
  readonly length: number
  readonly firstKey: string
}

interface SpaceEntry {
  readonly name: string
  readonly isCleared: boolean
  live: number
  removed: number
  readonly blocks: BlockEntry[]
}

export class RowsWriter {
  readonly #header: FileHeader
  readonly #file: NewFile
  readonly #writer = new RecordWriter(WRITE_BYTES + 2 * BLOCK_BYTES)
  readonly #spaces: SpaceEntry[] = []
  /** Where the file goes on: the offset of the first byte of the buffer. */
  #offset = 0
  #blockAt = -1
  #blockCountAt = 0
  #blockRows = 0
  #firstKey = ''
  #sequence = 0

  /** Throws the error of the system call. */
  constructor(directory: string, header: FileHeader) {
    this.#header = header
    this.#file = new NewFile(join(directory, fileName(header)))
    this.#writer.raw(encodeHeader(header))
  }

  /** Begins a space; spaces come in their order. `isCleared`: what older files hold of it is gone. */
  beginSpace(name: string, isCleared: boolean): void {
    this.#closeBlock()
    this.#spaces.push({ name, isCleared, live: 0, removed: 0, blocks: [] })
    // A mark that stands alone is a block without rows.
    if (isCleared) this.#openBlock('')
  }

  /** Adds a row of the space that has begun; keys come in their order. `from` is `REMOVED` for a key that was removed. */
  add(key: string, bytes: Buffer, from: number, to: number): void {
    const writer = this.#writer
    if (this.#blockAt < 0) this.#openBlock(key)
    else if (this.#blockRows === 0) this.#firstKey = key
    const space = this.#spaces.at(-1)!
    writer.text(key)
    if (from === REMOVED) {
      writer.varint(0)
      space.removed++
    } else {
      writer.varint(to - from + 1)
      writer.copy(bytes, from, to)
      space.live++
    }
    this.#blockRows++
    if (writer.at - this.#blockAt > BLOCK_BYTES) this.#closeBlock()
  }

  /** True when `write` should be called before more is added. */
  get isFull(): boolean {
    return this.#writer.at >= WRITE_BYTES
  }

  /** Writes what has been added, but for the block that is open. */
  async write(): Promise<void> {
    const writer = this.#writer
    const to = this.#blockAt < 0 ? writer.at : this.#blockAt
    await this.#file.write([writer.bytes.subarray(0, to)], this.#offset)
    writer.bytes.copyWithin(0, to, writer.at)
    writer.at -= to
    this.#offset += to
    if (this.#blockAt >= 0) {
      this.#blockAt = 0
      this.#blockCountAt -= to
    }
  }

  /** Ends the file and resolves with its path once it is on disc under its name. */
  async finish(): Promise<string> {
    this.#closeBlock()
    const writer = this.#writer
    const indexOffset = this.#offset + writer.at
    const indexAt = writer.at
    writer.reserve(FRAME_BYTES)
    writer.at += FRAME_BYTES
    writer.varint(this.#spaces.length)
    for (const space of this.#spaces) {
      writer.text(space.name)
      writer.varint(space.isCleared ? 1 : 0)
      writer.varint(space.live)
      writer.varint(space.removed)
      writer.varint(space.blocks.length)
      for (const block of space.blocks) {
        writer.varint(block.length)
        writer.text(block.firstKey)
      }
    }
    sealFrame(writer.bytes, indexAt, writer.at, INDEX, this.#sequence, this.#header.salt)
    writer.raw(encodeTrailer(indexOffset, this.#header.salt))
    await this.write()
    await this.#file.finish()
    return this.#file.path
  }

  /** Removes what has been written. */
  abandon(): void {
    this.#file.abandon()
  }

  #openBlock(firstKey: string): void {
    const writer = this.#writer
    const space = this.#spaces.at(-1)!
    this.#blockAt = writer.at
    writer.reserve(FRAME_BYTES)
    writer.at += FRAME_BYTES
    writer.text(space.name)
    writer.varint(space.isCleared && space.blocks.length === 0 ? 1 : 0)
    this.#blockCountAt = writer.at
    writer.uint32(0)
    this.#blockRows = 0
    this.#firstKey = firstKey
  }

  #closeBlock(): void {
    if (this.#blockAt < 0) return
    const writer = this.#writer
    writer.bytes.writeUInt32LE(this.#blockRows, this.#blockCountAt)
    sealFrame(writer.bytes, this.#blockAt, writer.at, BLOCK, this.#sequence++, this.#header.salt)
    this.#spaces.at(-1)!.blocks.push({ length: writer.at - this.#blockAt, firstKey: this.#firstKey })
    this.#blockAt = -1
  }
}

function encodeTrailer(indexOffset: number, salt: number): Buffer {
  const trailer = Buffer.alloc(TRAILER_BYTES)
  TRAILER_MAGIC.copy(trailer)
  trailer.writeUIntLE(indexOffset, 8, 6)
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 14), salt), 14)
  return trailer
}

/** Where the index begins; undefined for bytes that are no trailer. */
export function decodeTrailer(trailer: Buffer, salt: number): number | undefined {
  const isIntact = trailer.readUInt32LE(14) === crc32(trailer.subarray(0, 14), salt)
  return isIntact && trailer.subarray(0, 8).equals(TRAILER_MAGIC) ? trailer.readUIntLE(8, 6) : undefined
}
