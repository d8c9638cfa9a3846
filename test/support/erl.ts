/** A real Erlang node for a test: evaluates expressions that are sent to it, and is killed when the test ends. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

/** True when there is an Erlang to test with. */
export const hasErlang: boolean = (() => {
  try {
    execFileSync('sh', ['-c', 'command -v erl'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

// Reads `ID EXPRESSION.` lines, answers `@@ ID RESULT` lines. Variables live as long as their line.
const LOOP = `
  Eval = fun(Text) ->
    try
      {ok, Tokens, _} = erl_scan:string(Text),
      {ok, Exprs} = erl_parse:parse_exprs(Tokens),
      {value, Value, _} = erl_eval:exprs(Exprs, []),
      Value
    catch Class:Reason -> {'CAUGHT', Class, Reason} end
  end,
  Loop = fun F() ->
    case io:get_line("") of
      eof -> halt();
      {error, _} -> halt();
      Line ->
        {Id, Rest} = string:to_integer(Line),
        spawn(fun() -> io:format("@@ ~w ~0tp~n", [Id, Eval(string:trim(Rest))]) end),
        F()
    end
  end,
  io:format("@@ 0 ready~n"),
  Loop().`

export interface ErlOptions {
  readonly name: string
  readonly cookie?: string
  readonly epmdPort: number
  readonly flags?: readonly string[]
  /** With a short name. */
  readonly short?: boolean
}

export class Erl {
  readonly name: string
  readonly child: ChildProcess
  readonly output: string[] = []
  readonly #answers = new Map<number, (result: string) => void>()
  #lastId = 0

  constructor(child: ChildProcess, name: string) {
    this.child = child
    this.name = name
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const match = /^@@ (\d+) (.*)$/.exec(line)
      if (match === null) {
        this.output.push(line)
        return
      }
      this.#answers.get(Number(match[1]))?.(match[2]!)
      this.#answers.delete(Number(match[1]))
    })
    createInterface({ input: child.stderr! }).on('line', (line) => void this.output.push(line))
  }

  /** Resolves with the value as Erlang prints it; `{'CAUGHT',Class,Reason}` when it fails. */
  eval(expression: string): Promise<string> {
    const id = ++this.#lastId
    const answer = this.#answer(id)
    this.child.stdin!.write(`${id} ${expression.replaceAll(/\s+/g, ' ')}.\n`)
    return answer
  }

  /** Compiles a module from its source and loads it. */
  async load(name: string, source: string): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'agner-erl-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const path = join(folder, `${name}.erl`)
    await writeFile(path, `-module(${name}).\n${source}`)
    const loaded = await this.eval(
      `{ok, ${name}, Code} = compile:file("${path}", [binary]), code:load_binary(${name}, "${path}", Code)`,
    )
    if (loaded !== `{module,${name}}`) throw new Error(`${name} cannot be loaded: ${loaded} ${this.output.join('\n')}`)
  }

  ready(): Promise<string> {
    return this.#answer(0)
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal)
  }

  #answer(id: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#answers.set(id, resolve)
      this.child.once('exit', () => reject(new Error(`erl has ended: ${this.output.join('\n')}`)))
    })
  }
}

/** Starts an Erlang node. */
export async function startErl({
  name,
  cookie = 'secret',
  epmdPort,
  flags = [],
  short = false,
}: ErlOptions): Promise<Erl> {
  const args = [short ? '-sname' : '-name', name, '-setcookie', cookie, '-noshell', '-kernel', 'logger_level', 'error']
  const child = spawn('erl', [...args, ...flags, '-eval', LOOP], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) },
  })
  const erl = new Erl(child, name)
  erl.child.setMaxListeners(0)
  onTestFinished(() => erl.kill())
  await erl.ready()
  return erl
}
