/**
 * The processes of a node by OTP's functions: from `observer_backend:procs_info`, else from `process_info` of each.
 *
 * `procs_info` is started on the node by a spawn request, as Erlang's observer starts it, and sends what it has to a process of
 * ours, in messages of up to 10,000 processes; the end of the process there is the end of the list.
 */
import { callerProcess } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { ScriptContext } from '../actors/process.ts'
import { distributionOf } from '../dist/distribution.ts'
import type { SpawnEnd } from '../dist/peer.ts'
import { atom, atomName, isTuple, Tuple } from '../dist/term.ts'
import { functionText, pids, properties } from './otp-terms.ts'
import { ObserverError, type Target } from './target.ts'

/** A process as OTP tells of it. */
export interface OtpProcess {
  readonly pid: Pid
  readonly name: string
  readonly isRegistered: boolean
  readonly msgq: number
  readonly reds: number
  readonly memory: number
  readonly current: string
}

/** Without runtime_tools no more processes than this are asked one by one. */
const MAX_ASKED = 2000
const ASKED_AT_ONCE = 50

const ITEMS = ['registered_name', 'initial_call', 'memory', 'reductions', 'current_function', 'message_queue_len'].map(
  (item) => atom(item),
)

/** All processes of the node. */
export async function otpProcesses(target: Target): Promise<readonly OtpProcess[]> {
  return (await fromBackend(target)) ?? (await oneByOne(target))
}

/** Undefined when the node has no runtime_tools. */
async function fromBackend(target: Target): Promise<OtpProcess[] | undefined> {
  const { runtime } = callerProcess(target.caller)
  const found: OtpProcess[] = []
  const end = await new Promise<SpawnEnd | 'late'>((resolve) => {
    runtime.spawn(
      async (self) => {
        resolve(await collect(self, target, found))
      },
      { label: 'observer:procs_info' },
    )
  })
  if (end === 'late') throw new ObserverError(`${target.node} did not answer in time`, 'timeout')
  if (end.tag === 'error') throw new ObserverError(`${target.node} cannot be reached`, 'nodedown')
  return atomName(end.reason) === 'normal' ? found : undefined
}

async function collect(self: ScriptContext, target: Target, found: OtpProcess[]): Promise<SpawnEnd | 'late'> {
  const distribution = distributionOf(self.runtime)!
  const ended = (end: SpawnEnd): void => self.runtime.send(self.pid, end)
  const giveUp = distribution.spawnRequest(
    callerProcess(self),
    target.node,
    'observer_backend',
    'procs_info',
    [self.pid],
    ended,
  )
  for (;;) {
    const message = await self.receiveWithin(target.deadlineMs)
    if (isEnd(message)) return message
    if (message === undefined) {
      giveUp()
      return 'late'
    }
    if (!isTuple(message, 3)) continue
    const [tag, , records] = message.elements
    if (atomName(tag) !== 'procs_info' || !Array.isArray(records)) continue
    for (const record of records as unknown[]) {
      const process = processOf(record)
      if (process !== undefined) found.push(process)
    }
  }
}

function isEnd(message: unknown): message is SpawnEnd {
  if (typeof message !== 'object' || message === null || message instanceof Tuple) return false
  const { tag } = message as { readonly tag?: unknown }
  return tag === 'down' || tag === 'error'
}

/** The record `etop_proc_info`. */
function processOf(record: unknown): OtpProcess | undefined {
  if (!isTuple(record, 8)) return undefined
  const [, pid, memory, reds, name, , current, msgq] = record.elements
  if (!(pid instanceof Pid)) return undefined
  return {
    pid,
    name: functionText(name),
    isRegistered: !isTuple(name),
    msgq: Number(msgq),
    reds: Number(reds),
    memory: Number(memory),
    current: functionText(current),
  }
}

async function oneByOne(target: Target): Promise<OtpProcess[]> {
  const all = pids(await target.rpc('erlang', 'processes'))
  if (all.length > MAX_ASKED) {
    throw new ObserverError(
      `${target.node} has ${all.length} processes and no runtime_tools to list them`,
      'system_limit',
    )
  }
  const found: OtpProcess[] = []
  for (let at = 0; at < all.length; at += ASKED_AT_ONCE) {
    const asked = all.slice(at, at + ASKED_AT_ONCE)
    const infos = await Promise.all(asked.map((pid) => target.rpc('erlang', 'process_info', [pid, ITEMS])))
    for (const [index, pid] of asked.entries()) {
      const info = properties(infos[index])
      if (!('reductions' in info)) continue
      const { registered_name: registered, initial_call: call, current_function: current } = info
      const isRegistered = !Array.isArray(registered)
      found.push({
        pid,
        name: functionText(isRegistered ? registered : call),
        isRegistered,
        msgq: Number(info.message_queue_len),
        reds: Number(info.reductions),
        memory: Number(info.memory),
        current: functionText(current),
      })
    }
  }
  return found
}
