/**
 * `erlang:system_info/1`, `memory/0,1` and `statistics/1`: the node as a whole, in Erlang's terms.
 *
 * A node is one JavaScript thread, so it has one scheduler. Memory is that of the OS process, which may hold several nodes;
 * what V8 does not tell apart is 0, as Erlang's own sums allow. Limits that do not exist here are those of a default Erlang
 * node, since observers show percentages of them.
 */
import { availableParallelism } from 'node:os'
import { getHeapCodeStatistics } from 'node:v8'
import type { Runtime } from '../../actors/runtime.ts'
import { atomCount } from '../atom-table.ts'
import { badarg, type CallContext } from '../exports.ts'
import { type Atom, atom, atomName, charlist, Tuple, tuple } from '../term.ts'

/** The release of Erlang/OTP whose protocols and shapes this node speaks; peers read it as a number. */
const OTP_RELEASE = '25'

const PROCESS_LIMIT = 262_144
const PORT_LIMIT = 65_536
const ETS_LIMIT = 8192
const ATOM_LIMIT = 1_048_576
const DIST_BUF_BUSY_LIMIT = 1_048_576
const WORD_BYTES = 8

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686' }
const PLATFORMS: Readonly<Record<string, string>> = { linux: 'pc-linux-gnu', darwin: 'apple-darwin', win32: 'win32' }

const SYSTEM_INFO: Readonly<Record<string, (context: CallContext) => unknown>> = {
  process_count: ({ self }) => self.runtime.processes.count,
  process_limit: () => PROCESS_LIMIT,
  port_count: ({ exports }) => exports.sockets().length,
  port_limit: () => PORT_LIMIT,
  atom_count: () => atomCount(),
  atom_limit: () => ATOM_LIMIT,
  ets_count: ({ self }) => self.runtime.ets.all().length,
  ets_limit: () => ETS_LIMIT,
  otp_release: () => charlist(OTP_RELEASE),
  version: () => charlist(process.versions.node),
  system_version: () => charlist(`Agner on Node.js ${process.version} [64-bit] [smp:1:1]\n`),
  system_architecture: () => charlist(architecture()),
  machine: () => charlist('V8'),
  compat_rel: () => Number(OTP_RELEASE),
  schedulers: () => 1,
  schedulers_online: () => 1,
  dirty_cpu_schedulers: () => 0,
  dirty_cpu_schedulers_online: () => 0,
  dirty_io_schedulers: () => 0,
  scheduler_id: () => 1,
  scheduler_bind_type: () => atom('unbound'),
  multi_scheduling: () => atom('enabled'),
  logical_processors: availableParallelism,
  logical_processors_online: availableParallelism,
  logical_processors_available: availableParallelism,
  wordsize: () => WORD_BYTES,
  creation: ({ self }) => self.runtime.node.creation,
  kernel_poll: () => true,
  smp_support: () => true,
  threads: () => true,
  thread_pool_size: () => 0,
  alloc_util_allocators: () => [],
  dist_buf_busy_limit: () => DIST_BUF_BUSY_LIMIT,
  delayed_node_table_gc: () => 60,
  os_type: () => tuple(atom(process.platform === 'win32' ? 'win32' : 'unix'), atom(process.platform)),
  heap_type: () => atom('private'),
  build_type: () => atom('opt'),
  emu_type: () => atom('opt'),
  emu_flavor: () => atom('jit'),
  debug_compiled: () => false,
  modified_timing_level: () => undefined,
  time_offset: () => atom('final'),
  tolerant_timeofday: () => atom('enabled'),
  port_parallelism: () => false,
  message_queue_data: () => atom('on_heap'),
  eager_check_io: () => true,
  trace_control_word: () => 0,
  update_cpu_info: () => atom('unchanged'),
  dist_ctrl: () => [],
}

/** `system_info(Item)`; `error(badarg)` for an item that is not known. */
export function systemInfo(context: CallContext, item: unknown): unknown {
  if (item instanceof Tuple) {
    const [what, which] = [atomName(item.elements[0]), atomName(item.elements[1])]
    if (item.length === 2 && what === 'wordsize' && (which === 'internal' || which === 'external')) return WORD_BYTES
    throw badarg()
  }
  const name = atomName(item)
  if (name === undefined || !Object.hasOwn(SYSTEM_INFO, name)) throw badarg()
  return SYSTEM_INFO[name]!(context)
}

