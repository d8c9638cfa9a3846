/**
 * A cluster under faults: nodes with discs that forget, in a network that is cut, and clocks that are wrong, in which random things are
 * written. What was written is noted for the model; `quiet` lets everything come to rest and looks whether it is as it has to be.
 */
import pino from 'pino'
import type { Copies, TableDefinition } from '../../../src/mnesia/definition.ts'
import { table } from '../../../src/mnesia/definition.ts'
import { SharedReplication } from '../../../src/mnesia/shared/replication.ts'
import type { SharedLimits } from '../../../src/mnesia/shared/settings.ts'
import type { SharedOperation, SharedTable, TableOperations } from '../../../src/mnesia/shared/shared-table.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import type { TableEvent, WriteOutcome } from '../../../src/mnesia/table.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { LinkNetwork } from '../../support/link-network.ts'
import { cellOf, type MergeRows, Model, type ModelOperation } from './model.ts'

export interface Row {
  readonly key: string
  readonly who: string
  readonly n: number
  readonly parts?: readonly string[]
}

const BYTES = {
  encode: (row: Row) => Buffer.from(JSON.stringify(row)),
  decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as Row,
}

function mergeRows(a: Row, b: Row): Row {
  const parts = [...new Set([...(a.parts ?? []), ...(b.parts ?? [])])].sort()
  return { key: a.key, who: a.n > b.n ? a.who : b.who, n: Math.max(a.n, b.n), parts }
}

const COMMON = { key: 'key', replication: 'shared', bytes: BYTES } as const
const DEFINITIONS: readonly TableDefinition<Row>[] = [
  table<Row>('users', { ...COMMON, type: 'set', copies: 'disc_copies', index: ['who'] }),
  table<Row>('topics', { ...COMMON, type: 'ordered_set', copies: 'disc_copies' }),
  table<Row>('grants', { ...COMMON, type: 'bag', copies: 'disc_copies', identity: ({ who }) => who }),
  table<Row>('cache', { ...COMMON, type: 'set', copies: 'ram_copies' }),
  table<Row>('votes', { ...COMMON, type: 'set', copies: 'disc_copies', merge: mergeRows }),
]
const LATE = table<Row>('late', { ...COMMON, type: 'set', copies: 'disc_copies' })
const LATE_BAG = table<Row>('late_bag', { ...COMMON, type: 'bag', copies: 'disc_copies', identity: ({ who }) => who })

const MERGES = new Map<string, MergeRows>([
  ['votes', (a, b) => JSON.stringify(mergeRows(JSON.parse(a) as Row, JSON.parse(b) as Row))],
])

const SILENT = pino({ level: process.env.LOG ?? 'silent' })
/** Promises of the nodes settle at least so often. */
const SLICE_MS = 20
const KEYS = Array.from({ length: 10 }, (_, i) => `k${i}`)
const NAMES = ['a', 'b', 'c', 'd', 'e']

export interface SimNode {
  readonly name: string
  /** Undefined for a node that forgets everything when it ends. */
  readonly disc: LossyDisc | undefined
  replication: SharedReplication
  epoch: number
  isUp: boolean
  isReady: boolean
  /** The tables as their events tell. */
  mirrors: Map<string, Map<string, string>>
}

/** What the writer of an entry knew, by table and operation, and which cells it touches. */
interface Known {
  readonly seen: readonly (readonly ReadonlyMap<string, number>[])[]
  readonly cells: readonly (readonly (readonly [string, string])[])[]
  readonly had: ModelOperation['had']
}

interface Promised {
  readonly node: string
  readonly epoch: number
  readonly seq: number
}

export class World {
  readonly seed: number
  readonly random: SeededRandom
  readonly network: LinkNetwork
  readonly model = new Model(MERGES)
  readonly nodes: SimNode[] = []
  readonly history: string[] = []
  /** Table → nodes that are to have a copy, with its kind. */
  readonly placement = new Map<string, Map<string, Copies>>()
  /** Tables that have been created somewhere. */
  readonly created = new Set<string>()
  /** Origin → the last entry that any running node had when somebody looked. */
  readonly survived = new Map<string, number>()
  readonly promised: Promised[] = []
  readonly limits: Partial<SharedLimits>
  /** Tombstones are forgotten too early for what the network does to the nodes. */
  readonly hasShortHorizon: boolean
  readonly totals = new Map<string, number>()
  /** Tables of which some node has, or has had, its copy in memory only. */
  readonly ramTables = new Set<string>()
  #value = 0

