/**
 * The functions of this node that other nodes may call: an allow-list, by module, name and arity.
 *
 * In Erlang rpc runs any code; here it reaches what is registered and nothing else, so nothing can run code, read files,
 * stop the node or tell the cookie. Functions of OTP come from the folder `exports`; the layers above register their own, and
 * tell by the same object what they have to show to observers. Arguments and results are terms. A function answers with a
 * value or a promise, or throws an `ErlangError`; whatever else it throws becomes one, so a bad argument ends nothing but
 * the call.
 */
import { BadArgError, Exit, exitReasonOf } from '../actors/errors.ts'
import type { Pid } from '../actors/pid.ts'
import { isThenable, type ScriptContext } from '../actors/process.ts'
import { UnsendableError } from './errors.ts'
import { reasonToTerm } from './exit-reason.ts'
import { atom, atomName, Tuple, tuple } from './term.ts'

/** The classes of Erlang's exceptions. */
export type ExceptionClass = 'error' | 'exit' | 'throw'

/** An exception as Erlang has them; `reason` is a term. */
export class ErlangError extends Error {
  override readonly name = 'ErlangError'
  readonly code = 'erlang_error'
  readonly class: ExceptionClass
  readonly reason: unknown

  constructor(exceptionClass: ExceptionClass, reason: unknown) {
    super(`${exceptionClass} in a function called by another node`)
    this.class = exceptionClass
    this.reason = reason
  }
}

/** `error(badarg)`: an argument is of the wrong type. */
export function badarg(): ErlangError {
  return new ErlangError('error', atom('badarg'))
}

/** `error(function_clause)`: how OTP's functions that are written in Erlang answer arguments that they do not know. */
export function functionClause(): ErlangError {
  return new ErlangError('error', atom('function_clause'))
}

/** A node in the eyes of `nodes/1`. */
export type NodeKind = 'visible' | 'hidden' | 'known'

/** A socket as `observer_backend:get_port_list/0` shows it. */
export interface SocketInfo {
  /** The process that owns it. */
  readonly owner: Pid
  readonly local: SocketAddress | undefined
  readonly remote: SocketAddress | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  /** Bytes that wait to be written. */
  readonly queuedBytes: number
}

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** A table as `observer_backend:get_table_list/2` shows it. */
export interface TableInfo {
  readonly name: string
  readonly owner: Pid
  readonly type: 'set' | 'ordered_set' | 'bag'
  readonly size: number
  readonly memoryBytes: number
  /** `ram_copies`, `disc_copies`; of replicated tables only. */
  readonly storage?: string
  /** Properties of a row, the key first: the fields of Mnesia's record. */
  readonly attributes: readonly string[]
  /** The rows at hand, as they change: read in pieces, never at once. */
  rows(): Iterator<object>
}

/** What the exported functions ask of the distribution; every method may be called at any time. */
export interface Network {
  /** Other nodes: `known` are those that this node has heard of, connected or not. */
  nodes(kind: NodeKind): readonly string[]
  connect(node: string): Promise<boolean>
  /** False when there was no connection. */
  disconnect(node: string): boolean
  /** The nodes that epmd of this host knows, the oldest first; undefined when there is no epmd. */
  names(): Promise<readonly { readonly name: string; readonly port: number }[] | undefined>
  /** Bytes to and from other nodes since the start. */
  traffic(): { readonly bytesIn: number; readonly bytesOut: number }
}

/** The network of a node without distribution. */
const NO_NETWORK: Network = {
  nodes: () => [],
  connect: async () => false,
  disconnect: () => false,
  names: async () => undefined,
  traffic: () => ({ bytesIn: 0, bytesOut: 0 }),
}

/** What a function is given beside its arguments. */
export interface CallContext {
  /** The process in which the function runs; it ends with the call. */
  readonly self: ScriptContext
  /** Where output of the caller goes: a process that speaks Erlang's I/O protocol. A term of the caller's choice. */
  readonly groupLeader: unknown
  readonly exports: Exports
  readonly network: Network
}

/** An exported function. Called with as many arguments as it is registered for, terms of any kind each. */
export type ExportedFunction = (context: CallContext, ...args: unknown[]) => unknown

/** The functions of one module, by `name/arity`. */
export type ExportedModule = Readonly<Record<string, ExportedFunction>>

export class Exports {
  /** Of a node without distribution until the distribution has started. */
  network: Network = NO_NETWORK
  readonly #modules = new Map<string, Map<string, ExportedFunction>>()
  readonly #ofEveryModule = new Map<string, ExportedFunction>()
  readonly #sockets: (() => Iterable<SocketInfo>)[] = []
  readonly #tables: (() => Iterable<TableInfo>)[] = []

