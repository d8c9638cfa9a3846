/**
 * The process in whose name an observer acts: `self()` at the prompt. What it is sent is kept for `flush()`.
 *
 * It traps exits, so that a link made at the prompt gives a message and does not end the session.
 */
import { BadArgError } from '../actors/errors.ts'
import type { Behaviour, ProcessContext } from '../actors/process.ts'
import type { Runtime } from '../actors/runtime.ts'

/** Messages beyond this many push out the oldest. */
const MAX_KEPT = 1000

export class ShellProcess implements Behaviour {
  readonly self: ProcessContext
  #messages: unknown[] = []
  #lost = 0

  constructor(runtime: Runtime, label: string) {
    const pid = runtime.spawn({ receive: (message: unknown) => this.receive(message) }, { label, trapExit: true })
    const self = runtime.process(pid)
    if (self === undefined) throw new BadArgError('the runtime has stopped')
    self.behaviour = this
    this.self = self
  }

  receive(message: unknown): void {
    this.#messages.push(message)
    if (this.#messages.length <= MAX_KEPT) return
    this.#messages.shift()
    this.#lost++
  }

  /** Takes out what has come, the oldest first, with the number of those that were too many. */
  flush(): { readonly messages: unknown[]; readonly lost: number } {
    const taken = { messages: this.#messages, lost: this.#lost }
    this.#messages = []
    this.#lost = 0
    return taken
  }
}