  constructor(seed: number) {
    this.seed = seed
    this.random = new SeededRandom(seed * 7919 + 1)
    this.network = new LinkNetwork({ seed, frozenMs: 3000 })
    const { random } = this
    this.hasShortHorizon = random.below(8) === 0
    this.limits = {
      logBytes: random.pick([1 << 10, 4 << 10, 16 << 10, 256 << 10]),
      windowBytes: random.pick([600, 2000, 16_000]),
      chunkBytes: random.pick([100, 500, 4000]),
      chunkRows: random.pick([3, 20, 1000]),
      progressMs: 200,
      reportMs: 1000,
      checkMs: 10_000,
      retryMs: 2000,
      maxAheadMs: random.below(5) === 0 ? 30_000 : 24 * 3_600_000,
      ...(this.hasShortHorizon ? { horizonMs: 3000 } : {}),
    }
    const names = NAMES.slice(0, 2 + random.below(4))
    for (const { name, copies } of [...DEFINITIONS, LATE, LATE_BAG]) {
      const holders = names.filter(() => random.below(8) > 0)
      if (holders.length === 0) holders.push(random.pick(names))
      const kinds = holders.map((each) => [each, random.below(8) === 0 ? 'ram_copies' : copies] as const)
      this.placement.set(name, new Map(kinds))
      if (kinds.some(([, kind]) => kind === 'ram_copies')) this.ramTables.add(name)
    }
    for (const { name } of DEFINITIONS) this.created.add(name)
    const forgetful = random.below(6) === 0 ? random.pick(names) : undefined
    for (const name of names) {
      const disc =
        name === forgetful
          ? undefined
          : new LossyDisc({ timers: this.network.time, random: new SeededRandom(seed + 13) })
      const node = { name, disc, epoch: 0, isUp: false, isReady: false, mirrors: new Map() } as unknown as SimNode
      this.nodes.push(node)
      this.start(node, true)
    }
  }

  get up(): readonly SimNode[] {
    return this.nodes.filter(({ isUp }) => isUp)
  }

  note(what: string): void {
    this.history.push(`${this.network.time.monotonic().toFixed(1)} ${what}`)
  }

  start(node: SimNode, isNew = false, skewMs = 0): void {
    const link = this.network.start(node.name, { skewMs })
    node.epoch = link.epoch
    node.isUp = true
    node.isReady = false
    node.mirrors = new Map()
    this.note(`start ${node.name}/${node.epoch}`)
    const store = node.disc?.open() ?? new MemoryStore()
    const { limits } = this
    // Operations of which the only copy that had them is gone: what the model says of the table does not hold then.
    const events = { gone: (of: string) => void this.ramTables.add(of) }
    node.replication = new SharedReplication({ links: link, store, logger: SILENT, limits, events })
    for (const definition of DEFINITIONS) this.create(node, definition, isNew)
    const { replication } = node
    void replication.ready().then(() => {
      if (node.replication === replication) node.isReady = true
    })
  }

