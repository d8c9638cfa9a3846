import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Encoder, encode } from '../../src/dist/etf-encode.ts'
import { decodeAll, decoder, hostileBytes, isSameTerm, mutatedTerms, refusal, terms } from './etf-support.ts'

describe('any term', () => {
  test('comes back as it went', () => {
    const by = decoder()
    fc.assert(
      fc.property(terms, (term) => {
        expect(isSameTerm(decodeAll(encode(term), by), term)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('is the same bytes in a batch as alone', () => {
    fc.assert(
      fc.property(fc.array(terms, { maxLength: 8 }), fc.integer({ min: 1, max: 500 }), (batch, slabBytes) => {
        const encoder = new Encoder({ slabBytes })
        for (const term of batch) encoder.writeVersioned(term)
        expect(encoder.take().equals(Buffer.concat(batch.map((term) => encode(term))))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('is refused when any of its bytes are missing at the end', () => {
    fc.assert(
      fc.property(terms, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (term, share) => {
        const bytes = encode(term)
        expect(refusal(bytes.subarray(0, Math.floor(bytes.length * share)))).toBe('truncated')
      }),
      { numRuns: 1000 },
    )
  })
})

describe('hostile bytes never make the decoder throw, and what they become can be sent', () => {
  // A small limit, so that a case which counted too little would be noticed as a crash or a hang.
  const by = decoder({ maxHeapBytes: 1 << 20 })

  function survives(bytes: Buffer): void {
    const decoded = by.decode(bytes)
    if (!decoded.ok) {
      expect(decoded.error.at).toBeLessThanOrEqual(bytes.length)
      return
    }
    expect(decoded.end).toBeLessThanOrEqual(bytes.length)
    let again: Buffer
    try {
      again = encode(decoded.value)
    } catch (error) {
      // A map of Erlang's may have a key twice only when its bytes are hostile.
      expect(error).toMatchObject({ code: 'unsendable', reason: 'duplicate_key' })
      return
    }
    expect(encode(decodeAll(again)).equals(again)).toBe(true)
  }

  test('when they are random', () => {
    fc.assert(fc.property(hostileBytes, survives), { numRuns: 20_000 })
  })

  test('when they are those of a term with some changed, cut out or put in', () => {
    fc.assert(fc.property(mutatedTerms, survives), { numRuns: 5000 })
  })
})
