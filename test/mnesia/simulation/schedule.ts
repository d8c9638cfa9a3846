/**
 * One run of the simulation: nodes that write, fail, come and go as the seed says, and what must be true whenever all is quiet.
 *
 * What is checked: members see one cluster and are linked; copies of shared tables are equal, and hold what the ledger allows;
 * rows of an owner are everywhere what the owner has, hidden while it is down, parked as its survivors agree; a node that
 * was removed is in nobody's list; nothing is left behind.
 */
import { expect } from 'vitest'
import type { TableDefinition } from '../../../src/mnesia/definition.ts'
import type { Mnesia } from '../../../src/mnesia/mnesia.ts'
import type { Table, WriteOptions, WriteOutcome } from '../../../src/mnesia/table.ts'
import type { SeededRandom } from '../../../src/testing/random.ts'
import { fullName, MnesiaWorld, shortName } from '../mnesia-world.ts'
import { isSame, Ledger, type Survivors, type Write, type Writer } from './ledger.ts'
import {
  ALL,
  LOCAL,
  type LocalRow,
  type MergedRow,
  OWNED,
  OWNED_DISC,
  type OwnedRow,
  SHARED,
  SHARED_MERGED,
  SHARED_RAM,
  type SharedRow,
} from './tables.ts'

export interface ScheduleOptions {
  readonly seed: number
  readonly rounds?: number
  readonly steps?: number
}

const NAMES = ['a', 'b', 'c', 'd', 'e']
const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']
const PARTS = ['p', 'q']
const START = { tables: ALL, startWaitMs: 3000 }
/** Longer than all pauses of those that try again. */
const QUIET_SEC = 180

interface Merge {
  readonly writer: Writer
  readonly n: number
  isDurable: boolean
}

export class Schedule {
  readonly world: MnesiaWorld
  readonly random: SeededRandom
  readonly names: readonly string[]
  readonly ledger = new Ledger()
  /** What happened, for people. */
  readonly history: string[] = []
  readonly #seed: number
  readonly #rounds: number
  readonly #steps: number
  /** Writers of each cluster when all was quiet last. */
  #settledWriters: readonly Writer[] = []
  /** Numbers in the merged table: those that are there for good, and those that have been written since; by cluster. */
  readonly #merged = new Map<string, { settled: Set<number>; written: Merge[] }>()
  /** Own rows of owned and local disc tables that are on disc for sure: by node, table and key, number or undefined when deleted. */
  readonly #ownOnDisc = new Map<string, Set<number | undefined>>()
  /** Nodes whose start is under way. */
  readonly #starting = new Set<string>()
  readonly #frozen = new Set<string>()
  /** Operations on members that are under way, with the node whose death ends them. */
  readonly #pending = new Set<{ readonly name: string; readonly what: string }>()

  constructor({ seed, rounds = 2, steps = 40 }: ScheduleOptions) {
    this.#seed = seed
    this.#rounds = rounds
    this.#steps = steps
    this.world = new MnesiaWorld({ seed, slowness: seed % 4 === 0 ? 0.3 : 0 })
    this.random = this.world.sim.random
    this.names = NAMES.slice(0, 2 + this.random.below(4))
  }

  /** Rejects with what went wrong, naming the seed. */
  async run(): Promise<void> {
    try {
      await this.#begin()
      for (let round = 0; round < this.#rounds; round++) {
        for (let step = 0; step < this.#steps; step++) await this.#step()
        await this.#quiet()
        this.#check()
      }
      await this.#end()
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      const history = process.env.HISTORY === undefined ? [] : this.history
      throw new Error([`seed ${this.#seed}: ${words}`, ...this.#statuses(), ...history].join('\n'), { cause: error })
    } finally {
      this.world.sim.stop()
    }
  }

  #statuses(): string[] {
    return this.names.map((name) => {
      const node = this.world.nodes.get(fullName(name))
      if (node === undefined) return `${name} is down`
      const { cluster, running, stopped, partitioned } = node.mnesia.status()
      const lists = [running, stopped, partitioned].map((nodes) => nodes.map(shortName).join(' '))
      return `${name} in ${cluster.slice(0, 6)}: ${lists.join(' | ')}`
    })
  }

  #happened(what: string): void {
    this.history.push(`${this.world.sim.time.monotonic().toFixed(1)} ${what}`)
  }

  async #begin(): Promise<void> {
    for (const name of this.names) {
      if (this.random.below(5) === 0) this.world.sim.skew(name, (this.random.next() - 0.5) * 100_000)
      await this.world.start(name, START)
    }
    const [first, ...others] = this.names
    for (const name of others) await this.world.join(name, first!)
    await this.world.advance('5s')
    this.#check()
  }

