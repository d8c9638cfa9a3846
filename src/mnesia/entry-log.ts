/**
 * The log: recent entries of every stream, in order and without holes, bounded in bytes.
 *
 * A stream is what is numbered in one sequence: an origin of shared tables, an owner's rows in an owned table. Its entries lie one behind the
 * other in segments, as they are sent, so streaming them to a peer is cutting slices. When the log is full the oldest segment goes, whoever's it
 * is; a reader that stands in it finishes it, and finds a gap behind. What has been read is never written to again.
 */
import { BinaryReader, Damaged } from './binary.ts'

const FIRST_SEGMENT_BYTES = 2 << 10
const LARGEST_SEGMENT_BYTES = 64 << 10
/** A log has at least so many segments when it is full, so that what goes is a small part of it. */
const LEAST_SEGMENTS = 16

class Segment {
  readonly bytes: Buffer
  readonly first: number
  count = 0
  length = 0
  /** Not in the log any more; readers may still stand in it. */
  isDropped = false

  constructor(first: number, bytes: number) {
    this.first = first
    this.bytes = Buffer.allocUnsafeSlow(bytes)
  }
}

class StreamLog {
  /** Number of the oldest entry; that of the next one when there is none. */
  first: number
  next: number
  segments: Segment[] = []

  constructor(first: number) {
    this.first = first
    this.next = first
  }
}

/** Some bytes of the log: whole entries, or a piece of one that is large. */
export interface LogChunk {
  /** The entry that begins in it, or that it is a piece of. */
  readonly first: number
  readonly bytes: Buffer
}

/** A place in the log of a stream; moves on as it is read. */
export class LogCursor<Stream extends object> {
  readonly stream: Stream
  /** Number of the entry that is read next, or is being read. */
  seq: number
  segment: Segment | undefined
  offset = 0
  /** Bytes of the entry `seq` that have been read. */
  readOfEntry = 0

  constructor(stream: Stream, seq: number) {
    this.stream = stream
    this.seq = seq
  }
}

export class EntryLog<Stream extends object> {
  readonly #maxBytes: number
  readonly #segmentBytes: number
  readonly #logs = new Map<Stream, StreamLog>()
  /** All segments, oldest first. */
  #queue: { readonly log: StreamLog; readonly segment: Segment }[] = []
  #queueHead = 0
  #bytes = 0
  readonly #reader = new BinaryReader(new Uint8Array())

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#segmentBytes = Math.min(LARGEST_SEGMENT_BYTES, Math.ceil(maxBytes / LEAST_SEGMENTS))
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Number of the oldest entry that it has of a stream; `next` when it has none. */
  first(stream: Stream, next: number): number {
    const log = this.#logs.get(stream)
    return log === undefined || log.next !== next ? next : log.first
  }

  /** Adds the entry `seq`, `length` long with the length before it. When it is not the next one, the log of the stream begins with it. */
  append(stream: Stream, seq: number, entry: Uint8Array): void {
    const log = this.#logOf(stream, seq)
    let segment = log.segments.at(-1)
    if (segment === undefined || segment.length + entry.length > segment.bytes.length) {
      segment = this.#addSegment(log, entry.length)
    }
    segment.bytes.set(entry, segment.length)
    segment.length += entry.length
    segment.count++
    log.next = seq + 1
    this.#trim()
  }

