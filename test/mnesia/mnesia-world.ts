/** Whole nodes with tables under virtual time. Discs lose what was not flushed when their node is killed. */
import { Writable } from 'node:stream'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { TableDefinition } from '../../src/mnesia/definition.ts'
import { type Mnesia, type MnesiaOptions, startMnesia } from '../../src/mnesia/mnesia.ts'
import type { SystemEvent } from '../../src/mnesia/system-events.ts'
import type { Table, TableReader } from '../../src/mnesia/table.ts'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import { type Duration, type Simulation, type SimulationOptions, simulate } from '../../src/testing/simulation.ts'

export interface WorldNode {
  readonly name: string
  readonly mnesia: Mnesia
  readonly events: SystemEvent[]
  readonly alarms: Map<string, string>
}

/** What was saved: rows by table. */
export type Backup = Readonly<Record<string, readonly unknown[]>>

export type NodeOptions = Partial<Omit<MnesiaOptions, 'store' | 'backup' | 'alarms'>>

export class MnesiaWorld {
  readonly sim: Simulation
  readonly nodes = new Map<string, WorldNode>()
  readonly logs: { level: number; msg: string; node?: string }[] = []
  /** By the name of the file. */
  readonly backups = new Map<string, Backup>()
  readonly #changed = new Set<string>()
  readonly #discs = new Map<string, LossyDisc>()

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

  /** Starts a node and its tables; one that ran before finds its disc again. */
  async start(name: string, options: NodeOptions = {}): Promise<WorldNode> {
    const started = await this.settle(this.tryStart(name, options))
    if (typeof started === 'string') throw new Error(started)
    return started
  }

  /** As `start`, or the sentence that says why it does not start. `disc`: the node whose disc it is given. */
  async tryStart(name: string, options: NodeOptions = {}, disc = name): Promise<WorldNode | string> {
    const runtime = this.sim.start(name)
    const events: SystemEvent[] = []
    const alarms = new Map<string, string>()
    const full = fullName(name)
    const started = await startMnesia(runtime, {
      ...options,
      store: this.disc(disc).open(),
      backup: (why, tables) => this.#backup(full, why, tables),
      alarms: { raise: (alarm, text) => void alarms.set(alarm, text), clear: (alarm) => void alarms.delete(alarm) },
    })
    if (!started.ok) {
      this.disc(disc).kill()
      this.sim.kill(name)
      return started.problem
    }
    const { mnesia } = started
    mnesia.subscribe((event) => {
      events.push(event)
      if (event.tag === 'cluster') this.#changed.add(full)
    })
    const node = { name: full, mnesia, events, alarms }
    this.nodes.set(full, node)
    return node
  }

  disc(name: string): LossyDisc {
    let disc = this.#discs.get(fullName(name))
    if (disc === undefined) {
      disc = new LossyDisc({ timers: this.sim.time, random: this.sim.random })
      this.#discs.set(fullName(name), disc)
    }
    return disc
  }

  /** Whether a node has been taken out of a cluster, or joined one, since `forgetChanges`. */
  hasChanged(name: string): boolean {
    return this.#changed.has(fullName(name))
  }

  forgetChanges(): void {
    this.#changed.clear()
  }

  /** The disc of a node that is down is empty from now on. */
  emptyDisc(name: string): void {
    this.#discs.delete(fullName(name))
  }

  /** SIGKILL: what was not flushed is lost. */
  kill(name: string): void {
    this.disc(name).kill()
    this.sim.kill(name)
    this.nodes.delete(fullName(name))
  }

  /** An ordered stop. */
  async stop(name: string): Promise<void> {
    await this.settle(this.node(name).mnesia.stop())
    this.sim.kill(name)
    this.nodes.delete(fullName(name))
  }

  node(name: string): WorldNode {
    const node = this.nodes.get(fullName(name))
    if (node === undefined) throw new Error(`${name} does not run`)
    return node
  }

  mnesia(name: string): Mnesia {
    return this.node(name).mnesia
  }

  table<Row>(name: string, definition: TableDefinition<Row>): Table<Row> {
    return this.mnesia(name).open(definition)
  }

  async join(name: string, target: string, confirm = false): Promise<void> {
    const joined = await this.settle(this.mnesia(name).join(fullName(target), { confirm }))
    if (!joined.ok) throw new Error(joined.text)
  }

  /** Starts nodes and makes them one cluster. */
  async clusterOf(names: readonly string[], options: NodeOptions = {}): Promise<void> {
    for (const name of names) await this.start(name, options)
    for (const name of names.slice(1)) await this.join(name, names[0]!)
    await this.advance('2s')
  }

  /** Members that are running, and those that are stopped, as a node sees them: `a b | c`. */
  status(name: string): string {
    const { running, stopped } = this.mnesia(name).status()
    return [running, stopped]
      .map((nodes) => nodes.map(shortName).join(' '))
      .join(' | ')
      .trim()
      .replace(/ \|$/, '')
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
    for (let passed = 0; passed < 12_000 && !isSettled; passed++) await this.sim.advance(10)
    if (!isSettled) throw new Error('it does not settle')
    return promise
  }

  cut(a: string, b: string): void {
    this.sim.network.cut(fullName(a), fullName(b))
  }

  mend(a: string, b: string): void {
    this.sim.network.mend(fullName(a), fullName(b))
  }

  async #backup(node: string, why: string, tables: readonly TableReader<unknown>[]): Promise<string> {
    const file = `${shortName(node)}-${why}-${this.backups.size}`
    this.backups.set(file, Object.fromEntries(tables.map((table) => [table.definition.name, [...table.rows()]])))
    return file
  }
}

export function fullName(name: string): string {
  return name.includes('@') ? name : `${name}@sim`
}

export function shortName(name: string): string {
  return name.replace('@sim', '')
}
