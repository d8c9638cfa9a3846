/**
 * Who may not connect, whatever else is allowed: client ids, user names and addresses, for a time or for good. Rows of the
 * replicated table `banned`; one that has ended is removed when it is next looked at.
 */
import type { Clock } from '../../actors/system.ts'
import type { Table, Tables } from '../../mnesia/table.ts'
import { BANNED, type BannedRow } from '../tables.ts'

/** What a ban goes by. */
export type BanKind = 'clientid' | 'username' | 'peerhost'

/** The bans of a broker. */
export class Banned {
  readonly #table: Table<BannedRow>
  readonly #clock: Pick<Clock, 'now'>

  constructor(tables: Tables, clock: Pick<Clock, 'now'>) {
    this.#table = tables.open(BANNED)
    this.#clock = clock
  }

  /** Bans somebody until a time (wall clock, ms; Infinity for good); `by` says who did it. */
  ban(kind: BanKind, value: string, { reason, by, untilMs }: { reason: string; by: string; untilMs: number }): void {
    this.#table.write({ who: `${kind}:${value}`, reason, by, atMs: this.#clock.now(), untilMs })
  }

  /** Lifts a ban; returns whether there was one. */
  unban(kind: BanKind, value: string): boolean {
    const who = `${kind}:${value}`
    if (!this.#table.has(who)) return false
    this.#table.delete(who)
    return true
  }

  /** The bans, those that have ended among them until they are looked at. */
  list(): BannedRow[] {
    return [...this.#table.rows()]
  }

  /** Whether a client is banned by its id, its user name or its address. */
  has({ clientId, username, host }: { clientId: string; username: string | undefined; host: string }): boolean {
    if (this.#table.size === 0) return false
    return (
      this.#holds(`clientid:${clientId}`) ||
      (username !== undefined && this.#holds(`username:${username}`)) ||
      this.#holds(`peerhost:${host}`)
    )
  }

  #holds(who: string): boolean {
    const row = this.#table.get(who)
    if (row === undefined) return false
    if (this.#clock.now() < row.untilMs) return true
    this.#table.delete(who)
    return false
  }
}
