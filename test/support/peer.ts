/**
 * Real nodes for a test: each is bin/node's program in an OS process of its own, with a data directory, MQTT and distribution
 * ports of its own; all find each other by an epmd on a port of the test's own.
 *
 *     const peers = await testPeers()
 *     const n1 = await peers.start('n1@127.0.0.1')
 *     const n2 = await peers.start('n2@127.0.0.1', { args: ['--join', n1.name] })
 *     await n1.nodes()              // asked by rpc from a hidden node in the test's process
 *     await n2.kill()               // SIGKILL; freeze() and thaw() are SIGSTOP and SIGCONT; stop() is SIGTERM
 *
 * With `cuttable`, `peers.cut(n1, n2)` silences or resets the link between two of them (link-cutter.ts); with `namespaces`, packets are lost
 * (namespaces.ts), and names are `peers.nodeName('n1')`. Everything ends with the test, the epmd too; what the nodes have printed is shown
 * when the test fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { onTestFailed, onTestFinished } from 'vitest'
import { realSystem } from '../../src/actors/system.ts'
import { EpmdClient } from '../../src/dist/epmd-client.ts'
import type { EpmdServer } from '../../src/dist/epmd-server.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { type Node, type StartNodeOptions, startNode } from '../../src/dist/start-node.ts'
import { type Atom, atom, atomName, text } from '../../src/dist/term.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { startEpmd } from './epmd.ts'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { LinkCutter } from './link-cutter.ts'
import type { Cut, Links } from './links.ts'
import { Namespaces, type Place } from './namespaces.ts'
import { program } from './programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PROGRAM = program('src/boot/main')

const START_MS = 60_000
/** Where a node runs that has no namespace of its own. */
const NOWHERE: Place = { command: [], env: {}, sets: [] }
const LOG_MS = 30_000
const RPC_TIMEOUT_MS = 30_000

export interface PeersOptions {
  /** @default secret */
  readonly cookie?: string
  /** Whether links between nodes can be cut; their traffic then goes through the test's process. @default false */
  readonly cuttable?: boolean
  /**
   * Nodes, without their hosts, that get a network namespace each, with an epmd of its own; their links can be cut. See `whyNoNamespaces`.
   * @default none
   */
  readonly namespaces?: readonly string[]
  /** Who starts the epmd: the test, in its own process, or the first node. @default test */
  readonly epmd?: 'test' | 'node'
  /** Of the hidden node by which the test asks the others. */
  readonly control?: Partial<StartNodeOptions>
}

export interface PeerOptions {
  /** More arguments, such as `--join`. */
  readonly args?: readonly string[]
  /** `KEY=VALUE` for `--set`. */
  readonly sets?: readonly string[]
  /** @default that of the peers; undefined gives no `--cookie` */
  readonly cookie?: string | undefined
  /** More of the environment; HOME is a folder of the test's own. */
  readonly env?: Readonly<Record<string, string>>
  /** The program and its arguments, when it is not bin/node's. */
  readonly program?: readonly string[]
}

/** What a command of bin/ctl has said. */
export interface CtlAnswer {
  readonly ok: boolean
  readonly lines: readonly string[]
  /** What `--json` prints. */
  readonly data: unknown
}

/** Makes room for nodes that end with the test. */
export async function testPeers(options: PeersOptions = {}): Promise<Peers> {
  const peers = await Peers.create(options)
  onTestFinished(() => peers.end())
  onTestFailed(() => console.error(peers.transcript()))
  return peers
}

/** Several nodes, and what they share. */
export class Peers {
  readonly cookie: string
  readonly epmdPort: number
  /** Of the test's own; a node's data is in `data/NAME@HOST` below it, its HOME is the folder itself. */
  readonly folder: string
  readonly all: Peer[] = []
  readonly #options: PeersOptions
  readonly #links: LinkCutter | Namespaces | undefined
  /** Undefined when the first node starts one, or that of `#links` is used. */
  readonly #server: EpmdServer | undefined
  #control: Promise<Node> | undefined

  private constructor(
    options: PeersOptions,
    epmdPort: number,
    folder: string,
    links: LinkCutter | Namespaces | undefined,
    server: EpmdServer | undefined,
  ) {
    this.#options = options
    this.cookie = options.cookie ?? 'secret'
    this.epmdPort = epmdPort
    this.folder = folder
    this.#links = links
    this.#server = server
  }

  /** Makes room for nodes that end with `end`; for use outside of a test, such as in `beforeAll`. */
  static async create(options: PeersOptions = {}): Promise<Peers> {
    const epmdPort = await freePort()
    const links = await linksOf(options, epmdPort)
    const isOurs = links === undefined && options.epmd !== 'node'
    const server = isOurs ? await startEpmd(epmdPort) : undefined
    const folder = await mkdtemp(join(tmpdir(), 'agner-peers-'))
    return new Peers(options, epmdPort, folder, links, server)
  }

  /** Starts a node; resolves when it says that it is started, rejects when it ends before. */
  async start(name: string, options: PeerOptions = {}): Promise<Peer> {
    const peer = this.launch(name, options)
    await peer.started()
    return peer
  }

