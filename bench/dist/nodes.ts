/**
 * The nodes of the benchmark, each an OS process of its own, with an epmd of the benchmark's own: they live through all rounds, as
 * nodes do, and are asked by lines (see our-node.ts and dist_bench.erl).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HERE = fileURLToPath(new URL('.', import.meta.url))
const BUILD = join(ROOT, 'build/bench')
const COOKIE = 'bench'

/** What a command answers: the time of all of it, and samples of single operations, ns. */
export interface Outcome {
  readonly ns: number
  readonly samples: readonly number[]
}

export interface NodeOptions {
  readonly name: string
  readonly epmdPort: number
  /** Further arguments of `erl`, or of Node. */
  readonly flags?: readonly string[]
}

interface OurNodeOptions extends NodeOptions {
  /** The checkout that it is of. @default this one */
  readonly root?: string | undefined
  /** Where it writes its CPU profile. */
  readonly profile?: string | undefined
  /** Its program, from the root of the checkout. @default bench/dist/our-node.ts */
  readonly script?: string
}

interface ErlangNodeOptions extends NodeOptions {
  /** Its program: a module with `start/0`. @default dist_bench */
  readonly module?: string
}

/** A node that answers commands. */
export class BenchNode {
  readonly name: string
  readonly pid: number
  /** Settles when the node is up, or has failed. */
  readonly ready: Promise<unknown>
  readonly #child: ChildProcess
  readonly #profile: string | undefined
  readonly #answers = new Map<number, (answer: string) => void>()
  #lastId = 0
  #failure: string | undefined
  #words = ''
  #isProfiled = false

  constructor(name: string, child: ChildProcess, profile: string | undefined) {
    this.name = name
    this.#profile = profile
    this.#child = child
    this.pid = child.pid ?? 0
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const match = /^@@ (\d+) (.*)$/.exec(line)
      if (match === null) return
      this.#answers.get(Number(match[1]))?.(match[2]!)
      this.#answers.delete(Number(match[1]))
    })
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#words = (this.#words + chunk.toString()).slice(-2000)
    })
    const failed = (failure: string): void => {
      this.#failure = `${name} ${failure}\n${this.#words}`
      for (const answer of this.#answers.values()) answer('')
    }
    child.once('error', (error) => failed(error.message))
    child.once('exit', (code, signal) => failed(`exited with ${signal ?? code}`))
    this.ready = this.#answer(0)
  }

  /** Runs a command; rejects when the node has ended. */
  ask(...command: (string | number)[]): Promise<unknown> {
    const id = ++this.#lastId
    const answer = this.#answer(id)
    this.#child.stdin!.write(`${[id, ...command].join(' ')}\n`)
    return answer
  }

  /** Stands still until it is told to go on; its connections stay. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** CPU time of all threads since the start, ns. */
  cpuNs(): number {
    let ns = 0
    for (const thread of readdirSync(`/proc/${this.pid}/task`)) {
      try {
        ns += Number(readFileSync(`/proc/${this.pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
      } catch {
        // It has ended since the folder was read.
      }
    }
    return ns
  }

  /** Starts the profiler of a node that was given where to write; the second time it stops, and resolves with where. */
  async profile(): Promise<string | undefined> {
    const path = this.#profile
    if (path === undefined) return undefined
    const before = writtenMs(path)
    this.#child.kill('SIGUSR2')
    this.#isProfiled = !this.#isProfiled
    while (!this.#isProfiled && writtenMs(path) === before) await new Promise((resolve) => setTimeout(resolve, 50))
    await new Promise((resolve) => setTimeout(resolve, 200))
    return path
  }

  /** Ends the node when it has read its commands to the end, so that a profile is written. */
  stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      const late = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
      this.#child.once('exit', () => {
        clearTimeout(late)
        resolve()
      })
      this.#child.stdin!.end()
    })
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const answered = (answer: string): void => {
        if (this.#failure === undefined) resolve(JSON.parse(answer))
        else reject(new Error(this.#failure))
      }
      if (this.#failure === undefined) this.#answers.set(id, answered)
      else answered('')
    })
  }
}

/** Whether there is an Erlang to measure beside, with its compiler. */
export function hasErlang(): boolean {
  return spawnSync('erlc', ['-help']).error === undefined
}

/** Compiles an Erlang node into `build/bench`. */
export function compileErlang(source = join(HERE, 'dist_bench.erl')): void {
  mkdirSync(BUILD, { recursive: true })
  const { status, stdout, stderr } = spawnSync('erlc', ['-o', BUILD, source])
  if (status !== 0) throw new Error(`erlc: ${stdout}${stderr}`)
}

/** Starts a node of ours. */
export function startOurs({
  name,
  epmdPort,
  flags = [],
  root = ROOT,
  profile,
  script = 'bench/dist/our-node.ts',
}: OurNodeOptions): BenchNode {
  const hook = profile === undefined ? [] : ['--require', join(HERE, '../mqtt/profile-hook.cjs')]
  const args = [...flags, ...hook, '--import', 'tsx', join(root, script), name, COOKIE, String(epmdPort)]
  return new BenchNode(name, launch(process.execPath, args, { AGNER_PROFILE: profile }), profile)
}

/** Starts a node of Erlang. */
export function startErlang({ name, epmdPort, flags = [], module = 'dist_bench' }: ErlangNodeOptions): BenchNode {
  const args = ['-name', name, '-setcookie', COOKIE, '-noshell', '-pa', BUILD, ...flags, '-s', module]
  return new BenchNode(name, launch('erl', args, { ERL_EPMD_PORT: String(epmdPort) }), undefined)
}

function launch(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(program, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
}

function writtenMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
