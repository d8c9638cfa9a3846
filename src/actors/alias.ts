/**
 * Aliases: references to which a process can be sent messages until it takes them back [OTP erlang:alias/1].
 *
 * What is sent to an alias that is no longer active vanishes: that is how a reply that comes too late is dropped.
 */
import type { Process } from './process.ts'
import type { Ref } from './ref.ts'

/** Takes the reply that is sent to an alias, once, instead of the mailbox; whatever else is sent there vanishes. */
export type OnMessage = (message: unknown) => void

export class Aliases {
  /** By the number of the reference; `ref` is the object that the process has, while a reply brings a copy of it. */
  readonly #active = new Map<
    number,
    { readonly process: Process; readonly ref: Ref; readonly onMessage: OnMessage | undefined }
  >()

  /** Number of active aliases. */
  get size(): number {
    return this.#active.size
  }

  /** Makes a local reference an alias of a process. */
  activate(process: Process, ref: Ref, onMessage: OnMessage | undefined): void {
    process.aliases ??= new Set()
    process.aliases.add(ref)
    this.#active.set(ref.id as number, { process, ref, onMessage })
  }

  /** Returns whether it was an active alias of the process. */
  remove(process: Process, ref: Ref): boolean {
    const alias = this.#active.get(ref.id as number)
    if (alias?.process !== process) return false
    this.#active.delete(ref.id as number)
    return process.aliases?.delete(alias.ref) ?? false
  }

  /** Delivers to the process of a local alias. */
  deliver(ref: Ref, message: unknown): void {
    const alias = this.#active.get(ref.id as number)
    if (alias === undefined) return
    if (alias.onMessage === undefined) {
      alias.process.deliver(message)
    } else if (isReply(message)) {
      this.remove(alias.process, ref)
      alias.onMessage(message)
    }
  }

  /** The process has ended. */
  release(process: Process): void {
    if (process.aliases === undefined) return
    for (const ref of process.aliases) this.#active.delete(ref.id as number)
    process.aliases = undefined
  }
}

function isReply(message: unknown): boolean {
  return typeof message === 'object' && message !== null && (message as { tag?: unknown }).tag === '$gen_reply'
}