  /** Forgets all of a stream. */
  drop(stream: Stream): void {
    const log = this.#logs.get(stream)
    if (log === undefined) return
    this.#logs.delete(stream)
    for (const segment of log.segments) segment.isDropped = true
    const kept = this.#queue.slice(this.#queueHead).filter(({ segment }) => {
      if (segment.isDropped) this.#bytes -= segment.bytes.length
      return !segment.isDropped
    })
    this.#queue = kept
    this.#queueHead = 0
  }

  /**
   * The next bytes at a cursor, at most `maxBytes`, of entries up to `last`; undefined when there are none. A number when the log does not reach
   * back so far: the oldest entry that can be read; the cursor has moved there.
   */
  read(cursor: LogCursor<Stream>, last: number, maxBytes: number): LogChunk | number | undefined {
    if (cursor.seq > last && cursor.readOfEntry === 0) return undefined
    if (cursor.segment === undefined || this.#isFinished(cursor)) {
      const log = this.#logs.get(cursor.stream)
      if (log === undefined || cursor.seq < log.first) {
        const first = log?.first ?? last + 1
        const isGap = cursor.seq < first
        cursor.seq = first
        cursor.segment = undefined
        return isGap ? first : undefined
      }
      this.#seek(cursor, log)
    }
    return this.#take(cursor, last, maxBytes)
  }

  #isFinished({ segment, offset }: LogCursor<Stream>): boolean {
    return offset === segment!.length
  }

  /** Puts a cursor at the beginning of its entry, which the log has. */
  #seek(cursor: LogCursor<Stream>, log: StreamLog): void {
    const segments = log.segments
    let at = segments.length - 1
    while (at > 0 && segments[at]!.first > cursor.seq) at--
    const segment = segments[at]!
    cursor.segment = segment
    cursor.offset = 0
    const reader = this.#reader
    for (let seq = segment.first; seq < cursor.seq; seq++) {
      reader.open(segment.bytes, cursor.offset, segment.length)
      const length = reader.varint()
      cursor.offset = reader.at + length
    }
  }

  #take(cursor: LogCursor<Stream>, last: number, maxBytes: number): LogChunk | undefined {
    const segment = cursor.segment!
    const from = cursor.offset
    const first = cursor.seq
    const reader = this.#reader
    let to = from
    while (cursor.seq <= last && to < segment.length) {
      if (cursor.readOfEntry > 0) return this.#takePiece(cursor, maxBytes)
      reader.open(segment.bytes, to, segment.length)
      const length = reader.varint()
      const end = reader.at + length
      if (end - from > maxBytes) {
        if (to === from) return this.#takePiece(cursor, maxBytes)
        break
      }
      to = end
      cursor.seq++
    }
    cursor.offset = to
    return to === from ? undefined : { first, bytes: segment.bytes.subarray(from, to) }
  }

  /** Of an entry that is larger than a chunk. */
  #takePiece(cursor: LogCursor<Stream>, maxBytes: number): LogChunk {
    const segment = cursor.segment!
    const reader = this.#reader
    const from = cursor.offset
    const begin = from - cursor.readOfEntry
    reader.open(segment.bytes, begin, segment.length)
    const length = reader.varint()
    const end = reader.at + length
    const to = Math.min(end, from + maxBytes)
    const first = cursor.seq
    cursor.offset = to
    cursor.readOfEntry = to - begin
    if (to === end) {
      cursor.seq++
      cursor.readOfEntry = 0
    }
    return { first, bytes: segment.bytes.subarray(from, to) }
  }

  #logOf(stream: Stream, seq: number): StreamLog {
    let log = this.#logs.get(stream)
    if (log !== undefined && log.next !== seq) {
      this.drop(stream)
      log = undefined
    }
    if (log === undefined) {
      log = new StreamLog(seq)
      this.#logs.set(stream, log)
    }
    return log
  }

  #addSegment(log: StreamLog, entryBytes: number): Segment {
    const usual = log.segments.length === 0 ? Math.min(FIRST_SEGMENT_BYTES, this.#segmentBytes) : this.#segmentBytes
    const segment = new Segment(log.next, Math.max(usual, entryBytes))
    log.segments.push(segment)
    this.#queue.push({ log, segment })
    this.#bytes += segment.bytes.length
    return segment
  }

  #trim(): void {
    while (this.#bytes > this.#maxBytes && this.#queue.length - this.#queueHead > 1) {
      const { log, segment } = this.#queue[this.#queueHead++]!
      segment.isDropped = true
      log.segments.shift()
      log.first = log.segments[0]?.first ?? log.next
      this.#bytes -= segment.bytes.length
    }
    if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead)
      this.#queueHead = 0
    }
  }
}

/** What a peer has sent of a stream, put together to whole entries. */
export class EntryStream {
  readonly #maxEntryBytes: number
  readonly #reader = new BinaryReader(new Uint8Array())
  #rest: Buffer[] = []
  #restBytes = 0
  /** Bytes that `#rest` needs before it is worth a look. */
  #wanted = 0

  constructor(maxEntryBytes: number) {
    this.#maxEntryBytes = maxEntryBytes
  }

  /** Calls `take` with each entry that is complete: its bytes with the length before them, and a reader at its body. Throws `Damaged`. */
  add(chunk: Uint8Array, take: (entry: Buffer, body: BinaryReader) => void): void {
    let bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    if (this.#restBytes > 0) {
      this.#rest.push(bytes)
      this.#restBytes += bytes.length
      if (this.#restBytes < this.#wanted) return
      bytes = Buffer.concat(this.#rest, this.#restBytes)
    }
    const reader = this.#reader
    let at = 0
    this.#wanted = 0
    while (at < bytes.length) {
      reader.open(bytes, at)
      const end = this.#endOf(reader)
      if (end === undefined || end > bytes.length) {
        this.#wanted = end === undefined ? 0 : end - at
        break
      }
      const body = reader.at
      reader.open(bytes, body, end)
      take(bytes.subarray(at, end), reader)
      at = end
    }
    // A copy: the rest would keep the whole chunk, and a peer that sends no more would keep it for ever.
    this.#rest = at < bytes.length ? [Buffer.from(bytes.subarray(at))] : []
    this.#restBytes = bytes.length - at
  }

  /** Where the entry ends that begins where the reader stands; undefined when its length is not complete. */
  #endOf(reader: BinaryReader): number | undefined {
    const isComplete = reader.left >= 8
    try {
      const length = reader.varint()
      if (length > this.#maxEntryBytes) throw new Damaged('entry too large')
      return reader.at + length
    } catch (error) {
      if (error instanceof Damaged && error.reason === 'truncated' && !isComplete) return undefined
      throw error
    }
  }
}
