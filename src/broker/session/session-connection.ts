/**
 * A session's side of its connection: watches it, and sends it what it is to get, once the disc has what must be there first. A connection
 * on another node gets plain packets, in parts.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { ToConnection } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import type { OpenAnswer } from './session-messages.ts'
import type { Effect } from './session-state.ts'
import type { SessionStorage, ToClient } from './stored/session-storage.ts'
import { travellingPackets } from './travel.ts'

export class SessionConnection {
  /** It is on another node. */
  isFar = false
  /** It says that its socket takes no more. */
  isSocketFull = false
  readonly #self: ProcessContext
  readonly #storage: SessionStorage | undefined
  #monitor: Ref | undefined

  constructor(self: ProcessContext, storage: SessionStorage | undefined) {
    this.#self = self
    this.#storage = storage
  }

  /** The session has a connection, or another one. */
  attach(connection: Pid): void {
    this.detach()
    this.#monitor = this.#self.monitor(connection)
    this.isSocketFull = false
    this.isFar = this.#self.runtime.isForeign(connection)
  }

  /** The session has no connection any more, and what is kept back for it goes nowhere. */
  detach(): void {
    if (this.#monitor !== undefined) this.#self.demonitor(this.#monitor, { flush: true })
    this.#monitor = undefined
    this.#storage?.forget()
  }

  /** Takes a DOWN; returns whether it was the connection's. */
  takeDown(ref: Ref): boolean {
    if (this.#monitor?.equals(ref) !== true) return false
    this.#monitor = undefined
    return true
  }

  /** Sends a message, at once or behind what the disc is to have first; nothing when there is no connection. */
  send(connection: Pid | undefined, message: ToClient, waits: boolean): void {
    if (connection === undefined || this.#storage?.holds(connection, message, waits) === true) return
    this.#self.send(connection, message)
  }

  /** Sends packets to a connection on another node. */
  sendFar(connection: Pid | undefined, { from, packets, waits }: Extract<Effect, { tag: 'out' }>): void {
    for (const part of travellingPackets(packets)) this.send(connection, { tag: 'out', from, packets: part }, waits)
  }

  /** Closes a connection, at once: what it has not been told it need not know. */
  close({ to, reasonCode, reason }: Extract<Effect, { tag: 'close' }>): void {
    if (this.#storage?.isOpening === true) {
      // It knows of no session yet.
      this.#self.send(to, { tag: 'refused', reasonCode: RC.server_unavailable, reason } satisfies OpenAnswer)
    } else this.#self.send(to, { tag: 'close', from: this.#self.pid, reasonCode, reason } satisfies ToConnection)
  }

  /** A connection takes itself for that of the session, which has let it go: a link was lost between them, and is there again. */
  disown(connection: Pid): void {
    const reason = 'session has let go'
    const close: ToConnection = { tag: 'close', from: this.#self.pid, reasonCode: RC.server_unavailable, reason }
    this.#self.send(connection, close)
  }
}
