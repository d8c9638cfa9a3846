/**
 * bin/observer from a command line on: a hidden node that connects to the one to be observed, and then a prompt, the values of
 * expressions, or text top.
 *
 *     arguments → cookie → hidden node → connection → prompt | --eval | --top → the observer leaves, the node stays
 *
 * Exit codes: 0; 1 with one sentence when there is no connection or an expression fails; 2 for a bad command line. What belongs
 * to the OS process comes in as an `ObserverWorld`, so that all of this runs in a test.
 */
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { realSystem } from '../actors/system.ts'
import { readCookie } from '../dist/cookie.ts'
import { parseAddress } from '../dist/ip.ts'
import { parseNodeName } from '../dist/node-name.ts'
import { type Node, startNode } from '../dist/start-node.ts'
import { observerCommands } from '../observer/commands/all.ts'
import { Pids } from '../observer/print/pids.ts'
import type { PrintOptions } from '../observer/print/print.ts'
import { Session } from '../observer/session.ts'
import { evaluateAll } from '../observer/shell/evaluate-all.ts'
import { Prompt, type PromptOptions } from '../observer/shell/prompt.ts'
import { ObserverError } from '../observer/target.ts'
import { runTop } from '../observer/top.ts'
import { readConfig } from './config-file.ts'
import { type DistOptionsResult, distOptions } from './dist-options.ts'
import { epmdPort } from './epmd.ts'
import { type ObserverOptions, parseObserverArgs } from './observer-args.ts'
import { type Failures, noConnection } from './observer-failure.ts'

/** The OS process around an observer. */
export interface ObserverWorld {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly version: string
  readonly input: PromptOptions['input']
  readonly output: PromptOptions['output']
  /** Whether anybody still takes what is written. */
  isOutputOpen(): boolean
  err(text: string): void
  /** Takes the log of the observer's own node: nothing but why it cannot connect is of interest. */
  logger(failures: Failures): Logger
  /** Starts an epmd when none answers. */
  startEpmd(port: number): Promise<void>
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal
}

const FAILED = 1
const BAD_USAGE = 2

/** Lines of a pipe or a file: tables are not cut. */
const COLUMNS_OF_NO_TERMINAL = 200

/** Runs a command line; resolves with the exit code when the user has left. */
export async function runObserver(world: ObserverWorld): Promise<number> {
  const invocation = parseObserverArgs(world.argv, world.version)
  switch (invocation.kind) {
    case 'print':
      world.output.write(invocation.text)
      return 0
    case 'refuse':
      world.err(`bin/observer: ${invocation.problem}\nTry bin/observer --help\n`)
      return BAD_USAGE
    case 'observe':
      return observe(world, invocation.options)
  }
}

async function observe(world: ObserverWorld, options: ObserverOptions): Promise<number> {
  const refuse = (sentence: string): number => {
    world.err(`bin/observer: ${sentence}\n`)
    return BAD_USAGE
  }
  const names = namesOf(options)
  if (typeof names === 'string') return refuse(names)
  const port = epmdPort(world.env)
  if (typeof port === 'string') return refuse(port)
  const dist = await distOf(world, options)
  if (!dist.ok) return refuse(dist.problems.join('\n'))
  const cookie = await readCookie({ option: options.cookie, env: world.env, home: world.home })
  if (!cookie.ok) return refuse(cookie.problem)
  const failures: Failures = { reason: undefined, lines: [] }
  const started = await startNode({
    ...dist.options,
    name: names.own,
    cookie: cookie.cookie,
    hidden: true,
    // Nobody has a reason to connect to an observer.
    listen: { host: '127.0.0.1' },
    epmdPort: port,
    logger: world.logger(failures),
    // On the host of the node there is an epmd, or there is no node.
    ...(isHere(names.host) ? {} : { startEpmd: () => world.startEpmd(port) }),
  })
  if (!started.ok) {
    const isNobodyHere = started.reason === 'epmd' && isHere(names.host)
    world.err(
      isNobodyHere
        ? `${names.node} does not run: no epmd answers on port ${port} of this host\n`
        : `the observer cannot start: ${started.problem}\n`,
    )
    return FAILED
  }
  const { node } = started
  try {
    if (!(await node.distribution.connect(names.node))) {
      world.err(`${noConnection(names.node, failures)}\n`)
      return FAILED
    }
    return await look(world, options, node, names.node)
  } catch (error) {
    if (!(error instanceof ObserverError)) throw error
    world.err(`${error.message}\n`)
    return FAILED
  } finally {
    await node.stop()
  }
}

