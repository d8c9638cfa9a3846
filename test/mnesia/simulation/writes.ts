/** Random writes to the tables of a node, and the notes of what may be found of them afterwards. */
import type { TableDefinition } from '../../../src/mnesia/definition.ts'
import type { Mnesia } from '../../../src/mnesia/mnesia.ts'
import type { Table, WriteOptions, WriteOutcome } from '../../../src/mnesia/table.ts'
import type { SeededRandom } from '../../../src/testing/random.ts'
import type { MnesiaWorld } from '../mnesia-world.ts'
import { Ledger, type Write, type Writer } from './ledger.ts'
import {
  LOCAL,
  type LocalRow,
  OWNED,
  OWNED_DISC,
  type OwnedRow,
  SHARED,
  SHARED_MERGED,
  type SharedRow,
} from './tables.ts'

const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']
const PARTS = ['p', 'q']

/** A number that was put into the merged row. */
export interface Merge {
  readonly writer: Writer
  readonly n: number
}

/** Numbers in the merged row of a cluster: those that are there for good, and those that have been written since. */
export interface Merged {
  readonly settled: ReadonlySet<number>
  readonly written: Merge[]
}

export class Writes {
  readonly ledger = new Ledger()
  /** By cluster. */
  readonly merged = new Map<string, Merged>()
  /** What may be there of own rows on disc after a kill, the oldest first: by node, table and key; undefined: no row. */
  readonly ownOnDisc = new Map<string, Set<number | undefined>>()
  readonly #world: MnesiaWorld
  readonly #random: SeededRandom

  constructor(world: MnesiaWorld) {
    this.#world = world
    this.#random = world.sim.random
  }

  /** A node writes something somewhere. */
  write(name: string): void {
    const random = this.#random
    const mnesia = this.#world.mnesia(name)
    const table = random.below(8)
    if (table < 4) this.#writeShared(name, mnesia, random.pick(SHARED))
    else if (table === 4) this.#writeMerged(mnesia)
    else if (table < 7) this.#writeOwned(name, mnesia, random.pick(OWNED))
    else this.#writeLocal(name, mnesia)
  }

