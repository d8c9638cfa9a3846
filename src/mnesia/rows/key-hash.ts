/**
 * The hash of a key: what places it in a `KeyMap` and in a bucket of a digest.
 *
 * Nodes compare digests by bucket, so it is the same on every node and in every release. It need not withstand an attacker: keys
 * that collide make a bucket, or a shard, larger than the others and nothing worse.
 */

/** 32 bits, as a signed integer. FNV-1a over UTF-16 code units, with the finalizer of MurmurHash3, so that the high bits are good. */
export function hashOf(key: string): number {
  let hash = -2128831035
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 16777619)
  return mixed(hash)
}

/** The hash of bytes, of the same make. */
export function hashOfBytes(bytes: Uint8Array): number {
  let hash = -2128831035
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 16777619)
  return mixed(hash)
}

/** 32 bits that depend on each bit of a 32-bit integer. */
export function mixed(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
