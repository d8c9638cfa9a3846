/**
 * What must be true whenever all is quiet.
 *
 * Members see one cluster and are linked; copies of shared tables are equal, and hold what the ledger allows; rows of an owner are
 * everywhere what the owner has, and are hidden while it is down, when those that are parked are the same on all; a node that was removed is in
 * nobody's list; own rows on disc outlive a kill as promised; nothing had to be repaired.
 */
import type { TableDefinition } from '../../../src/mnesia/definition.ts'
import type { Mnesia } from '../../../src/mnesia/mnesia.ts'
import { same } from '../../support/same.ts'
import { fullName, type MnesiaWorld, shortName } from '../mnesia-world.ts'
import { isSame, type Survivors, type Writer } from './ledger.ts'
import {
  ALL,
  LOCAL,
  OWNED,
  OWNED_DISC,
  type OwnedRow,
  SHARED,
  SHARED_MERGED,
  SHARED_RAM,
  type SharedRow,
} from './tables.ts'
import { type Writes, writerOf } from './writes.ts'

/** Nodes that list each other as members. */
interface Group {
  readonly cluster: string
  /** Those that run. */
  readonly names: readonly string[]
  /** Members that are down. */
  readonly down: readonly string[]
  /** False when there is another group of the same cluster: then each side has removed the other. */
  readonly isWhole: boolean
}

export class Invariants {
  readonly #world: MnesiaWorld
  readonly #writes: Writes
  /** The nodes as they were when all was quiet and nobody was down. */
  #settled: readonly Writer[] = []
  #now: readonly Writer[] = []
  /** The cluster of each node when it was last seen running. */
  readonly #clusters = new Map<string, string>()

  constructor(world: MnesiaWorld, writes: Writes) {
    this.#world = world
    this.#writes = writes
  }

