import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BucketDigest, bucketOf } from '../../../src/mnesia/rows/bucket-digest.ts'
import { hashOf, hashOfBytes } from '../../../src/mnesia/rows/key-hash.ts'

const row = fc.tuple(fc.string({ maxLength: 3 }), fc.nat(5))
const content = (value: number): number => hashOfBytes(Buffer.from([value]))

test('a digest depends on the rows and not on how they came to be there', () => {
  fc.assert(
    fc.property(fc.array(row), fc.array(row), (first, second) => {
      const digest = new BucketDigest()
      const rows = new Map<string, number>()
      for (const [key, value] of [...first, ...second]) {
        const old = rows.get(key)
        if (old !== undefined) digest.toggle(hashOf(key), content(old))
        digest.toggle(hashOf(key), content(value))
        rows.set(key, value)
      }
      const again = new BucketDigest()
      for (const [key, value] of [...rows].reverse()) again.toggle(hashOf(key), content(value))
      expect(digest.total).toBe(again.total)
      expect(digest.differing(again.toBytes())).toEqual([])
    }),
  )
})

test('a digest shows in which buckets rows differ', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.nat(255)), fc.string(), fc.nat(255), (rows, key, value) => {
      const digest = new BucketDigest()
      const other = new BucketDigest()
      for (const [each, its] of Object.entries({ ...rows, [key]: value })) digest.toggle(hashOf(each), content(its))
      for (const [each, its] of Object.entries({ ...rows, [key]: value ^ 1 })) other.toggle(hashOf(each), content(its))
      expect(digest.differing(other.toBytes())).toEqual([bucketOf(hashOf(key))])
      expect(digest.total).not.toBe(other.total)
    }),
  )
})

test('bytes that are no digest differ in every bucket', () => {
  expect(new BucketDigest().differing(new Uint8Array(5))).toHaveLength(256)
})
