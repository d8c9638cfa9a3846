/**
 * Applies an exported function for a caller elsewhere, and says how it ended: never throws, never rejects.
 */
import { BadArgError, Exit } from '../actors/errors.ts'
import type { Runtime } from '../actors/runtime.ts'
import { reasonToTerm } from './exit-reason.ts'
import type { Exports } from './exports.ts'
import { atom, atomName, type Tuple, tuple } from './term.ts'

/** How a call ended, in Erlang's classes; reasons are terms. */
export type Outcome =
  | { readonly tag: 'return'; readonly value: unknown }
  | { readonly tag: 'exit'; readonly reason: unknown }
  | { readonly tag: 'error'; readonly reason: unknown; readonly stack: readonly Tuple[] }

/** Applies `module:name(args...)`; `module` and `name` are the terms that the caller sent. */
export async function apply(
  runtime: Runtime,
  exported: Exports,
  module: unknown,
  name: unknown,
  args: unknown,
): Promise<Outcome> {
  const [moduleName, functionName] = [atomName(module), atomName(name)]
  if (moduleName === undefined || functionName === undefined || !Array.isArray(args)) return failed('badarg', [])
  const stack = [tuple(atom(moduleName), atom(functionName), args, [])]
  const found = exported.find(moduleName, functionName, args.length)
  if (found === undefined) return failed('undef', stack)
  try {
    return { tag: 'return', value: await found({ runtime }, ...args) }
  } catch (thrown) {
    if (thrown instanceof Exit) return { tag: 'exit', reason: reasonToTerm(thrown.reason) }
    if (thrown instanceof BadArgError) return failed('badarg', stack)
    return { tag: 'error', reason: thrown instanceof Error ? thrown.message : reasonToTerm(thrown), stack }
  }
}

function failed(reason: string, stack: readonly Tuple[]): Outcome {
  return { tag: 'error', reason: atom(reason), stack }
}
