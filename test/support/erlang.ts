/**
 * Real Erlang nodes for tests: Debian's `erlang-base`, each with a home of its own and the epmd that the test names. They are
 * told what to do by expressions, and ended with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

/** Reads an expression a line, prints its value behind an arrow. */
const LOOP = `L = fun L() -> case io:get_line("") of eof -> halt(); Line ->
  V = (catch begin {ok, T, _} = erl_scan:string(Line), {ok, E} = erl_parse:parse_exprs(T),
    {value, R, _} = erl_eval:exprs(E, []), R end),
  io:format("=> ~0p~n", [V]), L() end end, io:format("=> started~n"), L().`

export interface ErlangOptions {
  readonly name: string
  readonly cookie?: string
  readonly epmdPort: number
  /** More arguments of `erl`. */
  readonly args?: readonly string[]
}

/** Starts a node; resolves when it has its name, rejects with its output when it does not start. */
export async function startErlang({ name, cookie = 'x', epmdPort, args = [] }: ErlangOptions): Promise<ErlangNode> {
  const home = await mkdtemp(join(tmpdir(), 'agner-erl-'))
  const words = ['-noshell', '-name', name, '-setcookie', cookie, ...args, '-eval', LOOP.replaceAll('\n', ' ')]
  const env = { PATH: process.env.PATH, HOME: home, ERL_EPMD_PORT: String(epmdPort), ERL_CRASH_DUMP_BYTES: '0' }
  const node = new ErlangNode(spawn('erl', words, { cwd: home, env }))
  onTestFinished(async () => {
    await node.kill()
    await rm(home, { recursive: true, force: true })
  })
  await node.started
  return node
}

export class ErlangNode {
  /** All that it has printed, its log included. */
  output = ''
  readonly #child: ChildProcess
  readonly #values: string[] = []
  readonly #exited: Promise<void>
  #hasExited = false

  constructor(child: ChildProcess) {
    this.#child = child
    let line = ''
    const take = (chunk: string) => {
      this.output += chunk
      const lines = (line + chunk).split('\n')
      line = lines.pop()!
      for (const one of lines) if (one.startsWith('=> ')) this.#values.push(one.slice(3))
    }
    child.stdout?.setEncoding('utf8').on('data', take)
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (this.output += chunk))
    child.stdin?.on('error', () => {})
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => {
        this.output += error.message
        this.#hasExited = true
        resolve()
      })
      child.on('exit', () => {
        this.#hasExited = true
        resolve()
      })
    })
  }

  get started(): Promise<string> {
    return this.#nextValue()
  }

  /** The value of an expression, such as `node().`, as Erlang prints it on one line. */
  async eval(expression: string): Promise<string> {
    this.#child.stdin?.write(`${expression}\n`)
    return this.#nextValue()
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async #nextValue(): Promise<string> {
    await eventually(() => this.#values.length > 0 || this.#hasExited, { withinMs: 20_000 })
    if (this.#values.length === 0) throw new Error(`erl has ended: ${this.output}`)
    return this.#values.shift()!
  }
}
