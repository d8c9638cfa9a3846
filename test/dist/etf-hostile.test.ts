/**
 * What a peer that holds the cookie may send to hurt. Tests of time have inputs for which anything but linear time does not end before
 * the test's own time limit.
 */
import { describe, expect, test } from 'vitest'
import { AtomQuota } from '../../src/dist/atom-table.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { atom, type Tuple } from '../../src/dist/term.ts'
import { termKey } from '../../src/dist/term-key.ts'
import { decodeAll, decoder, etf, NODE, refusal, uint32 } from './etf-support.ts'

const NAME = [119, 3, 'n@h'] as const
const MEGABYTE = 1 << 20

function repeated(bytes: readonly number[], times: number): Buffer {
  return Buffer.alloc(bytes.length * times, Buffer.from(bytes))
}

describe('the decoder answers with an error', () => {
  test.each([
    ['nothing at all', Buffer.alloc(0), 'truncated'],
    ['another version', Buffer.of(130, 97, 1), 'bad_version'],
    ['a version and no term', etf(), 'truncated'],
    ['an unknown tag', etf(1), 'unknown_tag'],
    ['a compressed term', etf(80, uint32(3), 1, 2, 3), 'refused_tag'],
    ['a term for the node that encoded it', etf(121, 1, 2, 3), 'refused_tag'],
    ['an old fun', etf(117, uint32(0)), 'refused_tag'],
    ['an integer that is cut', etf(98, 0, 0, 0), 'truncated'],
    ['a float that is cut', etf(70, 0, 0, 0), 'truncated'],
    ['a float that is no number', etf(70, 127, 248, 0, 0, 0, 0, 0, 0), 'malformed'],
    ['a float that is infinite', etf(70, 127, 240, 0, 0, 0, 0, 0, 0), 'malformed'],
    ['an old float that is no number', etf(99, 'x'.repeat(31)), 'malformed'],
    ['an old float that is too large', etf(99, '1.0e+999', Buffer.alloc(23)), 'malformed'],
    ['an atom that is cut', etf(119, 3, 'ok'), 'truncated'],
    ['an atom that is no UTF-8', etf(119, 1, Buffer.of(255)), 'malformed'],
    ['an atom of half a surrogate pair', etf(119, 3, Buffer.of(0xed, 0xa0, 0x80)), 'malformed'],
    ['an atom of 256 characters', etf(118, 1, 0, 'x'.repeat(256)), 'malformed'],
    ['an atom of 256 characters in Latin-1', etf(100, 1, 0, Buffer.alloc(256, 0xe9)), 'malformed'],
    ['a tuple that claims too much', etf(104, 255, 106), 'truncated'],
    ['a large tuple that claims too much', etf(105, uint32(2 ** 32 - 1), 106), 'truncated'],
    ['a list that claims too much', etf(108, uint32(2 ** 32 - 1), 106), 'truncated'],
    ['a list without a tail', etf(108, uint32(1), 106), 'truncated'],
    ['a map that claims too much', etf(116, uint32(2 ** 31), 106), 'truncated'],
    ['a map with a key and no value', etf(116, uint32(1), 119, 1, 'a'), 'truncated'],
    ['a string that claims too much', etf(107, 255, 255, 1), 'truncated'],
    ['a binary that claims too much', etf(109, uint32(2 ** 32 - 1), 1), 'truncated'],
    ['an integer that claims too much', etf(111, uint32(2 ** 32 - 1), 0, 1), 'truncated'],
    ['a bit string of 9 bits a byte', etf(77, uint32(1), 9, 1), 'malformed'],
    ['a bit string of 8 bits of nothing', etf(77, uint32(0), 8), 'malformed'],
    ['a bit string of 0 bits of something', etf(77, uint32(1), 0, 1), 'malformed'],
    ['a bit string that claims too much', etf(77, uint32(2 ** 32 - 1), 8, 1), 'truncated'],
    ['a pid whose node is no atom', etf(88, 97, 1, uint32(1), uint32(1), uint32(1)), 'malformed'],
    ['a reference of 6 words', etf(90, 0, 6, ...NAME, uint32(1), Buffer.alloc(24)), 'malformed'],
    ['a reference of no words', etf(90, 0, 0, ...NAME, uint32(1)), 'malformed'],
    ['an export whose arity is no byte', etf(113, ...NAME, ...NAME, 98, uint32(1)), 'malformed'],
    [
      'a fun whose size is a lie',
      etf(112, uint32(99), 1, Buffer.alloc(16), uint32(0), uint32(0), ...NAME, 97, 1, 97, 1, 106),
      'malformed',
    ],
    [
      'a fun that claims too many variables',
      etf(
        112,
        uint32(99),
        1,
        Buffer.alloc(16),
        uint32(0),
        uint32(2 ** 32 - 1),
        ...NAME,
        97,
        1,
        97,
        1,
        88,
        ...NAME,
        Buffer.alloc(12),
      ),
      'truncated',
    ],
  ])('to %s', (_name, bytes, reason) => {
    const decoded = decoder().decode(bytes)
    expect(decoded).toMatchObject({ ok: false, error: { reason } })
    if (!decoded.ok) expect(decoded.error.at).toBeLessThanOrEqual(bytes.length)
  })

  test('that names the byte', () => {
    expect(decoder().decode(etf(104, 2, 97, 1, 80))).toEqual({ ok: false, error: { reason: 'refused_tag', at: 5 } })
  })

  test('and is as good as new after it', () => {
    const by = decoder()
    expect(refusal(etf(104, 2, 119, 2, 'ok'), by)).toBe('truncated')
    expect(decodeAll(etf(119, 2, 'ok'), by)).toBe(atom('ok'))
  })

  test.each([
    ['tuples', [104, 1]],
    ['lists', [108, 0, 0, 0, 1]],
    ['maps', [116, 0, 0, 0, 1, 119, 1, 97]],
    ['maps as keys', [116, 0, 0, 0, 1]],
  ])('to a million levels of %s', (_name, opening) => {
    const bytes = etf(repeated(opening, 1_000_000), 106)
    expect(refusal(bytes)).toBe('too_deep')
  })

  test('to more levels than its limit only', () => {
    const levels = (count: number): Buffer => etf(repeated([104, 1], count), 97, 1)
    expect(refusal(levels(10), decoder({ maxDepth: 10 }))).toBeUndefined()
    expect(refusal(levels(11), decoder({ maxDepth: 10 }))).toBe('too_deep')
  })

  test('to a term that would become more memory than its limit', () => {
    const nils = etf(108, uint32(MEGABYTE), Buffer.alloc(MEGABYTE + 1, 106))
    expect(refusal(nils, decoder({ maxHeapBytes: 32 * MEGABYTE }))).toBe('too_large')
    expect((decodeAll(nils) as unknown[]).length).toBe(MEGABYTE)
    const binary = etf(109, uint32(MEGABYTE), Buffer.alloc(MEGABYTE))
    expect(refusal(binary, decoder({ maxHeapBytes: 1000 }))).toBeUndefined()
  })
})

