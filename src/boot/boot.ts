/**
 * Starts a node from a command line, keeps it until it is told to stop, and stops it in order.
 *
 *     arguments → node name → configuration → cookie → (background) → node (run-node.ts) → "is started" → signal → stop
 *                 └──────────────────────────────── `bin/ctl restart` ◀─────────────────────────────────┘
 *
 * The contract with scripts: stdout gets `Node 'NAME' is started` when every listener is open, then what listens
 * where; exit 0 after an ordered stop, 1 when the start fails, 2 for a bad command line or configuration, each with one
 * sentence on stderr. What belongs to the OS process comes in as a `World`, so that all of this runs in a test.
 */
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve as resolvePath } from 'node:path'
import type { Logger } from 'pino'
import { createLogger, type LogDestination } from '../actors/logger.ts'
import { realSystem } from '../actors/system.ts'
import { hashPassword } from '../broker/access/auth-password.ts'
import { readCookie } from '../dist/cookie.ts'
import { canTalk, checkNodeName, checkShortNodeName, parseNodeName, type Resolve } from '../dist/node-name.ts'
import { parseArgs, type StartOptions } from './args.ts'
import { type Config, readConfig } from './config-file.ts'
import type { NodeConsole, Terminal } from './console.ts'
import { type DistOptions, distOptions } from './dist-options.ts'
import { epmdPort } from './epmd.ts'
import type { NodeStart, RunningNode } from './run-node.ts'
import { describeStartError } from './start-error.ts'
import { StartLog } from './start-log.ts'

/** The OS process around a node. */
export interface World {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** Of this machine, for `--sname NAME`. */
  readonly hostname: string
  /** Directory of the package, with etc/ in it. */
  readonly root: string
  readonly version: string
  /** Whether it was started by `--detached`. */
  readonly isInBackground: boolean
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean
  out(text: string): void
  err(text: string): void
  /** Takes a line of the log; as `err`, but not for the user's eyes when the node is in the background. */
  log(line: string): void
  readStdin(): Promise<Buffer>
  readonly resolveHost: Resolve
  /** Starts an epmd that outlives the node; resolves when it listens or cannot be had. */
  startEpmd(port: number): Promise<void>
  runNode(start: NodeStart): Promise<RunningNode>
  /** For `--console`. */
  readonly terminal: Terminal
  /** Resolves with the name of the first signal that asks the node to stop; Ctrl+C does not when there is a console. */
  untilSignal(hasConsole: boolean): Promise<string>
  /** Starts the same command line without `--detached` in the background; resolves with its exit code, 0 when it runs. */
  detach(dataDir: string): Promise<number>
}

const FAILED = 1
const BAD_USAGE = 2

/** Runs a command line; resolves with the exit code, for a node when it has stopped. */
export async function boot(world: World): Promise<number> {
  const invocation = parseArgs(world.argv, world.version)
  switch (invocation.kind) {
    case 'print':
      world.out(invocation.text)
      return 0
    case 'refuse':
      world.err(`bin/node: ${invocation.problem}\nTry bin/node --help\n`)
      return BAD_USAGE
    case 'hash_password':
      return printHash(world)
    case 'start':
      return startNode(world, invocation.options)
  }
}

async function printHash(world: World): Promise<number> {
  const input = (await world.readStdin()).toString('utf8').replace(/\r?\n$/, '')
  if (input === '') {
    world.err('bin/node: no password on standard input\n')
    return BAD_USAGE
  }
  const salt = new Uint8Array(16)
  realSystem().randomFill(salt)
  world.out(`${await hashPassword(Buffer.from(input), salt)}\n`)
  return 0
}

async function startNode(world: World, options: StartOptions): Promise<number> {
  let signal: Promise<string> | undefined
  for (;;) {
    const prepared = await prepare(world, options)
    if (!prepared.ok) {
      for (const problem of prepared.problems) world.err(`${problem}\n`)
      return BAD_USAGE
    }
    if (options.detached) return world.detach(prepared.dataDir)
    signal ??= world.untilSignal(options.console)
    const end = await runOnce(world, options, prepared, signal)
    if (end !== 'restart') return end
  }
}

