/**
 * Plain nact actors and processes, each addressed as the other.
 *
 * A process for a nact reference lets our code send to it, link to it and register it; a nact reference for a process lets
 * nact code `dispatch` to it, so that nact programs live beside ours and can be moved over piece by piece.
 */
import { BadArgError } from './errors.ts'
import { dispatchToNact, type NactReference, stopNact } from './nact.ts'
import type { Pid } from './pid.ts'
import type { SpawnOptions } from './process.ts'
import type { Runtime } from './runtime.ts'
import { NactScheduler } from './scheduler.ts'

/** Starts a process that passes everything it is sent on to a nact actor. It knows nothing of the actor's end. */
export function processForNact(runtime: Runtime, reference: NactReference, options: SpawnOptions = {}): Pid {
  return runtime.spawn(
    { receive: (message) => dispatchToNact(reference, message) },
    { label: 'nact_actor', ...options },
  )
}

/**
 * Makes a nact reference that passes every message on to a process; it is stopped when the process ends. Throws
 * `BadArgError` for a process that is not alive here, and under a scheduler that is not nact's.
 */
export function nactForProcess(runtime: Runtime, pid: Pid): NactReference {
  const process = runtime.process(pid)
  if (process === undefined) throw new BadArgError(`${pid} is not alive on this node`)
  if (!(runtime.scheduler instanceof NactScheduler)) throw new BadArgError('the scheduler of this runtime is not nact')
  // The name holds the serial, so a reference is never answered by a later process [nact references are paths].
  const reference = runtime.scheduler.nact.spawn(`process-${runtime.makeRef().words.join('-')}`, (message) =>
    runtime.send(pid, message),
  )
  process.onExit(() => stopNact(reference))
  return reference
}
