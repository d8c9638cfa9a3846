/**
 * The command line of bin/observer. Erlang's spellings (`-name`, `-setcookie`) are turned into ours before commander sees them.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { TOP_SORTS, type TopSort } from '../observer/top.ts'

/** What a command line asks for. */
export type ObserverInvocation =
  | { readonly kind: 'observe'; readonly options: ObserverOptions }
  /** `--help` and `--version`: print it and leave. */
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'refuse'; readonly problem: string }

export interface ObserverOptions {
  /** The node to look at, as it was given. */
  readonly node: string
  readonly cookie: string | undefined
  /** Of the observer's own node. */
  readonly name: string | undefined
  readonly isShort: boolean
  /** Path of a configuration file, for its `[dist]`. */
  readonly config: string | undefined
  /** `KEY=VALUE`, in the order given. */
  readonly sets: readonly string[]
  /** Expressions to evaluate instead of showing a prompt. */
  readonly evals: readonly string[]
  /** Changes are made without asking. */
  readonly yes: boolean
  /** Text top instead of a prompt. */
  readonly top: TopRequest | undefined
}

export interface TopRequest {
  readonly intervalMs: number
  readonly lines: number
  readonly sort: TopSort
  readonly rounds: number | undefined
}

const SPELLINGS: Readonly<Record<string, string>> = {
  '-name': '--name',
  '-sname': '--sname',
  '-setcookie': '--cookie',
  '--setcookie': '--cookie',
  '-eval': '--eval',
  '-hidden': '--hidden',
  '-top': '--top',
}

const NOTE = `
Without --eval or --top there is a prompt, where help() lists the commands.
ERL_EPMD_PORT or AGNER_EPMD_PORT chooses the port of epmd.`

/** Reads the arguments that follow the program's name. */
export function parseObserverArgs(argv: readonly string[], version: string): ObserverInvocation {
  let printed = ''
  const command = new Command('bin/observer')
    .description('Looks at a node of the cluster, one of ours or of Erlang, as a hidden node.')
    .argument('<NODE>', 'node to look at, such as n1@127.0.0.1')
    .option('--cookie <COOKIE>', 'the cookie of the cluster (else AGNER_COOKIE, else ~/.agner.cookie)')
    .option('--name <NAME@HOST>', 'name of the observer itself (default: observer-RANDOM on the host of NODE)')
    .option('--sname <NAME>', 'the same, with a short name')
    .option('--eval <EXPRESSION>', 'print the value of an expression and leave; may be repeated', collect)
    .option('--config <FILE>', 'a configuration file, for how nodes talk: its [dist]')
    .option('--set <KEY=VALUE>', 'sets one of its keys, such as dist.proto=inet_tls; may be repeated', collect)
    .option('--yes', 'make changes without asking')
    .option('--top', 'print the busiest processes again and again, as etop does')
    .option('--interval <SECONDS>', 'of --top', number(0.1, 60), 5)
    .option('--lines <COUNT>', 'processes of --top', integer(1, 500), 20)
    .addOption(new Option('--sort <KEY>', 'of --top').choices([...TOP_SORTS]).default('reds'))
    .option('--rounds <COUNT>', 'end --top after so many', integer(1, 1_000_000))
    .addOption(new Option('--hidden').hideHelp())
    .addHelpText('after', NOTE)
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {}, getOutHelpWidth: () => 100 })
  try {
    command.parse(argv.map(normalise), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { kind: 'print', text: printed }
    return { kind: 'refuse', problem: error.message.replace(/^error: /, '').replace('\n', ' ') }
  }
  return invocationOf(command.args[0]!, command.opts<Given>())
}

interface Given {
  readonly cookie?: string
  readonly name?: string
  readonly sname?: string
  readonly eval?: readonly string[]
  readonly config?: string
  readonly set?: readonly string[]
  readonly yes?: boolean
  readonly top?: boolean
  readonly interval: number
  readonly lines: number
  readonly sort: TopSort
  readonly rounds?: number
}

function invocationOf(node: string, given: Given): ObserverInvocation {
  const { cookie, name, sname, config, set: sets = [], eval: evals = [], yes = false, top = false } = given
  const { interval, lines, sort, rounds } = given
  if (name !== undefined && sname !== undefined) return refuse('--name and --sname exclude each other')
  if (evals.length > 0 && top) return refuse('--eval and --top exclude each other')
  return {
    kind: 'observe',
    options: {
      node,
      cookie,
      name: name ?? sname,
      isShort: sname !== undefined,
      config,
      sets,
      evals,
      yes,
      top: top ? { intervalMs: interval * 1000, lines, sort, rounds } : undefined,
    },
  }
}

function refuse(problem: string): ObserverInvocation {
  return { kind: 'refuse', problem }
}

function normalise(argument: string): string {
  return SPELLINGS[argument] ?? argument
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`)
    return value
  }
}

function integer(min: number, max: number): (text: string) => number {
  const inRange = number(min, max)
  return (text) => {
    const value = inRange(text)
    if (!Number.isInteger(value)) throw new InvalidArgumentError('It must be a whole number.')
    return value
  }
}