/** Resolves with the exit code, or with the wish to be started again. */
async function runOnce(
  world: World,
  options: StartOptions,
  prepared: Prepared,
  signal: Promise<string>,
): Promise<number | 'restart'> {
  const { name, config } = prepared
  let nodeConsole: NodeConsole | undefined
  const startLog = new StartLog((line) =>
    nodeConsole === undefined ? world.log(line) : nodeConsole.notice(line.trimEnd()),
  )
  const logger = createNodeLogger(world, config, name, startLog)
  for (const warning of prepared.warnings) logger.warn(warning)
  if (prepared.isNewCookie) logger.info(`a cookie was made at random in ${world.home}/.agner.cookie`)
  let node: RunningNode
  try {
    node = await world.runNode(nodeStart(world, options, prepared, logger))
  } catch (error) {
    logger.debug({ err: error }, 'start failed')
    const { sentence, isConfiguration, isExplained } = describeStartError(error, config)
    if (!isExplained || logger.isLevelEnabled('debug')) startLog.release()
    world.err(`${sentence}\n`)
    return isConfiguration ? BAD_USAGE : FAILED
  }
  startLog.release()
  world.out(announcement(name, node, !options.console && !world.isInBackground))
  if (options.console) nodeConsole = await node.openConsole(world.terminal)
  const why = await Promise.race([
    ...(nodeConsole === undefined ? [] : [nodeConsole.ended.then(() => ({ console: 'left' }))]),
    signal.then((name) => ({ signal: name })),
    node.asked.then((asked) => ({ asked })),
    node.ended.then((reason) => ({ reason })),
  ])
  if ('reason' in why) logger.fatal(why, 'the node has ended by itself')
  else logger.info(why, 'stopping')
  nodeConsole?.close()
  await nodeConsole?.ended
  nodeConsole = undefined
  await node.stop()
  logger.info('stopped')
  if ('asked' in why && why.asked === 'restart') return 'restart'
  return 'reason' in why ? FAILED : 0
}

function nodeStart(world: World, options: StartOptions, prepared: Prepared, logger: Logger): NodeStart {
  const { log: _log, dist: _dist, cluster, ...brokerConfig } = prepared.config
  const { name, cookie, dist, dataDir, epmdPort } = prepared
  const { hidden, join, yes, rename } = options
  return {
    name,
    cookie,
    hidden,
    cluster: {
      seeds: join === undefined ? cluster.seeds : [join, ...cluster.seeds],
      confirmSeeds: yes,
      partitionPolicy: cluster.partition,
      startWaitMs: cluster.startWaitMs,
      rename,
    },
    dist,
    epmdPort,
    config: { ...brokerConfig, cluster: { autocleanMs: cluster.autocleanMs } },
    dataDir,
    logger,
    version: world.version,
    startEpmd: () => world.startEpmd(epmdPort),
  }
}

/** All that is known and checked before anything is started. */
interface Prepared {
  readonly ok: true
  readonly name: string
  readonly config: Config
  readonly dist: DistOptions
  readonly epmdPort: number
  readonly cookie: string
  readonly isNewCookie: boolean
  readonly dataDir: string
  readonly warnings: readonly string[]
}

