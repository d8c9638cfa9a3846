/**
 * Which member has the stored session of a client id, as the discs of all members know it, in the table `stored_session`: so a client can be held, or refused,
 * while that member is down, also by a node that has itself been restarted, or has joined, meanwhile.
 *
 * A row is written when a session begins to be stored and deleted when it is not any more; its client may come and go, it stays as it is.
 */
import type { Table, TableOperation, Tables } from '../../../mnesia/table.ts'
import { STORED_SESSION, type StoredSessionRow } from '../../tables.ts'
import type { SessionStore } from './session-store.ts'

/** Rows that are removed in one batch. */
const FORGET_SIZE = 1000

export class StoredPlaces {
  readonly #node: string
  readonly #table: Table<StoredSessionRow>
  readonly #store: Pick<SessionStore, 'has'> | undefined

  /** `store` is that of this node; undefined when it stores no sessions. */
  constructor(node: string, tables: Tables, store: Pick<SessionStore, 'has'> | undefined) {
    this.#node = node
    this.#table = tables.open(STORED_SESSION)
    this.#store = store
  }

  /** The members that say, or said when they were last heard, that they have the stored session of a client. */
  of(clientId: string): string[] {
    const rows = [...this.#table.read(clientId), ...this.#table.readParked(clientId)]
    return rows.map(({ node }) => node)
  }

  /** Has the row of a client say whether this node has its stored session. */
  align(clientId: string): void {
    const isStored = this.#store?.has(clientId) === true
    const isKnown = this.#table.get(clientId)?.node === this.#node
    if (isStored === isKnown) return
    if (isStored) this.#table.write({ clientId, node: this.#node })
    else this.#table.delete(clientId)
  }

  /** Removes rows that an earlier run of this node has left and that are of no session any more. To be called when all that are stored have been found. */
  forgetFormer(): void {
    const operations: TableOperation<StoredSessionRow>[] = []
    for (const { clientId } of this.#table.rowsOf(this.#node)) {
      if (this.#store?.has(clientId) !== true) operations.push({ op: 'delete', key: clientId })
    }
    for (let i = 0; i < operations.length; i += FORGET_SIZE) {
      void this.#table.batch(operations.slice(i, i + FORGET_SIZE), {})
    }
  }
}
