/**
 * A rows file that is read: its index in memory, one first key for each block, and its blocks on disc.
 *
 * Files are immutable and may be read while their successor is being written. An iteration holds on to the file that it
 * reads, so that the file's descriptor outlives the file's name.
 */
import fs from 'node:fs'
import { StoreError } from '../errors.ts'
import { decodeHeader, type FileHeader, HEADER_BYTES } from './file-header.ts'
import { readAt, readAtSync } from './files.ts'
import { FRAME_BYTES, frameLength, INDEX, isFrameIntact } from './frames.ts'
import { encodeText, RecordReader } from './records.ts'
import { decodeTrailer, TRAILER_BYTES } from './rows-writer.ts'

export interface SpaceInRows {
  /** What older files hold of the space is gone. */
  readonly isCleared: boolean
  readonly live: number
  readonly removed: number
  /** By block. */
  readonly offsets: number[]
  readonly lengths: number[]
  readonly firstKeys: string[]
}

export class RowsFile {
  readonly path: string
  readonly header: FileHeader
  readonly size: number
  readonly spaces: ReadonlyMap<string, SpaceInRows>
  readonly #fd: number
  #readers = 1
  #cached: { readonly offset: number; readonly bytes: Buffer } | undefined

  constructor(path: string, fd: number, header: FileHeader, size: number, spaces: ReadonlyMap<string, SpaceInRows>) {
    this.path = path
    this.#fd = fd
    this.header = header
    this.size = size
    this.spaces = spaces
  }

  /** Reads blocks from one on, about `bytes` in all and at least one; the reader is placed at the first frame. */
  async readBlocks(space: SpaceInRows, from: number, bytes: number): Promise<BlockRun> {
    const { offset, buffer, count } = this.#run(space, from, bytes)
    await readAt(this.#fd, buffer, offset)
    return { bytes: buffer, count }
  }

  readBlocksSync(space: SpaceInRows, from: number, bytes: number): BlockRun {
    const { offset, buffer, count } = this.#run(space, from, bytes)
    readAtSync(this.#fd, buffer, offset)
    return { bytes: buffer, count }
  }

  /** A reader at the rows of a block, the `at`th byte of `bytes` being its frame. Throws a `StoreError` for a block that is damaged. */
  openBlock(bytes: Buffer, at: number, length: number): { readonly reader: RecordReader; readonly rows: number } {
    const { salt } = this.header
    if (frameLength(bytes, at, salt) !== length || !isFrameIntact(bytes, at, length, salt)) {
      throw new StoreError(
        'damaged',
        `a block of ${this.path} is not what was written there; restart the node to set it aside`,
      )
    }
    const reader = new RecordReader(bytes, at + FRAME_BYTES, at + length)
    reader.skipText()
    reader.varint()
    return { rows: reader.uint32(), reader }
  }

  /** The value of a key, undefined when it was removed, null when the file does not know the key. */
  get(name: string, key: string): Buffer | undefined | null {
    const space = this.spaces.get(name)
    if (space === undefined) return null
    const block = blockOf(space.firstKeys, key)
    if (block < 0) return null
    const offset = space.offsets[block]!
    if (this.#cached?.offset !== offset) this.#cached = { offset, bytes: this.readBlocksSync(space, block, 0).bytes }
    const { reader, rows } = this.openBlock(this.#cached.bytes, 0, space.lengths[block]!)
    const encoded = encodeText(key)
    for (let i = 0; i < rows; i++) {
      const isKey = reader.skipsText(encoded)
      reader.value()
      if (isKey) return reader.valueFrom < 0 ? undefined : reader.bytes.subarray(reader.valueFrom, reader.valueTo)
    }
    return null
  }

  hold(): void {
    this.#readers++
  }

  /** Closes the file when nobody reads it any more. */
  release(): void {
    if (--this.#readers === 0) fs.closeSync(this.#fd)
  }

  #run(space: SpaceInRows, from: number, bytes: number): { offset: number; buffer: Buffer; count: number } {
    const offset = space.offsets[from]!
    let to = from
    let length = 0
    do length += space.lengths[to++]!
    while (to < space.offsets.length && length + space.lengths[to]! <= bytes)
    return { offset, buffer: Buffer.allocUnsafeSlow(length), count: to - from }
  }
}

/** Consecutive blocks. */
export interface BlockRun {
  readonly bytes: Buffer
  readonly count: number
}

/** Index of the block in which a key would be; -1 when it is before the first. */
function blockOf(firstKeys: readonly string[], key: string): number {
  let low = -1
  let high = firstKeys.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (firstKeys[middle]! <= key) low = middle
    else high = middle - 1
  }
  return low
}

/**
 * Opens a rows file. Undefined when its header, index or trailer is not what was written; its blocks are not looked at.
 * Throws the error of the system call, or a `StoreError` for a later format.
 */
export async function openRowsFile(path: string): Promise<RowsFile | undefined> {
  const fd = fs.openSync(path, 'r')
  let file: RowsFile | undefined
  try {
    file = await readRowsFile(path, fd)
  } finally {
    if (file === undefined) fs.closeSync(fd)
  }
  return file
}

async function readRowsFile(path: string, fd: number): Promise<RowsFile | undefined> {
  const { size } = fs.fstatSync(fd)
  const head = Buffer.alloc(HEADER_BYTES)
  await readAt(fd, head, 0)
  const header = decodeHeader('rows', head, path)
  if (header === undefined || size < HEADER_BYTES + FRAME_BYTES + TRAILER_BYTES) return undefined
  const trailer = Buffer.alloc(TRAILER_BYTES)
  await readAt(fd, trailer, size - TRAILER_BYTES)
  const indexOffset = decodeTrailer(trailer, header.salt)
  if (indexOffset === undefined || indexOffset > size - TRAILER_BYTES - FRAME_BYTES) return undefined
  const index = Buffer.allocUnsafeSlow(size - TRAILER_BYTES - indexOffset)
  await readAt(fd, index, indexOffset)
  if (index.readUInt32LE(0) !== INDEX) return undefined
  if (frameLength(index, 0, header.salt) !== index.length || !isFrameIntact(index, 0, index.length, header.salt)) {
    return undefined
  }
  const spaces = decodeIndex(new RecordReader(index, FRAME_BYTES))
  return spaces.end === indexOffset ? new RowsFile(path, fd, header, size, spaces.byName) : undefined
}

function decodeIndex(reader: RecordReader): { readonly byName: Map<string, SpaceInRows>; readonly end: number } {
  const byName = new Map<string, SpaceInRows>()
  let end = HEADER_BYTES
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.text()
    const isCleared = reader.varint() === 1
    const live = reader.varint()
    const removed = reader.varint()
    const space: SpaceInRows = { isCleared, live, removed, offsets: [], lengths: [], firstKeys: [] }
    for (let blocks = reader.varint(); blocks > 0; blocks--) {
      const length = reader.varint()
      space.offsets.push(end)
      space.lengths.push(length)
      space.firstKeys.push(reader.text())
      end += length
    }
    byName.set(name, space)
  }
  return { byName, end }
}

/** What a block says of itself. */
export function describeBlock(
  bytes: Buffer,
  from: number,
  to: number,
): { readonly name: string; readonly isCleared: boolean; readonly rows: number; readonly reader: RecordReader } {
  const reader = new RecordReader(bytes, from, to)
  const name = reader.text()
  const isCleared = reader.varint() === 1
  return { name, isCleared, rows: reader.uint32(), reader }
}
