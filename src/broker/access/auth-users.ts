/**
 * The users that the broker knows itself: those of the configuration, and those that were added while it ran, which are
 * rows of the replicated table `users`. The configuration has precedence, so that a file alone can lock somebody out.
 */
import type { Clock } from '../../actors/system.ts'
import type { Table, Tables } from '../../mnesia/table.ts'
import type { BrokerConfig } from '../config.ts'
import { USERS, type UserRow } from '../tables.ts'

/** Stands in when nobody has a password: a hash of what new hashes cost, that fits none. */
const NOBODY = `scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(43)}`

/** User names and client ids with their password hashes (`hashPassword`). */
export class Users {
  readonly #configured: ReadonlyMap<string, string>
  readonly #clients: ReadonlyMap<string, string>
  readonly #table: Table<UserRow>
  readonly #clock: Pick<Clock, 'now'>

  constructor(
    { users, clients }: Pick<BrokerConfig['access'], 'users' | 'clients'>,
    tables: Tables,
    clock: Pick<Clock, 'now'>,
  ) {
    this.#configured = new Map(Object.entries(users))
    this.#clients = new Map(Object.entries(clients))
    this.#table = tables.open(USERS)
    this.#clock = clock
  }

  /** The hash of a user's password; undefined when there is no such user. */
  hashOf(username: string | undefined): string | undefined {
    if (username === undefined) return undefined
    return this.#configured.get(username) ?? this.#table.get(username)?.passwordHash
  }

  /** The hash of a client id's password; undefined when it has none. */
  hashOfClient(clientId: string): string | undefined {
    return this.#clients.get(clientId)
  }

  /** Some hash, of the cost that checks have here. */
  get someHash(): string {
    return this.#configured.values().next().value ?? this.#table.rows().next().value?.passwordHash ?? NOBODY
  }

  /** All user names, each once: those of the configuration first. */
  names(): string[] {
    return [...new Set([...this.#configured.keys(), ...this.#table.keys()])]
  }

  /** Adds a user or changes the password. One of the configuration keeps the password that it has there. */
  add(username: string, passwordHash: string): void {
    this.#table.write({ username, passwordHash, createdAtMs: this.#clock.now() })
  }

  /** Removes a user that was added; returns whether there was one. */
  delete(username: string): boolean {
    if (!this.#table.has(username)) return false
    this.#table.delete(username)
    return true
  }
}
