/**
 * Entries of the log, as bytes: what a node wrote in one go, over any number of tables.
 *
 *     entry = varint length, body
 *     body  = version, clock (7 bytes), varint number of operations, operations
 *     operation = flags, [table], [key], [identity], [seen], [row]
 *
 * The i-th operation of an entry has the clock of the entry plus i, so that operations of one entry on one key have an order. Origin and
 * number of an entry are not in it: they follow from where it stands in the log. A table is named where it differs from the one
 * before. What is in an entry can be applied without knowing the table, so that it can be kept for a table that is yet to be created.
 */
import { type BinaryReader, type BinaryWriter, Damaged } from '../binary.ts'
import type { Knowledge, Seen } from './merged-cell.ts'
import type { Origin, Origins } from './origin.ts'

const VERSION = 1

const WRITE = 0
const DELETE = 1
const CLEAR = 2
const KINDS = ['write', 'delete', 'clear'] as const

// Flags of an operation, beside the two bits of its kind.
const SAME_TABLE = 4
/** A row of a bag, with its identity. */
const BAG = 8
/** The bytes of the row are its identity, and a delete carries them too. */
const IS_OWN_IDENTITY = 16
/** Of a table whose rows are merged: tells what its writer had seen. */
const MERGED = 32
const KNOWN_FLAGS = 63

export interface Operation {
  readonly kind: (typeof KINDS)[number]
  readonly table: string
  /** Empty for a clear. */
  readonly key: string
  /** Of a row of a bag; undefined in a set. */
  readonly identity: string | undefined
  /** The row's bytes are its identity: see `identityOfBytes`. */
  readonly isOwnIdentity: boolean
  /** Of a write. */
  readonly bytes: Uint8Array | undefined
  /** For a table whose rows are merged. */
  readonly seen: Knowledge | undefined
}

export interface Entry {
  readonly clock: number
  readonly operations: readonly Operation[]
}

/** The identity of a row that has no other than itself. */
export function identityOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** Appends an entry, without its length. */
export function encodeEntry(writer: BinaryWriter, clock: number, operations: readonly Operation[]): void {
  writer.byte(VERSION)
  writer.integer(clock)
  writer.varint(operations.length)
  let table: string | undefined
  for (const operation of operations) {
    encodeOperation(writer, operation, operation.table === table)
    table = operation.table
  }
}

function encodeOperation(writer: BinaryWriter, operation: Operation, isSameTable: boolean): void {
  const { kind, table, key, identity, isOwnIdentity, bytes, seen } = operation
  let flags: number = kind === 'write' ? WRITE : kind === 'delete' ? DELETE : CLEAR
  if (isSameTable) flags |= SAME_TABLE
  if (identity !== undefined) flags |= isOwnIdentity ? BAG | IS_OWN_IDENTITY : BAG
  if (seen !== undefined) flags |= MERGED
  writer.byte(flags)
  if (!isSameTable) writer.text(table)
  if (kind === 'clear') return
  writer.text(key)
  if (identity !== undefined && !isOwnIdentity) writer.text(identity)
  if (seen !== undefined) encodeSeen(writer, seen)
  if (bytes !== undefined) writer.blob(bytes)
  else if (isOwnIdentity) writer.blob(Buffer.from(identity!, 'latin1'))
}

/** Returns an entry; the bytes of its rows are views. Throws `Damaged`. */
export function decodeEntry(reader: BinaryReader, origins: Origins): Entry {
  const version = reader.byte()
  if (version !== VERSION) throw new Damaged(`entry of format ${version}; this version reads ${VERSION}`)
  const clock = reader.integer()
  const count = reader.varint()
  if (count > reader.left) throw new Damaged('more operations than bytes')
  const operations: Operation[] = []
  let table: string | undefined
  for (let i = 0; i < count; i++) {
    const operation = decodeOperation(reader, origins, table)
    table = operation.table
    operations.push(operation)
  }
  if (!reader.isAtEnd) throw new Damaged('bytes behind the last operation')
  if (!Number.isSafeInteger(clock + count)) throw new Damaged('clock too large')
  return { clock, operations }
}

function decodeOperation(reader: BinaryReader, origins: Origins, former: string | undefined): Operation {
  const flags = reader.byte()
  const kind = KINDS[flags & 3]
  if (kind === undefined || flags > KNOWN_FLAGS) throw new Damaged('unknown operation')
  const table = (flags & SAME_TABLE) !== 0 ? former : reader.text()
  if (table === undefined) throw new Damaged('an operation of no table')
  if (kind === 'clear') return clearOf(table)
  const key = reader.text()
  const isOwnIdentity = (flags & IS_OWN_IDENTITY) !== 0
  let identity = (flags & BAG) !== 0 && !isOwnIdentity ? reader.text() : undefined
  const seen = (flags & MERGED) !== 0 ? decodeSeen(reader, origins) : undefined
  let bytes = kind === 'write' || isOwnIdentity ? reader.blob() : undefined
  if (isOwnIdentity) {
    identity = identityOfBytes(bytes!)
    if (kind === 'delete') bytes = undefined
  }
  return { kind, table, key, identity, isOwnIdentity, bytes, seen }
}

/** The operation that removes all of a table that is older than it. */
export function clearOf(table: string): Operation {
  return {
    kind: 'clear',
    table,
    key: '',
    identity: undefined,
    isOwnIdentity: false,
    bytes: undefined,
    seen: undefined,
  }
}

function encodeSeen(writer: BinaryWriter, { all, of }: Knowledge): void {
  writer.integer(all)
  writer.varint(of.length)
  for (const { origin, clock } of of) {
    encodeOrigin(writer, origin)
    writer.integer(clock)
  }
}

function decodeSeen(reader: BinaryReader, origins: Origins): Knowledge {
  const all = reader.integer()
  const count = reader.varint()
  if (count > reader.left) throw new Damaged('more origins than bytes')
  const of: Seen[] = []
  for (let i = 0; i < count; i++) of.push({ origin: decodeOrigin(reader, origins), clock: reader.integer() })
  return { all, of }
}

function encodeOrigin(writer: BinaryWriter, { node, epoch }: Origin): void {
  writer.text(node)
  writer.varint(epoch)
}

function decodeOrigin(reader: BinaryReader, origins: Origins): Origin {
  const node = reader.text()
  return origins.of(node, reader.varint())
}
