/**
 * What was written in a run, and what may be found of it afterwards.
 *
 * The ledger knows no clock and no protocol. Of two writes of a row it knows the order when the later writer had the earlier row before
 * it, or was the same incarnation of the same node; otherwise either may stay. A write may be lost with its node when it was
 * killed, or taken out of the cluster, before the write was flushed or confirmed. Everything else has to be there.
 */

/** One incarnation of a node as a member of one cluster. */
export interface Writer {
  readonly node: string
  readonly cluster: string
  readonly epoch: number
}

export interface Write {
  /** 0 for a delete. */
  readonly n: number
  readonly isDelete: boolean
  readonly writer: Writer
  /** The write whose row the writer had before; undefined for none. */
  readonly before: Write | undefined
  /** Flushed on the writer's disc. */
  isDurable: boolean
  /** Members that have confirmed it. */
  confirmedBy: readonly Writer[]
}

export class Ledger {
  #last = 0
  /** By cluster, table and row. */
  readonly #writes = new Map<string, Write[]>()
  /** What was found when all was quiet, by cluster, table and row. */
  readonly #settled = new Map<string, Write | undefined>()
  /** What had been written by then. A node that has joined gets all of it, origin by origin: it may see what others know to be replaced. */
  readonly #former = new Map<string, readonly Write[]>()

  next(): number {
    return ++this.#last
  }

  /** Notes a write; `found` is the number of the row that the writer had before, `isNew` says that it has joined since all was quiet last. */
  note(
    table: string,
    row: string,
    writer: Writer,
    { n, isDelete, found, isNew }: { n: number; isDelete: boolean; found: number | undefined; isNew: boolean },
  ): Write {
    const key = keyOf(writer.cluster, table, row)
    const writes = this.#writes.get(key) ?? []
    this.#writes.set(key, writes)
    const before = found === undefined ? undefined : this.#find(key, found, isNew)
    if (found !== undefined && before === undefined)
      throw new Error(`${table} ${row}: ${writer.node} cannot have row ${found}`)
    const write: Write = { n, isDelete, writer, before, isDurable: false, confirmedBy: [] }
    writes.push(write)
    return write
  }

  #find(key: string, n: number, isNew: boolean): Write | undefined {
    const settled = this.#settled.get(key)
    if (settled?.n === n) return settled
    const isIt = (write: Write) => write.n === n && !write.isDelete
    const former = isNew ? this.#former.get(key) : undefined
    return this.#writes.get(key)?.find(isIt) ?? former?.find(isIt)
  }

  /** Rows of a table of a cluster that have been written, or were there when all was quiet last. */
  rows(cluster: string, table: string): string[] {
    const prefix = keyOf(cluster, table, '')
    const keys = [...this.#writes.keys(), ...this.#settled.keys()]
    return [...new Set(keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)))]
  }

  /**
   * Fails unless `found` is what may be there of a row, now that all is quiet; from then on it is what was there.
   */
  settle(cluster: string, table: string, row: string, found: number | undefined, world: Survivors): void {
    const key = keyOf(cluster, table, row)
    const writes = this.#writes.get(key) ?? []
    const settled = this.#settled.get(key)
    const sure = writes.filter((write) => world.survives(write))
    const dominated = new Set<Write | undefined>()
    for (const write of sure) {
      for (let before = write.before; before !== undefined && !dominated.has(before); before = before.before)
        dominated.add(before)
      for (const other of writes) {
        if (other === write) break
        if (isSame(other.writer, write.writer)) dominated.add(other)
      }
    }
    if (sure.some(({ writer }) => world.hadSettled(writer))) dominated.add(settled)
    const possible: (Write | undefined)[] = writes.filter((write) => !dominated.has(write))
    if (!dominated.has(settled)) possible.push(settled)
    if (!world.keptSettled && sure.length === 0) possible.push(undefined)
    const numbers = possible.map((write) => (write === undefined || write.isDelete ? undefined : write.n))
    if (!numbers.includes(found)) {
      const history = writes.map((write) => `${describe(write)}${world.survives(write) ? '' : ' (may be lost)'}`)
      throw new Error(
        `${table} ${row}: found ${found ?? 'nothing'}, possible are ${numbers.map((n) => n ?? 'nothing').join(', ')}; settled ${settled === undefined ? 'nothing' : describe(settled)}, then ${history.join(', ')}`,
      )
    }
    const kept = found === undefined ? undefined : (this.#find(key, found, false) as Write)
    this.#settled.set(key, kept)
    this.#former.set(key, [...(this.#former.get(key) ?? []), ...writes])
    this.#writes.delete(key)
  }

  /** Forgets a cluster's writes without looking. */
  forget(cluster: string): void {
    for (const map of [this.#writes, this.#settled, this.#former]) {
      for (const key of [...map.keys()]) if (key.startsWith(`${cluster} `)) map.delete(key)
    }
  }
}

/** What has become of those who wrote, and of the table that is looked at. */
export interface Survivors {
  /** The write cannot have been lost. */
  survives(write: Write): boolean
  /** The writer had what was there when all was quiet last. */
  hadSettled(writer: Writer): boolean
  /** What was there when all was quiet last cannot have been lost. */
  readonly keptSettled: boolean
}

function keyOf(cluster: string, table: string, row: string): string {
  return `${cluster} ${table} ${row}`
}

export function isSame(a: Writer, b: Writer): boolean {
  return a.node === b.node && a.cluster === b.cluster && a.epoch === b.epoch
}

function describe({ n, isDelete, writer, isDurable, confirmedBy }: Write): string {
  const confirmed = confirmedBy.map(({ node, epoch }) => `${node}/${epoch}`)
  const words = [isDurable ? 'flushed' : '', confirmed.length > 0 ? `confirmed by ${confirmed.join(' ')}` : '']
  return [`${isDelete ? 'delete' : n} by ${writer.node}/${writer.epoch}`, ...words.filter((word) => word !== '')].join(
    ', ',
  )
}