  // What happens

  async #step(): Promise<void> {
    const { random } = this
    const dice = random.below(100)
    if (dice < 55) this.#write()
    else if (dice < 80) await this.world.advance(random.below(4) === 0 ? random.below(3000) : random.below(20))
    else if (dice < 95) await this.#fault()
    else this.#membership()
  }

  async #fault(): Promise<void> {
    const { random, world } = this
    const { network } = world.sim
    const name = random.pick(this.names)
    const other = random.pick(this.names)
    const fault = random.below(12)
    this.#happened(`fault ${fault} at ${name} ${other}`)
    switch (fault) {
      case 0:
      case 1:
        // Any shape: each link for itself.
        for (const a of this.names) for (const b of this.names) if (a < b && random.below(2) === 0) world.cut(a, b)
        break
      case 2: {
        const left = new Set(this.names.filter(() => random.below(2) === 0))
        for (const a of this.names)
          for (const b of this.names) if (a < b && left.has(a) !== left.has(b)) world.cut(a, b)
        break
      }
      case 3:
        network.mendAll()
        for (const frozen of this.#frozen) network.hold(fullName(frozen))
        break
      case 4:
        if (name !== other) network.reset(fullName(name), fullName(other))
        break
      case 5:
        if (name !== other) network.freeze(fullName(name), fullName(other))
        break
      case 6:
        if (this.#isUp(name)) this.#freeze(name)
        else this.#thaw(name)
        break
      case 7:
      case 8:
        if (this.#isUp(name)) this.#kill(name)
        else this.#startSoon(name)
        break
      case 9:
        if (this.#isUp(name) && random.below(2) === 0) await this.#stop(name)
        else this.#startSoon(name)
        break
      case 10: {
        const process = random.pick(['mnesia', 'mnesia_schema'])
        if (!this.#isUp(name)) break
        const runtime = world.sim.node(name)
        const pid = runtime.whereis(process)
        if (pid !== undefined) runtime.exit(pid, 'kill')
        break
      }
      case 11:
        world.sim.skew(name, (random.next() - 0.5) * 100_000)
        break
    }
  }

  #membership(): void {
    const { random, world } = this
    const name = random.pick(this.names)
    const other = random.pick(this.names)
    if (!this.#isUp(name)) return
    const mnesia = world.mnesia(name)
    const alone = mnesia.status().running.length + mnesia.status().stopped.length === 1
    if (alone) this.#watch(name, `${name} joins ${other}`, mnesia.join(fullName(other), { confirm: true }))
    else if (random.below(2) === 0) this.#watch(name, `${name} leaves`, mnesia.leave())
    else this.#watch(name, `${name} removes ${other}`, mnesia.remove(fullName(other)))
  }

  #watch(name: string, what: string, promise: Promise<unknown>): void {
    const pending = { name, what }
    this.#pending.add(pending)
    this.#happened(what)
    const done = (result: unknown) => {
      this.#pending.delete(pending)
      const { ok, reason } = (result ?? {}) as { ok?: boolean; reason?: string }
      this.#happened(`${what}: ${ok === true ? 'done' : String(reason)}`)
    }
    promise.then(done, done)
  }

  #isUp(name: string): boolean {
    return this.world.nodes.has(fullName(name)) && !this.#frozen.has(name)
  }

  #freeze(name: string): void {
    this.#frozen.add(name)
    this.world.sim.freeze(name)
  }

  #thaw(name: string): void {
    if (this.#frozen.delete(name)) this.world.sim.thaw(name)
  }

  #kill(name: string): void {
    this.world.kill(name)
    for (const pending of [...this.#pending]) if (pending.name === name) this.#pending.delete(pending)
  }

  async #stop(name: string): Promise<void> {
    await this.world.stop(name)
  }

  #startSoon(name: string): void {
    if (this.world.sim.isRunning(name) || this.#starting.has(name)) return
    this.#starting.add(name)
    const start = this.world.tryStart(name, START).finally(() => this.#starting.delete(name))
    this.#watch(name, `${name} starts`, start)
  }

  // Writes

  #write(): void {
    const { random, world } = this
    const name = random.pick(this.names)
    if (!this.#isUp(name)) return
    const mnesia = world.mnesia(name)
    const table = random.below(8)
    if (table < 4) this.#writeShared(name, mnesia, random.pick(SHARED))
    else if (table === 4) this.#writeMerged(mnesia)
    else if (table < 7) this.#writeOwned(name, mnesia, random.pick(OWNED))
    else this.#writeLocal(name, mnesia)
  }

  #writer(mnesia: Mnesia): Writer {
    const { node, cluster, epoch } = mnesia.systemInfo()
    return { node, cluster, epoch }
  }

  #options(): WriteOptions | undefined {
    const wait = this.random.pick([undefined, undefined, 'durable', 'members'] as const)
    return wait === undefined ? undefined : { wait }
  }

  #writeShared(name: string, mnesia: Mnesia, definition: TableDefinition<SharedRow>): void {
    const { random } = this
    const table = mnesia.open(definition)
    const writer = this.#writer(mnesia)
    this.#happened(`${name} writes ${definition.name}`)
    const operations: Parameters<Table<SharedRow>['batch']>[0][number][] = []
    const writes: Write[] = []
    const now = new Map<string, SharedRow | undefined>()
    const found = (key: string, part: string) =>
      now.has(`${key}/${part}`) ? now.get(`${key}/${part}`) : table.read(key).find((row) => row.part === part)
    const note = (key: string, part: string, row: SharedRow | undefined) => {
      const id = `${key}/${part}`
      const old = found(key, part)
      if (row === undefined && old === undefined) return
      writes.push(this.ledger.note(definition.name, id, writer, row?.n ?? 0, row === undefined, old?.n))
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
        operations.push({ op: 'delete_object', row: { key, part, n: 0, by: '' } })
        note(key, part, undefined)
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
      const other = this.world.nodes.get(name)
      if (other === undefined) return []
      const theirs = this.#writer(other.mnesia)
      return theirs.cluster === cluster ? [theirs] : []
    })
  }

  #writeMerged(mnesia: Mnesia): void {
    const table = mnesia.open(SHARED_MERGED)
    const writer = this.#writer(mnesia)
    const n = this.ledger.next()
    const key = 'merged'
    table.write({ key, ns: [...(table.get(key)?.ns ?? []), n] })
    const merged = this.#merged.get(writer.cluster) ?? { settled: new Set(), written: [] }
    this.#merged.set(writer.cluster, merged)
    merged.written.push({ writer, n, isDurable: false })
  }

  #writeOwned(name: string, mnesia: Mnesia, definition: TableDefinition<OwnedRow>): void {
    const { random } = this
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
    const key = this.random.pick(KEYS)
    const row: LocalRow = { key, n: this.ledger.next() }
    const options = this.random.below(2) === 0 ? undefined : ({ wait: 'durable' } as const)
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
    const possible = this.#ownOnDisc.get(id) ?? new Set([undefined])
    this.#ownOnDisc.set(id, possible)
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

  // Quiet

  async #quiet(): Promise<void> {
    const { world } = this
    world.sim.network.mendAll()
    for (const name of [...this.#frozen]) this.#thaw(name)
    await world.advance('1s')
    for (const name of this.names) this.#startSoon(name)
    for (let passed = 0; passed < QUIET_SEC && !this.#isQuiet(); passed += 5) await world.advance('5s')
    await world.advance('2s')
    for (const { what } of this.#pending) throw new Error(`it never ends: ${what}`)
  }

  /** Whether it seems that nothing more is to come; `#check` then finds what is wrong. */
  #isQuiet(): boolean {
    if (this.#pending.size > 0 || this.world.nodes.size < this.names.length) return false
    return this.names.every((name) => {
      const mnesia = this.world.mnesia(name)
      const { cluster, running, stopped, partitioned } = mnesia.status()
      if (stopped.length > 0 || partitioned.length > 0) return false
      return running.every((other) => {
        const theirs = this.world.mnesia(other)
        if (theirs.status().cluster !== cluster || theirs.status().running.length !== running.length) return false
        return ALL.every(({ name: table, replication }) => {
          return replication !== 'shared' || contents(mnesia, table) === contents(theirs, table)
        })
      })
    })
  }

  #check(): void {
    const { world } = this
    const down = this.names.filter((name) => !world.nodes.has(fullName(name)))
    if (down.length > 0) throw new Error(`${down.join()} should be running`)
    const writers = this.names.map((name) => this.#writer(world.mnesia(name)))
    for (const name of this.names) this.#checkMembers(name)
    const clusters = new Map<string, string[]>()
    for (const name of this.names) {
      const { cluster, running } = world.mnesia(name).status()
      // After each has removed the other there are two clusters with one id.
      const id = `${cluster} ${running.join()}`
      clusters.set(id, [...(clusters.get(id) ?? []), name])
    }
    for (const names of clusters.values()) this.#checkCluster(names, writers)
    this.#settledWriters = writers
    this.world.forgetChanges()
  }

  #checkMembers(name: string): void {
    const { cluster, running, stopped, partitioned } = this.world.mnesia(name).status()
    expect([name, stopped, partitioned]).toEqual([name, [], []])
    for (const other of running) {
      expect([other, this.world.mnesia(other).status()]).toMatchObject([other, { cluster, running }])
    }
  }

  #checkCluster(names: readonly string[], writers: readonly Writer[]): void {
    const { cluster } = this.world.mnesia(names[0]!).status()
    const isAlone = writers.filter((writer) => writer.cluster === cluster).length === names.length
    for (const definition of SHARED) this.#checkShared(cluster, definition, names, writers, isAlone)
    this.#checkMerged(cluster, names, writers, isAlone)
    for (const definition of OWNED) this.#checkOwned(definition, names)
    for (const name of names) this.#checkOwnDisc(name)
  }

  #checkShared(
    cluster: string,
    definition: TableDefinition<SharedRow>,
    names: readonly string[],
    writers: readonly Writer[],
    isAlone: boolean,
  ): void {
    const [first, ...others] = names.map((name) => ({ name, rows: this.#rowsOf(name, definition) }))
    for (const { name, rows } of others) {
      expect({ table: definition.name, node: name, rows }).toEqual({
        table: definition.name,
        node: name,
        rows: first!.rows,
      })
    }
    if (!isAlone) return
    const isRam = definition === SHARED_RAM
    const isThere = (writer: Writer) => writers.some((each) => isSame(each, writer))
    const keepsDisc = ({ node }: Writer) =>
      !isRam && names.includes(shortName(node)) && this.#stayed(cluster, node, writers)
    const world: Survivors = {
      survives: (write) =>
        isThere(write.writer) ||
        (write.isDurable && keepsDisc(write.writer)) ||
        write.confirmedBy.some((writer) => isThere(writer)),
      hadSettled: ({ node }) => this.#settledWriters.some((each) => each.node === node && each.cluster === cluster),
      keptSettled: isRam
        ? this.#settledWriters.some((each) => each.cluster === cluster && isThere(each))
        : this.#settledWriters.some((each) => each.cluster === cluster && this.#stayed(cluster, each.node, writers)),
    }
    const found = new Map(first!.rows.map((row) => [`${row.key}/${row.part}`, row.n]))
    for (const row of new Set([...this.ledger.rows(cluster, definition.name), ...found.keys()])) {
      this.ledger.settle(cluster, definition.name, row, found.get(row), world)
    }
    for (const name of names) this.#checkReads(name, definition, first!.rows)
  }

  /** A node that has been in the cluster since all was quiet last, so that its disc has not been emptied. */
  #stayed(cluster: string, node: string, writers: readonly Writer[]): boolean {
    const isIn = (each: Writer) => each.node === node && each.cluster === cluster
    return this.#settledWriters.some(isIn) && writers.some(isIn) && !this.world.hasChanged(node)
  }

  #rowsOf(name: string, definition: TableDefinition<SharedRow>): SharedRow[] {
    const rows = [...this.world.mnesia(name).open(definition).rows()]
    return rows.sort((a, b) => (`${a.key}/${a.part}` < `${b.key}/${b.part}` ? -1 : 1))
  }

  /** Size, keys and index agree with the rows. */
  #checkReads(name: string, definition: TableDefinition<SharedRow>, rows: readonly SharedRow[]): void {
    const table = this.world.mnesia(name).open(definition)
    expect([table.size, table.keyCount]).toEqual([rows.length, new Set(rows.map(({ key }) => key)).size])
    if (definition.type === 'ordered_set') expect([...table.keys()]).toEqual(rows.map(({ key }) => key))
    if (definition.index === undefined) return
    for (const by of this.names) {
      const found = table.indexRead('by', by).map(({ n }) => n)
      expect(found.sort()).toEqual(
        rows
          .filter((row) => row.by === by)
          .map(({ n }) => n)
          .sort(),
      )
    }
  }

  #checkMerged(cluster: string, names: readonly string[], writers: readonly Writer[], isAlone: boolean): void {
    const rows = names.map((name) => this.world.mnesia(name).open(SHARED_MERGED).get('merged') as MergedRow | undefined)
    for (const row of rows) expect(row?.ns).toEqual(rows[0]?.ns)
    if (!isAlone) return
    const merged = this.#merged.get(cluster)
    const found = new Set(rows[0]?.ns ?? [])
    const isThere = (writer: Writer) => writers.some((each) => isSame(each, writer))
    const kept = this.#settledWriters.some(
      (each) => each.cluster === cluster && this.#stayed(cluster, each.node, writers),
    )
    for (const n of merged?.settled ?? []) if (kept && !found.has(n)) throw new Error(`merged: ${n} is lost`)
    for (const { writer, n } of merged?.written ?? []) {
      if (isThere(writer) && !found.has(n)) throw new Error(`merged: ${n} of ${writer.node} is lost`)
    }
    const known = new Set([...(merged?.settled ?? []), ...(merged?.written ?? []).map(({ n }) => n)])
    for (const n of found) if (!known.has(n)) throw new Error(`merged: ${n} was never written in this cluster`)
    this.#merged.set(cluster, { settled: found, written: [] })
  }

  #checkOwned(definition: TableDefinition<OwnedRow>, names: readonly string[]): void {
    for (const owner of names) {
      const own = this.#ownedBy(owner, definition, owner)
      for (const viewer of names) {
        const seen = this.#ownedBy(viewer, definition, owner)
        expect({ table: definition.name, owner, viewer, rows: seen }).toEqual({
          table: definition.name,
          owner,
          viewer,
          rows: own,
        })
      }
    }
    for (const viewer of names) {
      const strangers = [...this.world.mnesia(viewer).open(definition).rows()].filter(
        ({ node }) => !names.includes(node),
      )
      expect([viewer, strangers]).toEqual([viewer, []])
    }
  }

  #ownedBy(viewer: string, definition: TableDefinition<OwnedRow>, owner: string): OwnedRow[] {
    const rows = [...this.world.mnesia(viewer).open(definition).rows()].filter(({ node }) => node === owner)
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Own rows on disc are those that may be there, and nothing else. */
  #checkOwnDisc(name: string): void {
    const { mnesia } = this.world.node(name)
    for (const [id, possible] of this.#ownOnDisc) {
      const [node, table, key] = id.split(' ') as [string, string, string]
      if (node !== name) continue
      const rows =
        table === LOCAL.name
          ? mnesia.open(LOCAL).read(key)
          : mnesia
              .open(OWNED_DISC)
              .read(key)
              .filter((row) => row.node === name)
      const n = rows[0]?.n
      if (!possible.has(n))
        throw new Error(`${table} ${key} of ${name}: found ${n}, possible are ${[...possible].join()}`)
      possible.clear()
      possible.add(n)
    }
  }

  // The end

  async #end(): Promise<void> {
    const { world } = this
    for (const name of this.names) await world.settle(world.mnesia(name).stop())
    await world.advance('30s')
    expect(world.sim.time.pending).toBe(0)
    for (const name of this.names) {
      const runtime = world.sim.node(name)
      expect(runtime.footprint()).toMatchObject({ timers: 0, activeAliases: 0, foreignMonitors: 0 })
      expect(runtime.registered().filter((each) => each.startsWith('mnesia'))).toEqual([])
    }
  }
}

function contents(mnesia: Mnesia, table: string): string {
  const rows = [...(mnesia.table(table)?.rows() ?? [])].map((row) => JSON.stringify(row))
  return rows.sort().join()
}
