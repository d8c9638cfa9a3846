/**
 * Runs what is typed at the prompt, in a context of its own with the commands as functions, and awaits what is a promise.
 *
 * The context is a realm of node:vm. It is no sandbox: who sits at the prompt may do what the observer may. It keeps the
 * variables of the prompt apart from the program, so that `f()` can forget them, and a slip breaks nothing. Ctrl+C ends a
 * busy loop (the interrupt signal of the OS process does) and leaves an `await` (the given signal does).
 */
import { types } from 'node:util'
import { type Context, createContext, Script } from 'node:vm'
import { BadArgError } from '../../actors/errors.ts'
import { Pending } from '../commands/pending.ts'
import { ObserverError } from '../target.ts'
import { Results } from './results.ts'
import { rewrite } from './rewrite.ts'

/** What became of an input. */
export type Outcome =
  | { readonly tag: 'value'; readonly value: unknown }
  /** Thrown or rejected with. */
  | { readonly tag: 'thrown'; readonly error: unknown }
  /** The user had enough of it. */
  | { readonly tag: 'interrupted' }
  | { readonly tag: 'incomplete' }

/** What of the realm of the program is there at the prompt. */
const GLOBALS = { Buffer, URL, TextEncoder, TextDecoder, structuredClone }

export interface EvaluatorOptions {
  /** Functions and values, by their names. */
  readonly names: Readonly<Record<string, unknown>>
  /** Where `console.log` goes. */
  readonly log: (text: string) => void
  /** How a value is written for `console.log` and `h()`. */
  readonly print: (value: unknown) => string
}

export class Evaluator {
  readonly results = new Results()
  readonly #base: Readonly<Record<string, unknown>>
  readonly #context: Context
  /** Deletes from within: the realm keeps what was assigned there beside what its context object has. */
  readonly #delete: (name: string) => void

  constructor({ names, log, print }: EvaluatorOptions) {
    const say = (...values: unknown[]): void =>
      log(values.map((value) => (typeof value === 'string' ? value : print(value))).join(' '))
    this.#base = {
      ...GLOBALS,
      console: { log: say, info: say, warn: say, error: say },
      ...names,
      v: (number: unknown) => this.results.value(number),
      e: (number: unknown) => this.#again(this.results.source(number)),
      h: () => this.results.list(print),
      f: (name: unknown) => this.#forget(name),
    }
    this.#context = createContext({ ...this.#base })
    this.#delete = new Script('(name) => { delete globalThis[name] }').runInContext(this.#context) as (
      name: string,
    ) => void
  }

  /** Names at the prompt, those of the commands and of variables. */
  get names(): string[] {
    return Object.keys(this.#context)
  }

  /** The value of a name or a path of names, without running anything. */
  lookUp(path: readonly string[]): unknown {
    let value: unknown = this.#context
    for (const name of path) {
      if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
      const property = propertyOf(value, name)
      if (property === undefined || property.get !== undefined) return undefined
      value = property.value
    }
    return value
  }

  /** Runs one input; its value gets the next number unless the input is not complete. */
  async evaluate(source: string, interrupt: AbortSignal): Promise<Outcome> {
    const outcome = await this.#run(source, interrupt)
    if (outcome.tag !== 'incomplete') {
      this.results.add(source.trim(), outcome.tag === 'value' ? outcome.value : undefined)
    }
    return outcome
  }

  /** Whether the input goes on, on the next line. */
  isIncomplete(source: string): boolean {
    return rewrite(source).tag === 'incomplete'
  }

  async #run(source: string, interrupt: AbortSignal): Promise<Outcome> {
    const rewritten = rewrite(source)
    if (rewritten.tag === 'incomplete') return rewritten
    if (rewritten.tag === 'error') {
      return { tag: 'thrown', error: new ObserverError(`syntax: ${rewritten.message}`, 'syntax') }
    }
    try {
      const value = this.#runCode(rewritten.code)
      const settled = await orInterrupted(value, interrupt)
      if (settled === INTERRUPTED) return { tag: 'interrupted' }
      for (const name of rewritten.names) {
        // Rows are there when they are looked at next.
        const variable: unknown = this.#context[name]
        if (variable instanceof Pending) this.#context[name] = await variable
      }
      return { tag: 'value', value: settled }
    } catch (error) {
      return isInterrupt(error) ? { tag: 'interrupted' } : { tag: 'thrown', error }
    }
  }

  #runCode(code: string): unknown {
    return new Script(code, { filename: 'prompt' }).runInContext(this.#context, { breakOnSigint: true })
  }

  #again(source: string): unknown {
    const rewritten = rewrite(source)
    if (rewritten.tag !== 'code') throw new BadArgError(`cannot run again: ${source}`)
    return this.#runCode(rewritten.code)
  }

  #forget(name: unknown): string {
    if (name !== undefined && typeof name !== 'string') throw new BadArgError("f takes the name of a variable: f('x')")
    const names = name === undefined ? Object.keys(this.#context) : [name]
    for (const each of names) {
      if (Object.hasOwn(this.#base, each)) this.#context[each] = this.#base[each]
      else this.#delete(each)
    }
    return 'ok'
  }
}

const INTERRUPTED = Symbol('interrupted')

/** A thenable is awaited, until the user has enough of it. */
function orInterrupted(value: unknown, interrupt: AbortSignal): unknown {
  if (!isThenable(value)) return value
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve(INTERRUPTED)
    interrupt.addEventListener('abort', leave, { once: true })
    value.then(
      (settled) => {
        interrupt.removeEventListener('abort', leave)
        resolve(settled)
      },
      (error: unknown) => {
        interrupt.removeEventListener('abort', leave)
        reject(error)
      },
    )
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    types.isPromise(value) ||
    (typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function')
  )
}

function isInterrupt(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED'
}

function propertyOf(value: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const property = Object.getOwnPropertyDescriptor(at, name)
    if (property !== undefined) return property
  }
  return undefined
}
