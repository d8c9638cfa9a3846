/**
 * The command line of bin/epmd, with the words of Erlang's `epmd`: without options it serves until it is told to stop.
 *
 *     bin/epmd [-port P] [-address LIST] [-daemon] [-relaxed_command_check]
 *     bin/epmd [-port P] -names | -kill | -stop NAME
 *
 * Finding the port taken is no failure: an epmd is there, which is what was wanted.
 */

import type { EpmdClient } from '../dist/epmd-client.ts'
import { EPMD_PORT } from '../dist/epmd-protocol.ts'
import type { EpmdServerOptions, EpmdServerResult } from '../dist/epmd-server.ts'
import { parseAddress } from '../dist/ip.ts'

/** The OS process around bin/epmd. */
export interface EpmdWorld {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** A client for the epmd of this machine. */
  client(port: number): Pick<EpmdClient, 'names' | 'kill' | 'stop'>
  startServer(
    options: Pick<EpmdServerOptions, 'port' | 'hosts' | 'relaxedCommandCheck' | 'onKilled'>,
  ): Promise<EpmdServerResult>
  /** Called when the server listens. */
  ready(): void
  /** Resolves when the process is asked to stop. */
  untilSignal(): Promise<void>
  /** Runs the same command line without `-daemon` in the background; resolves with 0 when it listens. */
  daemonise(argv: readonly string[]): Promise<number>
}

interface Options {
  readonly port: number
  readonly hosts: readonly string[] | undefined
  readonly daemon: boolean
  readonly relaxed: boolean
  readonly command:
    | { readonly tag: 'serve' | 'names' | 'kill' | 'help' }
    | { readonly tag: 'stop'; readonly name: string }
}

const USAGE = `usage: epmd [-port No] [-address List] [-daemon] [-relaxed_command_check]
       epmd [-port No] -names | -kill | -stop Name

    -port No                 listen on, or ask, another port than 4369
                             (also AGNER_EPMD_PORT or ERL_EPMD_PORT in the environment)
    -address List            listen on these addresses, separated by commas, and on loopback; without it on loopback only
                             (also ERL_EPMD_ADDRESS; 0.0.0.0 or :: is every address)
    -daemon                  start in the background; returns when it listens
    -relaxed_command_check   let -kill end it while nodes are registered, and -stop unregister one
    -names                   list the nodes that are registered
    -kill                    end the epmd that runs; refused while nodes are registered
    -stop Name               unregister a name, when epmd was started with -relaxed_command_check
`

const FAILED = 1
const BAD_USAGE = 2

/** Runs a command line; resolves with the exit code, for a server when it has ended. */
export async function runEpmd(world: EpmdWorld): Promise<number> {
  const options = parse(world.argv, world.env)
  if (typeof options === 'string') {
    world.err(`epmd: ${options}\n${USAGE}`)
    return BAD_USAGE
  }
  switch (options.command.tag) {
    case 'help':
      world.out(USAGE)
      return 0
    case 'names':
      return printNames(world, options.port)
    case 'kill':
      return tell(world, await world.client(options.port).kill(), { OK: 'Killed' }, KILL_REFUSED)
    case 'stop':
      return tell(
        world,
        await world.client(options.port).stop(options.command.name),
        { STOPPED: 'STOPPED' },
        STOP_REFUSED,
      )
    case 'serve':
      return options.daemon ? world.daemonise(world.argv.filter((word) => word !== '-daemon')) : serve(world, options)
  }
}

/** The port of epmd by the environment, or what is wrong with it. */
export function epmdPort(env: Readonly<Record<string, string | undefined>>): number | string {
  for (const name of ['AGNER_EPMD_PORT', 'ERL_EPMD_PORT']) {
    const value = env[name]
    if (value !== undefined && value !== '') {
      return portOf(value) ?? `${name} must be a port between 1 and 65535, not ${value}`
    }
  }
  return EPMD_PORT
}

