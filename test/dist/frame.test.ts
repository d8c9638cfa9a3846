import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameSplitter } from '../../src/dist/frame.ts'

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
