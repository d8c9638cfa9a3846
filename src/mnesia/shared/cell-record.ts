/**
 * A cell as bytes: the same form in a sync and on disc, but for how an origin is told, which is a number in both.
 *
 *     record = flags, [versions and seen of a merged cell] or [origin, clock, row]
 *
 * A tombstone has no row.
 */
import { type BinaryReader, type BinaryWriter, Damaged } from '../binary.ts'
import { BagCell, Cell } from './cell-map.ts'
import { MergedCell, type Seen, type Version } from './merged-cell.ts'
import type { Origin } from './origin.ts'

const ROW = 1
const MERGED = 2

/** Numbers for origins, as the reader of a record will understand them. */
export type NumberOf = (origin: Origin) => number
/** Throws `Damaged` for a number that it does not know. */
export type OriginOf = (number: number) => Origin

/** How values become bytes. */
interface Codec<V> {
  readonly encode: (value: V) => Uint8Array
  readonly decode: (bytes: Uint8Array) => V
}

/** Appends a cell. `bytes` are those of its row, where they are at hand. */
export function encodeCell<V>(
  writer: BinaryWriter,
  cell: Cell<V>,
  codec: Codec<V>,
  numberOf: NumberOf,
  bytes: Uint8Array | undefined,
): void {
  if (cell instanceof MergedCell) {
    encodeMerged(writer, cell as MergedCell<V>, codec, numberOf)
    return
  }
  writer.byte(cell.value === undefined ? 0 : ROW)
  writer.varint(numberOf(cell.origin))
  writer.integer(cell.clock)
  if (cell.value !== undefined) writer.blob(bytes ?? codec.encode(cell.value))
}

/** Throws `Damaged`, or what the codec throws. */
export function decodeCell<V>(
  reader: BinaryReader,
  identity: string | undefined,
  codec: Codec<V>,
  originOf: OriginOf,
  merge: ((a: V, b: V) => V) | undefined,
): Cell<V> {
  const flags = reader.byte()
  if (flags > 3) throw new Damaged('unknown kind of cell')
  if ((flags & MERGED) !== 0) return decodeMerged(reader, codec, originOf, merge)
  const origin = originOf(reader.varint())
  const clock = reader.integer()
  const value = (flags & ROW) !== 0 ? codec.decode(reader.blob()) : undefined
  return identity === undefined ? new Cell(value, clock, origin) : new BagCell(value, clock, origin, identity)
}

function encodeMerged<V>(writer: BinaryWriter, cell: MergedCell<V>, codec: Codec<V>, numberOf: NumberOf): void {
  writer.byte(MERGED)
  writer.varint(cell.versions.length)
  for (const { value, clock, origin } of cell.versions) {
    writer.byte(value === undefined ? 0 : ROW)
    writer.varint(numberOf(origin))
    writer.integer(clock)
    if (value !== undefined) writer.blob(codec.encode(value))
  }
  writer.integer(cell.seen.all)
  writer.varint(cell.seen.of.length)
  for (const { origin, clock } of cell.seen.of) {
    writer.varint(numberOf(origin))
    writer.integer(clock)
  }
}

function decodeMerged<V>(
  reader: BinaryReader,
  codec: Codec<V>,
  originOf: OriginOf,
  merge: ((a: V, b: V) => V) | undefined,
): MergedCell<V> {
  const versions: Version<V>[] = []
  for (let left = countOf(reader); left > 0; left--) {
    const hasRow = reader.byte() === ROW
    const origin = originOf(reader.varint())
    const clock = reader.integer()
    versions.push({ value: hasRow ? codec.decode(reader.blob()) : undefined, clock, origin })
  }
  const all = reader.integer()
  const of: Seen[] = []
  for (let left = countOf(reader); left > 0; left--) {
    of.push({ origin: originOf(reader.varint()), clock: reader.integer() })
  }
  const cell = new MergedCell<V>(merge)
  cell.restore(versions, { all, of })
  return cell
}

function countOf(reader: BinaryReader): number {
  const count = reader.varint()
  if (count > reader.left) throw new Damaged('more versions than bytes')
  return count
}
