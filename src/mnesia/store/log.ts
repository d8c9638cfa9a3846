/**
 * One log of the store: what has been committed since the last checkpoint, as the bytes of its file and as an index of them.
 *
 * Commits are encoded as they come, into frames called groups, at the offsets that they will have in the file. The bytes
 * stay in memory until a checkpoint has taken them over, since that is when they are read, and the index refers to them
 * by offset, which costs a row no object. A write that fails is made again with the same bytes at the same place.
 *
 * In a group an operation is a number, twice the number of its space in the group plus one for `clear`; the name of the space where the
 * number is new; and but for `clear` a key and a value.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { encodeHeader, type FileHeader, fileName, HEADER_BYTES } from './file-header.ts'
import { syncData, syncDirectory, writeAt } from './files.ts'
import { FRAME_BYTES, GROUP, scanFrames, sealFrame } from './frames.ts'
import { REMOVED, RecordReader, RecordWriter } from './records.ts'
import type { StoreOperation } from './store.ts'

const SLAB_BYTES = 256 << 10
/** A group that is larger is closed. */
const GROUP_BYTES = 1 << 20

/** What a log holds of one space. */
export class SpaceInLog {
  /** Key to the offset of its value; for a key that was removed, `-1 - offset`. */
  readonly rows = new Map<string, number>()
  /** Offset of the last `clear`: what older files hold of the space is gone; -1 when there was none. */
  clearedAt = -1
}

interface Slab {
  readonly offset: number
  readonly bytes: Buffer
}

/** Writes groups; hands full slabs to the log. */
class GroupWriter extends RecordWriter {
  /** Offset in the file of the first byte of the buffer. */
  offset = 0
  readonly full: Slab[] = []

  protected override grow(bytes: number): void {
    if (this.start > 0) this.full.push({ offset: this.offset, bytes: this.bytes.subarray(0, this.start) })
    this.offset += this.start
    super.grow(bytes)
  }

  /** Goes on at an offset, in a buffer of its own. */
  restart(offset: number): void {
    this.offset = offset
    this.bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
    this.at = 0
    this.start = 0
  }
}

export class Log {
  readonly header: FileHeader
  readonly spaces = new Map<string, SpaceInLog>()
  readonly path: string
  readonly #directory: string
  readonly #writer = new GroupWriter(SLAB_BYTES)
  readonly #reader = new RecordReader(Buffer.alloc(0))
  /** Offset of the group that is open; -1 when none is. */
  #groupAt = -1
  readonly #spacesInGroup = new Map<string, number>()
  #last: { readonly name: string; readonly number: number; readonly space: SpaceInLog } | undefined
  #sequence = 0
  /** Everything before this offset is on disc. */
  #flushedTo = 0
  #fd: number | undefined
  #isEnded = false

  constructor(directory: string, header: FileHeader) {
    this.header = header
    this.#directory = directory
    this.path = join(directory, fileName(header))
    this.#writer.raw(encodeHeader(header))
    this.#writer.start = this.#writer.at
  }

  get number(): number {
    return this.header.from
  }

  /** Offset behind the last byte, also of the group that is open. */
  get length(): number {
    return this.#writer.offset + this.#writer.at
  }

  get flushedTo(): number {
    return this.#flushedTo
  }

  /** False for a log that has been replayed or ended. */
  get isWritable(): boolean {
    return !this.#isEnded
  }

  get isFlushed(): boolean {
    return this.#flushedTo === this.length || (this.#flushedTo === 0 && this.isEmpty)
  }

  get isEmpty(): boolean {
    return this.length === HEADER_BYTES
  }

