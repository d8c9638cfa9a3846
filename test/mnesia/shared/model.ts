/**
 * What shared tables should hold: all operations that were ever written, and the rule by which they make rows.
 *
 * The rule is written down here a second time, as simply as can be: of the operations that survive anywhere, the one with the
 * greatest stamp makes the row. In a merged table those make it that no other one has seen.
 */
export interface ModelOperation {
  readonly table: string
  readonly key: string
  readonly identity: string
  /** The row as JSON; undefined for a delete. */
  readonly row: string | undefined
  readonly isClear: boolean
  readonly clock: number
  readonly node: string
  readonly epoch: number
  readonly seq: number
  /** Of a merged table: the stamps of the operations on the key that the writer had seen, as origin and clock. */
  readonly seen: ReadonlyMap<string, number> | undefined
  /** Everything up to this clock is said to have been seen as well. */
  readonly seenAll: number
  /** Of a merged table: whether the writer's copy had an entry of an origin. */
  readonly had: ((node: string, epoch: number, seq: number) => boolean) | undefined
}

/** Merges two rows of a merged table, given as JSON. */
export type MergeRows = (a: string, b: string) => string

export class Model {
  readonly operations: ModelOperation[] = []
  readonly #byTable = new Map<string, ModelOperation[]>()
  readonly #merges: ReadonlyMap<string, MergeRows>

  constructor(merges: ReadonlyMap<string, MergeRows>) {
    this.#merges = merges
  }

  add(operation: ModelOperation): void {
    this.operations.push(operation)
    const list = this.#byTable.get(operation.table)
    if (list === undefined) this.#byTable.set(operation.table, [operation])
    else list.push(operation)
  }

  of(table: string): readonly ModelOperation[] {
    return this.#byTable.get(table) ?? []
  }

  /** Rows of a table by cell, as JSON, of the operations for which `survives` holds. */
  rows(table: string, survives: (operation: ModelOperation) => boolean): Map<string, string> {
    const surviving = this.of(table).filter(survives).sort(byStamp)
    const lastClear = surviving.findLast(({ isClear }) => isClear)
    const alive = surviving.filter((each) => !each.isClear && (lastClear === undefined || byStamp(each, lastClear) > 0))
    const rows = new Map<string, string>()
    const merge = this.#merges.get(table)
    if (merge !== undefined) return mergedRows(alive, merge)
    for (const { key, identity, row } of alive) {
      if (row === undefined) rows.delete(cellOf(key, identity))
      else rows.set(cellOf(key, identity), row)
    }
    return rows
  }
}

export function cellOf(key: string, identity: string): string {
  return identity === '' ? key : `${key}/${identity}`
}

export function stampOf({ clock, node, epoch }: Pick<ModelOperation, 'clock' | 'node' | 'epoch'>): string {
  return `${clock} ${node}/${epoch}`
}

/** Negative when the first one is older. */
function byStamp(a: ModelOperation, b: ModelOperation): number {
  return a.clock - b.clock || (a.node < b.node ? -1 : a.node > b.node ? 1 : a.epoch - b.epoch)
}

function mergedRows(sorted: readonly ModelOperation[], merge: MergeRows): Map<string, string> {
  const byKey = new Map<string, ModelOperation[]>()
  for (const operation of sorted) byKey.set(operation.key, [...(byKey.get(operation.key) ?? []), operation])
  const rows = new Map<string, string>()
  for (const [key, operations] of byKey) {
    const isSeen = ({ node, epoch, clock, seq }: ModelOperation) =>
      operations.some(
        (other) =>
          (other.node === node && other.epoch === epoch && other.clock > clock) ||
          (other.seenAll >= clock && other.had!(node, epoch, seq)) ||
          (other.seen!.get(`${node}/${epoch}`) ?? 0) >= clock,
      )
    let row: string | undefined
    for (const version of operations.filter((each) => !isSeen(each))) {
      row = row === undefined || version.row === undefined ? version.row : merge(row, version.row)
    }
    if (row !== undefined) rows.set(key, row)
  }
  return rows
}
