/**
 * The first bytes of every file of a store: what it is, in which format, of which store, and which logs it covers.
 *
 * Files are named by the numbers of the logs whose writes they hold, 00000003.log or 00000001-00000008.rows, so the names in the
 * directory are all that says which files make up the store: there is no list of them that could be lost or torn.
 */
import { StoreError } from '../errors.ts'
import { crc32 } from './checksum.ts'

export const HEADER_BYTES = 40
/** Grows when a later version cannot be read by this one. */
export const FORMAT = 1

const MAGICS = { log: Buffer.from('AGNERLOG'), rows: Buffer.from('AGNERROW') }
export const STORE_ID_BYTES = 8

export type FileKind = keyof typeof MAGICS

export interface FileHeader {
  readonly kind: FileKind
  /** Random, of the store, in hex: a file that strays in from elsewhere is noticed. */
  readonly storeId: string
  /**
   * The number with which the checksums of a store begin. It follows from the id of the store, so that a damaged header costs
   * no more than itself.
   */
  readonly salt: number
  /** The logs whose writes are in the file: first and last. */
  readonly from: number
  readonly to: number
}

/** The header of a file of a store. */
export function headerOf(kind: FileKind, storeId: string, from: number, to = from): FileHeader {
  return { kind, storeId, salt: crc32(Buffer.from(storeId, 'hex'), 0), from, to }
}

export function fileName({ kind, from, to }: Pick<FileHeader, 'kind' | 'from' | 'to'>): string {
  return kind === 'log' ? `${digits(from)}.log` : `${digits(from)}-${digits(to)}.rows`
}

function digits(number: number): string {
  return String(number).padStart(8, '0')
}

/** What a file of a store is by its name; undefined for any other file. */
export function parseFileName(name: string): Pick<FileHeader, 'kind' | 'from' | 'to'> | undefined {
  const match = /^(\d{8,15})(?:\.log|-(\d{8,15})\.rows)$/.exec(name)
  if (match === null) return undefined
  const from = Number(match[1])
  const to = match[2] === undefined ? from : Number(match[2])
  if (from < 1 || to < from) return undefined
  return { kind: match[2] === undefined ? 'log' : 'rows', from, to }
}

export function encodeHeader({ kind, storeId, from, to }: FileHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  MAGICS[kind].copy(bytes)
  bytes.writeUInt32LE(FORMAT, 8)
  bytes.write(storeId, 12, STORE_ID_BYTES, 'hex')
  bytes.writeUIntLE(from, 20, 6)
  bytes.writeUIntLE(to, 26, 6)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_BYTES - 4), 0), HEADER_BYTES - 4)
  return bytes
}

/** Undefined for bytes that are no header. Throws a `StoreError` for one of a later format. */
export function decodeHeader(kind: FileKind, bytes: Buffer, path: string): FileHeader | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGICS[kind])) return undefined
  if (bytes.readUInt32LE(HEADER_BYTES - 4) !== crc32(bytes.subarray(0, HEADER_BYTES - 4), 0)) return undefined
  const format = bytes.readUInt32LE(8)
  if (format !== FORMAT) {
    throw new StoreError(
      'bad_format',
      `${path} is of format ${format}, and this version reads format ${FORMAT}: run the version that wrote it, or take a backup there and restore it here`,
    )
  }
  const storeId = bytes.toString('hex', 12, 12 + STORE_ID_BYTES)
  return headerOf(kind, storeId, bytes.readUIntLE(20, 6), bytes.readUIntLE(26, 6))
}
