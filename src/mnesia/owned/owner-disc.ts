/**
 * The rows of one owner in one table on disc.
 *
 * Rows lie in a space of their own, `owned/OWNER/TABLE/GENERATION`; the space `owned` says, for OWNER/TABLE, up to which batch they are
 * and in which generation. Both are written in one commit. A snapshot, or a copy that is new on disc, is written into the space of the
 * next generation and counts from the commit that names it: an end in the middle of it leaves what was there before.
 *
 * A row lies under its key, in a bag under its key and identity.
 */
import { BinaryReader, BinaryWriter, Damaged } from '../binary.ts'
import type { TableDefinition } from '../definition.ts'
import { hashOf } from '../rows/key-hash.ts'
import type { Position } from '../rows/shards.ts'
import { isDamaged } from '../store/damage.ts'
import type { Store, StoreOperation } from '../store/store.ts'
import type { DigestedRows, Place } from './owner-rows.ts'
import { type FormedRow, RowForm } from './row-form.ts'

const PLACES = 'owned'
const VERSION = 1

/** What has become of a row: `written` is undefined when it has been removed. */
export interface RowChange<Row> {
  readonly key: string
  readonly row: Row
  readonly written: FormedRow<Row> | undefined
}

interface Saved extends Place {
  readonly generation: number
}

/** What the disc has of a table, by owner. */
export function ownersOnDisc(store: Store, table: string): string[] {
  const owners: string[] = []
  for (const [key] of store.entries(PLACES)) {
    // A node name has no slash, a table may.
    const slash = key.indexOf('/')
    if (key.slice(slash + 1) === table) owners.push(key.slice(0, slash))
  }
  return owners
}

/**
 * Finds rows again whose place has been lost, where the disc has been damaged: those of the last generation count, and nobody knows up to
 * which batch they are.
 */
export function findLostPlaces(store: Store): void {
  if (!isDamaged(store.damage, PLACES)) return
  const generations = new Map<string, number>()
  for (const space of store.spaces()) {
    if (!space.startsWith(`${PLACES}/`)) continue
    const slash = space.lastIndexOf('/')
    const name = space.slice(PLACES.length + 1, slash)
    generations.set(name, Math.max(generations.get(name) ?? 0, Number(space.slice(slash + 1))))
  }
  for (const [name, generation] of generations) {
    if (savedPlace(store, name) === undefined) store.commit([placeOperation(name, { epoch: 0, seq: 0 }, generation)])
  }
}

/** Removes all that a disc has of owners other than a node. */
export function emptyOwned(store: Store, node: string): void {
  for (const [key] of [...store.entries(PLACES)]) {
    if (key.slice(0, key.indexOf('/')) !== node) store.commit([{ space: PLACES, key, value: undefined }])
  }
  for (const space of store.spaces()) {
    const [folder, owner] = space.split('/')
    if (folder === PLACES && owner !== undefined && owner !== node) store.clear(space)
  }
}

/** Removes all of a table that is on disc. */
export function clearTable(store: Store, table: string): void {
  for (const owner of ownersOnDisc(store, table)) {
    store.commit([{ space: PLACES, key: `${owner}/${table}`, value: undefined }])
  }
  clearLeftovers(store, table)
}

/** Removes rows of a table that count for nothing: of generations that were never completed, or have been replaced. */
export function clearLeftovers(store: Store, table: string): void {
  for (const space of store.spaces()) {
    const [folder, owner, ...rest] = space.split('/')
    const generation = Number(rest.pop())
    if (folder !== PLACES || rest.join('/') !== table) continue
    if (savedPlace(store, `${owner}/${table}`)?.generation !== generation) store.clear(space)
  }
}

function savedPlace(store: Store, name: string): Saved | undefined {
  const value = store.get(PLACES, name)
  if (value === undefined) return undefined
  try {
    const reader = new BinaryReader(value)
    if (reader.byte() !== VERSION) return undefined
    return { epoch: reader.varint(), seq: reader.varint(), generation: reader.varint() }
  } catch (error) {
    if (error instanceof Damaged) return undefined
    throw error
  }
}

function placeOperation(name: string, { epoch, seq }: Place, generation: number): StoreOperation {
  const writer = new BinaryWriter(64)
  writer.byte(VERSION)
  writer.varint(epoch)
  writer.varint(seq)
  writer.varint(generation)
  return { space: PLACES, key: name, value: writer.take() }
}

