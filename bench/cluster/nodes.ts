/** Nodes of one cluster for a benchmark: bin/node of the built code, each an OS process, with an epmd and data of the benchmark's own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { realSystem } from '../../src/actors/system.ts'
import { type EpmdServer, startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** `sysconf(_SC_CLK_TCK)` of Linux. */
const TICK_MS = 10

/** A node that is started. */
export interface ClusterNode {
  readonly name: string
  readonly port: number
  /** CPU that its process has used, ms. */
  cpuMs(): number
  /** Memory that its process has, MiB. */
  rssMiB(): number
}

/** How a node is started. */
interface NodeOptions {
  readonly sets: readonly string[]
  /** Member of the cluster that it joins. */
  readonly join: string | undefined
}

const run = promisify(execFile)

/** Nodes that know each other. */
export class BenchCluster {
  readonly nodes: ClusterNode[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'agner-bench-'))
  readonly #children = new Map<string, ChildProcess>()
  readonly #sets: readonly string[]
  readonly #epmd: EpmdServer
  readonly #root: string

  private constructor(epmd: EpmdServer, sets: readonly string[], root: string) {
    this.#epmd = epmd
    this.#sets = sets
    this.#root = root
  }

  /** `root`: another checkout, built, whose nodes these are. */
  static async start(count: number, sets: readonly string[] = [], root: string = ROOT): Promise<BenchCluster> {
    const { timers, randomFill } = realSystem()
    const started = await startEpmdServer({ transport: tcpTransport(), timers, randomFill, port: 0 })
    if (!started.ok) throw new Error('no port for epmd')
    const cluster = new BenchCluster(started.server, sets, root)
    for (let i = 1; i <= count; i += 1) await cluster.add()
    return cluster
  }

  /** Starts one more node; resolves when it is a member, linked with all others. */
  async add(): Promise<ClusterNode> {
    const { nodes } = this
    const name = `n${nodes.length + 1}@127.0.0.1`
    const node = await this.#startNode(name, { sets: this.#sets, join: nodes[0]?.name }, nodes.length)
    nodes.push(node)
    return node
  }

  /** Kills a node by SIGKILL and starts it on its data; resolves when clients are let in. */
  async restart({ name }: ClusterNode): Promise<ClusterNode> {
    await this.#kill(this.#children.get(name)!)
    const node = await this.#startNode(name, { sets: this.#sets, join: undefined }, 0)
    this.nodes[this.nodes.findIndex((each) => each.name === name)] = node
    return node
  }

  /** What a command of bin/ctl prints. */
  async ctl({ name }: ClusterNode, ...words: readonly string[]): Promise<string> {
    const args = [join(this.#root, 'build/src/boot/ctl-main.js'), '--name', name, '--cookie', 'bench', ...words]
    return (await run(process.execPath, args, { env: this.#env })).stdout
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, HOME: this.#folder, AGNER_EPMD_PORT: String(this.#epmd.port) }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => this.#kill(child)))
    await this.#epmd.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #kill(child: ChildProcess): Promise<unknown> {
    const closed = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    return closed
  }

  async #startNode(name: string, { sets, join: member }: NodeOptions, links: number): Promise<ClusterNode> {
    const joins = member === undefined ? [] : ['--join', member]
    const args = ['--name', name, '--cookie', 'bench', '--data-dir', join(this.#folder, name), ...joins]
    const all = [
      'listeners.tcp.port=0',
      'listeners.tcp.max_conn_rate=infinity',
      'session.max_subscriptions=infinity',
      ...sets,
    ]
    const child = spawn(
      process.execPath,
      [join(this.#root, 'build/src/boot/main.js'), ...args, ...all.flatMap((set) => ['--set', set])],
      {
        env: this.#env,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    this.#children.set(name, child)
    const port = new Promise<number>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const match = /^listener on mqtt:.*:(\d+)$/.exec(line)
        if (match !== null) resolve(Number(match[1]))
      })
      child.once('close', (code) => reject(new Error(`${name} has ended with ${code}`)))
    })
    const linked = linesOf(child, 'is linked', links)
    const node = { name, port: await port, cpuMs: () => cpuMs(child.pid!), rssMiB: () => rssMiB(child.pid!) }
    await linked
    return node
  }
}

/** Resolves when so many lines of the log say something. */
function linesOf(child: ChildProcess, what: string, count: number): Promise<void> {
  let seen = 0
  return new Promise((resolve) => {
    if (count === 0) resolve()
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (line.includes(what)) seen += 1
      if (seen === count) resolve()
    })
  })
}

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

function rssMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}
