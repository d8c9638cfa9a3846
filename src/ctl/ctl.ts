/**
 * The program bin/ctl without the OS process around it.
 *
 * Prints what the node answers: to stdout, the reason of a failure to stderr. A command that wants to be confirmed is asked about when
 * there is somebody to ask. The exit code is 0 for a success, 1 for a refusal
 * and for a node that cannot be asked, 2 for a command line that makes no sense.
 */
import { readCookie } from '../dist/cookie.ts'
import { parseNodeName } from '../dist/node-name.ts'
import { parseArgs } from './args.ts'
import { type Response, request } from './client.ts'
import { CONFIRM, YES } from './command.ts'

/** The OS process around bin/ctl. */
export interface CtlWorld {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly version: string
  readonly epmdPort: number
  /** Differs from that of every other command line that runs now. */
  readonly unique: string
  out(text: string): void
  err(text: string): void
  /** Asks the user a question; undefined when nobody is there to answer. */
  readonly ask: ((question: string) => Promise<boolean>) | undefined
}

const FAILED = 1
const BAD_USAGE = 2

/** Runs a command line; resolves with the exit code. */
export async function ctl(world: CtlWorld): Promise<number> {
  const { argv, env, home, version, epmdPort, unique } = world
  const invocation = parseArgs(argv, version, env.AGNER_NODE)
  if (invocation.kind === 'print') {
    world.out(invocation.text)
    return 0
  }
  const refuse = (problem: string): number => {
    world.err(`bin/ctl: ${problem}\n`)
    return BAD_USAGE
  }
  if (invocation.kind === 'refuse') return refuse(`${invocation.problem}\nTry bin/ctl --help`)
  const { options } = invocation
  if (parseNodeName(options.node) === undefined) return refuse(`${options.node} is no node name: NAME@HOST`)
  const cookie = await readCookie({ option: options.cookie, env, home })
  if (!cookie.ok) return refuse(cookie.problem)
  const { node, words } = options
  const asked = { node, cookie: cookie.cookie, epmdPort, unique }
  let response = await request({ ...asked, words })
  const question = world.ask && toConfirm(response)
  if (question !== undefined) {
    if (!(await world.ask!(question))) {
      world.err('Not done.\n')
      return FAILED
    }
    response = await request({ ...asked, words: [...words, YES] })
  }
  if (response.kind === 'failed') {
    if (options.json) world.out(`${JSON.stringify({ error: 'unreachable', message: response.problem })}\n`)
    world.err(`${response.problem}\n`)
    return FAILED
  }
  const { ok, lines, json } = response
  if (options.json) world.out(`${json}\n`)
  else if (lines.length > 0) world.out(`${lines.join('\n')}\n`)
  return ok ? 0 : FAILED
}

/** What the user is to confirm before the command does it. */
function toConfirm(response: Response): string | undefined {
  if (response.kind === 'failed' || response.ok) return undefined
  const { error, message } = JSON.parse(response.json) as { readonly error?: unknown; readonly message?: unknown }
  return error === CONFIRM && typeof message === 'string' ? message : undefined
}
