/**
 * A digest of the rows of a table or of a container of rows: 64 bits for each of 256 buckets by key hash.
 *
 * It depends on which rows there are and not on the order in which they came, and costs a few operations per write, so two nodes
 * can compare a table of millions in 2 KiB. What of a row goes in is up to the caller: a hash of its bytes, or of the stamp of its last
 * operation. Equal digests mean equal rows but for a chance of 2^-32 per difference, which is for finding faults, not for trust.
 */
import { mixed } from './key-hash.ts'

export const BUCKETS = 256

/** The bucket of a key by its hash: the same order as that of a `KeyMap`, so the keys of a bucket lie together there. */
export function bucketOf(keyHash: number): number {
  return keyHash >>> 24
}

export class BucketDigest {
  readonly #low = new Int32Array(BUCKETS)
  readonly #high = new Int32Array(BUCKETS)

  /** Adds a row, or takes it out again. `contentHash` is a 32-bit integer that depends on all of the row that matters. */
  toggle(keyHash: number, contentHash: number): void {
    const bucket = bucketOf(keyHash)
    const low = mixed(contentHash ^ Math.imul(keyHash, 0x9e3779b1))
    this.#low[bucket]! ^= low
    this.#high[bucket]! ^= mixed(low ^ keyHash)
  }

  clear(): void {
    this.#low.fill(0)
    this.#high.fill(0)
  }

  /** 64 bits for all of it. */
  get total(): bigint {
    let low = 0
    let high = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      low = mixed(low ^ this.#low[bucket]!)
      high = mixed(high ^ this.#high[bucket]! ^ low)
    }
    return BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(low >>> 0))
  }

  /** 8 bytes for each bucket, the same on every machine. */
  toBytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(BUCKETS * 8))
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      view.setInt32(bucket * 8, this.#high[bucket]!)
      view.setInt32(bucket * 8 + 4, this.#low[bucket]!)
    }
    return new Uint8Array(view.buffer)
  }

  /** Buckets in which it differs from another one's `toBytes`; all of them when those are none of a digest. */
  differing(bytes: Uint8Array): number[] {
    const own = this.toBytes()
    const buckets: number[] = []
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      let same = bytes.length === own.length
      for (let i = bucket * 8; same && i < bucket * 8 + 8; i++) same = bytes[i] === own[i]
      if (!same) buckets.push(bucket)
    }
    return buckets
  }
}
