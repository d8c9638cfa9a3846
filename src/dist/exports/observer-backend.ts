/**
 * What Erlang's observer and etop ask of a node that they watch [OTP runtime_tools, observer_backend].
 *
 * They match on the answers, and a wrong shape ends their whole window: the shapes here are those of OTP 25. `procs_info`,
 * `etop_collect` and `fetch_stats` are started as processes of their own, linked to the one that asks, and send what
 * they have to it.
 */
import { getHeapSpaceStatistics } from 'node:v8'
import { Pid } from '../../actors/pid.ts'
import type { Process } from '../../actors/process.ts'
import { isDownMessage } from '../../actors/signal.ts'
import { badarg, type CallContext, type ExportedModule, type SocketAddress, type SocketInfo } from '../exports.ts'
import { parseAddress, plainAddress } from '../ip.ts'
import { type Atom, atom, charlist, Port, Tuple, tuple } from '../term.ts'
import { currentFunction, initialCall, memoryBytes, queueLength } from './process-info.ts'
import { io, memory, schedulerWallTime, systemInfo, uptimeMs } from './system-info.ts'
import { tableFunctions } from './tables.ts'

/** Version of runtime_tools whose functions these are; observers refuse what is too old. */
const VERSION = '1.19'

/** Processes in one message of `procs_info`. */
const PROCESSES_PER_MESSAGE = 10_000

/** `fetch_stats` sends at most so often. */
const MIN_STATS_INTERVAL_MS = 100
const MAX_STATS_INTERVAL_MS = 2 ** 31 - 1

const UNDEFINED = undefined

/** Pieces that one write may have, on the systems that Node.js runs on. */
const IOV_MAX = 1024

const MIN_CARRIER_BYTES = 1024

export const observerBackendExports: ExportedModule = {
  'vsn/0': () => tuple(atom('ok'), charlist(VERSION)),
  'sys_info/0': sysInfo,
  'get_port_list/0': ({ self, exports }) =>
    exports.sockets().map((socket, at) => portInfo(self.runtime.node, socket, at)),
  'get_socket_list/0': () => [],
  'socket_info/0': socketInfo,
  ...tableFunctions,
  'procs_info/1': procsInfo,
  'etop_collect/1': etopCollect,
  'fetch_stats/2': fetchStats,
}

const SYSTEM_ITEMS_BEFORE_ALLOC = [
  'logical_processors',
  'logical_processors_online',
  'logical_processors_available',
  'schedulers',
  'schedulers_online',
  'schedulers_available',
  'otp_release',
  'version',
  'system_architecture',
  'kernel_poll',
  'smp_support',
  'threads',
  'thread_pool_size',
]

const SYSTEM_ITEMS_AFTER_ALLOC = [
  'process_count',
  'atom_limit',
  'atom_count',
  'process_limit',
  'process_count',
  'port_limit',
  'port_count',
  'ets_limit',
  'ets_count',
  'dist_buf_busy_limit',
]

function sysInfo(context: CallContext): Tuple[] {
  const { runtime } = context.self
  const [input, output] = io(context).elements as readonly Tuple[]
  const item = (name: string): Tuple =>
    tuple(atom(name), name === 'schedulers_available' ? 1 : systemInfo(context, atom(name)))
  return [
    tuple(atom('uptime'), uptimeMs(runtime)),
    tuple(atom('run_queue'), runtime.scheduler.runQueueLength),
    tuple(atom('io_input'), input!.elements[1]),
    tuple(atom('io_output'), output!.elements[1]),
    ...SYSTEM_ITEMS_BEFORE_ALLOC.map(item),
    tuple(atom('wordsize_internal'), systemInfo(context, tuple(atom('wordsize'), atom('internal')))),
    tuple(atom('wordsize_external'), systemInfo(context, tuple(atom('wordsize'), atom('external')))),
    tuple(atom('alloc_info'), allocInfo()),
    ...SYSTEM_ITEMS_AFTER_ALLOC.map(item),
    ...memory(),
  ]
}

/**
 * The spaces of V8's heap, and what lies outside of it, as allocators with one instance each. A window divides by the size of
 * each carrier, and wants the same allocators every time.
 */
function allocInfo(): Tuple[] {
  const spaces = getHeapSpaceStatistics().map(({ space_name, space_used_size, space_size }) => ({
    name: space_name,
    used: space_used_size,
    size: space_size,
  }))
  const { external } = process.memoryUsage()
  return [...spaces, { name: 'external', used: external, size: external }].map(({ name, used, size }) => {
    const carrier = Math.max(size, used, MIN_CARRIER_BYTES)
    const blocks = tuple(atom('blocks'), [tuple(atom(name), [tuple(atom('size'), used, used, used)])])
    const multi = tuple(atom('mbcs'), [blocks, tuple(atom('carriers_size'), carrier, carrier, carrier)])
    const single = tuple(atom('sbcs'), [tuple(atom('blocks'), []), tuple(atom('carriers_size'), 0, 0, 0)])
    return tuple(atom(name), [tuple(atom('instance'), 0, [multi, single])])
  })
}

/** What the counters of Erlang's own sockets are when there are none: ours are shown as ports. */
function socketInfo(): Tuple[] {
  const counters = ['dinet', 'dinet6', 'dlocal', 'pip', 'psctp', 'ptcp', 'pudp', 'sockets']
  const types = ['tdgrams', 'tseqpkgs', 'tstreams']
  return [
    tuple(atom('iov_max'), IOV_MAX),
    tuple(atom('num_monitors'), 0),
    tuple(atom('num_cnt_bits'), 64),
    ...[...counters, ...types].map((name) => tuple(atom(`num_${name}`), 0)),
  ]
}

