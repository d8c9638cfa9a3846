/**
 * The rows of a space out of the logs and rows files that hold them: sorted, the newest of each key.
 *
 * A source walks one space in one file. Sources are listed newest first, and none is listed behind one that was cleared. Reading is
 * synchronous for iterations and asynchronous for checkpoints; `advance` stays in memory and says when there is reading to do.
 */
import { KeysInOrder, turn } from '../keys-in-order.ts'
import type { Log, SpaceInLog } from './log.ts'
import { REMOVED, RecordReader } from './records.ts'
import type { RowsFile, SpaceInRows } from './rows-file.ts'

const READ_BYTES = 256 << 10
const KEYS_AT_A_TIME = 4096

/** A walk through a space in one file. Begins before the first row. */
export interface Source {
  /** Key of the row at hand; undefined behind the last. */
  key: string | undefined
  /** Where the value of the row at hand is: in `bytes`, or nowhere for a key that was removed. */
  readonly reader: RecordReader
  /** Goes to the next row. False when `load` has to be called first. */
  advance(): boolean
  load(): Promise<void>
  loadSync(): void
}

export class LogSource implements Source {
  key: string | undefined
  readonly reader = new RecordReader(Buffer.alloc(0))
  readonly #log: Log
  readonly #rows: ReadonlyMap<string, number>
  readonly #keys: KeysInOrder

  constructor(log: Log, space: SpaceInLog) {
    this.#log = log
    this.#rows = space.rows
    this.#keys = new KeysInOrder(space.rows.keys())
  }

  advance(): boolean {
    if (!this.#keys.isReady) return false
    for (;;) {
      this.key = this.#keys.next()
      if (this.key === undefined) return true
      const offset = this.#rows.get(this.key)
      // Cleared since.
      if (offset === undefined) continue
      if (offset < 0) this.reader.valueFrom = REMOVED
      else {
        this.#log.seek(this.reader, offset)
        this.reader.value()
      }
      return true
    }
  }

  async load(): Promise<void> {
    while (!this.#keys.prepare(KEYS_AT_A_TIME)) await turn()
  }

  loadSync(): void {
    this.#keys.prepare(Number.POSITIVE_INFINITY)
  }
}

export class RowsSource implements Source {
  key: string | undefined
  reader = new RecordReader(Buffer.alloc(0))
  readonly #file: RowsFile
  readonly #space: SpaceInRows
  /** Number of the block at hand; of the next one before `load`. */
  #block = 0
  #rowsLeft = 0
  #run: Buffer = Buffer.alloc(0)
  #runAt = 0

  constructor(file: RowsFile, space: SpaceInRows) {
    this.#file = file
    this.#space = space
  }

  advance(): boolean {
    while (this.#rowsLeft === 0) {
      if (this.#block === this.#space.offsets.length) {
        this.key = undefined
        return true
      }
      if (this.#runAt === this.#run.length) return false
      const length = this.#space.lengths[this.#block++]!
      const { reader, rows } = this.#file.openBlock(this.#run, this.#runAt, length)
      this.reader = reader
      this.#rowsLeft = rows
      this.#runAt += length
    }
    this.#rowsLeft--
    this.key = this.reader.text()
    this.reader.value()
    return true
  }

  async load(): Promise<void> {
    this.#take((await this.#file.readBlocks(this.#space, this.#block, READ_BYTES)).bytes)
  }

  loadSync(): void {
    this.#take(this.#file.readBlocksSync(this.#space, this.#block, READ_BYTES).bytes)
  }

  #take(run: Buffer): void {
    this.#run = run
    this.#runAt = 0
  }
}

/** The source whose row is next: the least key, and of equal keys the newest. */
export function nextOf(sources: readonly Source[]): Source | undefined {
  let next: Source | undefined
  for (const source of sources) {
    if (source.key !== undefined && (next === undefined || source.key < next.key!)) next = source
  }
  return next
}

/** Rows that are there, in the order of keys. Values are views. */
export function* mergedRows(sources: readonly Source[]): IterableIterator<readonly [key: string, value: Buffer]> {
  const forward = (source: Source): void => {
    if (!source.advance()) {
      source.loadSync()
      source.advance()
    }
  }
  sources.forEach(forward)
  for (;;) {
    const next = nextOf(sources)
    if (next === undefined) return
    const { reader } = next
    const key = next.key!
    if (reader.valueFrom !== REMOVED) yield [key, reader.bytes.subarray(reader.valueFrom, reader.valueTo)]
    for (const source of sources) if (source.key === key) forward(source)
  }
}
