/** Runs programs on Mnesia, in one Erlang for all of them: starting it takes longer than all that they do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Decoder } from '../../../src/dist/etf-decode.ts'
import { encode } from '../../../src/dist/etf-encode.ts'
import { Erl } from '../../support/erl-terms.ts'
import { comparable, type Program } from './program.ts'

const SOURCE = fileURLToPath(new URL('mnesia_programs.erl', import.meta.url))

export class RealMnesia {
  readonly #erl: Erl
  readonly #directory: string
  #runs = 0

  private constructor(erl: Erl, directory: string) {
    this.#erl = erl
    this.#directory = directory
  }

  static async start(): Promise<RealMnesia> {
    const directory = mkdtempSync(join(tmpdir(), 'agner-real-mnesia-'))
    const erl = new Erl()
    await erl.eval(
      `begin {ok, M, Code} = compile:file(${text(SOURCE)}, [binary, report]), {module, M} = code:load_binary(M, "", Code), ` +
        `ok = logger:set_primary_config(level, none), M:start(${text(join(directory, 'mnesia'))}) end.`,
    )
    return new RealMnesia(erl, directory)
  }

  /** Results of a program's operations, as they are compared. */
  async run(program: Program): Promise<unknown[]> {
    const folder = text(join(this.#directory, String(++this.#runs)))
    const bytes = encode(program).toString('base64')
    const answer = await this.#erl.eval(
      `begin ok = file:make_dir(${folder}), mnesia_programs:run(${folder}, binary_to_term(base64:decode(<<"${bytes}">>))) end.`,
    )
    const decoded = new Decoder({ node: { name: 'here@127.0.0.1', creation: 1 } }).decode(answer)
    if (!decoded.ok) throw new Error(`no term: ${decoded.error.reason}`)
    return comparable(program, plain(decoded.value) as unknown[])
  }

  async stop(): Promise<void> {
    await this.#erl.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function text(value: string): string {
  return JSON.stringify(value)
}

/** Binaries as text. */
function plain(term: unknown): unknown {
  if (Array.isArray(term)) return term.map(plain)
  return term instanceof Uint8Array ? Buffer.from(term).toString() : term
}