  /**
   * Allows other nodes to call functions of a module. Throws BadArgError when a name is no `name/arity` or is taken already.
   *
   * @example exports.register('broker', { 'stats/0': ({ self }) => statsOf(self.runtime) })
   */
  register(module: string, functions: ExportedModule): void {
    const known = this.#modules.get(module) ?? new Map<string, ExportedFunction>()
    for (const [signature, fn] of Object.entries(functions)) {
      if (!/^.+\/\d+$/.test(signature)) throw new BadArgError(`${module}:${signature} is no name/arity`)
      if (known.has(signature)) throw new BadArgError(`${module}:${signature} is exported already`)
      known.set(signature, fn)
    }
    this.#modules.set(module, known)
  }

  /** Allows a function of each module, registered or not, which is called with the module before its arguments: `module_info/1`. */
  registerForAll(signature: string, fn: ExportedFunction): void {
    this.#ofEveryModule.set(signature, fn)
  }

  has(module: string, name: string, arity: number): boolean {
    return this.#modules.get(module)?.has(`${name}/${arity}`) ?? false
  }

  hasModule(module: string): boolean {
    return this.#modules.has(module)
  }

  /** Names and arities of what is exported of a module. */
  functionsOf(module: string): (readonly [name: string, arity: number])[] {
    return Array.from(this.#modules.get(module)?.keys() ?? [], (signature) => {
      const slash = signature.lastIndexOf('/')
      return [signature.slice(0, slash), Number(signature.slice(slash + 1))] as const
    })
  }

  /** Shows sockets to observers; called each time they are asked for. */
  showSockets(list: () => Iterable<SocketInfo>): void {
    this.#sockets.push(list)
  }

  /** Shows replicated tables to observers, as those of Mnesia. */
  showTables(list: () => Iterable<TableInfo>): void {
    this.#tables.push(list)
  }

  sockets(): SocketInfo[] {
    return this.#sockets.flatMap((list) => [...list()])
  }

  /** Replicated tables; undefined when no layer has any to show. */
  tables(): TableInfo[] | undefined {
    return this.#tables.length === 0 ? undefined : this.#tables.flatMap((list) => [...list()])
  }

  /**
   * `apply(Module, Function, Args)` of terms, in a process. Returns the value, or a promise of it when the function returned one.
   * Throws, or rejects with, an ErlangError and nothing else. Without a group leader, output goes nowhere.
   */
  apply(self: ScriptContext, module: unknown, name: unknown, args: unknown, groupLeader?: unknown): unknown {
    const [moduleName, functionName] = [atomName(module), atomName(name)]
    if (moduleName === undefined || functionName === undefined || !Array.isArray(args)) throw badarg()
    const signature = `${functionName}/${args.length}`
    const failed = (thrown: unknown): never => {
      if (!isExpected(thrown) && self.runtime.process(self.pid) !== undefined) {
        const { logger } = self.runtime
        logger.error({ err: thrown, function: `${moduleName}:${signature}` }, 'exported function failed')
      }
      throw erlangErrorOf(thrown)
    }
    const fn = this.#modules.get(moduleName)?.get(signature)
    const general = fn === undefined ? this.#ofEveryModule.get(signature) : undefined
    const context: CallContext = { self, groupLeader, exports: this, network: this.network }
    let value: unknown
    try {
      if (fn !== undefined) value = fn(context, ...(args as unknown[]))
      else if (general !== undefined) value = general(context, module, ...(args as unknown[]))
      else throw new ErlangError('error', atom('undef'))
    } catch (thrown) {
      return failed(thrown)
    }
    return isThenable(value) ? Promise.resolve(value).catch(failed) : value
  }
}

function isExpected(thrown: unknown): boolean {
  return thrown instanceof ErlangError || thrown instanceof Exit || thrown instanceof BadArgError
}

/** The exception that a caller elsewhere sees. Stack traces stay here. */
export function erlangErrorOf(thrown: unknown): ErlangError {
  if (thrown instanceof ErlangError) return thrown
  if (thrown instanceof Exit) return new ErlangError('exit', reasonToTerm(thrown.reason))
  if (thrown instanceof BadArgError || thrown instanceof UnsendableError) return badarg()
  const term = reasonToTerm(exitReasonOf(thrown))
  return new ErlangError('error', term instanceof Tuple && thrown instanceof Error ? term.elements[0] : term)
}

/** Errors of a call itself, in whose stack trace Erlang has the arguments instead of their number. */
const ABOUT_ARGUMENTS: ReadonlySet<unknown> = new Set([atom('undef'), atom('badarg'), atom('function_clause')])

/** The stack trace that goes with an error: only what was called, as erpc trims it too. */
export function stackOf(module: unknown, name: unknown, args: unknown, reason: unknown): readonly Tuple[] {
  if (atomName(module) === undefined || atomName(name) === undefined || !Array.isArray(args)) {
    return [tuple(atom('erlang'), atom('apply'), [module, name, args], [])]
  }
  return [tuple(module, name, ABOUT_ARGUMENTS.has(reason) ? args : args.length, [])]
}