  #options(): WriteOptions | undefined {
    const wait = this.#random.pick([undefined, undefined, 'durable', 'members'] as const)
    return wait === undefined ? undefined : { wait }
  }

  #writeShared(name: string, mnesia: Mnesia, definition: TableDefinition<SharedRow>): void {
    const random = this.#random
    const table = mnesia.open(definition)
    const writer = writerOf(mnesia)
    const isNew = this.#world.hasChanged(name)
    const operations: Parameters<Table<SharedRow>['batch']>[0][number][] = []
    const writes: Write[] = []
    const now = new Map<string, SharedRow | undefined>()
    const found = (key: string, part: string) =>
      now.has(`${key}/${part}`) ? now.get(`${key}/${part}`) : table.read(key).find((row) => row.part === part)
    const note = (key: string, part: string, row: SharedRow | undefined) => {
      const id = `${key}/${part}`
      const old = found(key, part)
      if (row === undefined && old === undefined) return
      const what = { n: row?.n ?? 0, isDelete: row === undefined, found: old?.n, isNew }
      writes.push(this.ledger.note(definition.name, id, writer, what))
      now.set(id, row)
    }
    for (let left = random.below(3) === 0 ? 3 : 1; left > 0; left--) {
      const key = random.pick(KEYS)
      const part = definition.type === 'bag' ? random.pick(PARTS) : 'p'
      const kind = random.below(10)
      if (kind < 7) {
        const row: SharedRow = { key, part, n: this.ledger.next(), by: name }
        operations.push({ op: 'write', row })
        note(key, part, row)
      } else if (kind < 9) {
        operations.push({ op: 'delete', key })
        for (const each of definition.type === 'bag' ? PARTS : ['p']) note(key, each, undefined)
      } else {
        const held = found(key, part)
        const isHeld = held !== undefined && random.below(4) > 0
        operations.push({ op: 'delete_object', row: isHeld ? held : { key, part, n: 0, by: '' } })
        // Rows of the bag are the same by their part, those of the sets in all.
        if (isHeld || definition.type === 'bag') note(key, part, undefined)
      }
    }
    const options = this.#options() ?? {}
    this.#confirm(mnesia, options, table.batch(operations, options), writes, writer)
  }

  #confirm(
    mnesia: Mnesia,
    { wait }: WriteOptions,
    result: Promise<WriteOutcome> | undefined,
    writes: readonly Write[],
    writer: Writer,
  ): void {
    if (wait !== 'durable' && wait !== 'members') return
    const linked = this.#linkedWriters(mnesia, writer)
    const done = ({ unconfirmed }: WriteOutcome): void => {
      for (const write of writes) {
        if (wait === 'durable') write.isDurable = true
        else write.confirmedBy = linked.filter(({ node }) => !unconfirmed.includes(node))
      }
    }
    if (result === undefined) done({ unconfirmed: wait === 'members' ? linked.map(({ node }) => node) : [] })
    else void result.then(done, () => {})
  }

  /** Other members that are linked now, as they are. */
  #linkedWriters(mnesia: Mnesia, { node, cluster }: Writer): Writer[] {
    const linked = mnesia.status().running.filter((name) => name !== node)
    return linked.flatMap((name) => {
      const other = this.#world.nodes.get(name)
      if (other === undefined) return []
      const theirs = writerOf(other.mnesia)
      return theirs.cluster === cluster ? [theirs] : []
    })
  }

  #writeMerged(mnesia: Mnesia): void {
    const table = mnesia.open(SHARED_MERGED)
    const writer = writerOf(mnesia)
    const n = this.ledger.next()
    const key = 'merged'
    table.write({ key, ns: [...(table.get(key)?.ns ?? []), n] })
    const merged = this.merged.get(writer.cluster) ?? { settled: new Set(), written: [] }
    this.merged.set(writer.cluster, merged)
    merged.written.push({ writer, n })
  }

  #writeOwned(name: string, mnesia: Mnesia, definition: TableDefinition<OwnedRow>): void {
    const random = this.#random
    const table = mnesia.open(definition)
    const key = random.pick(KEYS)
    const row = { key, node: name, n: this.ledger.next(), isDurable: random.below(2) === 0 }
    const isDelete = random.below(4) === 0
    const options = this.#options()
    const result = isDelete ? this.#delete(table, key, options) : this.#put(table, row, options)
    if (definition === OWNED_DISC)
      this.#noteOwn(name, definition.name, key, isDelete ? undefined : row.n, options, result)
  }

  #writeLocal(name: string, mnesia: Mnesia): void {
    const table = mnesia.open(LOCAL)
    const key = this.#random.pick(KEYS)
    const row: LocalRow = { key, n: this.ledger.next() }
    const options = this.#random.below(2) === 0 ? undefined : ({ wait: 'durable' } as const)
    this.#noteOwn(name, LOCAL.name, key, row.n, options, this.#put(table, row, options))
  }

  #put<Row>(table: Table<Row>, row: Row, options: WriteOptions | undefined): Promise<WriteOutcome> | undefined {
    return options === undefined ? (table.write(row) as undefined) : table.write(row, options)
  }

  #delete<Row>(table: Table<Row>, key: string, options: WriteOptions | undefined): Promise<WriteOutcome> | undefined {
    return options === undefined ? (table.delete(key) as undefined) : table.delete(key, options)
  }

  /** After a kill one of these is there: what is durable, or what was written after it. */
  #noteOwn(
    name: string,
    table: string,
    key: string,
    n: number | undefined,
    options: WriteOptions | undefined,
    result: Promise<WriteOutcome> | undefined,
  ): void {
    const id = `${name} ${table} ${key}`
    const possible = this.ownOnDisc.get(id) ?? new Set([undefined])
    this.ownOnDisc.set(id, possible)
    possible.delete(n)
    possible.add(n)
    if (options?.wait !== 'durable') return
    const durable = () => {
      if (!possible.has(n)) return
      for (const earlier of [...possible]) {
        if (earlier === n) break
        possible.delete(earlier)
      }
    }
    if (result !== undefined) void result.then(durable, () => {})
  }
}

/** A node as it is now. */
export function writerOf(mnesia: Mnesia): Writer {
  const { node, cluster, epoch } = mnesia.status()
  return { node, cluster, epoch }
}
