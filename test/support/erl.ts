/** A real Erlang or Elixir node for a test: evaluates expressions that are sent to it, and is killed when the test ends. */
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

const ELIXIR_LOOP = `
  loop = fn loop ->
    case IO.gets("") do
      line when is_binary(line) ->
        {id, rest} = Integer.parse(line)
        spawn(fn ->
          result =
            try do
              {value, _} = Code.eval_string(String.trim(rest))
              value
            catch
              kind, reason -> {:CAUGHT, kind, reason}
            end
          IO.puts("@@ #{id} #{inspect(result, limit: :infinity, printable_limit: :infinity) |> String.replace("\n", "")}")
        end)
        loop.(loop)
      _ -> System.halt()
    end
  end
  IO.puts("@@ 0 ready")
  loop.(loop)`

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
  /** What ends an expression. */
  readonly #end: string
  #lastId = 0

  constructor(child: ChildProcess, name: string, end: string) {
    this.child = child
    this.name = name
    this.#end = end
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

  /** Resolves with the value as the node prints it; `{'CAUGHT',Class,Reason}` when it fails. Line ends become spaces. */
  eval(expression: string): Promise<string> {
    const id = ++this.#lastId
    const answer = this.#answer(id)
    this.child.stdin!.write(`${id} ${expression.replaceAll(/\s+/g, ' ')}${this.#end}\n`)
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
export function startErl({ name, cookie = 'secret', epmdPort, flags = [], short = false }: ErlOptions): Promise<Erl> {
  const args = [short ? '-sname' : '-name', name, '-setcookie', cookie, '-noshell', '-kernel', 'logger_level', 'error']
  return whenReady('erl', [...args, ...flags, '-eval', LOOP], name, epmdPort, '.')
}

/** Starts an Elixir node; its expressions are Elixir. */
export function startElixir({ name, cookie = 'secret', epmdPort, flags = [] }: ErlOptions): Promise<Erl> {
  const args = ['--name', name, '--cookie', cookie, '--erl', '-kernel logger_level error', ...flags]
  return whenReady('elixir', [...args, '-e', ELIXIR_LOOP], name, epmdPort, '')
}

async function whenReady(
  program: string,
  args: readonly string[],
  name: string,
  epmdPort: number,
  end: string,
): Promise<Erl> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) },
  })
  const erl = new Erl(child, name, end)
  erl.child.setMaxListeners(0)
  onTestFinished(() => erl.kill())
  await erl.ready()
  return erl
}
