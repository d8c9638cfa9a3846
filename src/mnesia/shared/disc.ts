/**
 * What shared replication keeps in the store, and when it is written.
 *
 * One space for each table with its cells, and the space `shared` with everything else: the clock's ceiling, the names of the origins
 * that records refer to by number, the vector, what is settled, and of each disc copy its holes. What a turn changes is one commit:
 * rows, tombstones and the vector that tells that they are there. `durable` is the vector as of the last commit that is known to be flushed.
 */
import { BinaryReader, BinaryWriter, Damaged } from '../binary.ts'
import { isDamaged } from '../store/damage.ts'
import type { Store, StoreOperation } from '../store/store.ts'
import { decodeCell } from './cell-record.ts'
import type { Stamp } from './cells.ts'
import { Coverage, type Floor, type Settled } from './coverage.ts'
import type { SentCopy } from './messages.ts'
import { Origin, type Origins } from './origin.ts'
import { Vector } from './vector.ts'

const META = 'shared'
const CEILING = 'clock/'
const VERSION = 1
/** Stands in for nodes whose names have been lost: of two stamps with the same clock any other is the later one. */
const LOST = ''
const UNKNOWN = new Origin(LOST, 0, 0)
/** Rows that are not looked into. */
const AS_BYTES = { encode: (row: Uint8Array) => row, decode: (bytes: Uint8Array) => bytes }

/** What the store holds of a disc copy, besides its rows. */
export interface CopyRecord {
  readonly cleared: Stamp | undefined
  readonly coverage: Coverage
}

/** The space of a table's cells. */
export function spaceOf(table: string): string {
  return `shared/${table}`
}

/** Removes all that shared replication keeps in a store, but for the ceiling of the clock, which may never go back. */
export function emptyShared(store: Store, ceiling = ceilingIn(store)): void {
  for (const space of store.spaces()) if (space === META || space.startsWith(spaceOf(''))) store.clear(space)
  const writer = new BinaryWriter()
  writer.byte(VERSION)
  writer.integer(ceiling)
  store.commit([{ space: META, key: CEILING, value: writer.take() }])
}

function ceilingIn(store: Store): number {
  const value = store.get(META, CEILING)
  if (value === undefined) return 0
  const reader = new BinaryReader(value)
  reader.byte()
  return reader.integer()
}

export interface DiscOptions {
  readonly store: Store
  readonly origins: Origins
  readonly vector: Vector
  /** What the copies lack now. */
  readonly copies: () => readonly SentCopy[]
}

export class Disc {
  readonly store: Store
  readonly #origins: Origins
  readonly #writer = new BinaryWriter()
  readonly #reader = new BinaryReader(new Uint8Array())
  #pending: StoreOperation[] = []
  /** Origins with a number below this are on disc, or on their way. */
  #namedOrigins = 0
  readonly #changedOrigins = new Set<Origin>()
  #hasNews = false
  /** The vector as of the last flush. */
  durable = new Vector()
  /** What the copies lacked then. */
  durableCopies: readonly SentCopy[] = []
  #isFlushing = false
  #isUnflushed = false
  readonly #vector: Vector
  readonly #copies: () => readonly SentCopy[]

  constructor(options: DiscOptions) {
    this.store = options.store
    this.#origins = options.origins
    this.#vector = options.vector
    this.#copies = options.copies
  }

