import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MAX_CACHED_TEXT_BYTES, TextCache } from '../../src/dist/text-cache.ts'

const ascii = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: MAX_CACHED_TEXT_BYTES })

test('the cache gives the text of the bytes, whatever it was asked for before', () => {
  const words = fc.oneof(ascii, fc.constantFrom('ok', 'aXbcd', 'aYbcd', 'é', 'normal', 'nor\u00e9al', 'normal'))
  fc.assert(
    fc.property(fc.array(words, { maxLength: 60 }), (asked) => {
      const cache = new TextCache()
      for (const text of asked) {
        const bytes = Buffer.from(`[${text}]`)
        const expected = /^\p{ASCII}+$/u.test(text) ? text : undefined
        expect(cache.ascii(bytes, 1, bytes.length - 1)).toBe(expected)
      }
    }),
  )
})

test('a text that takes the slot of another is not taken for it', () => {
  // They differ only in bytes that the hash does not look at.
  const texts = Array.from({ length: 10 }, (_, i) => `a.${i}.......bc.......yz`)
  const cache = new TextCache()
  for (const text of [...texts, ...texts, ...texts.map((text) => text.replace('.', '\u00e9')), ...texts]) {
    const bytes = Buffer.from(text, 'latin1')
    expect(cache.ascii(bytes, 0, bytes.length)).toBe(text.includes('\u00e9') ? undefined : text)
  }
})
