/** The timers of a session: its expiry, and the delay of its will. */
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { SessionTimer } from './session-state.ts'

/** A timer has run out that was started under the connection of this number. */
export interface TimerMessage {
  readonly tag: 'timer'
  readonly timer: SessionTimer
  readonly attachment: number
}

export class SessionTimers {
  readonly #self: ProcessContext
  #will: Ref | undefined
  #expiry: Ref | undefined

  constructor(self: ProcessContext) {
    this.#self = self
  }

  /** Starts a timer, in place of one that runs. */
  start(timer: SessionTimer, delayMs: number, attachment: number): void {
    this.cancel(timer)
    const message: TimerMessage = { tag: 'timer', timer, attachment }
    const ref = this.#self.sendAfter(delayMs, this.#self.pid, message)
    if (timer === 'will') this.#will = ref
    else this.#expiry = ref
  }

  cancel(timer: SessionTimer): void {
    const ref = timer === 'will' ? this.#will : this.#expiry
    if (ref === undefined) return
    this.#self.cancelTimer(ref)
    if (timer === 'will') this.#will = undefined
    else this.#expiry = undefined
  }
}
