/**
 * Nodes with owned tables on a network of links, and what must hold of them at any time and when all is quiet.
 *
 * The world keeps what each owner's rows were after each of its batches. Wherever rows of an owner are held, they are those of the
 * batch that they claim to be: that alone says that batches are atomic, that snapshots are of one moment, and that nothing is lost,
 * doubled or out of order.
 */
import pino from 'pino'
import { expect } from 'vitest'
import { type CopyKind, type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import { NoCopyError } from '../../../src/mnesia/errors.ts'
import { OwnedReplication } from '../../../src/mnesia/owned/owned-replication.ts'
import type { OwnedTable } from '../../../src/mnesia/owned/owned-table.ts'
import { comparePlaces } from '../../../src/mnesia/owned/owner-rows.ts'
import type { OwnedLimits } from '../../../src/mnesia/owned/settings.ts'
import { BucketDigest } from '../../../src/mnesia/rows/bucket-digest.ts'
import { hashOf } from '../../../src/mnesia/rows/key-hash.ts'
import type { TableOperation, WriteOutcome } from '../../../src/mnesia/table.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { LinkNetwork, type LinkNetworkOptions, type LinkNode } from '../../support/link-network.ts'

export interface Row {
  readonly k: string
  readonly id: number
  readonly v: number
}

const RAM = { key: 'k', replication: 'owned', copies: 'ram_copies' } as const

export const SET = table<Row>('set', { ...RAM, type: 'set', index: ['v'] })
export const ORDERED = table<Row>('ordered', { ...RAM, type: 'ordered_set', parked: ({ v }) => v > 1 })
export const BAG = table<Row>('bag', { ...RAM, type: 'bag', identity: ({ id }) => String(id) })
export const COMPACT = table<Row>('compact', {
  ...RAM,
  type: 'bag',
  parked: ({ v }) => v === 1,
  compact: () => ({ pack: ({ id, v }) => id * 4 + v, unpack: (k, n) => ({ k, id: n >> 2, v: n & 3 }) }),
})
export const DISC_SET = table<Row>('disc/set', { ...RAM, type: 'set', copies: 'disc_copies', parked: () => true })
const DISC_BAG = table<Row>('disc bag', {
  ...RAM,
  type: 'bag',
  copies: 'disc_copies',
  identity: ({ id }) => String(id),
})

const DEFINITIONS = [SET, ORDERED, BAG, COMPACT, DISC_SET, DISC_BAG]

export const shown = (rows: Iterable<Row>): string[] => [...rows].map(({ k, id, v }) => `${k}/${id}/${v}`).sort()

/** What a table's rows are, in one string. */
const stateOf = (rows: Iterable<Row>): string => shown(rows).join(' ')

/** One table of one node. */
class Copy {
  readonly table: OwnedTable<Row>
  /** What somebody knows who only hears events: the rows of visible owners. */
  readonly heard = new Map<string, Row[]>()
  /** What somebody knows who looks at rows that are not visible only when told to, in a table that has parked rows. */
  readonly parked = new Map<string, string[]>()
  /** How the rows of an owner stood when they were looked at last. */
  readonly checked = new Map<string, string>()

  constructor(table: OwnedTable<Row>, owner: string) {
    this.table = table
    this.heard.set(owner, [...table.rowsOf(owner)])
    for (const { owner: other } of table.owners()) this.parked.set(other, shown(table.rowsOf(other)))
    const isSame = (a: Row) => (b: Row) =>
      a.k === b.k && (table.definition.type !== 'bag' || identityOf(table, a) === identityOf(table, b))
    table.subscribe((event) => {
      if (event.type === 'shown') {
        expect(this.heard.has(event.owner)).toBe(false)
        this.heard.set(event.owner, [...table.rowsOf(event.owner)])
      } else if (event.type === 'hidden' || event.type === 'parked') {
        expect(this.heard.delete(event.owner)).toBe(event.type === 'hidden')
        this.parked.set(event.owner, shown(table.rowsOf(event.owner)))
      } else {
        const rows = this.heard.get(event.owner!)!
        const at = rows.findIndex(isSame(event.row))
        if (event.type === 'delete') same(shown(rows.splice(at, 1)), shown([event.row]))
        else {
          same(shown(event.old === undefined ? [] : [event.old]), shown(at < 0 ? [] : [rows[at]!]))
          if (at < 0) rows.push(event.row)
          else rows[at] = event.row
        }
      }
    })
  }
}

/** As `expect(found).toEqual(expected)`, of which there would be millions. */
function same(found: readonly unknown[], expected: readonly unknown[]): void {
  if (found.length !== expected.length || found.some((each, i) => each !== expected[i])) expect(found).toEqual(expected)
}

function throwsNoCopy(read: () => unknown): boolean {
  try {
    read()
  } catch (error) {
    return error instanceof NoCopyError
  }
  return false
}

function identityOf({ definition }: OwnedTable<Row>, row: Row): string {
  return definition.compact === undefined ? definition.identity!(row) : `${row.id}/${row.v}`
}

class Node {
  readonly name: string
  readonly link: LinkNode
  readonly replication: OwnedReplication
  readonly copies = new Map<string, Copy>()

  constructor(
    name: string,
    link: LinkNode,
    replication: OwnedReplication,
    definitions: readonly TableDefinition<Row>[],
  ) {
    this.name = name
    this.link = link
    this.replication = replication
    for (const definition of definitions) this.copies.set(definition.name, new Copy(replication.open(definition), name))
    link.handle('owned', replication)
  }

  get peers(): string[] {
    return this.link.connected().map(({ node }) => node)
  }
}

export interface WorldOptions extends LinkNetworkOptions {
  readonly definitions?: readonly TableDefinition<Row>[]
  readonly limits?: Partial<OwnedLimits>
}

export class OwnedWorld {
  readonly network: LinkNetwork
  readonly random: SeededRandom
  readonly nodes = new Map<string, Node>()
  readonly definitions: readonly TableDefinition<Row>[]
  readonly #limits: Partial<OwnedLimits>
  readonly #discs = new Map<string, LossyDisc>()
  /** TABLE OWNER EPOCH SEQ → the owner's rows after that batch. */
  readonly #history = new Map<string, string>()
  /** What an owner was promised to be on disc: the batch that was flushed last, by OWNER TABLE. */
  readonly #flushed = new Map<string, number>()
  /** Tables whose copy on a node has changed in its epoch, by OWNER TABLE. */
  readonly #copyChanged = new Set<string>()
  /** The epoch before, by node. */
  readonly #formerEpochs = new Map<string, number>()
  readonly outcomes: { readonly outcome: WriteOutcome; readonly missing: readonly string[] }[] = []
  #members: string[] | undefined

  constructor(options: WorldOptions) {
    this.network = new LinkNetwork(options)
    this.random = new SeededRandom(options.seed * 2 + 1)
    this.definitions = options.definitions ?? DEFINITIONS
    this.#limits = options.limits ?? {}
  }

  start(name: string, definitions: readonly TableDefinition<Row>[] = this.definitions): Node {
    let disc = this.#discs.get(name)
    if (disc === undefined) {
      disc = new LossyDisc({ timers: this.network.time, random: this.random })
      this.#discs.set(name, disc)
    }
    const link = this.network.start(name)
    if (this.#members !== undefined) link.setMembers(this.#members)
    const replication = new OwnedReplication({
      links: link,
      store: disc.open(),
      logger: pino({ level: 'silent' }),
      limits: this.#limits,
    })
    const node = new Node(name, link, replication, definitions)
    this.nodes.set(name, node)
    for (const [table, copy] of node.copies) {
      this.#checkRestart(node, table, copy.table)
      this.#note(node, table)
    }
    this.#formerEpochs.set(name, link.epoch)
    for (const other of this.nodes.values()) other.replication.membersChanged()
    return node
  }

  kill(name: string): void {
    this.nodes.delete(name)
    this.network.kill(name)
    this.#discs.get(name)!.kill()
  }

  /** Who is a member from now on; without it, whoever has ever been started. */
  setMembers(names: readonly string[]): void {
    this.#members = [...names].sort()
    for (const { link, replication } of this.nodes.values()) {
      link.setMembers(this.#members)
      replication.membersChanged()
    }
  }

  /** Gives a node another copy of a table. */
  setCopy(name: string, { name: table }: TableDefinition<Row>, copy: CopyKind): void {
    const node = this.node(name)
    const had = node.copies.get(table)!
    const former = had.table.copy
    node.replication.setCopy(table, copy)
    had.checked.clear()
    if (copy === 'none') had.heard.delete(name)
    else if (former === 'none') had.heard.set(name, [])
    // What is not on disc any more need not come back, and what has just come there need not yet.
    this.#copyChanged.add(`${name} ${table}`)
    this.#note(node, table)
  }

  /** Takes note of what a node has written by itself. */
  wrote(name: string, { name: table }: TableDefinition<Row>): void {
    this.#note(this.node(name), table)
  }

  node(name: string): Node {
    return this.nodes.get(name)!
  }

  table(name: string, { name: table }: TableDefinition<Row>): OwnedTable<Row> {
    return this.node(name).copies.get(table)!.table
  }

  /** Writes a batch; with `members` or `durable` its outcome is looked at later. */
  write(
    name: string,
    definition: TableDefinition<Row>,
    operations: readonly TableOperation<Row>[],
    wait?: 'members' | 'durable',
  ): void {
    const node = this.node(name)
    const table = node.copies.get(definition.name)!.table
    if (table.copy === 'none') return
    const before = table.of(name)!.seq
    const promise = table.batch(operations, wait === undefined ? {} : { wait })
    this.#note(node, definition.name)
    const { epoch, seq } = table.of(name)!
    if (wait === 'durable') {
      void promise?.then(() => {
        if (this.nodes.get(name) === node) this.#flushed.set(`${name} ${definition.name}`, seq)
      })
    } else if (wait === 'members' && seq > before) {
      const expected = node.link.connected()
      // Who is still linked when it is said to be complete has it, or is named.
      void promise?.then((outcome) => {
        const isHere = this.nodes.get(name) === node && this.#members?.includes(name) !== false
        const linked = isHere ? node.link.connected() : []
        const missing = expected.flatMap(({ node: peer, epoch: of }) => {
          const other = this.nodes.get(peer)
          const copy = other?.copies.get(definition.name)?.table
          const isLinked = other?.link.epoch === of && linked.some((each) => each.node === peer && each.epoch === of)
          // Whose copy is new is not waited for before that is known; when the writer or its copy goes, its rows go everywhere.
          const isOther = [name, peer].some((each) => this.#copyChanged.has(`${each} ${definition.name}`))
          if (!isLinked || copy === undefined || isOther) return []
          return comparePlaces(copy.of(name) ?? { epoch: 0, seq: 0 }, { epoch, seq }) < 0 ? [peer] : []
        })
        this.outcomes.push({ outcome, missing: missing.filter((peer) => !outcome.unconfirmed.includes(peer)) })
      })
    }
  }

  /** Holds at any time. Containers that are as they were when they were looked at last are left out, unless `isThorough`. */
  check(isThorough = false): void {
    for (const node of this.nodes.values()) {
      for (const [name, copy] of node.copies) {
        const { table, heard, checked } = copy
        if (table.copy === 'none') {
          same([throwsNoCopy(() => table.size)], [true])
          same([...heard.keys()], [])
          continue
        }
        let isChanged = isThorough
        for (const rows of table.owners()) {
          const { owner, epoch, seq, isVisible, held } = rows
          const state = `${epoch} ${seq} ${isVisible}`
          const isLinked = node.link.connected().some((peer) => peer.node === owner && peer.epoch === epoch)
          // Of copies that come and go others have to hear first.
          const isCertain = !node.link.isFrozen && !this.#copyChanged.has(`${owner} ${name}`)
          if (isCertain) same([isVisible], [owner === node.name || isLinked])
          if (!isThorough && checked.get(owner) === state) continue
          checked.set(owner, state)
          isChanged = true
          const all = shown(table.rowsOf(owner))
          const claimed = `${name} ${owner} ${epoch} ${seq}`
          if (epoch > 0) same([claimed, all.join(' ')], [claimed, this.#history.get(claimed)])
          same([rows.rows.size], [all.length])
          // One that is wrong stays wrong.
          if (isThorough) {
            const digest = new BucketDigest()
            for (const row of table.rowsOf(owner)) digest.toggle(hashOf(row.k), held.form.contentOf(row))
            same([digest.total], [held.digest.total])
          }
          if (isVisible) same(shown(heard.get(owner)!), all)
          else {
            same([heard.has(owner)], [false])
            if (table.definition.parked !== undefined) same(copy.parked.get(owner) ?? [], all)
          }
        }
        if (!isChanged) continue
        const visible = table.owners().flatMap(({ owner, isVisible }) => (isVisible ? [...table.rowsOf(owner)] : []))
        same(shown(table.rows()), shown(visible))
        same([table.size, table.keyCount], [visible.length, new Set(visible.map(({ k }) => k)).size])
      }
      const { counters } = node.replication
      same([counters.damaged, counters.repaired], [0, 0])
      const { windowBytes = 512 << 10, chunkBytes = 64 << 10 } = this.#limits
      // A message is sent when the window has any room, and its last row may make it longer than a chunk.
      const most = windowBytes + chunkBytes + 200
      const { mostUnacknowledgedBytes } = node.replication.status()
      if (mostUnacknowledgedBytes > most) expect(mostUnacknowledgedBytes).toBeLessThanOrEqual(most)
    }
  }

  /** Holds when nothing is under way and no node is frozen. */
  checkQuiet(): void {
    this.check(true)
    const members = this.#members ?? this.network.everStarted
    for (const node of this.nodes.values()) {
      for (const [name, { table }] of node.copies) {
        for (const owner of members) {
          if (table.copy === 'none') continue
          const rows = table.of(owner)
          if (this.nodes.get(owner)?.copies.get(name)?.table.copy === 'none') {
            // Who has heard that it has no copy any more has forgotten its rows, others have them still.
            same([rows?.isVisible ?? false], [false])
            continue
          }
          // All who can talk to each other about the table agree, and with the owner when it is among them.
          const reachable = this.#reachable(node, name)
          const running = reachable.find((other) => other.name === owner)
          const others = reachable.map((other) => other.copies.get(name)!.table.of(owner))
          const places = others.map((other) => `${other?.epoch ?? 0}/${other?.seq ?? 0}`)
          same([name, owner, ...new Set(places)], [name, owner, places[0]])
          if (running !== undefined) same([rows?.epoch], [running.link.epoch])
          const isLinked = running !== undefined && node.peers.includes(owner)
          if (isLinked) same([rows?.isVisible], [true])
        }
        const strangers = table.owners().filter(({ owner }) => owner !== node.name && !members.includes(owner))
        same(
          strangers.map(({ owner }) => owner),
          [],
        )
        if (table.copy === 'none') continue
        const { parked } = table.definition
        const expected = table
          .owners()
          .filter(({ isVisible }) => !isVisible)
          .flatMap(({ owner }) => [...table.rowsOf(owner)].filter((row) => parked?.(row)))
        const keys = new Set(table.owners().flatMap(({ owner }) => [...table.rowsOf(owner)].map(({ k }) => k)))
        same(shown([...keys].flatMap((key) => table.readParked(key))), shown(expected))
      }
      const { unacknowledgedBytes, waiting, work, logBytes, feedsIn, feedsOut } = node.replication.status()
      same(['unacknowledged', unacknowledgedBytes, waiting, work], ['unacknowledged', 0, 0, 0])
      const streams = this.definitions.length * members.length
      // A segment may stick out.
      expect(logBytes).toBeLessThanOrEqual((this.#limits.logBytes ?? 64 << 20) + (64 << 10))
      expect(feedsIn).toBeLessThanOrEqual(streams)
      expect(feedsOut).toBeLessThanOrEqual(streams * members.length)
      for (const peer of node.peers) same([peer, node.replication.isCaughtUp(peer)], [peer, true])
    }
    for (const { missing } of this.outcomes) same(missing, [])
  }

  /** Nodes with a copy of a table that a node with one can talk to, through others with one too. */
  #reachable(node: Node, table: string): Node[] {
    const found = new Set([node])
    for (const each of found) {
      for (const peer of each.peers) {
        const other = this.node(peer)
        if (other.copies.get(table)!.table.copy !== 'none') found.add(other)
      }
    }
    return [...found]
  }

  #note({ name, link, copies }: Node, table: string): void {
    const seq = copies.get(table)!.table.of(name)?.seq
    if (seq === undefined) return
    this.#history.set(`${table} ${name} ${link.epoch} ${seq}`, stateOf(copies.get(table)!.table.rowsOf(name)))
  }

  /** A node that starts again has what its disc holds: a prefix of its batches, with all that it was promised. */
  #checkRestart({ name }: Node, table: string, copy: OwnedTable<Row>): void {
    const former = this.#formerEpochs.get(name)
    const key = `${name} ${table}`
    const promised = this.#flushed.get(key) ?? 0
    this.#flushed.delete(key)
    const rows = stateOf(copy.rowsOf(name))
    if (this.#copyChanged.delete(key)) return
    if (former === undefined || copy.definition.copies === 'ram_copies') expect(rows).toBe('')
    else {
      const prefixes: string[] = []
      for (let seq = promised; ; seq++) {
        const state = this.#history.get(`${table} ${name} ${former} ${seq}`)
        if (state === undefined) break
        prefixes.push(state)
      }
      expect(prefixes).toContain(rows)
    }
  }
}
