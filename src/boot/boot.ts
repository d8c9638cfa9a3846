/**
 * Starts a node from a command line, keeps it until it is told to stop, and stops it in order.
 *
 *     arguments → node name → configuration → cookie → (background) → broker → "is started" → signal → stop
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
import { hashPassword } from '../broker/auth-password.ts'
import type { BrokerConfig } from '../broker/config.ts'
import { readCookie } from '../dist/cookie.ts'
import { checkNodeName, type Resolve } from '../dist/node-name.ts'
import { parseArgs, type StartOptions } from './args.ts'
import { type Config, readConfig } from './config-file.ts'
import { describeStartError } from './start-error.ts'
import { StartLog } from './start-log.ts'

/** What the broker is started with. */
export interface BrokerStart {
  /** Name of the node. */
  readonly name: string
  readonly cookie: string
  readonly config: BrokerConfig
  readonly dataDir: string
  readonly logger: Logger
  /** Of this package. */
  readonly version: string
}

/** A broker that runs. */
export interface BrokerHandle {
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[]
  /** Resolves with the reason when the broker ends by itself. */
  readonly ended: Promise<unknown>
  /** Ends listeners, connections, sessions and the runtime, in this order; resolves when all are gone. */
  stop(): Promise<void>
}

/** The OS process around a node. */
export interface World {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** Directory of the package, with etc/ in it. */
  readonly root: string
  readonly version: string
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean
  out(text: string): void
  err(text: string): void
  /** Takes a line of the log; as `err`, but not for the user's eyes when the node is in the background. */
  log(line: string): void
  readStdin(): Promise<Buffer>
  readonly resolveHost: Resolve
  startBroker(start: BrokerStart): Promise<BrokerHandle>
  /** Resolves with the name of the first signal that asks the node to stop. */
  untilSignal(): Promise<string>
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
  const { name, dataDir } = options
  const refuse = (...sentences: string[]) => {
    for (const sentence of sentences) world.err(`${sentence}\n`)
    return BAD_USAGE
  }
  const checked = await checkNodeName(name, world.resolveHost)
  if (!checked.ok) return refuse(checked.problem)
  const configured = await configure(world, options)
  if (!configured.ok) return refuse(...configured.errors)
  const { config } = configured
  const cookie = await readCookie({ option: options.cookie, env: world.env, home: world.home })
  if (!cookie.ok) return refuse(cookie.problem)
  if (options.detached) return world.detach(dataDir)

  const startLog = new StartLog(world.log)
  const logger = createNodeLogger(world, config, name, startLog)
  if (checked.warning !== undefined) logger.warn(checked.warning)
  if (cookie.source === 'new_file') logger.info(`a cookie was made at random in ${world.home}/.agner.cookie`)
  let broker: BrokerHandle
  try {
    const { version } = world
    const { log: _, ...brokerConfig } = config
    broker = await world.startBroker({ name, cookie: cookie.cookie, config: brokerConfig, dataDir, logger, version })
  } catch (error) {
    logger.debug({ err: error }, 'start failed')
    const { sentence, isConfiguration, isExplained } = describeStartError(error, config)
    if (!isExplained || logger.isLevelEnabled('debug')) startLog.release()
    world.err(`${sentence}\n`)
    return isConfiguration ? BAD_USAGE : FAILED
  }
  startLog.release()
  world.out(announcement(name, broker))
  const why = await Promise.race([
    world.untilSignal().then((signal) => ({ signal })),
    broker.ended.then((reason) => ({ reason })),
  ])
  if ('signal' in why) logger.info(why, 'stopping')
  else logger.fatal(why, 'the broker has ended')
  await broker.stop()
  logger.info('stopped')
  return 'signal' in why ? 0 : FAILED
}

/** Reads `--config`, or etc/agner.toml as shipped when that is there. */
async function configure(
  world: World,
  options: StartOptions,
): Promise<{ ok: true; config: Config } | { ok: false; errors: readonly string[] }> {
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
  const { aclFile } = config.access
  if (aclFile === '') return result
  return { ok: true, config: { ...config, access: { ...config.access, aclFile: resolvePath(dirname(path), aclFile) } } }
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

function announcement(name: string, { listeners }: BrokerHandle): string {
  const lines = [`Node '${name}' is started`]
  for (const { name: listener, host, port } of listeners) lines.push(`listener on ${listener}:${address(host, port)}`)
  const mqtt = listeners[0]
  if (mqtt !== undefined) {
    const to = `-h ${isAnyAddress(mqtt.host) ? '127.0.0.1' : mqtt.host} -p ${mqtt.port} -t hello`
    lines.push(`Try: mosquitto_sub ${to}    and, beside it: mosquitto_pub ${to} -m world    (Ctrl-C ends the node)`)
  }
  return `${lines.join('\n')}\n`
}

function address(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