async function serve(world: EpmdWorld, { port, hosts, relaxed }: Options): Promise<number> {
  let onKilled: () => void = () => {}
  const killed = new Promise<void>((resolve) => {
    onKilled = resolve
  })
  const started = await world.startServer({
    port,
    relaxedCommandCheck: relaxed,
    onKilled,
    ...(hosts === undefined ? {} : { hosts }),
  })
  if (!started.ok && started.reason === 'already_running') {
    const names = await world.client(port).names()
    if (names.ok) {
      world.err(`epmd: there is already an epmd running at port ${port}\n`)
      return 0
    }
    world.err(`epmd: port ${port} is in use by another program\n`)
    return FAILED
  }
  if (!started.ok) {
    world.err(`epmd: cannot listen on port ${port}: ${started.reason}\n`)
    return FAILED
  }
  world.ready()
  await Promise.race([world.untilSignal(), killed])
  await started.server.close()
  return 0
}

async function printNames(world: EpmdWorld, port: number): Promise<number> {
  const names = await world.client(port).names()
  if (!names.ok) {
    world.err(NO_EPMD)
    return FAILED
  }
  const lines = names.nodes.map((node) => `name ${node.name} at port ${node.port}\n`)
  world.out(`epmd: up and running on port ${names.epmdPort} with data:\n${lines.join('')}`)
  return 0
}

const NO_EPMD = 'epmd: Cannot connect to local epmd\n'
const KILL_REFUSED: Readonly<Record<string, string>> = { NO: 'Killing not allowed - living nodes in database.' }
const STOP_REFUSED: Readonly<Record<string, string>> = { NOEXIST: 'NOEXIST' }

function tell(
  world: EpmdWorld,
  reply: string | undefined,
  good: Readonly<Record<string, string>>,
  bad: Readonly<Record<string, string>>,
): number {
  if (reply === undefined) {
    world.err(NO_EPMD)
    return FAILED
  }
  const answer = good[reply]
  if (answer !== undefined) {
    world.out(`${answer}\n`)
    return 0
  }
  world.err(`${bad[reply] ?? `epmd: local epmd responded with <${reply}>`}\n`)
  return FAILED
}

/** A sentence when the command line is wrong. */
function parse(argv: readonly string[], env: EpmdWorld['env']): Options | string {
  let port = epmdPort(env)
  let addresses = env.ERL_EPMD_ADDRESS
  let [daemon, relaxed] = [false, false]
  let command: Options['command'] = { tag: 'serve' }
  for (let i = 0; i < argv.length; i++) {
    // Both -port and --port, as people type either.
    const word = argv[i]!.replace(/^--/, '-')
    const value = argv[i + 1]
    if (word === '-daemon') daemon = true
    else if (word === '-relaxed_command_check') relaxed = true
    else if (word === '-names' || word === '-kill' || word === '-help') command = { tag: word.slice(1) as 'names' }
    else if (word !== '-port' && word !== '-address' && word !== '-stop') return `${argv[i]} is not an option`
    else if (value === undefined) return `${word} needs a value`
    else {
      i++
      if (word === '-stop') command = { tag: 'stop', name: value }
      else if (word === '-address') addresses = value
      else port = portOf(value) ?? `-port must be between 1 and 65535, not ${value}`
    }
  }
  if (typeof port === 'string') return port
  const hosts = addresses === undefined || addresses === '' ? undefined : hostsOf(addresses)
  return typeof hosts === 'string' ? hosts : { port, hosts, daemon, relaxed, command }
}

function portOf(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** Loopback is always among them, or within one that means every address. */
function hostsOf(list: string): readonly string[] | string {
  const hosts = list.split(',').map((host) => host.trim())
  for (const host of hosts) if (parseAddress(host) === undefined) return `-address takes IP addresses, not ${host}`
  if (hosts.includes('::')) return ['::']
  if (hosts.includes('0.0.0.0')) return ['0.0.0.0']
  return ['127.0.0.1', ...hosts.filter((host) => host !== '127.0.0.1')]
}
