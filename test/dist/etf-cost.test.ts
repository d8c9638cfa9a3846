/**
 * What the decoder's answer to hostile bytes may cost: memory is a small multiple of the input, whatever the input is, and the limit that
 * the decoder sets itself holds for what is really allocated.
 *
 * Memory is measured after a collection, so figures are those of what is kept; the bounds are twice what was found.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { etf, hostileBytes, mutatedTerms, NODE, uint32 } from './etf-support.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const SIZE = 1 << 19
const EMPTY_ATOM = [119, 0] as const

/** A list of about SIZE bytes of one short term. */
function listOf(...term: readonly number[]): Buffer {
  const count = Math.floor(SIZE / term.length)
  return etf(108, uint32(count), Buffer.alloc(count * term.length, Buffer.from(term)), 106)
}

/** As many bytes of a term within a term within a term, almost as deep as may be. */
function listOfNested(opening: readonly number[], core: readonly number[], closing: readonly number[] = []): Buffer {
  const levels = 900
  const parts = [...opening, ...closing].length
  const one = [...Array(levels).fill(opening), core, ...Array(levels).fill(closing)].flat()
  const count = Math.max(1, Math.floor(SIZE / (levels * parts + core.length)))
  return etf(108, uint32(count), ...Array.from({ length: count }, () => Buffer.from(one)), 106)
}

function entriesOf(count: number, entry: (i: number) => Buffer): Buffer {
  return etf(116, uint32(count), Buffer.concat(Array.from({ length: count }, (_, i) => entry(i))))
}

function fun(free: readonly number[]): number[] {
  const head = [...Array(16).fill(0), 0, 0, 0, 0, 0, 0, 0, free.length === 0 ? 0 : 1, ...EMPTY_ATOM, 97, 1, 97, 1]
  const body = [1, ...head, 88, ...EMPTY_ATOM, ...Array(12).fill(1), ...free]
  return [112, ...uint32(body.length + 4), ...body]
}

function nestedFuns(levels: number): number[] {
  let term: number[] = [109, ...uint32(60_000), ...Array(60_000).fill(7)]
  for (let i = 0; i < levels; i++) term = fun(term)
  return term
}

const SHAPES: Readonly<Record<string, Buffer>> = {
  'empty lists': listOf(106),
  'empty tuples': listOf(104, 0),
  'tuples of one': listOf(104, 1, 106),
  'tuples of six': listOf(104, 6, 97, 1, 97, 1, 97, 1, 97, 1, 97, 1, 97, 1),
  'lists of one': listOf(108, 0, 0, 0, 1, 97, 1, 106),
  'improper lists': listOf(108, 0, 0, 0, 1, 97, 1, 97, 1),
  'empty maps': listOf(116, 0, 0, 0, 0),
  'maps of one atom': listOf(116, 0, 0, 0, 1, 119, 1, 97, 97, 1),
  'maps of one number': listOf(116, 0, 0, 0, 1, 97, 1, 97, 1),
  'empty binaries': listOf(109, 0, 0, 0, 0),
  'binaries of a byte': listOf(109, 0, 0, 0, 1, 7),
  'texts of a byte': listOf(77, 0, 0, 0, 1, 8, 97),
  'texts that are none': listOf(77, 0, 0, 0, 1, 8, 200),
  'bit strings': listOf(77, 0, 0, 0, 1, 3, 200),
  'strings of a byte': listOf(107, 0, 1, 1),
  'empty strings': listOf(107, 0, 0),
  bytes: listOf(97, 1),
  integers: listOf(98, 127, 1, 1, 1),
  floats: listOf(70, 63, 241, 153, 153, 153, 153, 153, 154),
  'big integers': listOf(110, 8, 0, 1, 1, 1, 1, 1, 1, 1, 127),
  pids: listOf(88, ...EMPTY_ATOM, ...Array(12).fill(1)),
  references: listOf(90, 0, 1, ...EMPTY_ATOM, ...Array(8).fill(1)),
  ports: listOf(89, ...EMPTY_ATOM, ...Array(8).fill(1)),
  exports: listOf(113, ...EMPTY_ATOM, ...EMPTY_ATOM, 97, 0),
  funs: listOf(...fun([])),
  'funs in funs': etf(Buffer.from(nestedFuns(900))),
  'tuples in tuples': listOfNested([104, 1], [106]),
  'lists in lists': listOfNested([108, 0, 0, 0, 1], [106], [106]),
  'maps in maps': listOfNested([116, 0, 0, 0, 1, 119, 1, 97], [106]),
  'maps as keys of maps': listOfNested([116, 0, 0, 0, 1], [106], [106]),
  'one binary': etf(109, uint32(SIZE), Buffer.alloc(SIZE)),
  'one text': etf(77, uint32(SIZE), 8, Buffer.alloc(SIZE, 'é')),
  'one integer': etf(111, uint32(SIZE), 0, Buffer.alloc(SIZE, 255)),
  'one map of atoms': entriesOf(40_000, (i) => Buffer.from(`w\x08${String(i).padStart(8, 'k')}a\x01`)),
  'one map of numbers': entriesOf(50_000, (i) => Buffer.concat([Buffer.of(98), uint32(i), Buffer.of(97, 1)])),
}

/** Bytes that the decoded term keeps, and whether it was decoded. */
function kept(bytes: Buffer, maxHeapBytes: number): { ok: boolean; keptBytes: number } {
  const decoder = new Decoder({ node: NODE, limits: { maxHeapBytes } })
  const before = usedBytes()
  const decoded = decoder.decode(bytes)
  const keptBytes = usedBytes() - before
  return { ok: decoded.ok && decoded.value !== SHAPES, keptBytes }
}

function usedBytes(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Counts how often it looks whether bytes are left, which it does before each thing that it reads. */
class Counting extends Decoder {
  looks = 0

  protected override need(bytes: number): void {
    this.looks++
    super.need(bytes)
  }
}

describe('the decoder', () => {
  test('reads each byte of anything once: it never goes back', () => {
    const by = new Counting({ node: NODE, limits: { maxHeapBytes: 1 << 20 } })
    const looksAt = (bytes: Buffer): number => {
      by.looks = 0
      by.decode(bytes)
      return by.looks
    }
    fc.assert(
      fc.property(fc.oneof(mutatedTerms, hostileBytes), (bytes) => {
        // A length and what it is the length of, at most, for each byte.
        expect(looksAt(bytes)).toBeLessThanOrEqual(2 * bytes.length)
      }),
      { numRuns: 10_000 },
    )
    for (const [name, bytes] of Object.entries(SHAPES))
      expect(looksAt(bytes), name).toBeLessThanOrEqual(2 * bytes.length)
  })

  test('copies no fun at each level of funs in funs', () => {
    const bytes = SHAPES['funs in funs']!
    expect(new Decoder({ node: NODE, limits: { maxHeapBytes: 4 * bytes.length } }).decode(bytes).ok).toBe(true)
  })
})

describe('a decoded term', () => {
  test.each(Object.entries(SHAPES))('of %s keeps a small multiple of its bytes', (_name, bytes) => {
    const { ok, keptBytes } = kept(bytes, 1 << 30)
    expect(ok).toBe(true)
    expect(keptBytes / bytes.length).toBeLessThan(90)
    // Refused by a limit that is half of what it really takes: what is counted is not much less than what is taken.
    if (keptBytes > SIZE)
      expect(new Decoder({ node: NODE, limits: { maxHeapBytes: keptBytes / 2 } }).decode(bytes).ok).toBe(false)
  })
})