async function prepare(
  world: World,
  options: StartOptions,
): Promise<Prepared | { readonly ok: false; readonly problems: readonly string[] }> {
  const refuse = (...problems: readonly string[]) => ({ ok: false, problems }) as const
  const { resolveHost, hostname, env, home } = world
  const checked = options.isShortName
    ? await checkShortNodeName(options.name, hostname, resolveHost)
    : await checkNodeName(options.name, resolveHost)
  if (!checked.ok) return refuse(checked.problem)
  const { name, warning } = checked
  const problem = options.join === undefined ? undefined : joinProblem(name, options.join)
  if (problem !== undefined) return refuse(problem)
  const configured = await configure(world, options)
  if (!configured.ok) return refuse(...configured.errors)
  const { config, folder } = configured
  const oversize = frameProblem(config)
  if (oversize !== undefined) return refuse(oversize)
  const dist = await distOptions(config.dist, folder)
  if (!dist.ok) return refuse(...dist.problems)
  const port = epmdPort(env)
  if (typeof port === 'string') return refuse(port)
  const cookie = await readCookie({ option: options.cookie, env, home })
  if (!cookie.ok) return refuse(cookie.problem)
  return {
    ok: true,
    name,
    config,
    dist: dist.options,
    epmdPort: port,
    cookie: cookie.cookie,
    isNewCookie: cookie.source === 'new_file',
    dataDir: options.dataDir ?? join('data', name),
    warnings: warning === undefined ? [] : [warning],
  }
}

/** A client's packet has to fit into a message between nodes, where it takes up to twice its size. */
function frameProblem({ mqtt, dist }: Config): string | undefined {
  if (dist.maxFrameBytes >= 2 * mqtt.maxPacketBytes) return undefined
  return 'dist.max_frame must be at least twice mqtt.max_packet_size: what a client sends has to fit into a message between nodes'
}

/** What is wrong with the node of `--join`. */
function joinProblem(own: string, other: string): string | undefined {
  if (parseNodeName(other) === undefined) return `--join takes the name of a node, NAME@HOST, not ${other}`
  if (other === own) return `--join ${other} is the node itself; name another one`
  if (canTalk(own, other)) return undefined
  return `--join ${other}: nodes with long and with short names do not talk, and this one is ${own}`
}

/** Reads `--config`, or etc/agner.toml as shipped when that is there. */
async function configure(
  world: World,
  options: StartOptions,
): Promise<{ ok: true; config: Config; folder: string } | { ok: false; errors: readonly string[] }> {
  const path = options.config ?? join(world.root, 'etc', 'agner.toml')
  let text: string | undefined
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (options.config !== undefined || code !== 'ENOENT') {
      return { ok: false, errors: [`the configuration file ${path} cannot be read: ${code ?? message}`] }
    }
  }
  const file = text === undefined ? undefined : { name: path, text }
  const result = readConfig({ file, env: world.env, sets: options.sets })
  if (!result.ok) return result
  const { config } = result
  const folder = dirname(path)
  const { aclFile } = config.access
  if (aclFile === '') return { ok: true, config, folder }
  const access = { ...config.access, aclFile: resolvePath(folder, aclFile) }
  return { ok: true, config: { ...config, access }, folder }
}

function createNodeLogger(world: World, { log }: Config, node: string, destination: LogDestination): Logger {
  const isPretty = log.format === 'pretty' || (log.format === 'auto' && world.isTerminal)
  return createLogger({
    level: log.level,
    format: isPretty ? 'pretty' : 'json',
    colours: world.isTerminal && world.env.NO_COLOR === undefined,
    node,
    clock: realSystem().clock,
    destination,
  })
}

function announcement(name: string, { listeners }: RunningNode, endsByCtrlC: boolean): string {
  const lines = [`Node '${name}' is started`]
  for (const { name: listener, host, port } of listeners) lines.push(`listener on ${listener}:${address(host, port)}`)
  const mqtt = listeners.find((listener) => listener.name === 'mqtt')
  if (mqtt !== undefined) {
    const to = `-h ${isAnyAddress(mqtt.host) ? '127.0.0.1' : mqtt.host} -p ${mqtt.port} -t hello`
    lines.push(
      `Try: mosquitto_sub ${to}    and, beside it: mosquitto_pub ${to} -m world${endsByCtrlC ? '    (Ctrl-C ends the node)' : ''}`,
    )
  }
  return `${lines.join('\n')}\n`
}

function address(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
