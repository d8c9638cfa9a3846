/**
 * CRC-32 of what the store writes, by zlib where Node has it (20.15 and later), else by a table.
 *
 * A checksum is begun with the salt of its file, a random number. So no value, which a client may have chosen, can hold
 * bytes that would pass for a record of the file.
 */
import zlib from 'node:zlib'

type Crc32 = (bytes: Uint8Array, value: number) => number

const native = (zlib as { crc32?: Crc32 }).crc32

/** CRC-32 of the bytes, going on from `value`. */
export const crc32: Crc32 = native ?? tableCrc32

let table: Uint32Array | undefined

/** The same without the engine's help. */
export function tableCrc32(bytes: Uint8Array, value: number): number {
  table ??= makeTable()
  let crc = ~value
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!
  return ~crc >>> 0
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    return crc >>> 0
  })
}
