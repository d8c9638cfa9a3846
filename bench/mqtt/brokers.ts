/**
 * The brokers that are compared, each a real process of its own.
 *
 * A round starts a fresh broker on a free port and a temporary data directory and stops it again, so that no broker is
 * measured with what an earlier round left in its heap. Settings are the defaults, except for limits that exist to
 * refuse exactly what a scenario does (connects a second, filters per client, queued messages); those are lifted for all.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { realSystem } from '../../src/actors/system.ts'
import { type EpmdServer, startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HERE = fileURLToPath(new URL('.', import.meta.url))

/** How a broker is started in one round. */
export interface StartOptions {
  /** The core that the broker is pinned to; undefined where pinning is not possible. */
  readonly cpu: number | undefined
  /** Further `--set KEY=VALUE` for our broker. */
  readonly sets: readonly string[]
  /** A `.cpuprofile` that a Node broker writes between two SIGUSR2; undefined for an ordinary round. */
  readonly profile: string | undefined
}

/** A broker that listens. */
export interface RunningBroker {
  readonly port: number
  /** Every process of the broker, the one that serves first. */
  readonly pids: readonly number[]
  /** The end of what it has written to stderr. */
  lastWords(): string
  /** Stops the broker and removes its files. */
  stop(): Promise<void>
}

interface BrokerKind {
  /** Why it cannot be run here; undefined when it can. */
  missing(): string | undefined
  command(port: number, dir: string, options: StartOptions): string[]
  /** Runs on Node and so can be profiled. */
  readonly isNode: boolean
  /** Registers with an epmd, which would otherwise be started as its child and be taken for a part of it. */
  readonly needsEpmd?: boolean
}

const MOSQUITTO = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => spawnSync(path, ['-h']).error === undefined)

/**
 * mosquitto takes 20 messages in flight and closes a 3.1.1 client that sends more at QoS 2, so its limit is raised.
 *
 * As shipped it leaves Nagle's algorithm on: small packets wait for the acknowledgement of the one before. That makes its
 * writes cheaper at QoS 1 and 2 and stalls it for the 40 ms of a delayed acknowledgement in fan-in. With
 * `set_tcp_nodelay true` it behaves as a Node broker does that sets `noDelay`. Both are measured.
 */
function mosquitto(extra: string): BrokerKind {
  return {
    isNode: false,
    missing: () =>
      MOSQUITTO === undefined ? 'mosquitto is not installed (Debian: apt-get install mosquitto)' : undefined,
    command(port, dir) {
      const config = join(dir, 'mosquitto.conf')
      writeFileSync(
        config,
        `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n` +
          `max_inflight_messages 100\nlog_type error\n${extra}`,
      )
      return [MOSQUITTO ?? 'mosquitto', '-c', config]
    },
  }
}

const KINDS: Readonly<Record<string, BrokerKind>> = {
  agner: {
    isNode: true,
    needsEpmd: true,
    missing: () => (existsSync(join(ROOT, 'bin/node')) ? undefined : 'bin/node does not exist yet'),
    command: (port, dir, { sets }) => [
      join(ROOT, 'bin/node'),
      ...['--name', `bench${process.pid}@127.0.0.1`, '--cookie', 'bench', '--data-dir', join(dir, 'data')],
      ...[`listeners.tcp.port=${port}`, 'listeners.tcp.max_conn_rate=infinity', 'session.max_subscriptions=infinity']
        .concat('log.level=warn', sets)
        .flatMap((set) => ['--set', set]),
    ],
  },
  mosquitto: mosquitto(''),
  'mosquitto-nodelay': mosquitto('set_tcp_nodelay true\n'),
  aedes: {
    isNode: true,
    missing: () => (existsSync(join(ROOT, 'node_modules/aedes')) ? undefined : 'aedes is not installed (npm ci)'),
    command: (port) => [process.execPath, join(HERE, 'aedes-server.mjs'), String(port)],
  },
  relay: {
    isNode: true,
    missing: () => undefined,
    command: (port) => [process.execPath, join(HERE, 'relay-server.mjs'), String(port)],
  },
}