  create(node: SimNode, definition: TableDefinition<Row>, isNew: boolean): void {
    const { name } = definition
    const opened = node.replication.create(definition, this.placement.get(name)!.get(node.name), { isNew })
    const mirror = new Map<string, string>()
    if (opened.replica !== undefined)
      for (const row of opened.rows()) mirror.set(mirrorCell(definition, row), JSON.stringify(row))
    node.mirrors.set(name, mirror)
    opened.subscribe((event) => this.#mirror(node, definition, mirror, event))
  }

  kill(node: SimNode): void {
    this.note(`kill ${node.name}/${node.epoch}`)
    for (const [key, count] of Object.entries(node.replication.info().counters)) this.#count(key, count)
    this.network.kill(node.name)
    node.disc?.kill()
    node.isUp = false
    node.isReady = false
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    // No promise of the nodes hangs on a longer chain.
    for (let i = 0; i < 8; i++) await undefined
  }

  /** Lets time pass, and notes how far the nodes have got. */
  async advance(ms: number): Promise<void> {
    for (let left = ms, slices = 1; left > 0; left -= SLICE_MS, slices++) {
      this.network.advance(Math.min(left, SLICE_MS))
      await this.settle()
      // Rarely enough to cost little, and often enough that no origin is settled unseen.
      if (slices % 5 === 0 || left <= SLICE_MS) this.poll()
    }
  }

  poll(): void {
    const seen = new Map<string, number>()
    for (const { replication } of this.up) {
      for (const [node, epoch, seq] of replication.vector) {
        const origin = `${node}/${epoch}`
        seen.set(origin, Math.max(seen.get(origin) ?? 0, seq))
      }
    }
    for (const [origin, seq] of seen) this.survived.set(origin, seq)
  }

  /** Writes an entry, and notes what is in it. */
  write(
    node: SimNode,
    parts: readonly (readonly [string, readonly SharedOperation<Row>[]])[],
    wait?: 'durable' | 'members',
  ): void {
    const { replication, name, epoch } = node
    const before = ownProgress(node)
    const had = parts.some(([of]) => MERGES.has(of)) ? hadBy(node, 'votes') : undefined
    // Who forgets everything cannot know what its clock had come to.
    const facts = node.disc === undefined ? [] : this.#facts(name)
    const tables = parts.map(([of, operations]) => ({ table: replication.table(of) as SharedTable<Row>, operations }))
    const seen = tables.map(({ table: of, operations }) => operations.map((operation) => seenBy(of, operation)))
    const cells = tables.map(({ table: of, operations }) => touched(of, operations))
    const outcome = replication.write(tables as unknown as TableOperations[], wait && { wait, timeoutMs: 300 })
    const after = ownProgress(node)
    this.note(`${name}/${epoch} writes ${after.seq} ${JSON.stringify(parts)} ${wait ?? ''}`)
    this.#checkOwnWrites(node, tables)
    if (after.seq === before.seq) return
    const noted = this.model.operations.length
    this.#noteOperations(node, tables, { seen, cells, had }, before.clock, after)
    for (const { clock } of this.model.operations.slice(noted)) {
      for (const fact of facts) {
        if (clock <= fact)
          throw new Error(`${name}/${epoch} writes ${clock}, and somebody has been promised more than ${fact}`)
      }
    }
    if (outcome !== undefined) this.#follow(node, after.seq, wait!, outcome)
  }

  /** A writer sees what it has written, whatever the stamps of what was there. */
  #checkOwnWrites(
    { name, epoch }: SimNode,
    tables: readonly { readonly table: SharedTable<Row>; readonly operations: readonly SharedOperation<Row>[] }[],
  ): void {
    for (const { table: of, operations } of tables) {
      const last = operations.at(-1)!
      const { replica, definition } = of
      if (replica === undefined || definition.merge !== undefined || last.op === 'clear') continue
      // It deletes what is the same in all of it.
      if (last.op === 'delete_object' && definition.type !== 'bag') continue
      const key = last.op === 'delete' ? last.key : last.row.key
      const rows = of
        .read(key)
        .filter(({ who }) => last.op === 'delete' || definition.type === 'set' || who === last.row.who)
      const expected = last.op === 'write' ? [last.row.n] : []
      const found = rows.map(({ n }) => n)
      if (found.join() !== expected.join())
        throw new Error(`${name}/${epoch} wrote ${JSON.stringify(last)} to ${definition.name}, and reads ${found}`)
    }
  }

  nextValue(): number {
    return ++this.#value
  }

  /** Counters of all nodes that have ended, and of those that run. */
  count(): ReadonlyMap<string, number> {
    for (const { replication } of this.up) {
      for (const [key, count] of Object.entries(replication.info().counters)) this.#count(key, count)
    }
    return this.totals
  }

