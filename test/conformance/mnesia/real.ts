/** Runs programs on Mnesia, in one Erlang for all of them, or on three nodes: starting them takes longer than all that they do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Decoder } from '../../../src/dist/etf-decode.ts'
import { encode } from '../../../src/dist/etf-encode.ts'
import { startEpmd } from '../../support/epmd.ts'
import { Erl } from '../../support/erl-terms.ts'
import { type ClusterProgram, comparable, comparableCluster, type Program } from './program.ts'

const MODULES = ['mnesia_programs', 'mnesia_cluster']

export class RealMnesia {
  readonly #erl: Erl
  readonly #directory: string
  #runs = 0

  private constructor(erl: Erl, directory: string) {
    this.#erl = erl
    this.#directory = directory
  }

  static async start(): Promise<RealMnesia> {
    const { erl, directory } = await startErl()
    await evaluate(erl, `mnesia_programs:start(${text(join(directory, 'mnesia'))})`)
    return new RealMnesia(erl, directory)
  }

  /** Results of a program's operations, as they are compared. */
  async run(program: Program): Promise<unknown[]> {
    const folder = text(join(this.#directory, String(++this.#runs)))
    const before = `ok = file:make_dir(${folder})`
    const results = await evaluate(this.#erl, `${before}, mnesia_programs:run(${folder}, ${term(program)})`)
    return comparable(program, results as unknown[])
  }

  stop(): Promise<void> {
    return stopErl(this.#erl, this.#directory)
  }
}

/** Mnesia on `a`, `b` and `c`. */
export class RealCluster {
  readonly #erl: Erl
  readonly #directory: string
  readonly #stopEpmd: () => Promise<void>

  private constructor(erl: Erl, directory: string, stopEpmd: () => Promise<void>) {
    this.#erl = erl
    this.#directory = directory
    this.#stopEpmd = stopEpmd
  }

  static async start(): Promise<RealCluster> {
    const epmd = await startEpmd(0)
    const { erl, directory } = await startErl()
    await evaluate(erl, `mnesia_cluster:start([a, b, c], ${epmd.port}, ${text(directory)})`)
    return new RealCluster(erl, directory, () => epmd.close())
  }

  /** Results of a program's operations, as they are compared. */
  async run(program: ClusterProgram): Promise<unknown[]> {
    return comparableCluster(program, (await evaluate(this.#erl, `mnesia_cluster:run(${term(program)})`)) as unknown[])
  }

  async stop(): Promise<void> {
    await evaluate(this.#erl, 'mnesia_cluster:stop()')
    await stopErl(this.#erl, this.#directory)
    await this.#stopEpmd()
  }
}

async function startErl(): Promise<{ erl: Erl; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'agner-real-mnesia-'))
  const erl = new Erl()
  await evaluate(erl, 'logger:set_primary_config(level, none)')
  for (const name of MODULES) {
    const source = text(fileURLToPath(new URL(`${name}.erl`, import.meta.url)))
    await evaluate(
      erl,
      `{ok, M, Code} = compile:file(${source}, [binary, report]), ok = persistent_term:put({code, M}, Code), ` +
        '{module, M} = code:load_binary(M, "", Code), ok',
    )
  }
  return { erl, directory }
}

async function stopErl(erl: Erl, directory: string): Promise<void> {
  await erl.stop()
  rmSync(directory, { recursive: true, force: true })
}

/** The value of Erlang expressions, binaries as text. */
async function evaluate(erl: Erl, expressions: string): Promise<unknown> {
  const answer = await erl.eval(`begin ${expressions} end.`)
  const decoded = new Decoder({ node: { name: 'here@127.0.0.1', creation: 1 } }).decode(answer)
  if (!decoded.ok) throw new Error(`no term: ${decoded.error.reason}`)
  return plain(decoded.value)
}

function term(value: unknown): string {
  return `binary_to_term(base64:decode(<<"${encode(value).toString('base64')}">>))`
}

function text(value: string): string {
  return JSON.stringify(value)
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value
}