  /** Whether it seems that nothing more is to come; `check` then finds what is wrong. */
  isQuiet(names: readonly string[]): boolean {
    return names.every((name) => {
      const mnesia = this.#world.mnesia(name)
      const { cluster, running, stopped, partitioned } = mnesia.status()
      if (partitioned.length > 0 || stopped.some((node) => this.#world.nodes.has(node))) return false
      return running.every((other) => {
        const theirs = this.#world.mnesia(other)
        const status = theirs.status()
        if (status.cluster !== cluster || status.running.length !== running.length) return false
        return ALL.every(({ name: table, replication }) => {
          return replication !== 'shared' || contents(mnesia, table) === contents(theirs, table)
        })
      })
    })
  }

  /** Fails when something is wrong. `names`: the nodes that run. */
  check(names: readonly string[]): void {
    const world = this.#world
    this.#now = names.map((name) => writerOf(world.mnesia(name)))
    const groups = this.#groups(names)
    for (const { node, cluster } of this.#now) this.#clusters.set(node, cluster)
    const isAnyDown = groups.some((group) => group.down.length > 0 || this.#mayReturn(group, names))
    for (const group of groups) {
      this.#checkMembers(group)
      for (const definition of SHARED) this.#checkShared(group, definition, isAnyDown)
      this.#checkMerged(group, isAnyDown)
      for (const definition of OWNED) this.#checkOwned(group, definition)
      for (const name of group.names) this.#checkOwnDisc(name)
    }
    for (const { msg } of world.logs) if (msg.includes('repaired') || msg.includes('damaged')) throw new Error(msg)
    if (isAnyDown) return
    this.#settled = this.#now
    world.forgetChanges()
  }

  #groups(names: readonly string[]): Group[] {
    const groups = new Map<string, Group & { names: string[] }>()
    for (const name of names) {
      const { cluster, running, stopped } = this.#world.mnesia(name).status()
      const id = `${cluster} ${running.join()}`
      const isWhole = this.#now.filter((writer) => writer.cluster === cluster).length === running.length
      const group = groups.get(id) ?? { cluster, names: [], down: stopped.map(shortName), isWhole }
      group.names.push(name)
      groups.set(id, group)
    }
    return [...groups.values()]
  }

  /** A node that was removed while it was down may have removed the others before, and have a cluster of this name to itself. */
  #mayReturn({ cluster }: Group, names: readonly string[]): boolean {
    return [...this.#clusters].some(([node, of]) => of === cluster && !names.includes(shortName(node)))
  }

  #checkMembers({ cluster, names, down }: Group): void {
    const running = names.map(fullName).sort()
    const stopped = down.map(fullName)
    for (const node of stopped)
      if (this.#world.nodes.has(node)) throw new Error(`${names.join()} are not linked with ${node}`)
    for (const name of names) {
      const status = this.#world.mnesia(name).status()
      const seen = [name, status.cluster, status.running, status.stopped, status.partitioned]
      same(seen, [name, cluster, running, stopped, []])
    }
  }

  // Shared tables

  #checkShared(group: Group, definition: TableDefinition<SharedRow>, isAnyDown: boolean): void {
    const { cluster, names, isWhole } = group
    const [first, ...others] = names.map((name) => ({
      table: definition.name,
      name,
      rows: this.#rowsOf(name, definition),
    }))
    const rows = first?.rows ?? []
    for (const other of others) same(other, { ...other, rows })
    for (const name of names) this.#checkReads(name, definition, rows)
    if (!isWhole || isAnyDown) return
    const { ledger } = this.#writes
    const survivors = this.#survivors(group, definition === SHARED_RAM)
    const found = new Map(rows.map((row) => [`${row.key}/${row.part}`, row.n]))
    for (const row of new Set([...ledger.rows(cluster, definition.name), ...found.keys()])) {
      ledger.settle(cluster, definition.name, row, found.get(row), survivors)
    }
  }

  #survivors({ cluster, names }: Group, isRam: boolean): Survivors {
    const isThere = (writer: Writer) => this.#now.some((each) => isSame(each, writer))
    const keepsDisc = ({ node }: Writer) => !isRam && names.includes(shortName(node)) && this.#stayed(cluster, node)
    const settled = this.#settled.filter((each) => each.cluster === cluster)
    return {
      survives: ({ writer, isDurable, confirmedBy }) =>
        isThere(writer) || (isDurable && keepsDisc(writer)) || confirmedBy.some(isThere),
      hadSettled: ({ node }) => settled.some((each) => each.node === node),
      keptSettled: settled.some((each) => (isRam ? isThere(each) : this.#stayed(cluster, each.node))),
    }
  }

  /** A node that has been in the cluster since all was quiet last, so that its disc has not been emptied. */
  #stayed(cluster: string, node: string): boolean {
    const isIn = (each: Writer) => each.node === node && each.cluster === cluster
    return this.#settled.some(isIn) && this.#now.some(isIn) && !this.#world.hasChanged(node)
  }

  #rowsOf(name: string, definition: TableDefinition<SharedRow>): SharedRow[] {
    const rows = [...this.#world.mnesia(name).open(definition).rows()]
    return rows.sort((a, b) => (`${a.key}/${a.part}` < `${b.key}/${b.part}` ? -1 : 1))
  }

  /** Size, keys and index agree with the rows. */
  #checkReads(name: string, definition: TableDefinition<SharedRow>, rows: readonly SharedRow[]): void {
    const table = this.#world.mnesia(name).open(definition)
    same([table.size, table.keyCount], [rows.length, new Set(rows.map(({ key }) => key)).size])
    if (definition.type === 'ordered_set')
      same(
        [...table.keys()],
        rows.map(({ key }) => key),
      )
    if (definition.index === undefined) return
    for (const by of new Set(rows.map((row) => row.by))) {
      const found = table.indexRead('by', by).map(({ n }) => n)
      const expected = rows.filter((row) => row.by === by).map(({ n }) => n)
      same(
        found.sort((a, b) => a - b),
        expected.sort((a, b) => a - b),
      )
    }
  }

  #checkMerged({ cluster, names, isWhole }: Group, isAnyDown: boolean): void {
    const [first, ...others] = names.map((name) => this.#world.mnesia(name).open(SHARED_MERGED).get('merged'))
    for (const row of others) same(row, first)
    if (!isWhole || isAnyDown) return
    const { merged } = this.#writes
    const { settled = new Set<number>(), written = [] } = merged.get(cluster) ?? {}
    const found = new Set(first?.ns ?? [])
    const isKept = this.#settled.some((each) => each.cluster === cluster && this.#stayed(cluster, each.node))
    for (const n of settled) if (isKept && !found.has(n)) throw new Error(`merged: ${n} is lost`)
    for (const { writer, n } of written) {
      const isThere = this.#now.some((each) => isSame(each, writer))
      if (isThere && !found.has(n)) throw new Error(`merged: ${n} of ${writer.node} is lost`)
    }
    const known = new Set([...settled, ...written.map(({ n }) => n)])
    for (const n of found) if (!known.has(n)) throw new Error(`merged: ${n} was never written in this cluster`)
    merged.set(cluster, { settled: found, written: [] })
  }

  // Owned tables

  #checkOwned({ names, down }: Group, definition: TableDefinition<OwnedRow>): void {
    for (const owner of names) {
      const rows = this.#ownedBy(owner, definition, owner)
      for (const viewer of names) {
        const seen = { table: definition.name, owner, viewer, rows: this.#ownedBy(viewer, definition, owner) }
        same(seen, { ...seen, rows })
      }
    }
    for (const viewer of names) {
      const strangers = [...this.#table(viewer, definition).rows()].filter(({ node }) => !names.includes(node))
      same({ viewer, strangers }, { viewer, strangers: [] })
    }
    for (const owner of down) {
      const rows = this.#parkedOf(names[0]!, definition, owner)
      if (definition !== OWNED_DISC) same({ owner, rows }, { owner, rows: [] })
      for (const { isDurable } of rows) same({ owner, isDurable }, { owner, isDurable: true })
      for (const viewer of names) {
        const parked = { owner, viewer, rows: this.#parkedOf(viewer, definition, owner) }
        same(parked, { ...parked, rows })
      }
    }
  }

  #table(name: string, definition: TableDefinition<OwnedRow>) {
    return this.#world.mnesia(name).open(definition)
  }

  #ownedBy(viewer: string, definition: TableDefinition<OwnedRow>, owner: string): OwnedRow[] {
    const rows = [...this.#table(viewer, definition).rows()].filter(({ node }) => node === owner)
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  #parkedOf(viewer: string, definition: TableDefinition<OwnedRow>, owner: string): OwnedRow[] {
    const table = this.#table(viewer, definition)
    return ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']
      .flatMap((key) => table.readParked(key))
      .filter(({ node }) => node === owner)
  }

  /** Own rows on disc are those that may be there, and nothing else. */
  #checkOwnDisc(name: string): void {
    const mnesia = this.#world.mnesia(name)
    for (const [id, possible] of this.#writes.ownOnDisc) {
      const [node, table, key] = id.split(' ') as [string, string, string]
      if (node !== name) continue
      const owned = () =>
        mnesia
          .open(OWNED_DISC)
          .read(key)
          .filter((row) => row.node === name)
      const rows = table === LOCAL.name ? mnesia.open(LOCAL).read(key) : owned()
      const n = rows[0]?.n
      if (!possible.has(n)) {
        throw new Error(`${table} ${key} of ${name}: found ${n ?? 'nothing'}, possible are ${[...possible].join()}`)
      }
      possible.clear()
      possible.add(n)
    }
  }
}

function contents(mnesia: Mnesia, table: string): string {
  const rows = [...(mnesia.table(table)?.rows() ?? [])].map((row) => JSON.stringify(row))
  return rows.sort().join()
}
