/** Nodes of one cluster for a benchmark: bin/node of the built code, each an OS process, with an epmd and data of the benchmark's own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
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
}

/** Nodes that know each other. */
export class BenchCluster {
  readonly nodes: ClusterNode[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'agner-bench-'))
  readonly #children: ChildProcess[] = []
  readonly #epmd: EpmdServer

  private constructor(epmd: EpmdServer) {
    this.#epmd = epmd
  }

  static async start(count: number, sets: readonly string[] = []): Promise<BenchCluster> {
    const { timers, randomFill } = realSystem()
    const started = await startEpmdServer({ transport: tcpTransport(), timers, randomFill, port: 0 })
    if (!started.ok) throw new Error('no port for epmd')
    const cluster = new BenchCluster(started.server)
    for (let i = 1; i <= count; i += 1) await cluster.#startNode(`n${i}@127.0.0.1`, sets)
    return cluster
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(
        (child) =>
          new Promise((resolve) => {
            child.once('close', resolve)
            child.kill('SIGKILL')
          }),
      ),
    )
    await this.#epmd.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #startNode(name: string, sets: readonly string[]): Promise<void> {
    const join1 = this.nodes.length === 0 ? [] : ['--join', this.nodes[0]!.name]
    const args = ['--name', name, '--cookie', 'bench', '--data-dir', join(this.#folder, name), ...join1]
    const all = [
      'listeners.tcp.port=0',
      'listeners.tcp.max_conn_rate=infinity',
      'session.max_subscriptions=infinity',
      ...sets,
    ]
    const child = spawn(
      process.execPath,
      [join(ROOT, 'build/src/boot/main.js'), ...args, ...all.flatMap((set) => ['--set', set])],
      {
        env: { ...process.env, HOME: this.#folder, AGNER_EPMD_PORT: String(this.#epmd.port) },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    this.#children.push(child)
    const port = new Promise<number>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const match = /^listener on mqtt:.*:(\d+)$/.exec(line)
        if (match !== null) resolve(Number(match[1]))
      })
      child.once('close', (code) => reject(new Error(`${name} has ended with ${code}`)))
    })
    const linked = this.nodes.length === 0 ? Promise.resolve() : linesOf(child, 'is linked', this.nodes.length)
    this.nodes.push({ name, port: await port, cpuMs: () => cpuMs(child.pid!) })
    await linked
  }
}

/** Resolves when so many lines of the log say something. */
function linesOf(child: ChildProcess, what: string, count: number): Promise<void> {
  let seen = 0
  return new Promise((resolve) => {
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
