/**
 * Processes that a peer asks for by SPAWN_REQUEST [OTP erlang:spawn_request/5], `erpc` among them.
 *
 * Only what is exported runs (exports.ts). Everything else gets what Erlang gives for a function that there is not: a process
 * that ends at once with `{undef, [{M, F, Args, []}]}`. `erpc:execute_call/4` tells its result by the reason of its end:
 * `{Ref, return, Value}`, `{Ref, exit, Reason}` or `{Ref, error, Reason, Stack}`.
 */
import { callerProcess } from '../actors/gen.ts'
import type { Process } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'
import { apply, type Outcome } from './apply.ts'
import type { SpawnRequest } from './control.ts'
import type { Exports } from './exports.ts'
import { atom, type Tuple, tuple } from './term.ts'

/** Starts the process; its first turn comes after the peer has its answer. */
export function spawnForPeer(runtime: Runtime, exported: Exports, request: SpawnRequest): Process {
  const { module, function: name, args } = request
  return runtime.spawnFrom(
    callerProcess(runtime),
    async (self) => {
      self.stop(await reasonOf(runtime, exported, request))
    },
    { label: `${module}:${name}/${args.length}` },
  )
}

async function reasonOf(runtime: Runtime, exported: Exports, request: SpawnRequest): Promise<unknown> {
  const { module, function: name, args } = request
  if (module === 'erpc' && name === 'execute_call' && args.length === 4) {
    const [result, ...call] = args
    return erpcReason(result, await apply(runtime, exported, call[0], call[1], call[2]))
  }
  if (module === 'erpc' && name === 'execute_cast' && args.length === 3) {
    return plainReason(await apply(runtime, exported, args[0], args[1], args[2]))
  }
  return plainReason(await apply(runtime, exported, atom(module), atom(name), args))
}

function erpcReason(result: unknown, outcome: Outcome): Tuple {
  switch (outcome.tag) {
    case 'return':
      return tuple(result, atom('return'), outcome.value)
    case 'exit':
      return tuple(result, atom('exit'), outcome.reason)
    case 'error':
      return tuple(result, atom('error'), outcome.reason, outcome.stack)
  }
}

function plainReason(outcome: Outcome): unknown {
  switch (outcome.tag) {
    case 'return':
      return 'normal'
    case 'exit':
      return outcome.reason
    case 'error':
      return tuple(outcome.reason, outcome.stack)
  }
}
