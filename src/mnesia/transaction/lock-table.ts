/**
 * The locks that one node keeps for the cluster: who holds what, and who waits [OTP mnesia_locker].
 *
 * A resource is a row of a table, whether it exists or not, or a whole table, which stands for all of its rows. Any number of
 * transactions may hold one for reading, or a single one for writing. There are no deadlocks: of two transactions that want the same the
 * older one waits and the younger one is told to begin again (wait-die), keeping its age, so that it will be the oldest some day.
 */

/** Age, then who: less is older. */
export interface TransactionId {
  readonly startedAtMs: number
  readonly node: string
  readonly number: number
}

export type LockMode = 'read' | 'write'

/** A row, or with an undefined key the whole table. */
export interface Resource {
  readonly table: string
  readonly key: string | undefined
}

/** What becomes of a request: it has the lock, it will be told later, or it has to begin again. */
export type LockAnswer = 'granted' | 'waits' | 'restart'

interface Holder {
  readonly id: TransactionId
  mode: LockMode
}

interface Waiter {
  readonly id: TransactionId
  readonly resource: Resource
  readonly mode: LockMode
  readonly granted: () => void
  readonly refused: () => void
}

/** Negative when `a` is the older one. */
export function compareAge(a: TransactionId, b: TransactionId): number {
  return a.startedAtMs - b.startedAtMs || (a.node < b.node ? -1 : a.node > b.node ? 1 : a.number - b.number)
}

function nameOf({ node, number }: TransactionId): string {
  return `${node}/${number}`
}

export class LockTable {
  /** Holders by table and key; those of the whole table under undefined. */
  readonly #held = new Map<string, Map<string | undefined, Map<string, Holder>>>()
  /** Resources of each transaction. */
  readonly #resources = new Map<string, Set<string>>()
  readonly #byName = new Map<string, Resource>()
  /** In the order in which they came. */
  #waiting: Waiter[] = []

  /** Number of locks that are held. */
  get size(): number {
    let count = 0
    for (const names of this.#resources.values()) count += names.size
    return count
  }

  /** Number of requests that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Asks for a lock. When it has to wait, `granted` or `refused` is called some time later; `refused` too when the transaction gives up.
   * A lock that is held for reading becomes one for writing as soon as no other transaction holds it.
   */
  request(id: TransactionId, resource: Resource, mode: LockMode, granted: () => void, refused: () => void): LockAnswer {
    const waiter = { id, resource, mode, granted, refused }
    // One that waits goes before those who came later, or a writer would wait for ever behind readers that come and go.
    const ahead = this.#waiting.filter((other) => isInTheWay(other, waiter))
    const rivals = [...this.#rivals(waiter), ...ahead.map((other) => other.id)]
    if (rivals.length === 0) {
      this.#take(waiter)
      return 'granted'
    }
    if (rivals.some((rival) => compareAge(rival, id) < 0)) return 'restart'
    this.#waiting.push(waiter)
    return 'waits'
  }

  /** Gives back all that a transaction holds or waits for, and serves who waits. */
  release(id: TransactionId): void {
    const name = nameOf(id)
    for (const resourceName of this.#resources.get(name) ?? []) {
      const { table, key } = this.#byName.get(resourceName)!
      const keys = this.#held.get(table)!
      const holders = keys.get(key)!
      holders.delete(name)
      if (holders.size > 0) continue
      this.#byName.delete(resourceName)
      keys.delete(key)
      if (keys.size === 0) this.#held.delete(table)
    }
    this.#resources.delete(name)
    const given = this.#waiting.filter((waiter) => nameOf(waiter.id) === name)
    this.#waiting = this.#waiting.filter((waiter) => nameOf(waiter.id) !== name)
    for (const waiter of given) waiter.refused()
    this.#serve()
  }

  /** Whether a transaction holds a resource in this mode, itself or with the whole table. */
  holds(id: TransactionId, { table, key }: Resource, mode: LockMode): boolean {
    const keys = this.#held.get(table)
    const name = nameOf(id)
    return [keys?.get(undefined)?.get(name), keys?.get(key)?.get(name)].some(
      (holder) => holder !== undefined && (mode === 'read' || holder.mode === 'write'),
    )
  }

  /** Lets those have their locks that can, in their order; one that now waits for an older one begins again. */
  #serve(): void {
    const still: Waiter[] = []
    const served: Waiter[] = []
    const refused: Waiter[] = []
    for (const waiter of this.#waiting) {
      const rivals = this.#rivals(waiter)
      const ahead = still.filter((other) => isInTheWay(other, waiter)).map((other) => other.id)
      if (rivals.length + ahead.length === 0) {
        this.#take(waiter)
        served.push(waiter)
      } else if ([...rivals, ...ahead].some((rival) => compareAge(rival, waiter.id) < 0)) refused.push(waiter)
      else still.push(waiter)
    }
    this.#waiting = still
    for (const waiter of served) waiter.granted()
    for (const waiter of refused) waiter.refused()
  }

  /** Other transactions whose locks exclude this one. */
  #rivals({ id, resource, mode }: Waiter): TransactionId[] {
    const keys = this.#held.get(resource.table)
    if (keys === undefined) return []
    const name = nameOf(id)
    const found: TransactionId[] = []
    const look = (holders: ReadonlyMap<string, Holder> | undefined): void => {
      for (const [holderName, holder] of holders ?? []) {
        if (holderName !== name && (mode === 'write' || holder.mode === 'write')) found.push(holder.id)
      }
    }
    if (resource.key === undefined) for (const holders of keys.values()) look(holders)
    else {
      look(keys.get(undefined))
      look(keys.get(resource.key))
    }
    return found
  }

  #take({ id, resource, mode }: Waiter): void {
    const { table, key } = resource
    let keys = this.#held.get(table)
    if (keys === undefined) {
      keys = new Map()
      this.#held.set(table, keys)
    }
    let holders = keys.get(key)
    if (holders === undefined) {
      holders = new Map()
      keys.set(key, holders)
    }
    const name = nameOf(id)
    const holder = holders.get(name)
    if (holder !== undefined) {
      if (mode === 'write') holder.mode = 'write'
      return
    }
    holders.set(name, { id, mode })
    const resourceName = key === undefined ? table : `${table}\0${key}`
    this.#byName.set(resourceName, resource)
    const resources = this.#resources.get(name)
    if (resources === undefined) this.#resources.set(name, new Set([resourceName]))
    else resources.add(resourceName)
  }
}

/** Whether two requests of different transactions exclude each other. */
function isInTheWay(other: Waiter, waiter: Waiter): boolean {
  if (nameOf(other.id) === nameOf(waiter.id) || other.resource.table !== waiter.resource.table) return false
  if (other.mode === 'read' && waiter.mode === 'read') return false
  const [a, b] = [other.resource.key, waiter.resource.key]
  return a === undefined || b === undefined || a === b
}