  #count(key: string, count: number): void {
    this.totals.set(key, (this.totals.get(key) ?? 0) + count)
  }

  /** What others have been told of the clock of a node. */
  #facts(name: string): number[] {
    const facts: number[] = []
    for (const { name: other, replication } of this.up) {
      if (other === name) continue
      for (const [node, , , clock] of replication.vector) if (node === name) facts.push(clock)
    }
    return facts
  }

  #follow({ name, epoch }: SimNode, seq: number, wait: 'durable' | 'members', outcome: Promise<WriteOutcome>): void {
    const connected = this.network
      .node(name)
      .connected()
      .map((member) => `${member.node}/${member.epoch}`)
    void outcome.then(({ unconfirmed }) => {
      this.#count(wait, 1)
      if (wait === 'durable') this.promised.push({ node: name, epoch, seq })
      else for (const member of connected) this.#checkConfirmed(member, { node: name, epoch, seq }, unconfirmed)
    })
  }

  /** Who was connected and is not named has applied the entry. */
  #checkConfirmed(member: string, { node, epoch, seq }: Promised, unconfirmed: readonly string[]): void {
    const other = this.up.find((each) => `${each.name}/${each.epoch}` === member)
    if (other === undefined || unconfirmed.includes(other.name)) return
    const held = other.replication.vector.find(([of, ofEpoch]) => of === node && ofEpoch === epoch)?.[2] ?? 0
    if (held < seq) this.failures.push(`${member} has confirmed ${node}/${epoch} ${seq}, and has ${held}`)
  }

  #noteOperations(
    node: SimNode,
    tables: readonly { readonly table: SharedTable<Row>; readonly operations: readonly SharedOperation<Row>[] }[],
    { seen, cells, had }: Known,
    clockBefore: number,
    after: { readonly seq: number; readonly clock: number },
  ): void {
    const { name, epoch } = node
    const common = { node: name, epoch, seq: after.seq, seenAll: node.replication.stableClock, had }
    let left = tables.reduce((sum, { operations }) => sum + operations.length, 0)
    tables.forEach(({ table: of, operations }, t) => {
      const { replica, definition } = of
      operations.forEach((operation, i) => {
        left--
        if (operation.op === 'clear') {
          const clock = replica === undefined ? after.clock - left : replica.cells.cleared!.clock
          this.model.add({
            ...common,
            table: definition.name,
            key: '',
            identity: '',
            row: undefined,
            isClear: true,
            clock,
            seen: undefined,
          })
        } else if (replica === undefined) {
          const row = operation.op === 'write' ? JSON.stringify(operation.row) : undefined
          const key = operation.op === 'delete' ? operation.key : operation.row.key
          const identity = operation.op !== 'delete' && definition.type === 'bag' ? operation.row.who : ''
          this.model.add({
            ...common,
            table: definition.name,
            key,
            identity,
            row,
            isClear: false,
            clock: after.clock - left,
            seen: seen[t]![i]!,
          })
        }
      })
      if (replica === undefined) return
      for (const [key, identity] of cells[t]!) {
        const cell = replica.cells.get(key, identity)
        if (cell === undefined || cell.origin.node !== name || cell.origin.epoch !== epoch || cell.clock <= clockBefore)
          continue
        const versions = replica.isMerged ? replica.cells.merged(key)!.versions : [cell]
        const own = versions.find(({ clock }) => clock === cell.clock)!
        const row = own.value === undefined ? undefined : JSON.stringify(own.value)
        const first = operations.findIndex(
          (each) => each.op !== 'clear' && (each.op === 'delete' ? each.key : each.row.key) === key,
        )
        this.model.add({
          ...common,
          table: definition.name,
          key,
          identity,
          row,
          isClear: false,
          clock: cell.clock,
          seen: seen[t]![first]!,
        })
      }
    })
  }

  /** What is told of a table, and that it fits. */
  #mirror(node: SimNode, definition: TableDefinition<Row>, mirror: Map<string, string>, event: TableEvent<Row>): void {
    if (event.type !== 'write' && event.type !== 'delete') throw new Error(`an event ${event.type} of a shared table`)
    const cell = mirrorCell(definition, event.row)
    const old = event.type === 'write' ? event.old : event.row
    const held = mirror.get(cell)
    if (held !== (old && JSON.stringify(old))) {
      this.failures.push(`${node.name}/${node.epoch} ${definition.name} ${cell}: ${JSON.stringify(event)}, was ${held}`)
    }
    if (event.type === 'write') mirror.set(cell, JSON.stringify(event.row))
    else mirror.delete(cell)
  }

  /** What has gone wrong where it could not be thrown. */
  readonly failures: string[] = []
}

function ownProgress({ replication, name, epoch }: SimNode): { seq: number; clock: number } {
  const own = replication.vector.find(([node, of]) => node === name && of === epoch)!
  return { seq: own[2], clock: own[3] }
}

/** Which entries a node's copy of a table has had; those of origins of which it says nothing any more, all of them. */
function hadBy({ replication }: SimNode, name: string): ModelOperation['had'] {
  const { vector, copies, settled } = replication.info()
  const holes = copies.find(([of]) => of === name)?.[2] ?? []
  return (node, epoch, seq) => {
    if (settled.some(([of, floor]) => of === node && epoch < floor)) return true
    const isThis = ([of, ofEpoch]: readonly [string, number, ...unknown[]]) => of === node && ofEpoch === epoch
    const hole = holes.find(isThis)
    if (hole !== undefined && seq > hole[2] && seq <= hole[4]) return false
    return seq <= (vector.find(isThis)?.[2] ?? 0)
  }
}

function mirrorCell(definition: TableDefinition<Row>, row: Row): string {
  return cellOf(row.key, definition.type === 'bag' ? row.who : '')
}

/** What the writer of an operation knows of its key. */
function seenBy({ replica }: SharedTable<Row>, operation: SharedOperation<Row>): ReadonlyMap<string, number> {
  if (operation.op === 'clear') return new Map()
  const key = operation.op === 'delete' ? operation.key : operation.row.key
  return new Map((replica?.seenOf(key)?.of ?? []).map(({ origin, clock }) => [String(origin), clock]))
}

/** Cells that operations may change. */
function touched(
  { replica, definition }: SharedTable<Row>,
  operations: readonly SharedOperation<Row>[],
): (readonly [string, string])[] {
  const cells = new Map<string, readonly [string, string]>()
  for (const operation of operations) {
    if (operation.op === 'clear') continue
    const key = operation.op === 'delete' ? operation.key : operation.row.key
    if (definition.type !== 'bag') cells.set(key, [key, ''])
    else if (operation.op === 'delete') {
      for (const { identity } of replica?.cells.rows.of(key) ?? []) cells.set(cellOf(key, identity), [key, identity])
    } else cells.set(cellOf(key, operation.row.who), [key, operation.row.who])
  }
  return [...cells.values()]
}

export { DEFINITIONS, KEYS, LATE, LATE_BAG }
