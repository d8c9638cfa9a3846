import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameSplitter, FrameWriter } from '../../src/dist/frame.ts'

/** Everything written goes into `written`, one entry a write. */
class Sink {
  readonly written: Buffer[] = []
  writableLength = 0

  write(buffers: readonly Buffer[], bytes: number): void {
    const all = Buffer.concat(buffers)
    expect(all.length).toBe(bytes)
    this.written.push(all)
  }
}

function framesOf(splitter: FrameSplitter): Buffer[] {
  const frames: Buffer[] = []
  for (;;) {
    const frame = splitter.next()
    if (frame === undefined) return frames
    if (frame === 'too_large') throw new Error(frame)
    frames.push(Buffer.from(frame))
  }
}

/** Equality of large buffers without looking at each byte in JavaScript. */
function expectSame(frames: readonly Buffer[], expected: readonly Buffer[]): void {
  expect(frames.map((frame) => frame.length)).toEqual(expected.map((frame) => frame.length))
  expect(frames.every((frame, index) => frame.equals(expected[index]!))).toBe(true)
}

const frameOf = (body: Buffer) => {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}

describe('a frame splitter', () => {
  it('gives the frames that were written, however they are cut', () => {
    const size = fc.oneof(fc.nat(20), fc.nat(3000), fc.constant(0))
    const cut = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 5000 }))
    fc.assert(
      fc.property(fc.array(size, { maxLength: 30 }), fc.infiniteStream(cut), fc.boolean(), (sizes, cuts, reads) => {
        const bodies = sizes.map((length, index) => Buffer.alloc(length, index + 1))
        const bytes = Buffer.concat(bodies.map(frameOf))
        const splitter = new FrameSplitter()
        const frames: Buffer[] = []
        for (let at = 0; at < bytes.length; ) {
          const length = cuts.next().value as number
          splitter.push(Buffer.from(bytes.subarray(at, at + length)))
          at += length
          if (reads) frames.push(...framesOf(splitter))
        }
        frames.push(...framesOf(splitter))
        expectSame(frames, bodies)
        expect(splitter.bufferedBytes).toBe(0)
      }),
    )
  })

  it('gives an empty frame for a tick', () => {
    const splitter = new FrameSplitter()
    splitter.push(Buffer.alloc(8))
    expect(splitter.next()).toHaveLength(0)
    expect(splitter.next()).toHaveLength(0)
    expect(splitter.next()).toBeUndefined()
  })

  it('does not copy a frame that lies in one chunk', () => {
    const chunk = frameOf(Buffer.from('abc'))
    const splitter = new FrameSplitter()
    splitter.push(chunk)
    expect((splitter.next() as Buffer).buffer).toBe(chunk.buffer)
  })

  it('refuses a frame above the limit by its length, for ever, and takes one at the limit', () => {
    const splitter = new FrameSplitter(10)
    splitter.push(frameOf(Buffer.alloc(10)))
    expect(splitter.next()).toHaveLength(10)
    splitter.push(Buffer.from([0, 0, 0, 11]))
    expect(splitter.next()).toBe('too_large')
    splitter.push(frameOf(Buffer.alloc(3)))
    expect(splitter.next()).toBe('too_large')
    const liar = new FrameSplitter()
    liar.push(Buffer.from([255, 255, 255, 255]))
    expect(liar.next()).toBe('too_large')
  })

  it('holds only what has come, whatever length is announced', () => {
    const splitter = new FrameSplitter()
    const before = process.memoryUsage().arrayBuffers
    splitter.push(Buffer.from([3, 255, 255, 255, 1]))
    expect(splitter.next()).toBeUndefined()
    expect(splitter.bufferedBytes).toBe(1)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
  })

  it('joins 50 MB from chunks and from drops without copying them again and again', () => {
    const body = Buffer.alloc(50_000_000, 7)
    const bytes = frameOf(body)
    const splitter = new FrameSplitter()
    for (let at = 0; at < bytes.length; at += 65_536) {
      expect(splitter.next()).toBeUndefined()
      splitter.push(bytes.subarray(at, at + 65_536))
    }
    expect((splitter.next() as Buffer).equals(body)).toBe(true)
    const drops = frameOf(Buffer.alloc(2_000_000, 8))
    for (let at = 0; at < drops.length; at++) splitter.push(drops.subarray(at, at + 1))
    expectSame(framesOf(splitter), [drops.subarray(4)])
  })
})

describe('a frame writer', () => {
  const writerOn = (sink: Sink, flushBytes?: number) => {
    const turns: (() => void)[] = []
    const writer = new FrameWriter(sink, (flush) => turns.push(flush), flushBytes)
    const endTurn = () => {
      for (const flush of turns.splice(0)) flush()
    }
    return { writer, turns, endTurn }
  }

  it('writes the frames of a turn at once, when it ends', () => {
    const sink = new Sink()
    const { writer, turns, endTurn } = writerOn(sink)
    writer.frame(Buffer.from('ab'), Buffer.from('c'))
    writer.tick()
    writer.frame(Buffer.from('d'))
    expect(sink.written).toEqual([])
    expect(turns).toHaveLength(1)
    expect(writer.queuedBytes).toBe(16)
    endTurn()
    expect(sink.written).toEqual([Buffer.from('\0\0\0\x03abc\0\0\0\0\0\0\0\x01d', 'latin1')])
    expect(writer.queuedBytes).toBe(0)
    sink.writableLength = 5
    expect(writer.queuedBytes).toBe(5)
    endTurn()
    writer.tick()
    endTurn()
    expect(sink.written).toHaveLength(2)
  })

  it('does not wait for the end of the turn when much has gathered', () => {
    const sink = new Sink()
    const { writer } = writerOn(sink, 100)
    writer.frame(Buffer.alloc(50))
    expect(sink.written).toHaveLength(0)
    writer.frame(Buffer.alloc(50))
    expect(sink.written).toHaveLength(1)
  })

  it('writes what a splitter gives back, small and large parts in any order', () => {
    const part = fc.oneof(fc.nat(30), fc.integer({ min: 8000, max: 9000 }), fc.integer({ min: 60_000, max: 70_000 }))
    const frame = fc.array(part, { maxLength: 3 })
    fc.assert(
      fc.property(fc.array(fc.tuple(frame, fc.boolean()), { maxLength: 20 }), (frames) => {
        const sink = new Sink()
        const { writer, endTurn } = writerOn(sink)
        const expected: Buffer[] = []
        let fill = 0
        for (const [sizes, ends] of frames) {
          const parts = sizes.map((length) => Buffer.alloc(length, ++fill))
          expected.push(Buffer.concat(parts))
          writer.frame(...parts)
          // Small parts may be used again at once.
          for (const one of parts) if (one.length < 8000) one.fill(255)
          if (ends) endTurn()
        }
        endTurn()
        const splitter = new FrameSplitter()
        for (const chunk of sink.written) splitter.push(chunk)
        expectSame(framesOf(splitter), expected)
      }),
      { numRuns: 50 },
    )
  })
})
