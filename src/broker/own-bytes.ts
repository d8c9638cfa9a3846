/** Bytes that hold little more memory than they need, for whatever is kept longer than the chunk in which it came. */

/** A view may be this much smaller than what it holds in memory before a copy is the better choice. */
const MAX_WASTE_FACTOR = 2

/** Returns a copy when `view` is part of a larger buffer, else `view` itself. */
export function ownBytes(view: Buffer): Buffer {
  if (view.buffer.byteLength <= view.length * MAX_WASTE_FACTOR) return view
  // Not from the pool, which is 8 kB that a single kept payload would hold.
  const own = Buffer.allocUnsafeSlow(view.length)
  view.copy(own)
  return own
}
