/**
 * The rows of a local_content table on disc: in the space `local/TABLE`, each under its key, in a bag under its key and identity.
 */
import { Damaged } from '../binary.ts'
import type { TableDefinition } from '../definition.ts'
import { RowForm } from '../owned/row-form.ts'
import type { Store, StoreOperation } from '../store/store.ts'

export class LocalDisc<Row> {
  readonly #store: Store
  readonly #space: string
  readonly #form: RowForm<Row>
  readonly #isBag: boolean

  constructor(store: Store, definition: TableDefinition<Row>, node: string) {
    this.#store = store
    this.#space = `local/${definition.name}`
    this.#form = new RowForm(definition, node)
    this.#isBag = definition.type === 'bag'
  }

  /** All rows; `damaged` is called for values that are none. */
  *rows(damaged: (reason: string) => void): IterableIterator<Row> {
    for (const [, value] of this.#store.entries(this.#space)) {
      try {
        yield this.#form.ofValue(value).row
      } catch (error) {
        if (!(error instanceof Damaged)) throw error
        damaged(error.reason)
      }
    }
  }

  /** Throws what the table's `encode` throws. */
  written(row: Row): StoreOperation {
    const formed = this.#form.write(row)
    return { space: this.#space, key: this.#keyOf(formed.key, row), value: this.#form.toValue(formed) }
  }

  deleted(key: string, row: Row): StoreOperation {
    return { space: this.#space, key: this.#keyOf(key, row), value: undefined }
  }

  commit(operations: readonly StoreOperation[]): void {
    this.#store.commit(operations)
  }

  /** Undefined when there is nothing to wait for. */
  flushed(): Promise<void> | undefined {
    return this.#store.isDurable ? this.#store.flushed() : undefined
  }

  clear(): void {
    // Nothing is written for a table that has never been on disc.
    for (const _ of this.#store.entries(this.#space)) {
      this.#store.clear(this.#space)
      return
    }
  }

  #keyOf(key: string, row: Row): string {
    // The length parts key and identity, whatever they are made of.
    return this.#isBag ? `${key.length}:${key}${this.#form.identity(row)}` : key
  }
}