export class OwnerDisc<Row> {
  readonly #store: Store
  readonly #form: RowForm<Row>
  readonly #isBag: boolean
  readonly #name: string
  /** Undefined before there is one that is complete. */
  #generation: number | undefined
  /** While the rows of a new generation are written: it, and the position up to which they are there. */
  #next: { readonly generation: number; upTo: Position } | undefined

  constructor(store: Store, definition: TableDefinition<Row>, owner: string) {
    this.#store = store
    this.#form = new RowForm(definition, owner)
    this.#isBag = definition.type === 'bag'
    this.#name = `${owner}/${definition.name}`
    this.#generation = savedPlace(store, this.#name)?.generation
  }

  /** Whether rows may have been lost, or up to which batch they are. */
  get mayLack(): boolean {
    const { damage } = this.#store
    return isDamaged(damage, PLACES) || isDamaged(damage, this.#space(this.#generation ?? 0))
  }

  /** Reads the rows into an empty container; undefined when there are none. Calls `damaged` for a value that is no row, which is left out. */
  load(into: DigestedRows<Row>, damaged: (reason: string) => void): Place | undefined {
    const saved = savedPlace(this.#store, this.#name)
    if (saved === undefined) return undefined
    const current = this.#space(saved.generation)
    for (const [, value] of this.#store.entries(current)) {
      try {
        into.apply({ kind: 'write', ...this.#form.ofValue(value) })
      } catch (error) {
        if (!(error instanceof Damaged)) throw error
        damaged(error.reason)
      }
    }
    return { epoch: saved.epoch, seq: saved.seq }
  }

  /** Writes changes together with the place that they make. */
  commit(changes: readonly RowChange<Row>[], place: Place): void {
    const current = this.#generation
    const list = current === undefined ? [] : changes.map((change) => this.#operation(change, current))
    const next = this.#next
    if (next !== undefined) {
      const isThere = ({ key }: RowChange<Row>) => hashOf(key) >>> 0 < next.upTo
      list.push(...changes.filter(isThere).map((change) => this.#operation(change, next.generation)))
    }
    if (current !== undefined) list.push(placeOperation(this.#name, place, current))
    this.#store.commit(list)
  }

  /** An epoch begins at a place, with the rows that are there. */
  begun(place: Place): void {
    if (this.#generation !== undefined) this.commit([], place)
    else {
      this.begin()
      this.complete(place)
    }
  }

  /** A new generation is being written. */
  get isBegun(): boolean {
    return this.#next !== undefined
  }

  /** Rows of a new generation follow. */
  begin(): void {
    this.abandon()
    this.#next = { generation: (this.#generation ?? 0) + 1, upTo: 0 }
    // An earlier attempt may have left something there.
    this.#store.clear(this.#space(this.#next.generation))
  }

  /** Writes to the new generation. */
  add(changes: readonly RowChange<Row>[]): void {
    this.#store.commit(changes.map((change) => this.#operation(change, this.#next!.generation)))
  }

  /** All rows below a position are in the new generation, where `commit` keeps them up to date from here on. */
  reach(position: Position): void {
    this.#next!.upTo = position
  }

  /** The new generation is complete and takes the place of the old one. */
  complete(place: Place): void {
    const old = this.#generation
    const { generation } = this.#next!
    this.#generation = generation
    this.#next = undefined
    this.#store.commit([placeOperation(this.#name, place, generation)])
    if (old !== undefined) this.#store.clear(this.#space(old))
  }

  /** The new generation, if there is one, is not wanted. */
  abandon(): void {
    if (this.#next !== undefined) this.#store.clear(this.#space(this.#next.generation))
    this.#next = undefined
  }

  /** Removes everything. */
  drop(): void {
    this.abandon()
    this.#store.commit([{ space: PLACES, key: this.#name, value: undefined }])
    if (this.#generation !== undefined) this.#store.clear(this.#space(this.#generation))
    this.#generation = undefined
  }

  #space(generation: number): string {
    return `${PLACES}/${this.#name}/${generation}`
  }

  #operation({ key, row, written }: RowChange<Row>, generation: number): StoreOperation {
    return {
      space: this.#space(generation),
      // The length parts key and identity, whatever they are made of.
      key: this.#isBag ? `${key.length}:${key}${this.#form.identity(row)}` : key,
      value: written === undefined ? undefined : this.#form.toValue(written),
    }
  }
}