/** `{name, Bytes}` for each kind of memory, in OTP's order. */
export function memory(): Tuple<readonly [Atom, number]>[] {
  const { rss, heapUsed, external } = process.memoryUsage()
  const code = getHeapCodeStatistics()
  const system = rss - heapUsed
  const bytes = {
    total: rss,
    processes: heapUsed,
    processes_used: heapUsed,
    system,
    atom: 0,
    atom_used: 0,
    binary: Math.min(external, system),
    code: code.code_and_metadata_size + code.bytecode_and_metadata_size,
    ets: 0,
  }
  return Object.entries(bytes).map(([kind, size]) => tuple(atom(kind), size))
}

/** `memory(Kind)` and `memory([Kind])`. */
export function memoryOf(kinds: unknown): unknown {
  const all = memory()
  const find = (kind: unknown): Tuple<readonly [Atom, number]> => {
    const found = all.find(({ elements }) => elements[0] === kind)
    if (found === undefined) throw badarg()
    return found
  }
  return Array.isArray(kinds) ? kinds.map(find) : find(kinds).elements[1]
}

/** Statistics tell what has been since they were asked last, so they remember; one object for each node. */
export class VmStatistics {
  #lastReductions = 0
  #lastWallClockMs = 0
  #lastRuntimeMs = 0

  /** `statistics(Item)`; `error(badarg)` for an item that is not known. */
  of(context: CallContext, item: unknown): unknown {
    const { runtime } = context.self
    switch (atomName(item)) {
      case 'reductions':
      case 'exact_reductions': {
        const before = this.#lastReductions
        this.#lastReductions = reductionsOf(runtime)
        return tuple(this.#lastReductions, this.#lastReductions - before)
      }
      case 'wall_clock': {
        const before = this.#lastWallClockMs
        this.#lastWallClockMs = uptimeMs(runtime)
        return tuple(this.#lastWallClockMs, this.#lastWallClockMs - before)
      }
      case 'runtime': {
        const before = this.#lastRuntimeMs
        const { user, system } = process.cpuUsage()
        this.#lastRuntimeMs = Math.round((user + system) / 1000)
        return tuple(this.#lastRuntimeMs, this.#lastRuntimeMs - before)
      }
      case 'run_queue':
      case 'total_run_queue_lengths':
      case 'total_run_queue_lengths_all':
      case 'total_active_tasks':
      case 'total_active_tasks_all':
        return runtime.scheduler.runQueueLength
      case 'run_queue_lengths':
      case 'run_queue_lengths_all':
      case 'active_tasks':
      case 'active_tasks_all':
        return [runtime.scheduler.runQueueLength]
      case 'io':
        return io(context)
      case 'context_switches':
        return tuple(runtime.scheduler.turns, 0)
      case 'garbage_collection':
        return tuple(0, 0, 0)
      case 'scheduler_wall_time':
      case 'scheduler_wall_time_all':
        return schedulerWallTime()
      default:
        throw badarg()
    }
  }
}

/** `[{1, Active, Total}]`: how long the event loop was busy, of how long, in microseconds. */
export function schedulerWallTime(): readonly Tuple[] {
  const { active, idle } = performance.eventLoopUtilization()
  return [tuple(1, Math.round(active * 1000), Math.round((active + idle) * 1000))]
}

/** `{{input, Bytes}, {output, Bytes}}` of all sockets. */
export function io({ exports, network }: CallContext): Tuple {
  let { bytesIn, bytesOut } = network.traffic()
  for (const socket of exports.sockets()) {
    bytesIn += socket.bytesIn
    bytesOut += socket.bytesOut
  }
  return tuple(tuple(atom('input'), bytesIn), tuple(atom('output'), bytesOut))
}

/** Milliseconds since the node started. */
export function uptimeMs(runtime: Runtime): number {
  return Math.max(0, Math.round(runtime.clock.now() - runtime.startedAtMs))
}

function reductionsOf(runtime: Runtime): number {
  let reductions = runtime.reductionsOfEnded
  for (const process of runtime.processes) reductions += process.reductions
  return reductions
}

function architecture(): string {
  const { arch, platform } = process
  return `${ARCHITECTURES[arch] ?? arch}-${PLATFORMS[platform] ?? platform}`
}
