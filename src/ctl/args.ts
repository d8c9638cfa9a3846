/** The command line of bin/ctl: options before the command, then its words as they are; `--json` may also stand last. */
import { Command, CommanderError } from 'commander'

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: 'run'; readonly options: CtlOptions }
  /** `--help` and `--version`: print it and leave. */
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'refuse'; readonly problem: string }

export interface CtlOptions {
  /** The node that runs the command. */
  readonly node: string
  readonly cookie: string | undefined
  readonly json: boolean
  /** The command and what follows it. */
  readonly words: readonly string[]
}

/** The node that `npm start` starts. */
const DEFAULT_NODE = 'n1@127.0.0.1'

const JSON_OPTION = '--json'

const SPELLINGS: Readonly<Record<string, string>> = {
  '-name': '--name',
  '-setcookie': '--cookie',
  '--setcookie': '--cookie',
}

/** Reads the arguments that follow the program's name. `environmentNode` is AGNER_NODE, where the user has set it. */
export function parseArgs(argv: readonly string[], version: string, environmentNode: string | undefined): Invocation {
  let printed = ''
  const command = new Command('bin/ctl')
    .description('Runs one command on a node; `bin/ctl help` lists the commands that it has.')
    .option('--name <NODE>', `the node to ask (default: AGNER_NODE, else ${DEFAULT_NODE})`)
    .option('--node <NODE>', 'another member of its cluster that is to run the command')
    .option('--cookie <COOKIE>', 'what nodes must share to connect (else AGNER_COOKIE, else ~/.agner.cookie)')
    .option(JSON_OPTION, 'print JSON; may also stand behind the command')
    .argument('[command...]', 'the command and its words')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .passThroughOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {}, getOutHelpWidth: () => 100 })
  try {
    command.parse(normalise(argv), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { kind: 'print', text: printed }
    return { kind: 'refuse', problem: error.message.replace(/^error: /, '').replace('\n', ' ') }
  }
  const { name, node, cookie, json } = command.opts<{ name?: string; node?: string; cookie?: string; json?: boolean }>()
  const asked = name ?? environmentNode ?? DEFAULT_NODE
  const isJsonLast = command.args.length > 1 && command.args.at(-1) === JSON_OPTION
  const words = isJsonLast ? command.args.slice(0, -1) : command.args
  const options = { node: memberName(node, asked), cookie, json: json === true || isJsonLast, words }
  return { kind: 'run', options }
}

/** `n2` is the node of that name on the host of the one that would be asked. */
function memberName(node: string | undefined, asked: string): string {
  if (node === undefined) return asked
  return node.includes('@') ? node : `${node}${asked.slice(asked.indexOf('@'))}`
}

/** Erlang's spellings, before the command begins: commander would read `-name` as four letters. */
function normalise(argv: readonly string[]): string[] {
  const end = argv.findIndex((argument, index) => !argument.startsWith('-') && !takesValue(argv[index - 1]))
  return argv.map((argument, index) => (end >= 0 && index >= end ? argument : (SPELLINGS[argument] ?? argument)))
}

function takesValue(argument: string | undefined): boolean {
  const option = SPELLINGS[argument ?? ''] ?? argument
  return option === '--name' || option === '--node' || option === '--cookie'
}
