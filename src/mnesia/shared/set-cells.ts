/**
 * Rows or tombstones of a set: each a value, and its stamp as two numbers beside it. A cell is made for who asks for one.
 *
 * An object for each row with its stamp would be one more place in memory that every read and write waits for, and one more that the
 * collection of garbage looks at.
 */
import { hashOf } from '../rows/key-hash.ts'
import { KeyMap } from '../rows/key-map.ts'
import type { KeySlots } from '../rows/key-slots.ts'
import { END, type Position } from '../rows/shards.ts'
import { Cell, type CellChunk, type CellMap, NO_CELLS } from './cell-map.ts'
import type { Origin } from './origin.ts'

// Numbers of a stamp.
const CLOCK = 0
const ORIGIN = 1

export class SetCells<V> implements CellMap<V> {
  readonly #values = new StampedMap<V>()

  get size(): number {
    return this.#values.size
  }

  get keyCount(): number {
    return this.#values.size
  }

  hasKey(key: string): boolean {
    return this.#values.has(key)
  }

  get(key: string, _identity: string, hash: number = hashOf(key)): Cell<V> | undefined {
    return this.#values.cell(key, hash)
  }

  of(key: string): readonly Cell<V>[] {
    const cell = this.#values.cell(key, hashOf(key))
    return cell === undefined ? NO_CELLS : [cell]
  }

  value(key: string): V | undefined {
    return this.#values.get(key)
  }

  set(key: string, cell: Cell<V>, hash: number = hashOf(key)): void {
    this.#values.setCell(key, cell, hash)
  }

  delete(key: string): boolean {
    const before = this.#values.size
    this.#values.delete(key)
    return this.#values.size < before
  }

  clear(): void {
    this.#values.clear()
  }

  keys(): IterableIterator<string> {
    return this.#values.keys()
  }

  keysAfter(key: string | undefined): IterableIterator<string> {
    return this.#values.keysAfter(key)
  }

  chunk(from: Position, to: Position = END): CellChunk<V> {
    return this.#values.cellChunk(from, to)
  }
}

class StampedMap<V> extends KeyMap<V | undefined> {
  /** By their numbers. */
  readonly #origins: Origin[] = []

  constructor() {
    super(2)
  }

  cell(key: string, hash: number): Cell<V> | undefined {
    const shard = this.shardOf(hash)
    const slot = shard.find(key, hash)
    return slot < 0 ? undefined : this.#cellAt(shard, slot)
  }

  setCell(key: string, { value, clock, origin }: Cell<V>, hash: number): void {
    const shard = this.shardOf(hash)
    const found = shard.find(key, hash)
    const slot = found < 0 ? shard.add(key, hash, value) : found
    shard.setValueAt(slot, value)
    shard.setNumberAt(slot, CLOCK, clock)
    shard.setNumberAt(slot, ORIGIN, origin.number)
    this.#origins[origin.number] ??= origin
    if (found < 0) this.added()
  }

  cellChunk(from: Position, to: Position): CellChunk<V> {
    const cells: (readonly [string, Cell<V>])[] = []
    const next = this.visit(from, to, (shard, slot, key) => cells.push([key, this.#cellAt(shard, slot)]))
    return { cells, next }
  }

  #cellAt(shard: KeySlots<V | undefined>, slot: number): Cell<V> {
    const origin = this.#origins[shard.numberAt(slot, ORIGIN)]!
    return new Cell(shard.valueAt(slot), shard.numberAt(slot, CLOCK), origin)
  }
}
