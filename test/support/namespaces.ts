/**
 * Network namespaces of Linux for real nodes: each has an address of its own on one switch, and so has the test with its clients.
 *
 *     test 198.18.77.254 ──┐
 *     n1   198.18.77.1   ──┤ bridge, in a namespace too: what the host filters is no business of it
 *     n2   198.18.77.2   ──┘
 *
 * A link is cut by sending what one node has for another to a MAC address that nobody has: packets are lost on their way, in one
 * direction or both, and neither end is told, which sockets that are closed or paused between them cannot show.
 *
 * Test runs side by side have different ranges of 198.18.0.0/15, which is for tests [RFC 2544]. A process that waits for the end of its
 * input removes everything, so also when that of the test has been killed.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { EpmdServer } from '../../src/dist/epmd-server.ts'
import { startEpmd } from './epmd.ts'
import type { Cut, Links } from './links.ts'

/** Ends what runs in the namespaces whose names begin with `$1`, and removes them. */
const REMOVE = `
read -r _
ip link delete "$1"
for name in $(ip netns list | cut -d ' ' -f 1 | grep "^$1-"); do
  for pid in $(ip netns pids "$name"); do kill -9 "$pid"; done
  ip netns delete "$name"
done`
const RANGES = 512
const OUTSIDE_NUMBER = 254
const NOBODY = '02:00:00:00:00:01'
const REACH_MS = 2000

/** Who has an address: a node, or the test. */
interface Member {
  readonly address: string
  /** Device by which it reaches the others. */
  readonly device: string
  /** undefined: that of the test's process. */
  readonly namespace: string | undefined
}

/** How a program is run in a namespace. */
export interface Place {
  /** Program and arguments that come before its own. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** `KEY=VALUE` for `--set`. */
  readonly sets: readonly string[]
}

