/**
 * The rows of one owner in one table as bytes: in entries and snapshots, and on disc.
 *
 *     row of a table with a codec   text of the key, varint of the packed integer
 *     any other row                 varint length, bytes of the definition's `RowBytes`
 *
 *     entry = varint length, body
 *     body  = version, varint number of operations, operations
 *     operation = 0 row | 1 text of the key | 2 row        write, delete, delete_object
 *
 * The codec is that of the owner, which therefore is in no row. Whose rows they are, of which table, and the number of an entry follow from
 * the feed in which they come.
 */
import { termKey } from '../../dist/term-key.ts'
import { BinaryReader, BinaryWriter, Damaged } from '../binary.ts'
import type { RowBytes, RowCodec, TableDefinition } from '../definition.ts'
import { RowBytesError } from '../errors.ts'
import { termBytes } from '../row-bytes.ts'
import { hashOfBytes, mixed } from '../rows/key-hash.ts'

const VERSION = 1
const WRITE = 0
const DELETE = 1
const DELETE_OBJECT = 2
/** Beyond it a packed integer is none: see `RowCodec`. */
const PACKED_LIMIT = 2 ** 31

/** A row that has come as bytes or is about to go as such. */
export interface FormedRow<Row> {
  readonly key: string
  readonly row: Row
  /** Undefined for a row that is a packed integer. */
  readonly bytes: Uint8Array | undefined
  /** For the digest: the same on all nodes. */
  readonly content: number
}

export type WriteOperation<Row> = { readonly kind: 'write' } & FormedRow<Row>

export type OwnedOperation<Row> =
  | WriteOperation<Row>
  | { readonly kind: 'delete'; readonly key: string }
  | ({ readonly kind: 'delete_object' } & FormedRow<Row>)

export class RowForm<Row> {
  readonly #keyField: keyof Row & string
  readonly #codec: RowCodec<Row> | undefined
  readonly #bytes: RowBytes<Row>
  readonly #isBag: boolean
  readonly #writer = new BinaryWriter(1024)
  /** What makes two rows of a key in a bag the same row. */
  readonly identity: (row: Row) => string

  constructor(definition: TableDefinition<Row>, owner: string) {
    this.#keyField = definition.key
    this.#codec = definition.compact?.(owner)
    this.#bytes = definition.bytes ?? termBytes<Row>()
    this.#isBag = definition.type === 'bag'
    const codec = this.#codec
    this.identity = codec === undefined ? (definition.identity ?? termKey) : (row) => String(codec.pack(row))
  }

  /** The write of a row. Throws what the definition's `RowBytes` throws for a row that it cannot encode. */
  write(row: Row): WriteOperation<Row> {
    const key = String(row[this.#keyField])
    if (this.#codec !== undefined) {
      return { kind: 'write', key, row, bytes: undefined, content: mixed(this.#packed(row)) }
    }
    const bytes = this.#bytes.encode(row)
    return { kind: 'write', key, row, bytes, content: hashOfBytes(bytes) }
  }

  /** The removal of a row. Throws as `write` does. */
  deleteObject(row: Row): OwnedOperation<Row> {
    return this.#isBag
      ? { ...this.write(row), kind: 'delete_object' }
      : { kind: 'delete', key: String(row[this.#keyField]) }
  }

  /** What the digest has of a row. */
  contentOf(row: Row): number {
    return this.#codec === undefined ? hashOfBytes(this.#bytes.encode(row)) : mixed(this.#codec.pack(row))
  }

  putRow(writer: BinaryWriter, { key, row, bytes }: FormedRow<Row>): void {
    if (bytes !== undefined) {
      writer.blob(bytes)
      return
    }
    writer.text(key)
    writer.varint(this.#codec!.pack(row))
  }

  /** Throws `Damaged`. */
  takeRow(reader: BinaryReader): FormedRow<Row> {
    if (this.#codec === undefined) return this.#formOf(reader.blob())
    const key = reader.text()
    const packed = reader.varint()
    if (packed >= PACKED_LIMIT) throw new Damaged('packed integer too large')
    return { key, row: this.#unpacked(key, packed), bytes: undefined, content: mixed(packed) }
  }

  /** What a row is on disc. */
  toValue(row: FormedRow<Row>): Uint8Array {
    if (row.bytes !== undefined) return row.bytes
    this.putRow(this.#writer, row)
    return this.#writer.take()
  }

  /** The row of a value on disc. Throws `Damaged`. */
  ofValue(value: Uint8Array): FormedRow<Row> {
    return this.#codec === undefined ? this.#formOf(value) : this.takeRow(new BinaryReader(value))
  }

  /** Appends the body of an entry. */
  putEntry(writer: BinaryWriter, operations: readonly OwnedOperation<Row>[]): void {
    writer.byte(VERSION)
    writer.varint(operations.length)
    for (const operation of operations) {
      if (operation.kind === 'delete') {
        writer.byte(DELETE)
        writer.text(operation.key)
      } else {
        writer.byte(operation.kind === 'write' ? WRITE : DELETE_OBJECT)
        this.putRow(writer, operation)
      }
    }
  }

  /** All operations of an entry, from its body. Throws `Damaged`. */
  takeEntry(reader: BinaryReader): OwnedOperation<Row>[] {
    const version = reader.byte()
    if (version !== VERSION) throw new Damaged(`entry of format ${version}; this version reads ${VERSION}`)
    const count = reader.varint()
    if (count > reader.left) throw new Damaged('more operations than bytes')
    const operations: OwnedOperation<Row>[] = []
    for (let i = 0; i < count; i++) operations.push(this.#takeOperation(reader))
    if (!reader.isAtEnd) throw new Damaged('bytes behind the last operation')
    return operations
  }

  #formOf(bytes: Uint8Array): FormedRow<Row> {
    const row = sound(() => this.#bytes.decode(bytes))
    return { key: String(row[this.#keyField]), row, bytes, content: hashOfBytes(bytes) }
  }

  #unpacked(key: string, packed: number): Row {
    return sound(() => this.#codec!.unpack(key, packed))
  }

  #takeOperation(reader: BinaryReader): OwnedOperation<Row> {
    const kind = reader.byte()
    if (kind === WRITE) return { kind: 'write', ...this.takeRow(reader) }
    if (kind === DELETE_OBJECT) return { kind: 'delete_object', ...this.takeRow(reader) }
    if (kind === DELETE) return { kind: 'delete', key: reader.text() }
    throw new Damaged('unknown operation')
  }

  #packed(row: Row): number {
    const packed = this.#codec!.pack(row)
    if (Number.isInteger(packed) && packed >= 0 && packed < PACKED_LIMIT) return packed
    throw new RangeError(`${packed} is no integer from 0 to 2^31 - 1, which a compact row has to be`)
  }
}

/** Calls code of the definition with what a peer or a disc holds: it may throw anything. */
function sound<Row>(make: () => Row): Row {
  try {
    return make()
  } catch (error) {
    throw new Damaged(error instanceof RowBytesError ? error.message : `no row: ${String(error)}`)
  }
}
