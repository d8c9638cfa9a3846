/**
 * The rows that can be read in an owned table: those of several owners, seen as one.
 *
 * Each visible owner has a container; this node's is the first. Nothing is copied when an owner comes or goes. The hash of
 * a key is computed once and asked of each.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { hashOf } from '../rows/key-hash.ts'
import { NO_ROWS, type OrderedKeys } from '../rows/readable-table.ts'
import type { Rows } from '../rows/rows.ts'

export class VisibleRows<Row> implements OrderedKeys {
  /** The containers, this node's first. */
  containers: readonly Rows<Row>[] = []

  get size(): number {
    let size = 0
    for (const container of this.containers) size += container.size
    return size
  }

  has(key: string): boolean {
    const hash = hashOf(key)
    for (const container of this.containers) if (container.has(key, hash)) return true
    return false
  }

  get(key: string): Row | undefined {
    const hash = hashOf(key)
    for (const container of this.containers) {
      const row = container.get(key, hash)
      if (row !== undefined) return row
    }
    return undefined
  }

  read(key: string): readonly Row[] {
    const hash = hashOf(key)
    let found: readonly Row[] = NO_ROWS
    for (const container of this.containers) {
      const rows = container.read(key, hash)
      if (rows.length > 0) found = found.length === 0 ? rows : [...found, ...rows]
    }
    return found
  }

  *keys(isOrdered: boolean): IterableIterator<string> {
    const { containers } = this
    if (isOrdered && containers.length > 1) {
      for (let key = this.first(); key !== undefined; key = this.next(key)) yield key
      return
    }
    for (let i = 0; i < containers.length; i++) {
      for (const key of containers[i]!.keys()) {
        if (i === 0 || !containers.slice(0, i).some((former) => former.has(key))) yield key
      }
    }
  }

  /** Keys after one, each once, in the order of the containers: by key when `isOrdered`, else by hash and key. */
  *keysAfter(after: string | undefined, isOrdered: boolean): IterableIterator<string> {
    const compare = isOrdered ? byCodeUnits : byHash
    const heads = this.containers.map((container) => {
      const keys = container.keysAfter(after)
      return { keys, key: nextOf(keys) }
    })
    for (;;) {
      let least: string | undefined
      for (const { key } of heads) {
        if (key !== undefined && (least === undefined || compare(key, least) < 0)) least = key
      }
      if (least === undefined) return
      for (const head of heads) if (head.key === least) head.key = nextOf(head.keys)
      yield least
    }
  }

  indexed(field: keyof Row & string, value: unknown): readonly Row[] {
    return this.containers.flatMap((container) => container.indexed(field, value))
  }

  first(): string | undefined {
    return this.#least((order) => order.first())
  }

  last(): string | undefined {
    return this.#greatest((order) => order.last())
  }

  next(key: string): string | undefined {
    return this.#least((order) => order.next(key))
  }

  previous(key: string): string | undefined {
    return this.#greatest((order) => order.previous(key))
  }

  ceiling(key: string): string | undefined {
    return this.#least((order) => order.ceiling(key))
  }

  #least(keyOf: (order: OrderedKeys) => string | undefined): string | undefined {
    let least: string | undefined
    for (const { order } of this.containers) {
      const key = order && keyOf(order)
      if (key !== undefined && (least === undefined || key < least)) least = key
    }
    return least
  }

  #greatest(keyOf: (order: OrderedKeys) => string | undefined): string | undefined {
    let greatest: string | undefined
    for (const { order } of this.containers) {
      const key = order && keyOf(order)
      if (key !== undefined && (greatest === undefined || key > greatest)) greatest = key
    }
    return greatest
  }
}

function nextOf(keys: IterableIterator<string>): string | undefined {
  const { done, value } = keys.next()
  return done ? undefined : value
}

function byHash(a: string, b: string): number {
  return (hashOf(a) >>> 0) - (hashOf(b) >>> 0) || byCodeUnits(a, b)
}
