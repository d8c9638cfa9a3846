import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BinaryReader, BinaryWriter } from '../../src/mnesia/binary.ts'
import { EntryLog, EntryStream, LogCursor } from '../../src/mnesia/entry-log.ts'

type Stream = { readonly name: string }

/** An entry as it lies in the log: its number and its stream, and so many bytes more. */
function entryOf({ name }: Stream, seq: number, size: number): Buffer {
  const writer = new BinaryWriter()
  writer.text(name)
  writer.varint(seq)
  writer.blob(Buffer.alloc(size, seq))
  const body = writer.take()
  writer.blob(body)
  return Buffer.from(writer.take())
}

/** What a reader knows: where it stands, and what has been put together of what it has read. */
class Reader {
  readonly cursor: LogCursor<Stream>
  readonly #parts = new EntryStream(1 << 20)
  /** Number of the entry that comes next. */
  next: number

  constructor(stream: Stream, seq: number) {
    this.cursor = new LogCursor(stream, seq)
    this.next = seq
  }

  take(bytes: Buffer, sizes: ReadonlyMap<number, number>): void {
    this.#parts.add(bytes, (entry, body: BinaryReader) => {
      const { name } = this.cursor.stream
      expect([body.text(), body.varint()]).toEqual([name, this.next])
      const size = sizes.get(this.next)!
      expect(body.blob()).toEqual(Buffer.alloc(size, this.next))
      expect(entry).toEqual(entryOf(this.cursor.stream, this.next, size))
      this.next++
    })
  }
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('append' as const), stream: fc.nat(2), size: fc.nat({ max: 700 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), reader: fc.nat(3), most: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('skip' as const), stream: fc.nat(2), by: fc.nat({ max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('open' as const), reader: fc.nat(3), back: fc.nat(9) }) },
)

test('what is read of a stream is its entries, in order and whole; where some are gone the log says where it goes on', () => {
  let gaps = 0
  let pieces = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 100, max: 8000 }), (steps, maxBytes) => {
      const log = new EntryLog<Stream>(maxBytes)
      const streams: Stream[] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]
      const last = new Map(streams.map((stream) => [stream, 0]))
      const sizes = new Map(streams.map((stream) => [stream, new Map<number, number>()]))
      const readers = streams.concat(streams[0]!).map((stream) => new Reader(stream, 1))
      const read = (reader: Reader, most: number): boolean => {
        const { cursor } = reader
        const chunk = log.read(cursor, last.get(cursor.stream)!, most)
        if (chunk === undefined) return false
        if (typeof chunk === 'number') {
          gaps++
          // Only forward, and never within an entry.
          expect([chunk > reader.next, cursor.seq, cursor.readOfEntry]).toEqual([true, chunk, 0])
          reader.next = chunk
          return true
        }
        expect(chunk.bytes.length).toBeGreaterThan(0)
        expect(chunk.bytes.length).toBeLessThanOrEqual(Math.max(1, most))
        if (cursor.readOfEntry > 0) pieces++
        reader.take(chunk.bytes, sizes.get(cursor.stream)!)
        return true
      }
      for (const each of steps) {
        if (each.do === 'append') {
          const stream = streams[each.stream]!
          const seq = last.get(stream)! + 1
          last.set(stream, seq)
          sizes.get(stream)!.set(seq, each.size)
          log.append(stream, seq, entryOf(stream, seq, each.size))
        } else if (each.do === 'skip') {
          // Entries that are numbered and not kept.
          const stream = streams[each.stream]!
          last.set(stream, last.get(stream)! + each.by)
          if (each.by > 0) log.drop(stream)
        } else if (each.do === 'open') {
          const { stream } = readers[each.reader]!.cursor
          readers[each.reader] = new Reader(stream, Math.max(1, last.get(stream)! + 1 - each.back))
        } else read(readers[each.reader]!, 1 + each.most)
        const largest = 64 + 700
        expect(log.bytes).toBeLessThanOrEqual(maxBytes + Math.max(maxBytes / 16 + 1, largest))
      }
      for (const reader of readers) {
        while (read(reader, 300)) {}
        const { stream } = reader.cursor
        expect(reader.next).toBe(last.get(stream)! + 1)
        const first = log.first(stream, reader.next)
        const from = new Reader(stream, first)
        while (read(from, 1000)) expect(from.next).toBeGreaterThanOrEqual(first)
        expect(from.next).toBe(reader.next)
      }
    }),
    { numRuns: 300 },
  )
  expect([gaps > 50, pieces > 50]).toEqual([true, true])
})
