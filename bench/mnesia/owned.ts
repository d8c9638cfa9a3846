/**
 * Owned tables: dirty operations on one node, writes that reach others, snapshots. One kind in a run (see index.ts).
 *
 * Nodes of one process hand messages over as they are, so these are the costs of the tables, of their codec and of replication on all nodes
 * together; a network and the distribution's encoding come on top.
 */
import pino from 'pino'
import { type TableDefinition, table } from '../../src/mnesia/definition.ts'
import { OwnedReplication } from '../../src/mnesia/owned/owned-replication.ts'
import type { OwnedTable } from '../../src/mnesia/owned/owned-table.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { Loop } from './loop-links.ts'
import { cpuNs, heldBytes, print, sinceNs, someTopics, topic } from './measure.ts'

interface Route {
  readonly filter: string
  readonly durable: boolean
  readonly group: boolean
}

interface Session {
  readonly clientId: string
  readonly node: string
  readonly connectedAtMs: number
  readonly persistent: boolean
}

const RAM = { replication: 'owned', copies: 'ram_copies' } as const
const ROUTE = table<Route>('route', {
  ...RAM,
  type: 'bag',
  key: 'filter',
  compact: () => ({
    pack: ({ durable, group }) => (durable ? 2 : 0) + (group ? 1 : 0),
    unpack: (filter, packed) => ({ filter, durable: (packed & 2) !== 0, group: (packed & 1) !== 0 }),
  }),
})
const SESSION = table<Session>('session', { ...RAM, type: 'set', key: 'clientId' })

const route = (i: number): Route => ({ filter: topic(i), durable: false, group: false })
const session = (i: number): Session => ({ clientId: topic(i), node: 'n1@host', connectedAtMs: i, persistent: true })

class Cluster {
  readonly loop = new Loop()
  readonly replications: OwnedReplication[] = []

  constructor(nodes: number) {
    for (let i = 0; i < nodes; i++) this.add()
  }

  add(): OwnedReplication {
    const links = this.loop.add(`n${this.replications.length}`)
    const replication = new OwnedReplication({ links, store: new MemoryStore(), logger: pino({ level: 'silent' }) })
    links.handle('owned', replication)
    this.replications.push(replication)
    return replication
  }

  open<Row>(definition: TableDefinition<Row>): OwnedTable<Row>[] {
    return this.replications.map((replication) => replication.open(definition))
  }

  connect(): void {
    this.loop.connect()
    this.loop.run()
  }
}

const kind = process.argv[2] ?? 'table'
const n = Number(process.argv[3] ?? 1_000_000)

/** Dirty operations of a node that is alone. */
function measureTable<Row>(definition: TableDefinition<Row>, row: (i: number) => Row): void {
  const before = heldBytes()
  const [own] = new Cluster(1).open(definition)
  let worstMs = 0
  const start = process.cpuUsage()
  for (let i = 0; i < n; i++) {
    const written = row(i)
    const from = performance.now()
    own!.write(written)
    worstMs = Math.max(worstMs, performance.now() - from)
  }
  const writeNs = sinceNs(start) / n
  const bytes = (heldBytes() - before) / n
  const keys = someTopics(n)
  const readNs = Math.min(...Array.from({ length: 5 }, () => cpuNs(keys.length, () => readAll(own!, keys))))
  const count = Math.min(n, 200_000)
  const deleteNs = cpuNs(count, () => {
    for (let i = 0; i < count; i++) own!.delete(topic(i))
  })
  print(`${definition.name}, one node, n=${n}`, {
    'bytes/row': bytes,
    'dirty write ns (row made as well)': writeNs,
    'dirty read ns': readNs,
    'delete ns': deleteNs,
    'worst write ms': worstMs,
  })
}

function readAll<Row>(read: OwnedTable<Row>, keys: readonly string[]): void {
  for (const key of keys) if (read.read(key).length !== 1) throw new Error(`${key} was not found`)
}

/** Writes of one node, a hundred a turn, until all nodes have acknowledged them. */
function measureReplication<Row>(definition: TableDefinition<Row>, row: (i: number) => Row, nodes: number): void {
  const cluster = new Cluster(nodes)
  const tables = cluster.open(definition)
  cluster.connect()
  const rows = Array.from({ length: Math.min(n, 300_000) }, (_, i) => row(i))
  const ns = cpuNs(rows.length, () => {
    for (const [i, each] of rows.entries()) {
      tables[0]!.write(each)
      if (i % 100 === 99) cluster.loop.run()
    }
    cluster.loop.run()
  })
  if (tables.some(({ size }) => size !== rows.length)) throw new Error('rows are missing')
  print(`${definition.name}, ${nodes} nodes, n=${rows.length}`, {
    'writes/s of one core': 1e9 / ns,
    'ns/write, all nodes': ns,
  })
}

/** A node that comes to one which has rows. */
function measureSnapshot<Row>(definition: TableDefinition<Row>, row: (i: number) => Row): void {
  const cluster = new Cluster(1)
  const [own] = cluster.open(definition)
  for (let i = 0; i < n; i++) own!.write(row(i))
  const [, taken] = [own, cluster.add().open(definition)]
  let worstMs = 0
  let last = performance.now()
  const { later } = cluster.loop
  cluster.loop.later = (callback) => {
    later.call(cluster.loop, () => {
      last = performance.now()
      callback()
      worstMs = Math.max(worstMs, performance.now() - last)
    })
  }
  const ns = cpuNs(n, () => cluster.connect())
  if (taken.size !== n) throw new Error('rows are missing')
  print(`${definition.name}, snapshot, n=${n}`, {
    'rows/s of one core': 1e9 / ns,
    'ns/row, both nodes': ns,
    'longest callback ms': worstMs,
  })
}

if (kind === 'table') {
  measureTable(ROUTE, route)
  measureTable(SESSION, session)
} else if (kind === 'routes') measureTable(ROUTE, route)
else if (kind === 'replicate') {
  for (const nodes of [2, 3]) {
    measureReplication(ROUTE, route, nodes)
    measureReplication(SESSION, session, nodes)
  }
} else {
  measureSnapshot(ROUTE, route)
  measureSnapshot(SESSION, session)
}