/** Names that `--brokers` takes. */
export const BROKER_NAMES: readonly string[] = Object.keys(KINDS)

/** The brokers of a run that names none. */
export const DEFAULT_BROKERS: readonly string[] = ['agner', 'mosquitto', 'mosquitto-nodelay', 'aedes']

/** Our broker's name in results. */
export const OURS = 'agner'

function kindOf(name: string): BrokerKind {
  const kind = KINDS[name]
  if (kind === undefined) throw new RangeError(`'${name}' is none of ${BROKER_NAMES.join(', ')}`)
  return kind
}

/** Why a broker cannot be run on this machine, in words for the user; undefined when it can. */
export function missingReason(name: string): string | undefined {
  return kindOf(name).missing()
}

/** Whether a broker can be profiled. */
export function isNodeBroker(name: string): boolean {
  return kindOf(name).isNode
}

/** A warning when what `bin/node` runs is older than its sources. */
export function staleBuild(): string | undefined {
  const built = join(ROOT, 'build/src/boot/main.js')
  if (!existsSync(built)) return 'build/ is missing: run `npm run build`'
  const newest = spawnSync('find', [join(ROOT, 'src'), '-name', '*.ts', '-newer', built, '-print', '-quit'])
  const changed = newest.stdout.toString().trim()
  if (changed === '') return undefined
  return `build/ is older than ${changed.slice(ROOT.length)}: run \`npm run build\``
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = address !== null && typeof address === 'object' ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Processes under pid (a launcher may start the broker as its child), deepest first, then pid itself. */
function processTree(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return [...(children === '' ? [] : children.split(' ').flatMap((child) => processTree(Number(child)))), pid]
  } catch {
    return [pid]
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function stopChild(child: ChildProcess, pids: readonly number[]): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of pids) {
      try {
        process.kill(pid, name)
      } catch {
        // It has left already.
      }
    }
  }
  signal('SIGTERM')
  const late = setTimeout(() => signal('SIGKILL'), 5000)
  await exited
  clearTimeout(late)
}

/** An epmd in this process. */
async function startEpmd(): Promise<EpmdServer> {
  const { timers, randomFill } = realSystem()
  const started = await startEpmdServer({ transport: tcpTransport(), timers, randomFill, port: 0 })
  if (!started.ok) throw new Error(`no epmd: ${started.reason}`)
  return started.server
}

/** Starts a broker and waits until it accepts connections; throws with its last words when it does not within 20 s. */
export async function startBroker(name: string, options: StartOptions): Promise<RunningBroker> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'agner-bench-'))
  const pin = options.cpu === undefined ? [] : ['taskset', '-c', String(options.cpu)]
  const [program, ...args] = [...pin, ...kindOf(name).command(port, dir, options)]
  const env = { ...process.env }
  // A loader or inspector of this process is not the broker's.
  delete env.NODE_OPTIONS
  if (options.profile !== undefined) {
    env.NODE_OPTIONS = `--require=${join(HERE, 'profile-hook.cjs')}`
    env.AGNER_PROFILE = options.profile
  }
  const epmd = kindOf(name).needsEpmd === true ? await startEpmd() : undefined
  if (epmd !== undefined) env.AGNER_EPMD_PORT = String(epmd.port)
  const child = spawn(program ?? '', args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-2000)
  })
  let failure: string | undefined
  child.once('error', (error) => {
    failure = error.message
  })
  child.once('exit', (code, signal) => {
    failure ??= `exited with ${signal ?? code}`
  })
  const stop = async (): Promise<void> => {
    if (child.pid !== undefined) await stopChild(child, processTree(child.pid))
    await epmd?.close()
    rmSync(dir, { recursive: true, force: true })
  }
  for (let waited = 0; failure === undefined && waited < 20000; waited += 20) {
    if (await accepts(port)) return { port, pids: processTree(child.pid ?? 0), lastWords: () => words.trim(), stop }
    await sleep(20)
  }
  await stop()
  throw new Error(`${name} did not start: ${failure ?? 'no connection accepted within 20 s'}\n${words.trim()}`)
}
