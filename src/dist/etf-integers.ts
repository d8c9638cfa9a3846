/**
 * Big integers as the External Term Format has them: a magnitude of bytes, least significant first, and a sign.
 *
 * Adding up byte by byte is quadratic, since each step copies a number of growing length (a megabyte took 20 s). Through
 * hexadecimal text, which the engine reads and writes in linear time, it takes milliseconds.
 */

const TWO_32 = 2 ** 32
const SMALL_BYTES = 8

/** The integer of `bytes[from, to)`; a number when it is safe. */
export function readInteger(bytes: Buffer, from: number, to: number, isNegative: boolean): number | bigint {
  let end = to
  while (end > from && bytes[end - 1] === 0) end--
  const length = end - from
  if (length < SMALL_BYTES) {
    let low = 0
    let high = 0
    for (let i = Math.min(length, 4) - 1; i >= 0; i--) low = low * 256 + bytes[from + i]!
    for (let i = length - 1; i >= 4; i--) high = high * 256 + bytes[from + i]!
    if (high < TWO_32 / 2 ** 11) {
      const magnitude = high * TWO_32 + low
      return isNegative && magnitude !== 0 ? -magnitude : magnitude
    }
  }
  const reversed = Buffer.from(bytes.subarray(from, end)).reverse()
  const magnitude = BigInt(`0x${reversed.toString('hex')}`)
  return isNegative ? -magnitude : magnitude
}

/** The magnitude's bytes, least significant first, without zeros at the end. For integers that are not small. */
export function magnitudeBytes(integer: bigint): Buffer {
  const hex = (integer < 0n ? -integer : integer).toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').reverse()
}