  /** Starts several nodes one after the other, so that epmd lists them in this order. */
  async startAll(names: readonly string[], options: PeerOptions = {}): Promise<Peer[]> {
    const started: Peer[] = []
    for (const name of names) started.push(await this.start(name, options))
    return started
  }

  /** Starts the program of a node and does not wait: for starts that are to fail. */
  launch(name: string, { args = [], sets = [], env = {}, program = PROGRAM, ...rest }: PeerOptions = {}): Peer {
    const cookie = 'cookie' in rest ? rest.cookie : this.cookie
    const place = this.#links instanceof Namespaces ? this.#links.place(name) : NOWHERE
    const [command, ...words] = [...place.command, process.execPath]
    const child = spawn(
      command!,
      [
        ...words,
        ...program,
        ...(args.includes('--sname') ? [] : ['--name', name]),
        ...(cookie === undefined ? [] : ['--cookie', cookie]),
        ...['--data-dir', join(this.folder, 'data', name)],
        ...['listeners.tcp.port=0', ...place.sets, ...sets].flatMap((set) => ['--set', set]),
        ...args,
      ],
      {
        cwd: ROOT,
        env: {
          PATH: process.env.PATH,
          HOME: this.folder,
          AGNER_EPMD_PORT: String(this.epmdPort),
          ...place.env,
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    const peer = new Peer(this, name, child)
    this.all.push(peer)
    return peer
  }

  /** The hidden node of the test, started with the first use. */
  control(): Promise<Node> {
    this.#control ??= startNode({
      name: `test${process.pid}@${this.#host()}`,
      cookie: this.cookie,
      hidden: true,
      epmdPort: this.epmdPort,
      logger: pino({ level: 'silent' }),
      ...this.#options.control,
    }).then((started) => {
      if (!started.ok) throw new Error(started.problem)
      return started.node
    })
    return this.#control
  }

  /** What epmd has, the oldest first, without the hidden node of the test. */
  async names(): Promise<{ readonly name: string; readonly port: number }[]> {
    const names = await this.#epmd().names()
    if (!names.ok) throw new Error(`epmd: ${names.detail}`)
    return names.nodes
      .map(({ name, port }) => ({ name, port }))
      .filter(({ name }) => name !== `test${process.pid}`)
      .reverse()
  }

  /** Kills the epmd that the first node has started. */
  async killEpmd(): Promise<void> {
    const marks = [`-port`, String(this.epmdPort)]
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue
      const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0')
      if (words.some((word) => word.includes('epmd-main')) && marks.every((mark) => words.includes(mark))) {
        process.kill(Number(entry), 'SIGKILL')
      }
    }
  }

  /** The name of a node that is told without its host. */
  nodeName(short: string): string {
    return `${short}@${this.#host(short)}`
  }

  /** The ways in which links can be cut. */
  get cuts(): readonly Cut[] {
    return this.#cuttable().cuts
  }

  /** Cuts the link between two nodes until it is mended. */
  cut(a: Peer, b: Peer, how: Cut = 'silence'): void {
    this.#cuttable().cut(a.name, b.name, how)
  }

