import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32, tableCrc32 } from '../../src/mnesia/store/checksum.ts'

test('checksums are those of CRC-32, with the help of the engine and without', () => {
  expect(tableCrc32(Buffer.from('123456789'), 0)).toBe(0xcbf43926)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(0xffffffff), fc.nat(300), (bytes, salt, at) => {
      expect(tableCrc32(bytes, salt)).toBe(crc32(bytes, salt))
      // In two pieces it is the same.
      expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at), salt))).toBe(crc32(bytes, salt))
    }),
  )
})
