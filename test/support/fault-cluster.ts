/**
 * Three nodes of ours and one of Erlang, each an OS process, of which any can be killed, frozen and started again; and the account of
 * who watches whom, by which it is known what every watcher may have been told, and what it must.
 *
 * A watch is a link and a monitor of one process on a process elsewhere. It is *sure* when it was made while both nodes were well:
 * then it can only end by the reason of its target, or by `noconnection` after a fault of either node.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { expect, onTestFinished } from 'vitest'
import { SeededRandom } from '../../src/testing/random.ts'
import { type Erl, startErl } from './erl.ts'
import { eventually } from './eventually.ts'
import { testEpmd } from './node.ts'
import { programFile, runtimeOptions } from './programs.ts'

export interface NodeOptions {
  readonly name: string
  readonly epmdPort: number
  readonly netTicktimeMs: number
  /** Nodes to connect to at once. */
  readonly join: readonly string[]
}

/** What a watcher was told. */
export interface Fired {
  readonly id: number
  readonly what: 'DOWN' | 'EXIT'
  readonly reason: string
}

/** What a watcher holds. */
export interface Held {
  readonly id: number
  readonly monitor: boolean
  readonly link: boolean
}

export interface FootprintOf {
  readonly timers: number
  readonly activeAliases: number
  readonly foreignMonitors: number
  readonly names: number
  /** Monitors that processes of other nodes hold on those of this one. */
  readonly watchedFrom: readonly string[]
  readonly labels: Readonly<Record<string, number>>
  readonly peers: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** What a node can be told. Pids are external terms in base64. */
interface Commands {
  spawn(count: number): Promise<string[]>
  finish(target: string, reason: string): Promise<unknown>
  watch(id: number, target: string): Promise<unknown>
  fired(): Promise<readonly Fired[]>
  held(): Promise<readonly Held[]>
  /** Nodes that it has given up since the last question, since they were silent. */
  silent(): Promise<readonly string[]>
  forget(): Promise<unknown>
  ping(node: string): Promise<'pong' | 'pang'>
  nodes(): Promise<readonly string[]>
  traffic(peers: readonly string[]): Promise<unknown>
  settled(): Promise<{ outstanding: number; settled: number }>
  /** What there is between the node and others, to be compared. */
  footprint(): Promise<FootprintOf | string>
}

/** A command on its way to a node of ours. */
export interface Told {
  readonly id: number
  readonly op: keyof Commands
  readonly args: readonly unknown[]
}

const NET_TICKTIME_MS = 3000
const SCRIPT = programFile('test/support/fault-node')
const MODULE = new URL('./fault_node.erl', import.meta.url)

export interface FaultNode extends Commands {
  readonly name: string
  /** Sends a signal to the OS process. */
  signal(signal: NodeJS.Signals): void
}

/** A node of ours in a process of its own. */
export class OurNode implements FaultNode {
  readonly name: string
  readonly output: string[] = []
  readonly #child: ChildProcess
  readonly #answers = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  #lastId = 0

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    child.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#answers.get(answer.id)
      this.#answers.delete(answer.id)
      if (answer.error === undefined) waiting?.resolve(answer.value)
      else waiting?.reject(new Error(answer.error))
    })
    child.stderr!.on('data', (chunk) => this.output.push(String(chunk)))
    child.once('exit', () => {
      for (const { reject } of this.#answers.values()) reject(new Error(`${name} has ended: ${this.output.join('')}`))
    })
  }

  static async start(
    options: Omit<NodeOptions, 'netTicktimeMs'> & { readonly netTicktimeMs?: number },
  ): Promise<OurNode> {
    const full: NodeOptions = { netTicktimeMs: NET_TICKTIME_MS, ...options }
    const child = fork(SCRIPT, [JSON.stringify(full)], {
      execArgv: [...runtimeOptions],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const node = new OurNode(options.name, child)
    await new Promise((resolve, reject) => node.#answers.set(0, { resolve, reject }))
    return node
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  spawn(count: number): Promise<string[]> {
    return this.#tell('spawn', count)
  }

  finish(target: string, reason: string): Promise<unknown> {
    return this.#tell('finish', target, reason)
  }

  watch(id: number, target: string): Promise<unknown> {
    return this.#tell('watch', id, target)
  }

  fired(): Promise<readonly Fired[]> {
    return this.#tell('fired')
  }

  held(): Promise<readonly Held[]> {
    return this.#tell('held')
  }

  silent(): Promise<readonly string[]> {
    return this.#tell('silent')
  }

  forget(): Promise<unknown> {
    return this.#tell('forget')
  }

  ping(node: string): Promise<'pong' | 'pang'> {
    return this.#tell('ping', node)
  }

  nodes(): Promise<readonly string[]> {
    return this.#tell('nodes')
  }

  traffic(peers: readonly string[]): Promise<unknown> {
    return this.#tell('traffic', peers)
  }

  settled(): Promise<{ outstanding: number; settled: number }> {
    return this.#tell('settled')
  }

  footprint(): Promise<FootprintOf> {
    return this.#tell('footprint')
  }

  #tell<T>(op: Told['op'], ...args: readonly unknown[]): Promise<T> {
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#answers.set(id, { resolve: resolve as (value: unknown) => void, reject })
      // A node that was killed answers nothing, and its end rejects.
      this.#child.send({ id, op, args } satisfies Told, () => {})
    })
  }
}