describe('a fun, which is sent on as it is,', () => {
  const funOf = (...free: readonly (number | string | Uint8Array)[]): Buffer => {
    const head = etf(1, Buffer.alloc(16), uint32(0), uint32(1), ...NAME, 97, 1, 97, 1, 88, ...NAME, Buffer.alloc(12))
    const body = Buffer.concat([head, etf(...free).subarray(1)]).subarray(1)
    return etf(112, uint32(body.length + 4), body)
  }
  test('takes linear time for maps that are keys of maps, as do encoding and comparing them', () => {
    // At each level everything below it would be looked at again: a megabyte, 900 times, in all its forms.
    let term: Buffer = Buffer.concat([Buffer.of(109), uint32(MEGABYTE), Buffer.alloc(MEGABYTE)])
    for (let i = 0; i < 900; i++) term = Buffer.concat([Buffer.of(116), uint32(2), term, Buffer.of(106, 97, 1, 106)])
    expect(refusal(funOf(term))).toBeUndefined()
    const decoded = decodeAll(etf(term))
    expect(encode(decoded).equals(etf(term))).toBe(true)
    expect(termKey(decoded)).toBe(termKey(decodeAll(etf(term))))
    expect(termKey(decoded).length).toBeLessThan(300)
  })

  const twice = (...key: readonly (number | Uint8Array)[]): Buffer =>
    funOf(116, uint32(2), ...key, 97, 1, ...key, 97, 2)

  test('is refused when something is in it for which another node would drop the connection', () => {
    expect(refusal(funOf(116, uint32(1), 119, 1, 'a', 97, 1))).toBeUndefined()
    expect(refusal(twice(119, 1, Buffer.from('a')))).toBe('malformed')
    expect(refusal(twice(97, 1))).toBe('malformed')
    expect(refusal(twice(104, 1, 97, 1))).toBe('malformed')
    const mixed = [119, 1, 'a', 97, 1, 119, 1, 'a', 97, 2, 97, 1, 97, 3]
    expect(refusal(funOf(116, uint32(3), ...mixed))).toBe('malformed')
    expect(refusal(etf(116, uint32(3), ...mixed))).toBeUndefined()
  })

  test('has no reference to a distribution header in it', () => {
    const by = new Decoder({ node: NODE, cachedAtom: () => atom('ok') })
    expect(refusal(funOf(82, 0), by)).toBe('malformed')
    expect(refusal(etf(108, uint32(1), 82, 0, 106), by)).toBeUndefined()
  })
})

