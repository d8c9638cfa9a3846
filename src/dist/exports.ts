/**
 * What other nodes may call here, by module, function and arity: an allow-list.
 *
 * Erlang's rpc reaches every function of a node, which is remote code execution by design. Here a call reaches what was exported
 * and nothing else; a function that is not there is `undef`. Arguments and results are terms: atoms are `Atom`, texts of
 * Erlang are Buffers or arrays of code points (see `text`).
 */
import { BadArgError } from '../actors/errors.ts'
import type { Runtime } from '../actors/runtime.ts'

/** A function that other nodes may call. What it throws is the error of the call; `BadArgError` is `badarg`. */
export type Exported = (context: ExportContext, ...args: readonly unknown[]) => unknown

export interface ExportContext {
  readonly runtime: Runtime
}

export class Exports {
  readonly #functions = new Map<string, Exported>()

  /** Exports a function with as many arguments as `arity` says. Throws `BadArgError` when there is one already. */
  add(module: string, name: string, arity: number, exported: Exported): void {
    const key = keyOf(module, name, arity)
    if (this.#functions.has(key)) throw new BadArgError(`${key} is exported already`)
    this.#functions.set(key, exported)
  }

  /** Undefined for what is not exported. */
  find(module: string, name: string, arity: number): Exported | undefined {
    return this.#functions.get(keyOf(module, name, arity))
  }

  /** True when any function of a module is exported. */
  hasModule(module: string): boolean {
    for (const key of this.#functions.keys()) if (key.startsWith(`${module}:`)) return true
    return false
  }
}

function keyOf(module: string, name: string, arity: number): string {
  return `${module}:${name}/${arity}`
}
