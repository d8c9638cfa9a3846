/** What this node writes to its own rows, as it is applied and sent. */
import type { TableDefinition } from '../definition.ts'
import { sameRow } from '../rows/same-value.ts'
import type { TableOperation } from '../table.ts'
import type { OwnerRows } from './owner-rows.ts'
import type { OwnedOperation } from './row-form.ts'

/** Leaves out the removal of a row of a set that is not there as it is given. Throws what the definition's `RowBytes` throws. */
export function ownOperations<Row>(
  definition: TableDefinition<Row>,
  own: OwnerRows<Row>,
  operations: readonly TableOperation<Row>[],
): OwnedOperation<Row>[] {
  const { form } = own.held
  const formed: OwnedOperation<Row>[] = []
  for (const [i, operation] of operations.entries()) {
    if (operation.op === 'delete') formed.push({ kind: 'delete', key: operation.key })
    else if (operation.op === 'write') formed.push(form.write(operation.row))
    else if (isThere(definition, own, operation.row, operations, i)) formed.push(form.deleteObject(operation.row))
  }
  return formed
}

/** Whether a row is the one that its key has after the first of some operations. Those of a bag are told apart by who applies. */
function isThere<Row>(
  definition: TableDefinition<Row>,
  own: OwnerRows<Row>,
  row: Row,
  operations: readonly TableOperation<Row>[],
  count: number,
): boolean {
  if (definition.type === 'bag') return true
  const keyOf = (each: Row): string => String(each[definition.key])
  const key = keyOf(row)
  let held = own.rows.get(key)
  for (let i = 0; i < count; i++) {
    const operation = operations[i]!
    if (operation.op === 'delete') held = operation.key === key ? undefined : held
    else if (keyOf(operation.row) !== key) continue
    else if (operation.op === 'write') held = operation.row
    else if (held !== undefined && sameRow(definition, held, operation.row)) held = undefined
  }
  return held !== undefined && sameRow(definition, held, row)
}
