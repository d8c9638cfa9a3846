/** Registered names of a node: one name per process, one process per name [OTP erlang:register/2]. */
import { BadArgError } from './errors.ts'
import type { Pid } from './pid.ts'
import type { Process } from './process.ts'

export class Registry {
  readonly #names = new Map<string, Process>()

  /** Throws `BadArgError` when the name is taken or none, or when the process is undefined (not alive here) or has a name. */
  register(name: string, process: Process | undefined): void {
    this.assertFree(name)
    if (process === undefined) throw new BadArgError(`cannot register ${name}: no such process on this node`)
    if (process.name !== undefined) throw new BadArgError(`${process.pid} is already registered as ${process.name}`)
    process.name = name
    this.#names.set(name, process)
  }

  /** Throws `BadArgError` when nobody has the name. */
  unregister(name: string): void {
    const process = this.#names.get(name)
    if (process === undefined) throw new BadArgError(`no process is registered as ${name}`)
    process.name = undefined
    this.#names.delete(name)
  }

  find(name: string): Process | undefined {
    return this.#names.get(name)
  }

  whereis(name: string): Pid | undefined {
    return this.#names.get(name)?.pid
  }

  names(): string[] {
    return [...this.#names.keys()]
  }

  assertFree(name: string): void {
    if (name === '' || name === 'undefined') throw new BadArgError(`'${name}' cannot be a registered name`)
    if (this.#names.has(name)) throw new BadArgError(`the name ${name} is taken`)
  }

  /** The process has ended. */
  release(process: Process): void {
    if (process.name !== undefined) this.#names.delete(process.name)
  }
}