/** An Erlang node. */
class ErlangNode implements FaultNode {
  readonly name: string
  readonly #erl: Erl

  private constructor(erl: Erl) {
    this.name = erl.name
    this.#erl = erl
  }

  static async start({ name, epmdPort, join }: Omit<NodeOptions, 'netTicktimeMs'>): Promise<ErlangNode> {
    const source = await readFile(MODULE, 'utf8')
    const flags = ['-kernel', 'net_ticktime', '4']
    const erl = await eventually(() => startErl({ name, epmdPort, flags }), { withinMs: 20_000 })
    await erl.load('fault_node', source.replace(/^-module.*$/m, ''))
    await erl.eval('fault_node:start()')
    for (const peer of join) await erl.eval(`net_kernel:connect_node('${peer}')`)
    return new ErlangNode(erl)
  }

  signal(signal: NodeJS.Signals): void {
    this.#erl.kill(signal)
  }

  async spawn(count: number): Promise<string[]> {
    const list = await this.#erl.eval(`fault_node:spawn_targets(${count})`)
    return [...list.matchAll(/"([^"]+)"/g)].map(([, text]) => text!)
  }

  finish(target: string, reason: string): Promise<unknown> {
    return this.#erl.eval(`fault_node:finish("${target}", ${reason})`)
  }

  watch(id: number, target: string): Promise<unknown> {
    return this.#erl.eval(`fault_node:watch(${id}, "${target}")`)
  }

