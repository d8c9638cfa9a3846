/**
 * The behaviour of a plain process: a function that receives selectively, as an Erlang process function does.
 *
 * Messages that do not match what the code waits for are saved and looked at again by the next `receive`, oldest first.
 */
import { type Behaviour, isThenable, type Process, type Script } from './process.ts'

interface Waiter {
  readonly match: ((message: unknown) => boolean) | undefined
  readonly resolve: (message: unknown) => void
  cancelTimeout: (() => void) | undefined
}

/** Message that starts the function on the process's first turn. */
export const START = Symbol('start')

export class ScriptBehaviour implements Behaviour {
  /** Messages that were looked at and did not match. */
  readonly saved: unknown[] = []
  readonly #process: Process
  readonly #script: Script
  #waiter: Waiter | undefined = undefined

  constructor(process: Process, script: Script) {
    this.#process = process
    this.#script = script
  }

  receive(message: unknown): void {
    if (message === START) {
      this.#start()
      return
    }
    const waiter = this.#waiter
    if (waiter === undefined || (waiter.match !== undefined && !waiter.match(message))) {
      this.saved.push(message)
      return
    }
    this.#waiter = undefined
    waiter.cancelTimeout?.()
    waiter.resolve(message)
  }

  next(timeoutMs: number | undefined, match: ((message: unknown) => boolean) | undefined): Promise<unknown> {
    const { mailbox, runtime } = this.#process
    while (mailbox.length > 0) this.saved.push(mailbox.shift())
    const at = match === undefined ? (this.saved.length > 0 ? 0 : -1) : this.saved.findIndex(match)
    if (at >= 0) return Promise.resolve(this.saved.splice(at, 1)[0])
    if (timeoutMs === 0) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const waiter: Waiter = { match, resolve, cancelTimeout: undefined }
      this.#waiter = waiter
      if (timeoutMs === undefined) return
      const { timers } = runtime.system
      const handle = timers.set(timeoutMs, () => {
        if (this.#waiter !== waiter) return
        this.#waiter = undefined
        resolve(undefined)
      })
      waiter.cancelTimeout = () => timers.clear(handle)
    })
  }

  /** What the script throws before its first `await` ends the process as what any behaviour throws. */
  #start(): void {
    const process = this.#process
    const ended = this.#script(process)
    if (!isThenable(ended)) {
      process.runtime.terminate(process, 'normal')
      return
    }
    Promise.resolve(ended).then(
      () => process.runtime.terminate(process, 'normal'),
      (thrown: unknown) => process.crash(thrown),
    )
  }
}
