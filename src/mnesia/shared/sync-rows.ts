/**
 * What a sync sends: digests of the parts of a bucket, and cells.
 *
 *     chunk = version, varint number of origins, origins (node, epoch), cells
 *     cell  = key, identity where the table is a bag, record
 *
 * A part is a 64th of a bucket by the next bits of the key's hash: of a table of a million rows a part has about sixty, which is what one
 * difference costs.
 */
import { BinaryReader, BinaryWriter, Damaged } from '../binary.ts'
import { bucketOf } from '../rows/bucket-digest.ts'
import { hashOf, mixed } from '../rows/key-hash.ts'
import { type Position, positionOfBucket } from '../rows/shards.ts'
import type { Cell, CellChunk, CellMap } from './cell-map.ts'
import { decodeCell, encodeCell } from './cell-record.ts'
import { stampHash } from './cells.ts'
import { MergedCell } from './merged-cell.ts'
import type { Origin, Origins } from './origin.ts'
import type { Replica } from './replica.ts'

const VERSION = 1
const PARTS = 64
export const DIGESTS_BYTES = PARTS * 8

/** The part of its bucket that a key lies in. */
export function partOf(keyHash: number): number {
  return (keyHash >>> 18) & (PARTS - 1)
}

/** Cells of a bucket, rows first, some hundreds at a time. Tombstones up to `floor` are left out. */
export function* cellsOfBucket<V>(
  replica: Replica<V>,
  bucket: number,
  floor: number,
): Generator<(readonly [key: string, cell: Cell<V>])[]> {
  const { rows, tombstones } = replica.cells
  const to = positionOfBucket(bucket + 1)
  for (const map of [rows, tombstones] as CellMap<V>[]) {
    if (map.size === 0) continue
    for (let from: Position | undefined = positionOfBucket(bucket); from !== undefined; ) {
      const { cells, next }: CellChunk<V> = map.chunk(from, to)
      if (cells.length > 0) yield map === rows ? [...cells] : cells.filter(([, cell]) => cell.clock > floor)
      from = next
    }
  }
}

/** Digests of the parts of a bucket. */
export class PartDigests {
  readonly #low = new Int32Array(PARTS)
  readonly #high = new Int32Array(PARTS)

  add(key: string, cell: Cell<unknown>): void {
    const keyHash = hashOf(key)
    if (cell instanceof MergedCell) {
      for (const { clock, origin } of (cell as MergedCell<unknown>).versions) this.#toggle(keyHash, clock, origin)
    } else this.#toggle(keyHash, cell.clock, cell.origin)
  }

  toBytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(DIGESTS_BYTES))
    for (let part = 0; part < PARTS; part++) {
      view.setInt32(part * 8, this.#high[part]!)
      view.setInt32(part * 8 + 4, this.#low[part]!)
    }
    return new Uint8Array(view.buffer)
  }

  /** For each part whether it differs from another one's. */
  differing(bytes: Uint8Array): boolean[] {
    const own = this.toBytes()
    const differing: boolean[] = []
    for (let part = 0; part < PARTS; part++) {
      let isSame = bytes.length === own.length
      for (let i = part * 8; isSame && i < part * 8 + 8; i++) isSame = bytes[i] === own[i]
      differing.push(!isSame)
    }
    return differing
  }

  #toggle(keyHash: number, clock: number, origin: Origin): void {
    const part = partOf(keyHash)
    const low = mixed(stampHash(clock, origin) ^ Math.imul(keyHash, 0x9e3779b1))
    this.#low[part]! ^= low
    this.#high[part]! ^= mixed(low ^ keyHash)
  }
}

/** Collects the cells of a chunk. */
export class CellWriter<V> {
  readonly #replica: Replica<V>
  readonly #cells = new BinaryWriter()
  readonly #head = new BinaryWriter()
  #numbers = new Map<Origin, number>()
  count = 0

  constructor(replica: Replica<V>) {
    this.#replica = replica
  }

  get bytes(): number {
    return this.#cells.length
  }

  add(key: string, cell: Cell<V>): void {
    const writer = this.#cells
    writer.text(key)
    if (this.#replica.isBag) writer.text(cell.identity)
    encodeCell(writer, cell, this.#replica.bytes, (origin) => this.#numberOf(origin), undefined)
    this.count++
  }

  /** The chunk; what is added from now on is in the next one. */
  take(): Uint8Array {
    const head = this.#head
    head.byte(VERSION)
    head.varint(this.#numbers.size)
    for (const { node, epoch } of this.#numbers.keys()) {
      head.text(node)
      head.varint(epoch)
    }
    const chunk = Buffer.concat([head.take(), this.#cells.take()])
    this.#numbers = new Map()
    this.count = 0
    return chunk
  }

  #numberOf(origin: Origin): number {
    let number = this.#numbers.get(origin)
    if (number === undefined) {
      number = this.#numbers.size
      this.#numbers.set(origin, number)
    }
    return number
  }
}

/** The cells of a chunk, all of them, which lie in certain buckets. Throws `Damaged`, or what the table's `decode` throws. */
export function readCells<V>(
  replica: Replica<V>,
  buckets: ReadonlySet<number>,
  bytes: Uint8Array,
  origins: Origins,
): (readonly [key: string, cell: Cell<V>])[] {
  const reader = new BinaryReader(bytes)
  const version = reader.byte()
  if (version !== VERSION) throw new Damaged(`rows of format ${version}; this version reads ${VERSION}`)
  const known: Origin[] = []
  for (let left = reader.varint(); left > 0; left--) {
    const node = reader.text()
    known.push(origins.of(node, reader.varint()))
  }
  const originOf = (number: number): Origin => {
    const origin = known[number]
    if (origin === undefined) throw new Damaged('an origin that is not in the list')
    return origin
  }
  const cells: (readonly [string, Cell<V>])[] = []
  while (!reader.isAtEnd) {
    const key = reader.text()
    if (!buckets.has(bucketOf(hashOf(key)))) throw new Damaged('a key of another bucket')
    const identity = replica.isBag ? reader.text() : undefined
    cells.push([key, decodeCell(reader, identity, replica.bytes, originOf, replica.merge)])
  }
  return cells
}