  async fired(): Promise<readonly Fired[]> {
    const list = await this.#erl.eval('fault_node:fired()')
    return [...list.matchAll(/\{(\d+),'?(\w+)'?,"([^"]*)"\}/g)].map(([, id, what, reason]) => {
      return { id: Number(id), what: what as Fired['what'], reason: reason! }
    })
  }

  async held(): Promise<readonly Held[]> {
    const list = await this.#erl.eval('fault_node:held()')
    return [...list.matchAll(/\{(\d+),(\w+),(\w+)\}/g)].map(([, id, monitor, link]) => {
      return { id: Number(id), monitor: monitor === 'true', link: link === 'true' }
    })
  }

  forget(): Promise<unknown> {
    return this.#erl.eval('fault_node:forget()')
  }

  async ping(node: string): Promise<'pong' | 'pang'> {
    return (await this.#erl.eval(`net_adm:ping('${node}')`)) as 'pong' | 'pang'
  }

  async nodes(): Promise<readonly string[]> {
    return namesIn(await this.#erl.eval('nodes(connected)')).sort()
  }

  async silent(): Promise<readonly string[]> {
    return namesIn(await this.#erl.eval('fault_node:silent()'))
  }

  traffic(peers: readonly string[]): Promise<unknown> {
    return this.#erl.eval(`fault_node:traffic([${peers.map((name) => `'${name}'`).join()}])`)
  }

  async settled(): Promise<{ outstanding: number; settled: number }> {
    const [, outstanding, settled] = /\{(-?\d+),(\d+)\}/.exec(await this.#erl.eval('fault_node:settled()'))!
    return { outstanding: Number(outstanding), settled: Number(settled) }
  }

  footprint(): Promise<string> {
    return this.#erl.eval('fault_node:footprint()')
  }
}

function namesIn(list: string): string[] {
  return [...list.matchAll(/'([^']+)'/g)].map(([, name]) => name!)
}

interface Target {
  readonly text: string
  readonly node: string
  readonly incarnation: number
  ended: string | undefined
}

interface Watch {
  readonly id: number
  readonly watcher: string
  readonly incarnation: number
  readonly target: Target
  readonly isSure: boolean
  /** A fault of either node may have ended it. */
  mayLose: boolean
}

interface Member {
  node: FaultNode
  /** Counts the starts. */
  incarnation: number
  state: 'well' | 'frozen' | 'dead'
}

const QUIET: Omit<FootprintOf, 'peers'> = {
  timers: 0,
  activeAliases: 0,
  foreignMonitors: 0,
  names: 7,
  watchedFrom: [],
  labels: { agner_mesh: 1, echo: 1, global: 1, init: 1, net_kernel: 1, net_sup: 1, rpc: 1 },
}

/**
 * Erlang forgets a monitor that is taken back while the connection is coming up, and sets it all the same when that is up: it stays at the
 * other node until the connection ends, at Erlang's nodes as at ours. Those of calls that were given up are no leak of ours.
 */
function withoutOrphans(footprint: FootprintOf): FootprintOf {
  const { watchedFrom, peers, foreignMonitors } = footprint
  const others = watchedFrom.filter((watch) => !watch.startsWith(`echo by ${ERLANG_NAME}`))
  const orphans = watchedFrom.length - others.length
  const erlang = peers[ERLANG_NAME]!
  return {
    ...footprint,
    watchedFrom: others,
    foreignMonitors: foreignMonitors - orphans,
    peers: { ...peers, [ERLANG_NAME]: { ...erlang, peerMonitors: erlang.peerMonitors! - orphans } },
  }
}

/** The monitors of others that a node keeps are those of nodes that are connected. */
async function checkTables(node: OurNode): Promise<void> {
  const { foreignMonitors, peers } = await node.footprint()
  const counts = Object.values(peers).map(({ peerMonitors }) => peerMonitors!)
  expect(foreignMonitors, `monitors from elsewhere on ${node.name}`).toBe(counts.reduce((sum, count) => sum + count, 0))
}

const REASONS = ['shutdown', 'crash', 'normal', 'killed', 'because'] as const
const OUR_NAMES = ['n1', 'n2', 'n3'].map((name) => `${name}@127.0.0.1`)
const ERLANG_NAME = 'erl@127.0.0.1'
const NAMES = [...OUR_NAMES, ERLANG_NAME]

export class FaultCluster {
  /** What was done, for who reads of a failure. */
  readonly history: string[] = []
  /** How many there have been. */
  faults = 0
  readonly random: SeededRandom
  readonly #epmdPort: number
  readonly #members = new Map<string, Member>()
  readonly #targets: Target[] = []
  readonly #watches = new Map<number, Watch>()
  #lastId = 0
  /** All nodes have reached each other since the last fault. */
  #isHealed = false

  private constructor(seed: number, epmdPort: number) {
    this.random = new SeededRandom(seed)
    this.#epmdPort = epmdPort
  }

  static async start(seed: number): Promise<FaultCluster> {
    const cluster = new FaultCluster(seed, await testEpmd())
    for (const name of NAMES) await cluster.#start(name)
    await cluster.heal()
    await cluster.#isQuiet()
    return cluster
  }

  /** Links and monitors made between nodes that are well, and ended targets, each told with its reason. */
  async work(): Promise<void> {
    for (const name of this.#names('well')) await this.#spawn(name, 3)
    for (let i = 0; i < 12; i++) await this.#watch()
    for (let i = 0; i < 3; i++) await this.#finish()
    await Promise.all(NAMES.map((name) => this.#member(name).node.traffic(NAMES.filter((other) => other !== name))))
  }

  /** A fault, work in its shadow, and its end. */
  async fault(): Promise<void> {
    const victims = this.#pickVictims()
    this.faults++
    this.#isHealed = false
    for (const { name, kind } of victims) this.#strike(name, kind)
    const shadowMs = this.random.below(5000)
    const until = performance.now() + shadowMs
    await Promise.all(
      victims
        .filter(({ kind }) => kind === 'kill' && this.random.below(2) === 0)
        .map(({ name }) => this.#restart(name)),
    )
    for (let i = 0; i < 6; i++) {
      if (this.#names('well').length > 1) await this.#watch()
      if (this.random.below(3) === 0) await this.#finish()
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, until - performance.now())))
    await this.heal()
  }

  /** Wakes, starts again, and waits until every node reaches every other. */
  async heal(): Promise<void> {
    for (const name of this.#names('frozen')) {
      this.#note(`wake ${name}`)
      this.#member(name).node.signal('SIGCONT')
      this.#member(name).state = 'well'
    }
    await Promise.all(this.#names('dead').map((name) => this.#restart(name)))
    await eventually(() => this.#areAllConnected(), { withinMs: 60_000 })
    await this.#allowForSilence()
    this.#isHealed = true
  }

  /** Every watch of a living watcher has told what it must, once, and holds what it must. */
  async check(): Promise<void> {
    await this.#allowForSilence()
    for (const name of NAMES) {
      await eventually(async () => {
        const { node, incarnation } = this.#member(name)
        const [fired, held] = [await node.fired(), await node.held()]
        const own = [...this.#watches.values()].filter(
          (watch) => watch.watcher === name && watch.incarnation === incarnation,
        )
        expect(held.length, `watchers on ${name}`).toBe(own.length)
        for (const watch of own) this.#checkWatch(watch, fired, held)
        if (node instanceof OurNode) await checkTables(node)
        return true
      })
    }
  }

  /** Ends everything; nothing is left of it on any node. */
  async end(): Promise<void> {
    for (const name of NAMES) {
      const { node } = this.#member(name)
      await eventually(async () => (await node.settled()).settled > 0)
      await node.traffic([])
    }
    for (const name of NAMES) {
      await eventually(async () => {
        const { outstanding } = await this.#member(name).node.settled()
        expect(outstanding, `calls of ${name} that never ended`).toBe(0)
        return true
      })
    }
    for (const target of this.#targets) if (this.#isAlive(target)) await this.#finishTarget(target)
    await this.check()
    for (const name of NAMES) await this.#member(name).node.forget()
    await this.#isQuiet()
  }

  /** What a failure has to tell. */
  describe(): string {
    const outputs = OUR_NAMES.map((name) => (this.#member(name).node as OurNode).output.slice(-20).join(''))
    return `${this.history.join('\n')}\n${outputs.join('\n')}`
  }

  /** On a machine with much to do a node may be silent for too long though nobody has frozen it. */
  async #allowForSilence(): Promise<void> {
    for (const name of NAMES) {
      for (const other of await this.#member(name).node.silent()) {
        for (const watch of this.#watches.values()) {
          const ends = [watch.watcher, watch.target.node]
          if (ends.includes(name) && ends.includes(other)) watch.mayLose = true
        }
      }
    }
  }

  #pickVictims(): { name: string; kind: 'kill' | 'freeze' }[] {
    const victims = new Map<string, 'kill' | 'freeze'>()
    for (let i = this.random.below(4) === 0 ? 2 : 1; i > 0; i--) {
      victims.set(this.random.pick(NAMES), this.random.below(2) === 0 ? 'kill' : 'freeze')
    }
    return [...victims].map(([name, kind]) => ({ name, kind }))
  }

  #strike(name: string, kind: 'kill' | 'freeze'): void {
    const member = this.#member(name)
    this.#note(`${kind} ${name}`)
    member.node.signal(kind === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    member.state = kind === 'kill' ? 'dead' : 'frozen'
    for (const watch of this.#watches.values()) {
      if (watch.watcher === name || watch.target.node === name) watch.mayLose = true
    }
  }

  async #restart(name: string): Promise<void> {
    await this.#start(name)
    this.#note(`started ${name}`)
  }

  async #start(name: string): Promise<void> {
    const join = this.#names('well')
      .filter((other) => other !== name && other !== ERLANG_NAME)
      .slice(0, 1)
    const options = { name, epmdPort: this.#epmdPort, join }
    const node = name === ERLANG_NAME ? await ErlangNode.start(options) : await OurNode.start(options)
    const member = this.#members.get(name)
    if (member === undefined) this.#members.set(name, { node, incarnation: 1, state: 'well' })
    else Object.assign(member, { node, incarnation: member.incarnation + 1, state: 'well' })
  }

  async #spawn(name: string, count: number): Promise<void> {
    const { node, incarnation } = this.#member(name)
    for (const text of await node.spawn(count)) this.#targets.push({ text, node: name, incarnation, ended: undefined })
  }

  /** A node that is well watches any target elsewhere, living or not. */
  async #watch(): Promise<void> {
    const watcher = this.random.pick(this.#names('well'))
    const elsewhere = this.#targets.filter(({ node }) => node !== watcher)
    // The newest are the most likely to live.
    const target = elsewhere[elsewhere.length - 1 - this.random.below(Math.min(elsewhere.length, 30))]
    if (target === undefined) return
    const id = ++this.#lastId
    const { node, incarnation } = this.#member(watcher)
    const isSure = this.#isHealed && this.#isAlive(target)
    this.#watches.set(id, { id, watcher, incarnation, target, isSure, mayLose: !isSure })
    this.#note(`watch ${id} on ${watcher}: ${target.node}#${target.incarnation}${isSure ? '' : ' (unsure)'}`)
    await node.watch(id, target.text)
    // From another process, but by the same connection: what was sent before has arrived.
    if (isSure) await eventually(async () => (await node.ping(target.node)) === 'pong')
  }

  async #finish(): Promise<void> {
    const living = this.#targets.filter((target) => this.#isAlive(target) && this.#member(target.node).state === 'well')
    if (living.length > 0) await this.#finishTarget(this.random.pick(living))
  }

  async #finishTarget(target: Target): Promise<void> {
    target.ended = this.random.pick(REASONS)
    const watches = [...this.#watches.values()].filter((watch) => watch.target === target).map(({ id }) => id)
    this.#note(`finish a target of ${target.node} with ${target.ended}, watched by ${watches.join() || 'nobody'}`)
    await this.#member(target.node).node.finish(target.text, target.ended)
  }

  #isAlive({ node, incarnation, ended }: Target): boolean {
    const member = this.#member(node)
    return ended === undefined && member.incarnation === incarnation && member.state !== 'dead'
  }

  #checkWatch(watch: Watch, fired: readonly Fired[], held: readonly Held[]): void {
    const { id, target, isSure, mayLose } = watch
    const holds = held.find((one) => one.id === id)
    for (const [what, key] of [
      ['DOWN', 'monitor'],
      ['EXIT', 'link'],
    ] as const) {
      const name = `${what} of watch ${id} on ${watch.watcher}`
      const told = fired.filter((one) => one.id === id && one.what === what).map(({ reason }) => reason)
      expect([told.length, holds?.[key]], name).toEqual(told.length === 0 ? [0, true] : [1, false])
      if (told.length === 0) {
        expect(this.#isAlive(target), `${name}: the target lives`).toBe(true)
        continue
      }
      const allowed = [
        ...(target.ended === undefined ? [] : [target.ended]),
        ...(mayLose ? ['noconnection'] : []),
        ...(isSure ? [] : ['noproc']),
      ]
      expect(allowed, name).toContain(told[0])
    }
    expect(fired.filter((one) => one.id === id && one.what !== 'DOWN' && one.what !== 'EXIT')).toEqual([])
  }

  /** The Erlang node has no mesh with ours: somebody has to use the connection. */
  async #areAllConnected(): Promise<boolean> {
    const everybody = NAMES.map((name) => NAMES.filter((other) => other !== name).sort())
    const pings = NAMES.filter((name) => name !== ERLANG_NAME).map((name) => this.#member(name).node.ping(ERLANG_NAME))
    if ((await Promise.all(pings)).includes('pang')) return false
    const lists = await Promise.all(NAMES.map((name) => this.#member(name).node.nodes()))
    expect(lists).toEqual(everybody)
    for (const name of NAMES) {
      const answers = await Promise.all(
        NAMES.filter((other) => other !== name).map((other) => this.#member(name).node.ping(other)),
      )
      if (answers.includes('pang')) return false
    }
    return true
  }

  /** Waits until there is nothing between the nodes, and no process but those of every node. */
  async #isQuiet(): Promise<void> {
    const none = { links: 0, ownMonitors: 0, peerMonitors: 0, ownSpawns: 0 }
    for (const name of NAMES) {
      const peers = Object.fromEntries(NAMES.filter((other) => other !== name).map((other) => [other, none]))
      const quiet = name === ERLANG_NAME ? '{4,[],[],[]}' : { ...QUIET, peers }
      await eventually(async () => {
        const footprint = await this.#member(name).node.footprint()
        expect(typeof footprint === 'string' ? footprint : withoutOrphans(footprint), name).toEqual(quiet)
        return true
      })
    }
  }

  #names(state: Member['state']): string[] {
    return NAMES.filter((name) => this.#members.get(name)?.state === state)
  }

  #member(name: string): Member {
    return this.#members.get(name)!
  }

  #note(what: string): void {
    this.history.push(`${(performance.now() / 1000).toFixed(3)} ${what}`)
  }
}
