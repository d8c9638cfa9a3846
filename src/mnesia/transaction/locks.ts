/**
 * The locks of one attempt of a transaction, each at its home.
 *
 * An attempt is doomed when a lock cannot be had, or other members run than at its beginning: then whatever it asks for throws
 * `Restart`.
 */
import type { Caller } from '../../actors/gen.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { hashOf } from '../rows/key-hash.ts'
import type { LockMode, TransactionId } from './lock-table.ts'
import { type LockReply, locker, MNESIA_LOCKER, type Position } from './locker.ts'

/** What the locks of a transaction need of the tables of a node. */
export interface LockHost {
  readonly runtime: Runtime
  /** Members that run, this node included, sorted. */
  running(): readonly string[]
  /** How far this node has applied the entries of an origin; 0 for one that it has not heard of. */
  appliedOf(node: string, epoch: number): number
}

const CATCH_UP_POLL_MS = 5
const CATCH_UP_MS = 2000

/** Thrown to run the function again; user code that catches it cannot keep the transaction alive. */
export class Restart extends Error {
  override readonly name = 'Restart'
}

/** The locks of one attempt. */
export class Locks {
  /** A lock could not be had: the attempt leads to nothing. */
  isDoomed = false
  readonly #host: LockHost
  readonly #caller: Caller
  readonly #id: TransactionId
  /** The members that ran at the beginning; homes are chosen among them. */
  readonly #running: readonly string[]
  readonly #view: string
  readonly #held = new Map<string, LockMode>()
  readonly #homes = new Set<string>()

  constructor(host: LockHost, caller: Caller, id: TransactionId) {
    this.#host = host
    this.#caller = caller
    this.#id = id
    this.#running = host.running()
    this.#view = viewOf(this.#running)
  }

  /** Whether the same members run as at the beginning. */
  get isViewCurrent(): boolean {
    return viewOf(this.#host.running()) === this.#view
  }

  /** Locks a row, or with an undefined key the table. Throws `Restart` when that cannot be. */
  async lock(table: string, key: string | undefined, mode: LockMode): Promise<void> {
    if (this.#isHeld(table, undefined, mode) || this.#isHeld(table, key, mode)) return
    // Rows of a table have their homes on all nodes, so whoever wants all of them asks all.
    const homes = key === undefined ? this.#running : [homeOf(`${table}\0${key}`, this.#running)]
    for (const home of homes) await this.#lockAt(home, table, key, mode)
    this.#held.set(resourceName(table, key), mode)
  }

  release(position: Position | undefined): void {
    for (const node of this.#homes) {
      locker.cast(this.#caller, { name: MNESIA_LOCKER, node }, 'unlock', this.#id, position)
    }
  }

  async #lockAt(node: string, table: string, key: string | undefined, mode: LockMode): Promise<void> {
    this.#homes.add(node)
    let answer: LockReply
    try {
      const to = { name: MNESIA_LOCKER, node }
      answer = await locker.callWithin(this.#caller, 'infinity', to, 'lock', this.#id, { table, key }, mode, this.#view)
    } catch {
      // The home is gone: the members are others now.
      answer = { tag: 'restart' }
    }
    if (answer.tag === 'restart') this.#doom()
    else for (const position of answer.after) await this.#applied(position)
  }

  /** Waits until what an earlier transaction has written is here. What nobody who runs has any more never comes. */
  async #applied([node, epoch, seq]: Position): Promise<void> {
    for (let waitedMs = 0; this.#host.appliedOf(node, epoch) < seq; waitedMs += CATCH_UP_POLL_MS) {
      if (this.isDoomed || !this.isViewCurrent) this.#doom()
      if (waitedMs >= CATCH_UP_MS) return
      await pause(this.#host.runtime, CATCH_UP_POLL_MS)
    }
  }

  #doom(): never {
    this.isDoomed = true
    throw new Restart('the transaction begins again')
  }

  #isHeld(table: string, key: string | undefined, mode: LockMode): boolean {
    const held = this.#held.get(resourceName(table, key))
    return held !== undefined && (mode === 'read' || held === 'write')
  }
}

function resourceName(table: string, key: string | undefined): string {
  return key === undefined ? table : `${table}\0${key}`
}

function viewOf(running: readonly string[]): string {
  return running.join(' ')
}

/** The member at which a resource is locked: by rendezvous, so that few move when a member comes or goes. */
function homeOf(resource: string, running: readonly string[]): string {
  let [best, bestHash] = ['', Number.NEGATIVE_INFINITY]
  for (const node of running) {
    const hash = hashOf(`${node}\0${resource}`)
    if (hash > bestHash) [best, bestHash] = [node, hash]
  }
  return best
}

/** Resolves after a time. */
export function pause({ timers }: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => void timers.set(ms, resolve))
}

/** The view of the members that run, for `locker`. */
export function runningView(host: Pick<LockHost, 'running'>): string {
  return viewOf(host.running())
}
