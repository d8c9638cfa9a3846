/**
 * The command line of bin/node.
 *
 * Erlang's spellings (`-name`, `-setcookie`) are turned into ours before commander sees them: it would read `-name` as
 * four one-letter options.
 */
import { Command, CommanderError } from 'commander'

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: 'start'; readonly options: StartOptions }
  | { readonly kind: 'hash_password' }
  /** `--help` and `--version`: print it and leave. */
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'refuse'; readonly problem: string }

export interface StartOptions {
  /** As given: `NAME@HOST`, of a short name also NAME alone. */
  readonly name: string
  /** It was given as `--sname`. */
  readonly isShortName: boolean
  readonly hidden: boolean
  /** The node whose cluster is to be joined, as given. */
  readonly join: string | undefined
  /** Rows that joining replaces are given up without asking; they are in the backup. */
  readonly yes: boolean
  /** The data directory may be of a node with another name. */
  readonly rename: boolean
  readonly cookie: string | undefined
  /** Path of the configuration file; undefined takes the one that is shipped. */
  readonly config: string | undefined
  /** Undefined takes `data/NAME@HOST`. */
  readonly dataDir: string | undefined
  /** `KEY=VALUE`, in the order given. */
  readonly sets: readonly string[]
  readonly detached: boolean
  /** With a shell on the node itself. */
  readonly console: boolean
}

const SPELLINGS: Readonly<Record<string, string>> = {
  '-name': '--name',
  '-sname': '--sname',
  '-setcookie': '--cookie',
  '--setcookie': '--cookie',
  '-hidden': '--hidden',
  '-detached': '--detached',
}

/** Reads the arguments that follow the program's name. */
export function parseArgs(argv: readonly string[], version: string): Invocation {
  let printed = ''
  const command = new Command('bin/node')
    .description('Starts a named node with the MQTT broker on it.')
    .option('--name <NAME@HOST>', 'name of the node, such as n1@127.0.0.1')
    .option('--sname <NAME>', 'short name, for hosts that know each other without a domain; NAME@HOST or NAME')
    .option('--cookie <COOKIE>', 'what nodes must share to connect (else AGNER_COOKIE, else ~/.agner.cookie)')
    .option('--config <FILE>', 'configuration file (default: etc/agner.toml as shipped)')
    .option('--data-dir <DIR>', 'where the node keeps its files (default: data/NAME@HOST)')
    .option('--set <KEY=VALUE>', 'sets a configuration key, such as listeners.tcp.port=2883; may be repeated', collect)
    .option('--hidden', 'connect to nodes without being listed by them, and not to the nodes that they know')
    .option(
      '--join <NODE>',
      'join the cluster of a node as soon as it is there, unless this node is in a cluster already or has left one',
    )
    .option(
      '--yes',
      'let --join replace rows that this node has in shared tables; they are saved to a backup in any case',
    )
    .option(
      '--rename',
      'take over the data of a node that had another name; it must have been removed from its cluster',
    )
    .option(
      '--detached',
      'start in the background, return when started; output goes to agner.log in the data directory',
    )
    .option('--console', 'start with a shell on the node, that of bin/observer; whoever leaves it stops the node')
    .option('--hash-password', 'read a password from standard input and print its hash for [access.users]')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {}, getOutHelpWidth: () => 100 })
    .showSuggestionAfterError(true)
  try {
    command.parse(argv.map(normalise), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { kind: 'print', text: printed }
    return { kind: 'refuse', problem: error.message.replace(/^error: /, '').replace('\n', ' ') }
  }
  return invocationOf(command.opts())
}

/** Options with values. */
type Given = Readonly<Partial<Record<'name' | 'sname' | 'join' | 'cookie' | 'config' | 'dataDir', string>>> & {
  readonly set?: readonly string[]
}

function normalise(argument: string): string {
  const equals = argument.indexOf('=')
  const spelling = equals < 0 ? argument : argument.slice(0, equals)
  return (SPELLINGS[spelling] ?? spelling) + (equals < 0 ? '' : argument.slice(equals))
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

function invocationOf(options: Readonly<Record<string, unknown>>): Invocation {
  if (options.hashPassword === true) return { kind: 'hash_password' }
  const { name, sname, join, cookie, config, dataDir, set } = options as Given
  if (name !== undefined && sname !== undefined) {
    return { kind: 'refuse', problem: 'a node has one name: give --name or --sname, not both' }
  }
  const given = name ?? sname
  if (given === undefined) return { kind: 'refuse', problem: 'a node needs a name: --name n1@127.0.0.1' }
  if (options.yes === true && join === undefined) {
    return { kind: 'refuse', problem: '--yes goes with --join, and there is no --join' }
  }
  if (options.console === true && options.detached === true) {
    return { kind: 'refuse', problem: '--console needs the terminal that --detached gives up: give one of them' }
  }
  return {
    kind: 'start',
    options: {
      name: given,
      isShortName: sname !== undefined,
      hidden: options.hidden === true,
      join,
      yes: options.yes === true,
      rename: options.rename === true,
      cookie,
      config,
      dataDir,
      sets: set ?? [],
      detached: options.detached === true,
      console: options.console === true,
    },
  }
}
