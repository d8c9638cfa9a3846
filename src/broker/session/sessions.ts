/** The sessions, for those who are neither a session nor its manager: how they are opened, found, listed and ended. */
import type { Runtime } from '../../actors/runtime.ts'
import type { Table, Tables } from '../../mnesia/table.ts'
import type { ClientInfo } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import { SESSION, type SessionRow } from '../tables.ts'
import { isLater } from './directory.ts'
import type { FromManager, OpenAnswer } from './session-messages.ts'
import { sm, type ToSm, workerOf } from './sm.ts'
import type { FoundSession } from './stored/session-store.ts'

export class Sessions {
  /** Registered names; the supervisor starts `sm` once under each, with its place as `index`. */
  readonly names: readonly string[]
  readonly #runtime: Runtime
  readonly #table: Table<SessionRow>
  #count = 0

  constructor(runtime: Runtime, tables: Tables, poolSize = 1) {
    this.#runtime = runtime
    this.#table = tables.open(SESSION)
    const { name } = runtime.node
    for (const _ of this.list()) this.#count += 1
    this.#table.subscribe((event) => {
      if (event.type === 'write' && event.owner === name && event.old === undefined) this.#count += 1
      else if (event.type === 'delete' && event.owner === name) this.#count -= 1
    })
    this.names = poolSize === 1 ? ['sm'] : Array.from({ length: poolSize }, (_, i) => `sm_${i + 1}`)
  }

  /** Number of sessions of this node. */
  get count(): number {
    return this.#count
  }

  /** Number of sessions of all nodes. */
  get clusterCount(): number {
    return this.#table.size
  }

  /**
   * Opens the session of a client that has authenticated. Its connection gets an `OpenAnswer`; none when a manager is
   * restarted meanwhile, so the connection must have a time limit of its own.
   */
  open(client: ClientInfo): void {
    const name = this.names[workerOf(client.clientId, this.names.length)]!
    const worker = this.#runtime.whereis(name)
    if (worker !== undefined) this.#runtime.send(worker, { tag: 'open', client } satisfies ToSm)
    else {
      const answer: OpenAnswer = { tag: 'refused', reasonCode: RC.server_unavailable, reason: 'no session manager' }
      this.#runtime.send(client.connection, answer)
    }
  }

  /** Starts a session that was stored; resolves when its routes stand, or it could not be started, which is logged. */
  restore(found: FoundSession): Promise<void> {
    const name = this.names[workerOf(found.session.client.clientId, this.names.length)]!
    return sm.callWithin(this.#runtime, 'infinity', name, 'restore', found)
  }

  /** A member has given all that it had kept for this node: sessions have what they may have to hand over. */
  hintsGiven(): void {
    for (const name of this.names) {
      const worker = this.#runtime.whereis(name)
      if (worker !== undefined) this.#runtime.send(worker, { tag: 'hints_given' } satisfies ToSm)
    }
  }

  /** The session of a client, on whatever node; undefined when it has none. */
  lookup(clientId: string): SessionRow | undefined {
    let last: SessionRow | undefined
    for (const row of this.#table.read(clientId)) if (last === undefined || isLater(row, last)) last = row
    return last
  }

  /** The sessions of this node, in no order. */
  list(): IterableIterator<SessionRow> {
    return this.#table.rowsOf(this.#runtime.node.name)
  }

  /**
   * Closes the connection of a client; its session lives on as its expiry says. Returns false when there is no session.
   * 5.0 clients are told `administrative_action` unless another reason code is given.
   */
  kick(clientId: string, reasonCode: number = RC.administrative_action, reason = 'kicked'): boolean {
    return this.#tell(clientId, { tag: 'kick', reasonCode, reason })
  }

  /** Ends the session of a client and its connection. Returns false when there is no session. */
  discard(clientId: string, reasonCode: number = RC.administrative_action, reason = 'discarded'): boolean {
    return this.#tell(clientId, { tag: 'discard', reasonCode, reason })
  }

  #tell(clientId: string, message: FromManager): boolean {
    const row = this.lookup(clientId)
    if (row === undefined) return false
    this.#runtime.send(row.pid, message)
    return true
  }
}
