/** Nodes with a schema, members and links but no rows, under virtual time. Discs lose what was not flushed when their node is killed. */
import { Writable } from 'node:stream'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { LinkHandler } from '../../../src/mnesia/link.ts'
import type { JoinResult, LeaveResult, RemoveResult } from '../../../src/mnesia/membership.ts'
import { Cluster } from '../../../src/mnesia/schema/cluster.ts'
import { membersIn } from '../../../src/mnesia/schema/members.ts'
import { type JoinOptions, MNESIA_SCHEMA, membership } from '../../../src/mnesia/schema/membership-process.ts'
import { openNode } from '../../../src/mnesia/schema/open-node.ts'
import { readRegistry } from '../../../src/mnesia/schema/own-record.ts'
import { MNESIA_SUP, mnesiaSup } from '../../../src/mnesia/sup.ts'
import { type SystemEvent, SystemEvents } from '../../../src/mnesia/system-events.ts'
import { LossyDisc } from '../../../src/testing/lossy-store.ts'
import { type Duration, type Simulation, type SimulationOptions, simulate } from '../../../src/testing/simulation.ts'

export interface SchemaNode {
  readonly name: string
  readonly cluster: Cluster
  readonly events: SystemEvent[]
  /** What `backup` was called for. */
  readonly backups: string[]
  resets: number
  /** Rows that joining would lose. */
  rows: { table: string; rows: number }[]
}

export interface StartOptions {
  readonly policy?: 'autoheal' | 'manual'
  readonly seeds?: readonly string[]
  readonly parts?: Readonly<Record<string, LinkHandler>>
  /** How long it takes until rows of others are here. @default 0 */
  readonly syncMs?: number
}

export class SchemaWorld {
  readonly sim: Simulation
  readonly discs = new Map<string, LossyDisc>()
  readonly nodes = new Map<string, SchemaNode>()
  readonly logs: { level: number; msg: string; node?: string; peer?: string }[] = []

  constructor(options: Partial<SimulationOptions> = {}) {
    const sink = new Writable({
      write: (line, _encoding, done) => {
        this.logs.push(JSON.parse(String(line)))
        done()
      },
    })
    const logger = pino({ level: 'info' }, sink)
    this.sim = simulate({ seed: 1, copyMessages: true, netTicktimeMs: 8000, ...options, nodes: [], logger })
    onTestFinished(() => this.sim.stop())
  }

  /** Starts a node; one that ran before finds its disc again. */
  async start(name: string, startOptions: StartOptions = {}): Promise<SchemaNode> {
    const { policy = 'autoheal', seeds = [], parts = {}, syncMs = 0 } = startOptions
    const runtime = this.sim.start(name)
    const disc = this.disc(name)
    const store = disc.open()
    const { system } = runtime
    const options = { store, node: runtime.node.name, system, rename: false, emptyTables: () => {} }
    const opened = await this.settle(openNode(options))
    if (!opened.ok) throw new Error(opened.problem)
    const { own } = opened
    const events: SystemEvent[] = []
    const emitter = new SystemEvents((error) => {
      throw error
    })
    emitter.subscribe((event) => events.push(event))
    const cluster = new Cluster({ runtime, store, own, linked: opened.linked, policy, events: emitter })
    const node: SchemaNode = { name: runtime.node.name, cluster, events, backups: [], resets: 0, rows: [] }
    cluster.tables = {
      schemaChanged: () => {},
      clock: () => 0,
      sawClock: () => {},
      reset: () => {
        node.resets++
        node.rows = []
      },
    }
    for (const [part, handler] of Object.entries(parts)) cluster.links.handle(part, handler)
    const tables = {
      rowsToLose: () => node.rows,
      backup: async (why: string) => {
        node.backups.push(why)
        return node.rows.length === 0 ? undefined : `${why}.bak`
      },
      inSync: () => new Promise<boolean>((resolve) => void this.sim.time.set(syncMs, () => resolve(true))),
    }
    const membership = { cluster, tables, seeds: seeds.map(full), confirmSeeds: false }
    const arg = { membership, locks: { view: () => '' } }
    await mnesiaSup.startLink(runtime, arg, { name: MNESIA_SUP })
    this.nodes.set(full(name), node)
    await this.sim.advance(10)
    return node
  }

  disc(name: string): LossyDisc {
    let disc = this.discs.get(full(name))
    if (disc === undefined) {
      disc = new LossyDisc({ timers: this.sim.time, random: this.sim.random })
      this.discs.set(full(name), disc)
    }
    return disc
  }

  /** SIGKILL: what was not flushed is lost. */
  kill(name: string): void {
    this.disc(name).kill()
    this.sim.kill(name)
    this.nodes.delete(full(name))
  }

  /** An ordered stop. */
  async stop(name: string): Promise<void> {
    const { cluster } = this.node(name)
    cluster.stop()
    await this.sim.advance(100)
    const closed = cluster.store.close()
    await this.sim.advance(100)
    await closed
    this.sim.kill(name)
    this.nodes.delete(full(name))
  }

  node(name: string): SchemaNode {
    const node = this.nodes.get(full(name))
    if (node === undefined) throw new Error(`${name} does not run`)
    return node
  }

  async join(name: string, target: string, options: JoinOptions = {}): Promise<JoinResult> {
    return this.settle(
      membership.callWithin(this.sim.node(name), 'infinity', MNESIA_SCHEMA, 'join', full(target), options),
    )
  }

  async leave(name: string): Promise<LeaveResult> {
    return this.settle(membership.callWithin(this.sim.node(name), 'infinity', MNESIA_SCHEMA, 'leave'))
  }

  async remove(name: string, node: string): Promise<RemoveResult> {
    return this.settle(membership.callWithin(this.sim.node(name), 'infinity', MNESIA_SCHEMA, 'remove', full(node)))
  }

  /** Starts nodes and makes them one cluster. */
  async clusterOf(...names: string[]): Promise<void> {
    for (const name of names) await this.start(name)
    for (const name of names.slice(1)) {
      const joined = await this.join(name, names[0]!)
      if (!joined.ok) throw new Error(joined.text)
    }
    await this.advance('2s')
  }

  /** Members as a node sees them, in short. */
  members(name: string): string {
    return this.node(name).cluster.links.members().map(short).join('')
  }

  /** Members as the disc of a node that is down has them. */
  membersOnDisc(name: string): string {
    return membersIn(readRegistry(this.disc(name).contents, () => {}))
      .map(short)
      .join('')
  }

  linked(name: string): string {
    return this.node(name)
      .cluster.links.connected()
      .map(({ node }) => short(node))
      .join('')
  }

  advance(duration: Duration): Promise<void> {
    return this.sim.advance(duration)
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    promise.then(settled, settled)
    for (let passed = 0; passed < 6000 && !isSettled; passed++) await this.sim.advance(10)
    if (!isSettled) throw new Error('it does not settle')
    return promise
  }

  cut(a: string, b: string): void {
    this.sim.network.cut(full(a), full(b))
  }

  mend(a: string, b: string): void {
    this.sim.network.mend(full(a), full(b))
  }
}

export function full(name: string): string {
  return `${name}@sim`
}

export function short(name: string): string {
  return name.replace('@sim', '')
}
