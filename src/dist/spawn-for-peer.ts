/**
 * Processes that a peer asks for by SPAWN_REQUEST [OTP erlang:spawn_request/5].
 *
 * Running what others name would be remote code execution, so only what is exported runs. Everything else gets what Erlang gives for
 * a function that there is not: a process that ends at once with `{undef, [{M, F, Args, []}]}`.
 */
import { callerProcess } from '../actors/gen.ts'
import type { Process } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { SpawnRequest } from './control.ts'
import { atom, tuple } from './term.ts'

/** Starts the process; its first turn comes after the peer has its answer. */
export function spawnForPeer(runtime: Runtime, request: SpawnRequest): Process {
  const { module, function: name, args } = request
  const undef = { undef: [tuple(atom(module), atom(name), args, [])] }
  return runtime.spawnFrom(callerProcess(runtime), (self) => Promise.resolve(self.stop(undef)), {
    label: `${module}:${name}/${args.length}`,
  })
}