/** How nodes talk, as for bin/node: by TLS, say. */
async function distOf(world: ObserverWorld, { config: path, sets }: ObserverOptions): Promise<DistOptionsResult> {
  let text = ''
  if (path !== undefined) {
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return { ok: false, problems: [`the configuration file ${path} cannot be read: ${code ?? message}`] }
    }
  }
  const file = path === undefined ? undefined : { name: path, text }
  const result = readConfig({ file, env: world.env, sets })
  if (!result.ok) return { ok: false, problems: result.errors }
  return distOptions(result.config.dist, path === undefined ? '.' : dirname(path))
}

interface Names {
  readonly node: string
  readonly host: string
  readonly own: string
}

/** The name of the node and of the observer, or what is wrong with them. */
function namesOf({ node, name, isShort }: ObserverOptions): Names | string {
  const own = name === undefined || name.includes('@') ? name : undefined
  const host = own === undefined ? '127.0.0.1' : parseNodeName(own)?.host
  const full = node.includes('@') ? node : `${node}@${host}`
  const parsed = parseNodeName(full)
  if (parsed === undefined) return `${node} is no node name: write n1@127.0.0.1`
  if (name !== undefined && own === undefined && !isShort)
    return `the name ${name} has no host: write --name ${name}@${parsed.host}`
  const ownName = own ?? `${name ?? `observer-${random()}`}@${parsed.host}`
  if (parseNodeName(ownName) === undefined) return `${ownName} is no node name: write --name me@127.0.0.1`
  return { node: full, host: parsed.host, own: ownName }
}

function random(): string {
  const bytes = new Uint8Array(4)
  realSystem().randomFill(bytes)
  return Buffer.from(bytes).toString('hex')
}

function isHere(host: string): boolean {
  return host === 'localhost' || host === '::1' || (parseAddress(host) !== undefined && host.startsWith('127.'))
}

async function look(world: ObserverWorld, options: ObserverOptions, own: Node, node: string): Promise<number> {
  const { runtime } = own
  const pids = new Pids(runtime.node)
  const common = { runtime, node, commands: observerCommands(), pids }
  const { evals, yes, top } = options
  if (evals.length === 0 && top === undefined) {
    const { input, output, home, version } = world
    const prompt = await Prompt.start({ input, output, home, session: common, yes, greeting: `observer ${version}` })
    world.signal.addEventListener('abort', () => prompt.close(), { once: true })
    await prompt.ended
    return 0
  }
  const session = new Session({
    ...common,
    confirm: async (question) => {
      if (!yes) throw new ObserverError(`${question}: add --yes to have it done`, 'not_confirmed')
      return true
    },
  })
  const printing: PrintOptions = {
    columns: world.output.columns ?? COLUMNS_OF_NO_TERMINAL,
    pid: (pid) => pids.write(pid),
    charlists: (await session.sourceOf(node)).isErlang,
  }
  const out = (text: string): boolean => {
    world.output.write(text)
    return world.isOutputOpen()
  }
  try {
    if (top !== undefined) {
      await runTop({ ...top, session, out, print: printing, signal: world.signal })
      return 0
    }
    return (await evaluateAll(session, evals, { ...world, out, print: printing })) ? 0 : FAILED
  } finally {
    await session.close()
  }
}
