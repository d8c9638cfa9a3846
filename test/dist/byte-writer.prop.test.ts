/** A batch holds what was appended, however it is cut into parts, taken back and taken out: as a plain list of bytes does. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteWriter } from '../../src/dist/byte-writer.ts'

type Op =
  | { readonly op: 'raw'; readonly bytes: Uint8Array }
  | { readonly op: 'uint32'; readonly value: number; readonly patched: number }
  | { readonly op: 'truncate' | 'takeFrom'; readonly share: number }
  | { readonly op: 'repeat'; readonly from: number; readonly to: number }
  | { readonly op: 'take' | 'takeParts' }

const share = fc.double({ min: 0, max: 1, noNaN: true })
const number = fc.nat(2 ** 31 - 1)
const ops: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('raw' as const), bytes: fc.uint8Array({ maxLength: 60 }) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('uint32' as const), value: number, patched: number }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('truncate' as const, 'takeFrom' as const), share }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('repeat' as const), from: share, to: share }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('take' as const, 'takeParts' as const) }) },
)

test('a batch of shared and copied bytes is what a list of bytes would be, and what was taken stays as it was', () => {
  const sizes = fc.record({ slabBytes: fc.integer({ min: 1, max: 200 }), shareBytes: fc.integer({ min: 1, max: 80 }) })
  fc.assert(
    fc.property(sizes, fc.array(ops, { maxLength: 60 }), (options, list) => {
      const writer = new ByteWriter(options)
      let model: number[] = []
      const taken: { readonly got: readonly Buffer[]; readonly wanted: Buffer }[] = []
      const take = (got: readonly Buffer[], from = 0): void => {
        taken.push({ got, wanted: Buffer.from(model.slice(from)) })
        model = model.slice(0, from)
      }
      for (const step of list) {
        switch (step.op) {
          case 'raw':
            writer.raw(step.bytes)
            model.push(...step.bytes)
            break
          case 'uint32': {
            const at = writer.length
            const body = Buffer.alloc(30, 9)
            const patched = Buffer.alloc(4)
            patched.writeUInt32BE(step.patched)
            writer.uint32(step.value)
            writer.raw(body)
            writer.patchUint32(at, step.patched)
            model.push(...patched, ...body)
            break
          }
          case 'truncate': {
            const to = Math.floor(model.length * step.share)
            writer.truncate(to)
            model.length = to
            break
          }
          case 'takeFrom': {
            const from = Math.floor(model.length * step.share)
            take(writer.takeFrom(from), from)
            break
          }
          case 'repeat': {
            const ends = [step.from, step.to].map((at) => Math.floor(model.length * at)).sort((a, b) => a - b)
            const [from, to] = ends as [number, number]
            if (writer.repeat(from, to - from)) model.push(...model.slice(from, to))
            break
          }
          case 'take':
            take([writer.take()])
            break
          case 'takeParts':
            take(writer.takeParts())
        }
        expect(writer.length).toBe(model.length)
      }
      take(writer.takeParts())
      for (const { got, wanted } of taken) expect(Buffer.concat(got).equals(wanted)).toBe(true)
    }),
    { numRuns: 1500 },
  )
})

test('a long binary is taken into the batch as it is, and a short one is copied', () => {
  const writer = new ByteWriter({ shareBytes: 100 })
  const [long, short] = [Buffer.alloc(100, 1), Buffer.alloc(99, 1)]
  writer.raw(long)
  writer.raw(short)
  const parts = writer.takeParts()
  long.fill(2)
  short.fill(2)
  expect(Buffer.concat(parts)).toEqual(Buffer.concat([Buffer.alloc(100, 2), Buffer.alloc(99, 1)]))
})
