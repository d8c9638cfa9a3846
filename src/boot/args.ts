/**
 * The command line of bin/node.
 *
 * Erlang's spellings (`-name`, `-setcookie`) are turned into ours before commander sees them: it would read `-name` as
 * four one-letter options. Options of capabilities that this version does not have are known, so that the answer says
 * so and not "unknown option".
 */
import { Command, CommanderError, Option } from 'commander'

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: 'start'; readonly options: StartOptions }
  | { readonly kind: 'hash_password' }
  /** `--help` and `--version`: print it and leave. */
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'refuse'; readonly problem: string }

export interface StartOptions {
  readonly name: string
  readonly cookie: string | undefined
  /** Path of the configuration file; undefined takes the one that is shipped. */
  readonly config: string | undefined
  readonly dataDir: string
  /** `KEY=VALUE`, in the order given. */
  readonly sets: readonly string[]
  readonly detached: boolean
}

const SPELLINGS: Readonly<Record<string, string>> = {
  '-name': '--name',
  '-sname': '--sname',
  '-setcookie': '--cookie',
  '--setcookie': '--cookie',
  '-hidden': '--hidden',
  '-detached': '--detached',
}

/** Options that the command line will have, and what they need that is not there yet. */
const NOT_YET: Readonly<Record<string, string>> = {
  sname: 'short node names need distribution; use --name NAME@HOST',
  hidden: 'hidden nodes need distribution',
  join: 'joining a cluster needs distribution',
  console: 'the shell is not part of this version',
}

/** Reads the arguments that follow the program's name. */
export function parseArgs(argv: readonly string[], version: string): Invocation {
  let printed = ''
  const command = new Command('bin/node')
    .description('Starts a named node with the MQTT broker on it.')
    .option('--name <NAME@HOST>', 'name of the node, such as n1@127.0.0.1')
    .option('--cookie <COOKIE>', 'what nodes must share to connect (else AGNER_COOKIE, else ~/.agner.cookie)')
    .option('--config <FILE>', 'configuration file (default: etc/agner.toml as shipped)')
    .option('--data-dir <DIR>', 'where the node keeps its files (default: data/NAME@HOST)')
    .option('--set <KEY=VALUE>', 'sets a configuration key, such as listeners.tcp.port=2883; may be repeated', collect)
    .option(
      '--detached',
      'start in the background, return when started; output goes to agner.log in the data directory',
    )
    .option('--hash-password', 'read a password from standard input and print its hash for [access.users]')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {}, getOutHelpWidth: () => 100 })
    .showSuggestionAfterError(true)
  for (const flags of ['--sname <NAME>', '--hidden', '--join <NODE>', '--yes', '--console']) {
    command.addOption(new Option(flags).hideHelp())
  }
  try {
    command.parse(argv.map(normalise), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { kind: 'print', text: printed }
    return { kind: 'refuse', problem: error.message.replace(/^error: /, '').replace('\n', ' ') }
  }
  return invocationOf(command.opts())
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
  for (const [option, reason] of Object.entries(NOT_YET)) {
    if (options[option] !== undefined) return { kind: 'refuse', problem: `--${option} is not available yet: ${reason}` }
  }
  if (options.yes !== undefined) return { kind: 'refuse', problem: '--yes is not available yet: it goes with --join' }
  const { name, cookie, config, dataDir, set, detached } = options
  if (typeof name !== 'string') return { kind: 'refuse', problem: 'a node needs a name: --name n1@127.0.0.1' }
  return {
    kind: 'start',
    options: {
      name,
      cookie: typeof cookie === 'string' ? cookie : undefined,
      config: typeof config === 'string' ? config : undefined,
      dataDir: typeof dataDir === 'string' ? dataDir : `data/${name}`,
      sets: (set as readonly string[] | undefined) ?? [],
      detached: detached === true,
    },
  }
}
