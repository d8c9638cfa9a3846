/**
 * How far the store has vouched for its files: a note beside them, by which a file that has lost its end is told from one
 * whose last write was cut short by a crash and never promised to anybody.
 *
 * It is written behind a flush, not with it, and so may be behind; it is never ahead. It is rewritten in place, and counts for
 * nothing when its checksum is wrong.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from './checksum.ts'
import { FORMAT, STORE_ID_BYTES } from './file-header.ts'
import { syncData, writeAt } from './files.ts'

const NAME = 'positions'
const MAGIC = Buffer.from('AGNERPOS')
const FIXED_BYTES = MAGIC.length + 4 + STORE_ID_BYTES + 6 + 4
const ENTRY_BYTES = 12

export interface Positions {
  readonly storeId: string
  /** The last log whose writes are in a rows file; 0 when there is no rows file. */
  readonly covered: number
  /** Log number to the offset up to which it has been flushed. */
  readonly logs: ReadonlyMap<number, number>
}

/** Undefined when there is no note, or none that can be trusted. */
export function readPositions(directory: string): Positions | undefined {
  let bytes: Buffer
  try {
    bytes = fs.readFileSync(join(directory, NAME))
  } catch {
    return undefined
  }
  if (bytes.length < FIXED_BYTES + 4 || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  let at = MAGIC.length
  if (bytes.readUInt32LE(at) !== FORMAT) return undefined
  at += 4
  const storeId = bytes.toString('hex', at, at + STORE_ID_BYTES)
  at += STORE_ID_BYTES
  const covered = bytes.readUIntLE(at, 6)
  const count = bytes.readUInt32LE(at + 6)
  const end = FIXED_BYTES + count * ENTRY_BYTES
  if (end + 4 > bytes.length || bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end), 0)) return undefined
  const logs = new Map<number, number>()
  for (let entry = FIXED_BYTES; entry < end; entry += ENTRY_BYTES) {
    logs.set(bytes.readUIntLE(entry, 6), bytes.readUIntLE(entry + 6, 6))
  }
  return { storeId, covered, logs }
}

/** The note as it is written, one write at a time. */
export class PositionsFile {
  readonly #fd: number

  /** Throws the error of the system call. */
  constructor(directory: string) {
    this.#fd = fs.openSync(join(directory, NAME), fs.constants.O_CREAT | fs.constants.O_RDWR, 0o600)
  }

  async write({ storeId, covered, logs }: Positions): Promise<void> {
    const end = FIXED_BYTES + logs.size * ENTRY_BYTES
    const bytes = Buffer.alloc(end + 4)
    MAGIC.copy(bytes)
    let at = bytes.writeUInt32LE(FORMAT, MAGIC.length)
    at += bytes.write(storeId, at, STORE_ID_BYTES, 'hex')
    at = bytes.writeUIntLE(covered, at, 6)
    at = bytes.writeUInt32LE(logs.size, at)
    for (const [number, flushedTo] of logs) {
      at = bytes.writeUIntLE(number, at, 6)
      at = bytes.writeUIntLE(flushedTo, at, 6)
    }
    bytes.writeUInt32LE(crc32(bytes.subarray(0, end), 0), end)
    await writeAt(this.#fd, [bytes], 0)
  }

  sync(): Promise<void> {
    return syncData(this.#fd)
  }

  close(): void {
    fs.closeSync(this.#fd)
  }
}