  /** Reads the origins, the vector and what is settled, and returns what the copies on disc lack. To be called first. */
  load(settled: Settled): Map<string, Coverage> {
    const copies: string[] = []
    const removed: string[] = []
    const numbered: { number: number; node: string; epoch: number }[] = []
    const progress: { number: number; seq: number; clock: number }[] = []
    for (const [key, value] of [...this.store.entries(META)]) {
      const [kind, name] = splitKey(key)
      const reader = this.#open(value, key)
      if (kind === 'origin') numbered.push({ number: Number(name), node: reader.text(), epoch: reader.varint() })
      else if (kind === 'vector') progress.push({ number: Number(name), seq: reader.varint(), clock: reader.integer() })
      else if (kind === 'settled') settled.raise(name, reader.varint(), reader.integer())
      else if (kind === 'copy') copies.push(name)
      else if (kind === 'removed') removed.push(name)
    }
    numbered.sort((a, b) => a.number - b.number)
    const mayLack = isDamaged(this.store.damage, META)
    for (const { node, epoch, number } of numbered) {
      if (mayLack) this.#fillOrigins(number)
      if (this.#origins.of(node, epoch).number !== number) throw new Damaged(`origin ${number} is missing in the store`)
    }
    if (mayLack) this.#fillOrigins(this.#greatestOrigin() + 1)
    // Those that stand in are on disc from now on.
    this.#namedOrigins = mayLack ? 0 : numbered.length
    for (const { number, seq, clock } of progress) this.#vector.set(this.originOf(number), seq, clock)
    this.durable = this.#vector.copy()
    for (const name of removed) this.#removeRows(name)
    return new Map(copies.map((name) => [name, this.copy(name)!.coverage]))
  }

  /** Has some origin stand in for each that is missing below a number. */
  #fillOrigins(number: number): void {
    for (let next = this.#origins.all.length; next < number; next++) this.#origins.of(LOST, next + 1)
  }

  /** The greatest number of an origin that a record refers to; -1 when there is none. */
  #greatestOrigin(): number {
    let greatest = -1
    const seen = (number: number): Origin => {
      greatest = Math.max(greatest, number)
      return this.#origins.all[number] ?? this.#origins.all[0] ?? UNKNOWN
    }
    for (const space of this.store.spaces()) {
      if (!space.startsWith(spaceOf(''))) continue
      for (const [, value] of this.store.entries(space)) {
        try {
          this.#reader.open(value)
          if (this.#reader.byte() === VERSION) decodeCell(this.#reader, undefined, AS_BYTES, seen, undefined)
        } catch {
          // It is left out when the table is loaded.
        }
      }
    }
    return greatest
  }

  /** Whether rows of a copy may have been lost, or what was known of it. */
  mayLack(table: string): boolean {
    const { damage } = this.store
    return isDamaged(damage, META) || isDamaged(damage, spaceOf(table))
  }

  get ceiling(): number {
    return this.#read(CEILING)?.integer() ?? 0
  }

  /** Tombstones up to this clock have been forgotten. */
  get forgotten(): number {
    return this.#read('forgotten/')?.integer() ?? 0
  }

  set forgotten(clock: number) {
    this.#writeMeta('forgotten/', (writer) => writer.integer(clock))
  }

  /** Nothing above it has been made, or will be. */
  set ceiling(clock: number) {
    this.#writeMeta(CEILING, (writer) => writer.integer(clock))
  }

  /** Brings a ceiling to the disc at once. */
  reserve(ceiling: number, raised: () => void): void {
    this.ceiling = ceiling
    this.commit()
    // A disc that refuses has told so elsewhere; the node goes on without the promise.
    void this.store.flushed().then(raised, raised)
  }

  /** The name of an origin by its number on this disc. */
  originOf(number: number): Origin {
    const origin = this.#origins.all[number]
    if (origin === undefined) throw new Damaged(`origin ${number} is unknown`)
    return origin
  }

  /** What is on disc of a copy; undefined when there is none. */
  copy(table: string): CopyRecord | undefined {
    const reader = this.#read(`copy/${table}`)
    if (reader === undefined) return undefined
    const coverage = new Coverage()
    coverage.lacksSettled = reader.byte() === 1
    const cleared =
      reader.byte() === 1 ? { origin: this.originOf(reader.varint()), clock: reader.integer() } : undefined
    for (let left = reader.varint(); left > 0; left--) {
      const origin = this.originOf(reader.varint())
      const covered = { seq: reader.varint(), clock: reader.integer() }
      coverage.holes.set(origin, { covered, until: reader.varint() })
    }
    return { coverage, cleared }
  }

  writeCopy(table: string, { coverage, cleared }: CopyRecord): void {
    this.#writeMeta(`copy/${table}`, (writer) => {
      writer.byte(coverage.lacksSettled ? 1 : 0)
      writer.byte(cleared === undefined ? 0 : 1)
      if (cleared !== undefined) {
        writer.varint(cleared.origin.number)
        writer.integer(cleared.clock)
      }
      writer.varint(coverage.holes.size)
      for (const [origin, { covered, until }] of coverage.holes) {
        writer.varint(origin.number)
        writer.varint(covered.seq)
        writer.integer(covered.clock)
        writer.varint(until)
      }
    })
  }

  /** When a table was cleared that is kept although it has not been created. */
  kept(table: string): Stamp | undefined {
    const reader = this.#read(`kept/${table}`)
    return reader && { origin: this.originOf(reader.varint()), clock: reader.integer() }
  }

  writeKept(table: string, cleared: Stamp | undefined): void {
    if (cleared === undefined) return
    this.#writeMeta(`kept/${table}`, (writer) => {
      writer.varint(cleared.origin.number)
      writer.integer(cleared.clock)
    })
  }

  /** Removes all that there is of a table. Should the end come in between, the rest is removed at the next start. */
  remove(table: string): void {
    for (const kind of ['copy', 'kept']) this.#pending.push({ space: META, key: `${kind}/${table}`, value: undefined })
    // Rows of this turn are to be removed as well.
    this.commit()
    if (this.store.count(spaceOf(table)) === 0) return
    this.#writeMeta(`removed/${table}`, () => undefined)
    this.#removeRows(table)
  }

  #removeRows(table: string): void {
    this.commit()
    this.store.clear(spaceOf(table))
    this.#pending.push({ space: META, key: `removed/${table}`, value: undefined })
  }

  writeSettled(node: string, { epoch, clock }: Floor): void {
    this.#writeMeta(`settled/${node}`, (writer) => {
      writer.varint(epoch)
      writer.integer(clock)
    })
  }

  /** The vector has moved at an origin, or does not have it any more: it is written with the next commit. */
  moved(origin: Origin): void {
    this.#changedOrigins.add(origin)
  }

  put(operation: StoreOperation): void {
    this.#pending.push(operation)
  }

  get hasRows(): boolean {
    return this.#pending.length > 0
  }

  get isDirty(): boolean {
    return this.#pending.length > 0 || this.#changedOrigins.size > 0 || this.#hasNews
  }

  /** What copies lack has changed, if only of copies in memory. */
  copiesChanged(): void {
    this.#hasNews = true
  }

  /** Gives the store all that has changed. */
  commit(): void {
    if (!this.isDirty) return
    this.#nameOrigins()
    for (const origin of this.#changedOrigins) this.#writeProgress(origin)
    this.#changedOrigins.clear()
    this.#hasNews = false
    const operations = this.#pending
    this.#pending = []
    if (operations.length > 0) this.store.commit(operations)
    this.#watchFlush()
  }

  /** Keeps `durable` up to date, with one promise at a time. */
  #watchFlush(): void {
    this.#isUnflushed = true
    if (this.#isFlushing) return
    this.#isUnflushed = false
    const vector = this.#vector.copy()
    const copies = this.#copies()
    const flushed = () => {
      this.durable = vector
      this.durableCopies = copies
    }
    if (!this.store.isDurable) {
      flushed()
      return
    }
    this.#isFlushing = true
    const next = () => {
      this.#isFlushing = false
      if (this.#isUnflushed) this.#watchFlush()
    }
    const failed = () => {
      // What was to be flushed may be with the next commit, which looks again.
      this.#hasNews = true
      next()
    }
    void this.store.flushed().then(() => {
      flushed()
      next()
    }, failed)
  }

  #nameOrigins(): void {
    const all = this.#origins.all
    for (; this.#namedOrigins < all.length; this.#namedOrigins++) {
      const { node, epoch } = all[this.#namedOrigins]!
      this.#writeMeta(`origin/${this.#namedOrigins}`, (writer) => {
        writer.text(node)
        writer.varint(epoch)
      })
    }
  }

  #writeProgress(origin: Origin): void {
    const key = `vector/${origin.number}`
    if (!this.#vector.has(origin)) {
      this.#pending.push({ space: META, key, value: undefined })
      return
    }
    const { seq, clock } = this.#vector.get(origin)
    this.#writeMeta(key, (writer) => {
      writer.varint(seq)
      writer.integer(clock)
    })
  }

  #writeMeta(key: string, write: (writer: BinaryWriter) => void): void {
    const writer = this.#writer
    writer.byte(VERSION)
    write(writer)
    this.#pending.push({ space: META, key, value: writer.take() })
  }

  #read(key: string): BinaryReader | undefined {
    const value = this.store.get(META, key)
    return value === undefined ? undefined : this.#open(value, key)
  }

  #open(value: Uint8Array, key: string): BinaryReader {
    const reader = this.#reader
    reader.open(value)
    const version = reader.byte()
    if (version !== VERSION)
      throw new Damaged(`${key} in the store is of format ${version}; this version reads ${VERSION}`)
    return reader
  }
}

function splitKey(key: string): [kind: string, name: string] {
  const slash = key.indexOf('/')
  return [key.slice(0, slash), key.slice(slash + 1)]
}
