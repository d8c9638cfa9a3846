/** What a transaction has written and is in no table yet: in its order, and by the keys that it is about. */
import { sameRow } from '../rows/same-value.ts'
import type { SharedTable, TableOperations } from '../shared/shared-table.ts'
import type { TableOperation } from '../table.ts'

type AnyTable = SharedTable<unknown>

interface Write {
  readonly table: AnyTable
  readonly key: string
  readonly operation: TableOperation<unknown>
}

const NOTHING: ReadonlyMap<string, readonly TableOperation<unknown>[]> = new Map()

export class Writes {
  readonly #all: Write[] = []
  readonly #byKey = new Map<AnyTable, Map<string, TableOperation<unknown>[]>>()

  get length(): number {
    return this.#all.length
  }

  add(table: AnyTable, key: string, operation: TableOperation<unknown>): void {
    this.#all.push({ table, key, operation })
    let keys = this.#byKey.get(table)
    if (keys === undefined) {
      keys = new Map()
      this.#byKey.set(table, keys)
    }
    const operations = keys.get(key)
    if (operations === undefined) keys.set(key, [operation])
    else operations.push(operation)
  }

  /** Forgets all but the first so many. */
  truncate(length: number): void {
    while (this.#all.length > length) {
      const { table, key } = this.#all.pop()!
      const keys = this.#byKey.get(table)!
      keys.get(key)!.pop()
      if (keys.get(key)!.length === 0) keys.delete(key)
    }
  }

  /** Keys of a table that something has been written for. */
  keys(table: AnyTable): Iterable<string> {
    return (this.#byKey.get(table) ?? NOTHING).keys()
  }

  /** The rows of a key as they will be. */
  rowsOf(table: AnyTable, key: string): readonly unknown[] {
    const { definition } = table
    let rows = table.read(key)
    for (const operation of (this.#byKey.get(table) ?? NOTHING).get(key) ?? []) {
      if (operation.op === 'delete') rows = []
      else if (definition.type !== 'bag') {
        if (operation.op === 'write') rows = [operation.row]
        else rows = rows.filter((row) => !sameRow(definition, row, operation.row))
      } else {
        const identity = identityIn(table, operation.row)
        const others = rows.filter((row) => identityIn(table, row) !== identity)
        rows = operation.op === 'write' ? [...others, operation.row] : others
      }
    }
    return rows
  }

  /** What is to be done, by table: in a bag all that was written, in its order; in a set, of each key what it has come to. */
  parts(): TableOperations[] {
    const byTable = new Map<AnyTable, TableOperation<unknown>[]>()
    for (const { table, key, operation } of this.#all) {
      let operations = byTable.get(table)
      if (operations === undefined) {
        operations = []
        byTable.set(table, operations)
      }
      const ofKey = this.#byKey.get(table)!.get(key)!
      if (table.definition.type === 'bag' || ofKey.every(({ op }) => op === 'delete_object')) operations.push(operation)
      else if (ofKey.at(-1) === operation) operations.push(outcomeOf(table, key, ofKey))
    }
    return [...byTable].map(([table, operations]) => ({ table, operations }))
  }
}

/** What operations on a key of a set come to, when it has been written or deleted by one of them. */
function outcomeOf(
  { definition }: AnyTable,
  key: string,
  operations: readonly TableOperation<unknown>[],
): TableOperation<unknown> {
  let row: unknown
  for (const operation of operations) {
    if (operation.op === 'write') row = operation.row
    else if (operation.op === 'delete') row = undefined
    else if (row !== undefined && sameRow(definition, row, operation.row)) row = undefined
  }
  return row === undefined ? { op: 'delete', key } : { op: 'write', row }
}

function identityIn(table: AnyTable, row: unknown): string {
  const { identity } = table.definition
  return identity === undefined ? Buffer.from(table.bytes.encode(row)).toString('latin1') : identity(row)
}