/** Why namespaces cannot be had here, for people; undefined when they can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'this is not Linux'
  if (process.getuid?.() !== 0) return 'this is not root'
  let namespaces: Namespaces | undefined
  try {
    namespaces = await Namespaces.create(['probe'], 0)
    await reach(namespaces.address('probe'))
    return
  } catch (error) {
    return (error as Error).message
  } finally {
    await namespaces?.stop()
  }
}

export class Namespaces implements Links {
  readonly cuts = ['silence', 'deaf', 'mute'] as const
  /** What the names of all that is made begin with. */
  readonly #prefix: string
  readonly #outside: Member
  /** By the part of a node's name before the `@`. */
  readonly #nodes: ReadonlyMap<string, Member>
  readonly #remover: ChildProcess
  #epmd: EpmdServer | undefined
  /** What undoes each loss, by who sends and who does not get it. */
  readonly #losses = new Map<string, () => void>()

  private constructor(prefix: string, range: string, nodes: readonly string[]) {
    this.#prefix = prefix
    this.#outside = { address: `${range}.${OUTSIDE_NUMBER}`, device: prefix, namespace: undefined }
    this.#nodes = new Map(
      nodes.map((node, i) => {
        return [node, { address: `${range}.${i + 1}`, device: 'eth0', namespace: `${prefix}-${node}` }]
      }),
    )
    this.#remover = spawn('sh', ['-c', REMOVE, 'sh', prefix], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  }

  /** Makes a namespace for each of these nodes, named without host, and starts the test's own epmd. */
  static async create(nodes: readonly string[], epmdPort: number): Promise<Namespaces> {
    const namespaces = Namespaces.#reserve(nodes)
    try {
      namespaces.#connect()
      namespaces.#epmd = await startEpmd(epmdPort)
      return namespaces
    } catch (error) {
      await namespaces.stop()
      throw error
    }
  }

  /** Of a node, with or without its host; without a node that of the test. */
  address(node?: string): string {
    return (node === undefined ? this.#outside : this.#member(node)).address
  }

  place(node: string): Place {
    const { address, namespace } = this.#member(node)
    return {
      command: ['ip', 'netns', 'exec', namespace!],
      env: { ERL_EPMD_ADDRESS: address },
      sets: [`listeners.tcp.host=${address}`],
    }
  }

  cut(a: string, b: string, how: Cut): void {
    if (how === 'reset') throw new Error('a packet that is lost resets nothing')
    this.#cut(this.#member(a), this.#member(b), how)
  }

  /** Silences the link between a node and the test, where its clients are. */
  cutClients(node: string): void {
    this.#cut(this.#member(node), this.#outside, 'silence')
  }

  mend(a: string, b: string): void {
    const [one, two] = [this.#member(a), this.#member(b)]
    for (const key of [keyOf(one, two), keyOf(two, one)]) this.#losses.get(key)?.()
  }

  mendAll(): void {
    for (const undo of [...this.#losses.values()]) undo()
  }

  /** Ends what still runs in the namespaces and removes them. */
  async stop(): Promise<void> {
    await this.#epmd?.close()
    const removed = once(this.#remover, 'exit')
    this.#remover.stdin!.end()
    await removed
  }

  /** Takes a range that nobody has. */
  static #reserve(nodes: readonly string[]): Namespaces {
    const first = Math.floor(Math.random() * RANGES)
    for (let i = 0; i < RANGES; i++) {
      const number = (first + i) % RANGES
      const [x, y] = [18 + Math.floor(number / 256), number % 256]
      const prefix = `agner-${x}-${y}`
      try {
        ip(undefined, `netns add ${prefix}-switch`)
        return new Namespaces(prefix, `198.${x}.${y}`, nodes)
      } catch (error) {
        if (!(error as Error).message.includes('File exists')) throw error
      }
    }
    throw new Error('all ranges of addresses are taken')
  }

  #connect(): void {
    const bridge = `${this.#prefix}-switch`
    ip(bridge, 'link add switch type bridge', 'link set switch up')
    for (const [i, { address, device, namespace }] of [this.#outside, ...this.#nodes.values()].entries()) {
      if (namespace !== undefined) ip(undefined, `netns add ${namespace}`)
      const there = namespace === undefined ? '' : `netns ${namespace}`
      ip(undefined, `link add port${i} netns ${bridge} type veth peer name ${device} ${there}`)
      ip(bridge, `link set port${i} master switch up`)
      ip(namespace, `address add ${address}/24 dev ${device}`, `link set ${device} up`)
      if (namespace !== undefined) ip(namespace, 'link set lo up')
    }
  }

  #member(node: string): Member {
    const member = this.#nodes.get(node.split('@', 1)[0]!)
    if (member === undefined) throw new Error(`${node} has no namespace`)
    return member
  }

  #cut(a: Member, b: Member, how: Exclude<Cut, 'reset'>): void {
    if (how !== 'deaf') this.#lose(a, b)
    if (how !== 'mute') this.#lose(b, a)
  }

  #lose(from: Member, to: Member): void {
    const entry = `${to.address} dev ${from.device}`
    const key = keyOf(from, to)
    ip(from.namespace, `neighbour replace ${entry} lladdr ${NOBODY} nud permanent`)
    this.#losses.set(key, () => {
      ip(from.namespace, `neighbour delete ${entry}`)
      this.#losses.delete(key)
    })
  }
}

const keyOf = (from: Member, to: Member) => `${from.address} ${to.address}`

/** Runs commands of `ip`; returns what they print, throws what it says when one fails. */
function ip(namespace: string | undefined, ...commands: readonly string[]): string {
  const args = namespace === undefined ? [] : ['-netns', namespace]
  return execFileSync('ip', [...args, '-batch', '-'], { input: commands.join('\n'), encoding: 'utf8', stdio: 'pipe' })
}

/** Rejects when an address does not answer; a port where nobody listens is an answer. */
function reach(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: 9, timeout: REACH_MS })
    socket.once('timeout', () => {
      socket.destroy()
      reject(new Error(`${host} in a namespace does not answer`))
    })
    socket.once('connect', () => socket.destroy())
    socket.once('connect', () => resolve())
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve()
      else reject(error)
    })
  })
}
