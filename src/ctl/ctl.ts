/**
 * The program bin/ctl without the OS process around it.
 *
 * Prints what the node answers: to stdout, the reason of a failure to stderr. The exit code is 0 for a success, 1 for a refusal
 * and for a node that cannot be asked, 2 for a command line that makes no sense.
 */
import { readCookie } from '../dist/cookie.ts'
import { parseNodeName } from '../dist/node-name.ts'
import { parseArgs } from './args.ts'
import { request } from './client.ts'

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
  const response = await request({ node, words, cookie: cookie.cookie, epmdPort, unique })
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