function portInfo(node: { readonly name: string; readonly creation: number }, socket: SocketInfo, at: number): Tuple[] {
  const { owner, bytesIn, bytesOut, queuedBytes } = socket
  const statistics = [
    ['recv_oct', bytesIn],
    ['send_oct', bytesOut],
    ['send_pend', queuedBytes],
  ] as const
  return [
    tuple(atom('port_id'), new Port(node, at + 1)),
    tuple(atom('name'), charlist('tcp_inet')),
    tuple(atom('links'), [owner]),
    tuple(atom('id'), at + 1),
    tuple(atom('connected'), owner),
    tuple(atom('input'), bytesIn),
    tuple(atom('output'), bytesOut),
    tuple(atom('os_pid'), UNDEFINED),
    tuple(atom('monitors'), []),
    tuple(atom('monitored_by'), []),
    tuple(atom('parallelism'), false),
    tuple(atom('locking'), atom('port_level')),
    tuple(atom('queue_size'), queuedBytes),
    tuple(atom('memory'), 0),
    tuple(atom('inet'), [
      tuple(
        atom('statistics'),
        statistics.map(([name, count]) => tuple(atom(name), count)),
      ),
      ...addressInfo('remote', socket.remote),
      ...addressInfo('local', socket.local),
      tuple(atom('options'), []),
    ]),
  ]
}

/** `{remote_address, Tuple}` and `{remote_port, Port}`. */
function addressInfo(which: 'remote' | 'local', end: SocketAddress | undefined): Tuple[] {
  if (end === undefined) return []
  return [tuple(atom(`${which}_address`), addressToTerm(end.address)), tuple(atom(`${which}_port`), end.port)]
}

/** An IPv4 address is a tuple of four bytes, an IPv6 address one of eight words. */
function addressToTerm(text: string): unknown {
  const plain = plainAddress(text)
  const bytes = parseAddress(plain)
  if (bytes === undefined) return charlist(text)
  if (!plain.includes(':')) return new Tuple([...bytes.subarray(12)])
  return new Tuple(Array.from({ length: 8 }, (_, at) => (bytes[2 * at]! << 8) | bytes[2 * at + 1]!))
}

function procsInfo({ self }: CallContext, collector: unknown): Atom {
  const to = collectorOf(collector)
  const processes = others(self.runtime.processes, self.pid)
  for (let at = 0; at === 0 || at < processes.length; at += PROCESSES_PER_MESSAGE) {
    const infos = processes.slice(at, at + PROCESSES_PER_MESSAGE).map(etopProcInfo)
    self.send(to, tuple(atom('procs_info'), self.pid, infos))
  }
  return atom('ok')
}

function etopCollect({ self }: CallContext, collector: unknown): Atom {
  const to = collectorOf(collector)
  const { runtime } = self
  const infos = others(runtime.processes, self.pid).map(etopProcInfo)
  const wanted = ['total', 'processes', 'ets', 'atom', 'code', 'binary']
  const sizes = memory()
  const memi = wanted.flatMap((kind) => sizes.filter(({ elements }) => elements[0] === atom(kind)))
  const info = tuple(
    atom('etop_info'),
    timestamp(runtime.clock.now()),
    infos.length,
    UNDEFINED,
    schedulerWallTime(),
    runtime.scheduler.runQueueLength,
    [],
    memi,
    infos,
  )
  self.send(to, tuple(self.pid, info))
  return atom('ok')
}

async function fetchStats(context: CallContext, parent: unknown, interval: unknown): Promise<Atom> {
  const { self } = context
  if (!(parent instanceof Pid) || !Number.isInteger(interval) || (interval as number) < 0) throw badarg()
  const everyMs = Math.min(Math.max(interval as number, MIN_STATS_INTERVAL_MS), MAX_STATS_INTERVAL_MS)
  self.processFlag('trap_exit', true)
  // OTP relies on the link alone; one that was started without it would go on for ever.
  self.monitor(parent)
  for (;;) {
    const message = await self.receiveWithin(everyMs)
    if (message !== undefined) return atom(isDownMessage(message) ? 'noproc' : 'ok')
    self.send(parent, tuple(atom('stats'), 1, schedulerWallTime(), io(context), memory()))
  }
}

function collectorOf(term: unknown): Pid {
  if (!(term instanceof Pid)) throw badarg()
  return term
}

function others(processes: Iterable<Process>, self: Pid): Process[] {
  return Array.from(processes).filter(({ pid }) => pid !== self)
}

/** The record `etop_proc_info`. */
function etopProcInfo(process: Process): Tuple {
  const name = process.name === undefined ? initialCall(process) : atom(process.name)
  return tuple(
    atom('etop_proc_info'),
    process.pid,
    memoryBytes(process),
    process.reductions,
    name,
    0,
    currentFunction(process),
    queueLength(process),
  )
}

/** `{MegaSecs, Secs, MicroSecs}`. */
function timestamp(ms: number): Tuple {
  const seconds = Math.floor(ms / 1000)
  return tuple(Math.floor(seconds / 1e6), seconds % 1e6, Math.round((ms - seconds * 1000) * 1000))
}