  /** Adds operations that reach the disc together. */
  add(operations: readonly StoreOperation[]): void {
    this.#openGroup()
    for (let i = 0; i < operations.length; i++) {
      const { space, key, value } = operations[i]!
      this.#put(space, key, value)
    }
    if (this.length - this.#groupAt > GROUP_BYTES) this.closeGroup()
  }

  clear(space: string): void {
    this.#openGroup()
    this.#clear(space)
  }

  /** Ends the group: what is added next may reach the disc later than what was added before. */
  closeGroup(): void {
    if (this.#groupAt < 0) return
    const writer = this.#writer
    sealFrame(writer.bytes, this.#groupAt - writer.offset, writer.at, GROUP, this.#sequence++, this.header.salt)
    writer.start = writer.at
    this.#groupAt = -1
    this.#spacesInGroup.clear()
    this.#last = undefined
  }

  /** The value whose offset the index gives, as a view. */
  value(offset: number): Buffer {
    this.seek(this.#reader, offset)
    this.#reader.value()
    return this.#reader.bytes.subarray(this.#reader.valueFrom, this.#reader.valueTo)
  }

  /** Places a reader at an offset. */
  seek(reader: RecordReader, offset: number): void {
    const writer = this.#writer
    if (offset >= writer.offset) {
      reader.bytes = writer.bytes
      reader.at = offset - writer.offset
      reader.end = writer.at
      return
    }
    let low = 0
    let high = writer.full.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (writer.full[middle]!.offset <= offset) low = middle
      else high = middle - 1
    }
    const slab = writer.full[low]!
    reader.bytes = slab.bytes
    reader.at = offset - slab.offset
    reader.end = slab.bytes.length
  }

  /** Writes what has not been, and resolves when it is on disc. Rejects with the error of the system call; may be tried again. */
  async flush(): Promise<void> {
    this.closeGroup()
    if (!this.isFlushed) await this.#write()
  }

  async #write(): Promise<void> {
    const from = this.#flushedTo
    const to = this.length
    const buffers = this.#bytesFrom(from)
    this.#fd ??= await openNew(this.path)
    try {
      await writeAt(this.#fd, buffers, from)
      await syncData(this.#fd)
      if (from === 0) await syncDirectory(this.#directory)
    } catch (error) {
      // Nothing that was written in vain may be found behind what is written in its place.
      await truncate(this.#fd, from)
      throw error
    }
    this.#flushedTo = to
  }

  /** Makes the file of a log into which nothing was written, and ends the log. */
  async flushEmpty(): Promise<void> {
    this.end()
    await this.#write()
  }

  /**
   * Replaces all that has not been flushed by one group with the same effect, in which each key is written once: what waits
   * for a disc that is full then stays bounded. Must not be called during a flush.
   */
  condense(): void {
    this.closeGroup()
    const changes = [...this.spaces].map(([name, space]) => ({
      name,
      isCleared: space.clearedAt >= this.#flushedTo,
      rows: this.#unflushedRows(name, space),
    }))
    this.#forgetFrom(this.#flushedTo)
    this.#openGroup()
    for (const { name, isCleared, rows } of changes) {
      if (isCleared) this.#clear(name)
      for (const { key, value } of rows) this.#put(name, key, value)
    }
    this.closeGroup()
  }

  /**
   * Takes in what the file holds, so that it can be read; the log takes no more commits. Resolves with the number of groups, the
   * offset behind the last of them, and that of the first byte which is none of a group, which is `size` when there is none.
   */
  async replay(
    fd: number,
    size: number,
  ): Promise<{ readonly groups: number; readonly end: number; readonly gapAt: number }> {
    const { full } = this.#writer
    full.length = 0
    let groups = 0
    let end = Math.min(size, HEADER_BYTES)
    let gapAt = size
    for await (const frame of scanFrames({ fd, salt: this.header.salt }, HEADER_BYTES, size)) {
      if (frame.kind === 'gap') {
        gapAt = Math.min(gapAt, frame.offset)
        continue
      }
      const offset = frame.offset + FRAME_BYTES - frame.from
      if (full.at(-1)?.bytes !== frame.bytes) full.push({ offset, bytes: frame.bytes })
      this.#replayGroup(new RecordReader(frame.bytes, frame.from, frame.to), offset)
      groups++
      end = frame.end
    }
    this.#writer.restart(end)
    this.#flushedTo = end
    this.end()
    return { groups, end, gapAt }
  }

  /** Takes no more commits. */
  end(): void {
    this.#isEnded = true
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd)
    this.#fd = undefined
  }

  #openGroup(): void {
    if (this.#groupAt >= 0) return
    const writer = this.#writer
    writer.start = writer.at
    writer.reserve(FRAME_BYTES)
    this.#groupAt = this.length
    writer.at += FRAME_BYTES
  }

  #put(name: string, key: string, value: Uint8Array | undefined): void {
    const space = this.#enter(name, 0)
    const writer = this.#writer
    writer.text(key)
    const offset = this.length
    writer.value(value)
    space.rows.set(key, value === undefined ? -1 - offset : offset)
  }

  #clear(name: string): void {
    const space = this.#enter(name, 1)
    space.clearedAt = this.length
    space.rows.clear()
  }

  /** Writes the space of an operation. */
  #enter(name: string, clear: 0 | 1): SpaceInLog {
    const last = this.#last
    if (last !== undefined && last.name === name) {
      this.#writer.varint(last.number * 2 + clear)
      return last.space
    }
    const space = this.#space(name)
    let number = this.#spacesInGroup.get(name)
    const isNew = number === undefined
    number ??= this.#spacesInGroup.size
    this.#writer.varint(number * 2 + clear)
    if (isNew) {
      this.#spacesInGroup.set(name, number)
      this.#writer.text(name)
    }
    this.#last = { name, number, space }
    return space
  }

  #space(name: string): SpaceInLog {
    let space = this.spaces.get(name)
    if (space === undefined) {
      space = new SpaceInLog()
      this.spaces.set(name, space)
    }
    return space
  }

  #replayGroup(reader: RecordReader, base: number): void {
    const spaces: SpaceInLog[] = []
    while (reader.hasMore) {
      const number = reader.varint()
      const at = number >>> 1
      if (at === spaces.length) spaces.push(this.#space(reader.text()))
      const space = spaces[at]
      if (space === undefined) throw new RangeError(`group with space ${at} of ${spaces.length}`)
      if (number & 1) {
        space.clearedAt = base + reader.at
        space.rows.clear()
        continue
      }
      const key = reader.text()
      const offset = base + reader.at
      reader.value()
      space.rows.set(key, reader.valueFrom === REMOVED ? -1 - offset : offset)
    }
  }

  #unflushedRows(name: string, { rows }: SpaceInLog): StoreOperation[] {
    const unflushed: StoreOperation[] = []
    for (const [key, offset] of rows) {
      if (offset >= 0 ? offset < this.#flushedTo : -1 - offset < this.#flushedTo) continue
      unflushed.push({ space: name, key, value: offset >= 0 ? this.value(offset) : undefined })
    }
    return unflushed
  }

  /** Cuts off everything from an offset on; the buffers that hold it are left as they are. */
  #forgetFrom(offset: number): void {
    const writer = this.#writer
    const slabs = [...writer.full, { offset: writer.offset, bytes: writer.bytes.subarray(0, writer.at) }]
    writer.full.length = 0
    for (const slab of slabs) {
      const length = Math.min(slab.bytes.length, offset - slab.offset)
      if (length > 0) writer.full.push({ offset: slab.offset, bytes: slab.bytes.subarray(0, length) })
    }
    writer.restart(offset)
    if (offset === 0) writer.raw(encodeHeader(this.header))
  }

  #bytesFrom(offset: number): Buffer[] {
    const writer = this.#writer
    return [...writer.full, { offset: writer.offset, bytes: writer.bytes.subarray(0, writer.at) }]
      .filter((slab) => slab.offset + slab.bytes.length > offset)
      .map((slab) => slab.bytes.subarray(Math.max(0, offset - slab.offset)))
  }
}

function openNew(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, 'w+', 0o600, (error, fd) => (error ? reject(error) : resolve(fd)))
  })
}

/** As far as that goes: the error that led here is the one to tell. */
function truncate(fd: number, length: number): Promise<void> {
  return new Promise((resolve) => fs.ftruncate(fd, length, () => resolve()))
}
