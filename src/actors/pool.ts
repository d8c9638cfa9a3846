/**
 * pool: a fixed number of workers that share a load, each in a slot of its own [gproc_pool; emqttd's pooler].
 *
 * The pool is a supervisor of its workers, `one_for_one`. A worker that is restarted keeps its slot, so work that is picked by
 * the hash of a key (a topic, a client id) goes to the same slot for ever, and the order of work with one key is kept. The
 * slots are read without a message: `pick` costs a hash and an array access. A slot is empty while its worker restarts;
 * `pick` then passes on to the next, except for a hashed pick, whose order must not be broken: it returns undefined.
 */
import { type Caller, callerProcess } from './gen.ts'
import type { Pid } from './pid.ts'
import type { StartOptions, StartResult } from './proc-lib.ts'
import type { ProcessContext } from './process.ts'
import type { Runtime } from './runtime.ts'
import { type Startable, supervisor } from './supervisor.ts'

/** How a worker is told which one it is. */
export interface PoolWorkerArg<Arg> {
  readonly arg: Arg
  /** From 0 to the size of the pool. */
  readonly slot: number
}

export interface PoolDefinition<Arg> {
  /** The registered name of the pool's supervisor, by which `pick` finds it; workers are `name_1`, `name_2` … in reports. */
  readonly name: string
  readonly worker: Startable<PoolWorkerArg<Arg>>
  /** Number of workers. */
  readonly size: number
  /** Restarts allowed within `periodSec`; defaults to 10 in 3600 s, as emqttd's pools. */
  readonly intensity?: number
  readonly periodSec?: number
  /** ms that a worker has to end; defaults to 5000. */
  readonly shutdownMs?: number
}

/** A declared pool. */
export interface Pool<Arg> {
  readonly definition: PoolDefinition<Arg>
  startLink(parent: Caller, arg: Arg, options?: StartOptions): Promise<Pid>
  /** How a supervisor starts it as a child of type `supervisor`. */
  starter(arg: Arg, options?: StartOptions): (parent: ProcessContext) => StartResult | Promise<StartResult>
  /** The worker for a key: the same for the same key; undefined while it restarts or the pool does not run. */
  pickHashed(caller: Caller, key: string): Pid | undefined
  /** A worker at random; undefined when none runs. */
  pickRandom(caller: Caller): Pid | undefined
  /** The next worker in turn; undefined when none runs. */
  pickRoundRobin(caller: Caller): Pid | undefined
  /** The workers by slot; undefined where one restarts. */
  workers(caller: Caller): readonly (Pid | undefined)[]
}

interface Slots {
  readonly pids: (Pid | undefined)[]
  next: number
}

const SLOTS = 'pool_slots'

/** Declares a pool. */
export function pool<Arg = undefined>(definition: PoolDefinition<Arg>): Pool<Arg> {
  const { name, worker, size, intensity = 10, periodSec = 3600, shutdownMs = 5000 } = definition
  const top = supervisor<Arg>({
    label: `pool ${name}`,
    intensity,
    periodSec,
    children: (arg, self) => {
      const slots: Slots = { pids: new Array<Pid | undefined>(size).fill(undefined), next: 0 }
      const process = callerProcess(self)
      process.dictionary ??= new Map()
      process.dictionary.set(SLOTS, slots)
      return Array.from({ length: size }, (_, slot) => {
        const start = worker.starter({ arg, slot }, { label: `${name}_${slot + 1}` })
        return {
          id: `${name}_${slot + 1}`,
          start: (parent) => occupied(parent, slots, slot, start(parent)),
          shutdownMs,
        }
      })
    },
  })
  const slotsOf = (caller: Caller): Slots | undefined => {
    const { runtime } = callerProcess(caller)
    const pid = runtime.whereis(name)
    return pid && (runtime.process(pid)?.dictionary?.get(SLOTS) as Slots | undefined)
  }
  return {
    definition,
    startLink: (parent, arg, options) => top.startLink(parent, arg, { name, ...options }),
    starter: (arg, options) => top.starter(arg, { name, ...options }),
    pickHashed: (caller, key) => slotsOf(caller)?.pids[hashOf(key) % size],
    pickRandom: (caller) => {
      const slots = slotsOf(caller)
      return slots && fromSlot(slots, Math.floor(callerProcess(caller).runtime.random() * size))
    },
    pickRoundRobin: (caller) => {
      const slots = slotsOf(caller)
      if (slots === undefined) return undefined
      slots.next = (slots.next + 1) % size
      return fromSlot(slots, (slots.next + size - 1) % size)
    },
    workers: (caller) => slotsOf(caller)?.pids ?? [],
  }
}

/** FNV-1a over the UTF-16 units of a key: 32 bits, never negative, the same on every node. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  // The low bits of FNV-1a are weak for short keys that differ at their end.
  hash ^= hash >>> 15
  return hash >>> 0
}

/** The worker of the slot, or of the next one that is not empty. */
function fromSlot({ pids }: Slots, slot: number): Pid | undefined {
  for (let i = 0; i < pids.length; i++) {
    const pid = pids[(slot + i) % pids.length]
    if (pid !== undefined) return pid
  }
  return undefined
}

function occupied(
  parent: ProcessContext,
  slots: Slots,
  slot: number,
  started: StartResult | Promise<StartResult>,
): StartResult | Promise<StartResult> {
  if (started instanceof Promise) return started.then((result) => occupy(parent.runtime, slots, slot, result))
  return occupy(parent.runtime, slots, slot, started)
}

function occupy(runtime: Runtime, slots: Slots, slot: number, result: StartResult): StartResult {
  if (!result.ok || result.pid === undefined) return result
  const { pid } = result
  slots.pids[slot] = pid
  runtime.process(pid)?.onExit(() => {
    if (slots.pids[slot] === pid) slots.pids[slot] = undefined
  })
  return result
}
