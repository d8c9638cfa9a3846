/**
 * `erlang:process_info/1,2`: what there is to know of a process of this node.
 *
 * Items that JavaScript has nothing for (heaps, stacks, garbage collections of a process) have the neutral values of a
 * process that Erlang has just started, so that those who print and sum them go on. `memory` is a rough figure, made of what a
 * process and a queued message cost, since V8 tells no memory of a part of its heap. The dictionary holds OTP's own entries
 * only: what servers keep there is theirs, and may be secret.
 */
import { Pid } from '../../actors/pid.ts'
import type { Process } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { messageToTerm } from '../envelope.ts'
import { badarg } from '../exports.ts'
import { groupLeaderOf } from '../group-leader.ts'
import { behaviourOf } from '../incoming-message.ts'
import { presentable } from '../presentable.ts'
import { atom, atomName, type Tuple, tuple } from '../term.ts'

/** Messages that are shown of a mailbox. */
const MAX_MESSAGES_SHOWN = 1000

const PROCESS_BYTES = 1000
const MESSAGE_BYTES = 100

/** Where the processes of a behaviour wait for messages. */
const LOOPS: Readonly<Record<string, Tuple>> = {
  gen_server: tuple(atom('gen_server'), atom('loop'), 7),
  supervisor: tuple(atom('gen_server'), atom('loop'), 7),
  application_master: tuple(atom('application_master'), atom('main_loop'), 2),
  gen_statem: tuple(atom('gen_statem'), atom('loop_receive'), 3),
  gen_event: tuple(atom('gen_event'), atom('fetch_msg'), 6),
}

const LARGEST_HEAP = { size: 0, kill: true, error_logger: true }

const ITEMS: Readonly<Record<string, (process: Process) => unknown>> = {
  registered_name: ({ name }) => (name === undefined ? [] : atom(name)),
  current_function: currentFunction,
  initial_call: (process) =>
    behaviourOf(process) === undefined ? initialCall(process) : tuple(atom('proc_lib'), atom('init_p'), 5),
  status: ({ status }) => atom(status === 'suspended' ? 'waiting' : status),
  message_queue_len: queueLength,
  messages,
  links: ({ links }) => [...(links ?? [])],
  monitors,
  monitored_by: ({ monitoredBy }) => Array.from(monitoredBy ?? [], ({ watcher }) => watcher),
  dictionary,
  trap_exit: ({ trapExit }) => trapExit,
  error_handler: () => atom('error_handler'),
  priority: () => atom('normal'),
  group_leader: groupLeaderOf,
  total_heap_size: () => 0,
  heap_size: () => 0,
  stack_size: () => 0,
  reductions: ({ reductions }) => reductions,
  garbage_collection: garbageCollection,
  garbage_collection_info: () => [],
  suspending: () => [],
  memory: memoryBytes,
  binary: () => [],
  current_location: (process) => tuple(...currentFunction(process), []),
  current_stacktrace: (process) => [tuple(...currentFunction(process), [])],
  catchlevel: () => 0,
  last_calls: () => false,
  min_heap_size: () => 0,
  min_bin_vheap_size: () => 0,
  max_heap_size: () => LARGEST_HEAP,
  fullsweep_after: () => 0,
  message_queue_data: () => atom('on_heap'),
  sequential_trace_token: () => [],
  trace: () => 0,
  // A process without one was started from elsewhere.
  parent: ({ parent }) => parent,
}

/** The items of `process_info/1`, in OTP's order. */
const COMMON_ITEMS = [
  'registered_name',
  'current_function',
  'initial_call',
  'status',
  'message_queue_len',
  'links',
  'dictionary',
  'trap_exit',
  'error_handler',
  'priority',
  'group_leader',
  'total_heap_size',
  'heap_size',
  'stack_size',
  'reductions',
  'garbage_collection',
  'suspending',
]

/** `process_info(Pid)`: undefined for a dead process, `error(badarg)` for what is no pid of this node. */
export function processInfo(runtime: Runtime, pid: unknown): unknown {
  const process = find(runtime, pid)
  if (process === undefined) return undefined
  const items = process.name === undefined ? COMMON_ITEMS.slice(1) : COMMON_ITEMS
  return items.map((item) => infoOf(process, item))
}

/** `process_info(Pid, Item)` and `process_info(Pid, [Item])`. */
export function processInfoOf(runtime: Runtime, pid: unknown, what: unknown): unknown {
  const items = Array.isArray(what) ? what.map(itemName) : itemName(what)
  const process = find(runtime, pid)
  if (process === undefined) return undefined
  if (typeof items !== 'string') return items.map((item) => infoOf(process, item))
  // Of a process without a name OTP answers the empty list for this item alone.
  return items === 'registered_name' && process.name === undefined ? [] : infoOf(process, items)
}

/** `{Module, Function, Arity}` by which a process is told from others: what proc_lib calls its initial call. */
export function initialCall(process: Process): Tuple {
  const label = process.label ?? 'process'
  const mfa = /^([^:]+):([^/]+)\/(\d{1,3})$/.exec(label)
  if (mfa !== null) return tuple(atom(mfa[1]!), atom(mfa[2]!), Number(mfa[3]))
  return tuple(atom(label.slice(0, 255)), atom('init'), behaviourOf(process) === undefined ? 0 : 1)
}

/** `{Module, Function, Arity}` in which a process waits. */
export function currentFunction(process: Process): Tuple {
  const behaviour = behaviourOf(process)
  if (behaviour === undefined) return initialCall(process)
  return LOOPS[behaviour] ?? tuple(atom(behaviour), atom('loop'), 1)
}

/** Messages that wait, those that a behaviour has put aside included. */
export function queueLength({ mailbox, behaviour }: Process): number {
  return mailbox.length + (behaviour.saved?.length ?? 0)
}

/** A rough figure; see the head of this file. */
export function memoryBytes(process: Process): number {
  return PROCESS_BYTES + MESSAGE_BYTES * queueLength(process)
}

function find(runtime: Runtime, pid: unknown): Process | undefined {
  if (!(pid instanceof Pid) || runtime.isForeign(pid)) throw badarg()
  return runtime.process(pid)
}

function itemName(item: unknown): string {
  const name = atomName(item)
  if (name === undefined || !Object.hasOwn(ITEMS, name)) throw badarg()
  return name
}

function infoOf(process: Process, item: string): Tuple {
  return tuple(atom(item), ITEMS[item]!(process))
}

function messages({ mailbox, behaviour }: Process): unknown[] {
  const saved = behaviour.saved?.slice(0, MAX_MESSAGES_SHOWN) ?? []
  const queued = mailbox.peek(MAX_MESSAGES_SHOWN - saved.length)
  return [...saved, ...queued].map((message) => presentable(messageToTerm(message)))
}

function monitors({ monitors: held }: Process): Tuple[] {
  return Array.from(held ?? [], ({ object }) =>
    tuple(atom('process'), object instanceof Pid ? object : tuple(atom(object.name), atom(object.node))),
  )
}

function dictionary(process: Process): Tuple[] {
  if (behaviourOf(process) === undefined) return []
  const ancestors = process.parent === undefined ? [] : [process.parent]
  return [tuple(atom('$initial_call'), initialCall(process)), tuple(atom('$ancestors'), ancestors)]
}

function garbageCollection(): Tuple[] {
  return [
    tuple(atom('max_heap_size'), LARGEST_HEAP),
    tuple(atom('min_bin_vheap_size'), 0),
    tuple(atom('min_heap_size'), 0),
    tuple(atom('fullsweep_after'), 0),
    tuple(atom('minor_gcs'), 0),
  ]
}