  /** Cuts the way between a node and its clients, and the test's rpc with them, until all is mended. */
  cutClients(node: Peer): void {
    if (!(this.#links instanceof Namespaces)) throw new Error('clients can be cut off from nodes in namespaces')
    this.#links.cutClients(node.name)
  }

  mend(a: Peer, b: Peer): void {
    this.#cuttable().mend(a.name, b.name)
  }

  /** Cuts all links between one group of nodes and another. */
  partition(some: readonly Peer[], others: readonly Peer[], how: Cut = 'silence'): void {
    for (const a of some) for (const b of others) this.cut(a, b, how)
  }

  /** Has `seen` called with everything that passes between nodes from now on. */
  tap(seen: (bytes: Buffer) => void): void {
    if (!(this.#links instanceof LinkCutter))
      throw new Error('links can be tapped with `testPeers({ cuttable: true })`')
    this.#links.tap = seen
  }

  heal(): void {
    this.#cuttable().mendAll()
  }

  /** Ends everything. */
  async end(): Promise<void> {
    await Promise.all(this.all.map((peer) => peer.kill()))
    if (this.#control !== undefined) await (await this.#control).stop()
    if (this.#links !== undefined) await this.#links.stop()
    else if (this.#server !== undefined) await this.#server.close()
    // The epmd that the first node has started ends when it knows no nodes any more; none: no node got as far.
    else await eventually(async () => (await this.#epmd().kill()) !== 'NO')
    await rm(this.folder, { recursive: true, force: true })
  }

  /** What all nodes have printed, for people. */
  transcript(): string {
    return this.all.map((peer) => `--- ${peer.name}\n${peer.out}${peer.err}`).join('\n')
  }

  #epmd(): EpmdClient {
    return new EpmdClient({ transport: tcpTransport(), system: realSystem(), port: this.epmdPort })
  }

  /** The host of a node, or of the test itself. */
  #host(node?: string): string {
    return this.#links instanceof Namespaces ? this.#links.address(node) : '127.0.0.1'
  }

  #cuttable(): Links {
    if (this.#links === undefined) throw new Error('links can be cut with `testPeers({ cuttable: true })`')
    return this.#links
  }
}

async function linksOf({ cuttable, namespaces }: PeersOptions, epmdPort: number) {
  if (namespaces !== undefined) return Namespaces.create(namespaces, epmdPort)
  return cuttable === true ? LinkCutter.start(epmdPort) : undefined
}

/** One node. */
export class Peer {
  /** As it was given; the name of a node with a short name is `nodeName`. */
  readonly name: string
  readonly child: ChildProcess
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  out = ''
  err = ''
  /** What it has logged, parsed. */
  readonly log: Record<string, unknown>[] = []
  /** From its launch until it said that its listeners are open, ms; NaN as long as it has not. */
  startMs = Number.NaN
  readonly #launchedAtMs = performance.now()
  readonly #peers: Peers

  constructor(peers: Peers, name: string, child: ChildProcess) {
    this.#peers = peers
    this.name = name
    this.child = child
    this.ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.out += `${line}\n`
      if (line.startsWith('Try: ')) this.startMs = performance.now() - this.#launchedAtMs
    })
    createInterface({ input: child.stderr! }).on('line', (line) => {
      this.err += `${line}\n`
      if (line.startsWith('{')) this.log.push(JSON.parse(line) as Record<string, unknown>)
    })
  }

  /** Number of the OS process. */
  get pid(): number {
    return this.child.pid!
  }

  get mqttHost(): string {
    return this.#listener('mqtt').host
  }

  get mqttPort(): number {
    return this.#listener('mqtt').port
  }

  /** Where it accepts other nodes; behind a link cutter not the port that epmd tells. */
  get distPort(): number {
    return this.#listener('dist').port
  }

  /** Resolves when the node has said where it listens; rejects at once when it ends before. */
  async started(): Promise<void> {
    const ended = this.ended.then((code) => {
      throw new Error(`${this.name} has ended with ${code}: ${this.err}`)
    })
    await Promise.race([eventually(() => this.out.includes('\nTry: '), { withinMs: START_MS }), ended])
  }

  /** Calls an exported function by rpc; rejects when it fails. */
  async rpc(module: string, name: string, args: readonly unknown[] = []): Promise<unknown> {
    const { runtime } = await this.#peers.control()
    const result = await rpc.call(runtime, this.name, module, name, [...args], RPC_TIMEOUT_MS)
    if (result.ok) return result.value
    throw new Error(`${module}:${name} on ${this.name}: ${JSON.stringify(result.reason)}`)
  }

  /** Runs a command of bin/ctl on the node. */
  async ctl(...words: readonly string[]): Promise<CtlAnswer> {
    const { elements } = (await this.rpc('agner_ctl', 'run', [[...words]])) as {
      elements: [boolean, unknown[], unknown]
    }
    const [ok, lines, json] = elements
    return { ok, lines: lines.map((line) => text(line)!), data: JSON.parse(text(json)!) }
  }

  /** `nodes()` of the node, or `nodes(hidden)` and so on. */
  async nodes(kind?: 'hidden' | 'visible' | 'known' | 'connected' | 'this'): Promise<string[]> {
    const listed = (await this.rpc('erlang', 'nodes', kind === undefined ? [] : [atom(kind)])) as Atom[]
    return listed.map(({ name }) => name)
  }

  /** Has the node connect to another; resolves with whether it is connected. */
  async connect(node: string): Promise<boolean> {
    return (await this.rpc('net_kernel', 'connect_node', [atom(node)])) === true
  }

  /** Has the node ping another. */
  async ping(node: string): Promise<string | undefined> {
    return atomName(await this.rpc('net_adm', 'ping', [atom(node)]))
  }

  /** Resolves with the first line of the log that says so. */
  logged(text: string): Promise<Record<string, unknown>> {
    return eventually(
      () => {
        const line = this.log.find(({ msg }) => String(msg).includes(text))
        if (line === undefined) throw new Error(`${this.name} has not logged: ${text}`)
        return line
      },
      { withinMs: LOG_MS },
    )
  }

  /** Ends it in order; resolves with the exit code. */
  stop(): Promise<number | string> {
    this.child.kill('SIGTERM')
    return this.ended
  }

  /** Ends it at once; resolves when the OS process is gone. */
  kill(): Promise<number | string> {
    this.child.kill('SIGKILL')
    return this.ended
  }

  /** Stops its OS process, sockets stay open. */
  freeze(): void {
    this.child.kill('SIGSTOP')
  }

  thaw(): void {
    this.child.kill('SIGCONT')
  }

  #listener(name: string): { readonly host: string; readonly port: number } {
    const match = new RegExp(`^listener on ${name}:(.*):(\\d+)$`, 'm').exec(this.out)
    if (match === null) throw new Error(`${this.name} has not said where it listens: ${this.out}`)
    return { host: match[1]!, port: Number(match[2]) }
  }
}