describe('the decoder takes linear time', () => {
  test('for an integer of 8 MB', () => {
    const bytes = etf(111, uint32(8 * MEGABYTE), 1, Buffer.alloc(8 * MEGABYTE, 255))
    const value = decodeAll(bytes, decoder({ maxIntegerBytes: 8 * MEGABYTE })) as bigint
    expect(value === 1n - (1n << BigInt(64 * MEGABYTE))).toBe(true)
    expect(encode(value, { maxIntegerBytes: 8 * MEGABYTE }).equals(bytes)).toBe(true)
    expect(refusal(bytes)).toBe('integer_too_large')
  })

  test('for a million lists that are each other’s tails', () => {
    const bytes = etf(repeated([108, 0, 0, 0, 1, 97, 7], MEGABYTE), 106)
    expect((decodeAll(bytes) as unknown[]).length).toBe(MEGABYTE)
  })

  test('for atoms that all fall into the same slot of its cache', () => {
    // Only the bytes between those that the hash looks at differ.
    const names = Array.from({ length: 100_000 }, (_, i) =>
      `a..${i % 100}`.padEnd(40, '-').concat(String(i).padStart(9, '0'), 'z'.repeat(12)),
    )
    const bytes = etf(
      116,
      uint32(names.length),
      Buffer.concat(names.map((name) => Buffer.of(119, name.length, ...Buffer.from(name), 106))),
    )
    expect(Object.keys(decodeAll(bytes) as object).length).toBe(names.length)
  })
})

describe('the quota of atoms', () => {
  const atomsNamed = (prefix: string, count: number): Buffer =>
    etf(
      105,
      uint32(count),
      Buffer.from(Array.from({ length: count }, (_, i) => `w\x0c${`${prefix}${i}`.padEnd(12, '_')}`).join('')),
    )

  test('stops a peer that makes up names, and nobody else', () => {
    const greedy = new AtomQuota()
    expect(refusal(atomsNamed('greedy', 200_000), decoder({}, greedy))).toBe('too_many_atoms')
    expect(greedy.isSpent).toBe(true)
    const other = decodeAll(atomsNamed('other', 1000)) as Tuple
    expect(other.elements[999]).toBe(atom('other999____'))
  })

  test('does not count what is known here, nor what is asked for again', () => {
    const known = ['quota_known_0', 'quota_known_1'].map(atom)
    const quota = new AtomQuota(2)
    const bytes = encode([...known, ...known])
    expect(decodeAll(bytes, decoder({}, quota))).toEqual([...known, ...known])
    expect(quota.used).toBe(0)
    const twice = decodeAll(etf(108, uint32(2), 119, 6, 'qnew_1', 119, 6, 'qnew_1', 106), decoder({}, quota))
    expect(twice).toEqual([atom('qnew_1'), atom('qnew_1')])
    expect(quota.used).toBe(1)
  })

  test('does not count the keys of objects, and the names of nodes', () => {
    const quota = new AtomQuota(0)
    const by = decoder({}, quota)
    expect(decodeAll(etf(116, uint32(1), 119, 9, 'quota_key', 106), by)).toEqual({ quota_key: [] })
    expect(refusal(etf(88, 119, 9, 'quota@key', uint32(1), uint32(1), uint32(1)), by)).toBeUndefined()
    expect(decodeAll(etf(104, 2, 119, 4, 'true', 119, 4, 'null'), by)).toMatchObject({ elements: [true, null] })
    expect(refusal(etf(119, 9, 'quota_key'), by)).toBe('too_many_atoms')
    expect(refusal(etf(113, ...NAME, 119, 9, 'quota_key', 97, 1), by)).toBe('too_many_atoms')
    expect(refusal(etf(116, uint32(2), 119, 9, 'quota_key', 106, 97, 1, 106), by)).toBe('too_many_atoms')
  })
})
