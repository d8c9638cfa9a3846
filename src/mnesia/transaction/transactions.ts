/**
 * Runs transactions: begins them again when they have to be, writes what they wrote as one entry, and gives their locks back.
 */
import type { Caller } from '../../actors/gen.ts'
import type { TableOperations } from '../shared/shared-table.ts'
import type { WriteOptions, WriteOutcome } from '../table.ts'
import type { TransactionId } from './lock-table.ts'
import type { Position } from './locker.ts'
import { type LockHost, Locks, pause, Restart } from './locks.ts'
import { Abort, Transaction, type TransactionResult } from './transaction.ts'

export interface TransactionOptions {
  /** How often it may begin again. @default without limit */
  readonly retries?: number
  /** Aborts with `no_majority` unless more than half of the members run. @default false */
  readonly majority?: boolean
  /** Whether it is complete only when it is on this node's disc as well [OTP mnesia:sync_transaction/1]. @default false */
  readonly durable?: boolean
  /** How long the members have to apply what was written. @default 1000 */
  readonly timeoutMs?: number
}

/** What transactions need of the tables of a node. */
export interface TransactionHost extends LockHost {
  members(): readonly string[]
  /** Writes one entry. */
  write(parts: readonly TableOperations[], options: WriteOptions | undefined): Promise<WriteOutcome> | undefined
  /** The last entry that this node has written. */
  position(): Position
  flushed(): Promise<void>
}

const FIRST_PAUSE_MS = 2
const LAST_PAUSE_MS = 100

interface Counters {
  committed: number
  aborted: number
  restarted: number
}

/** The transactions of one node. */
export class Transactions {
  readonly counters: Counters = { committed: 0, aborted: 0, restarted: 0 }
  readonly #host: TransactionHost
  #lastNumber = 0

  constructor(host: TransactionHost) {
    this.#host = host
  }

  /** Runs a function as a transaction, in the name of a process: when that ends, the transaction's locks are given back. */
  async run<T>(
    caller: Caller,
    body: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions = {},
  ): Promise<TransactionResult<T>> {
    const { runtime } = this.#host
    const { retries = Number.POSITIVE_INFINITY } = options
    const { name: node } = runtime.node
    // Its age is that of the first attempt, so that it cannot be overtaken for ever.
    const startedAtMs = runtime.clock.now()
    for (let attempt = 0; ; attempt++) {
      const id = { startedAtMs, node, number: ++this.#lastNumber }
      const result = await this.#attempt(caller, id, body, options)
      if (result !== undefined) {
        this.counters[result.ok ? 'committed' : 'aborted']++
        return result
      }
      this.counters.restarted++
      if (attempt >= retries) {
        this.counters.aborted++
        return { ok: false, reason: { tag: 'too_many_retries' } }
      }
      await pause(runtime, Math.min(FIRST_PAUSE_MS * 2 ** attempt, LAST_PAUSE_MS) * (0.5 + runtime.random()))
    }
  }

  /** Undefined when it has to begin again. */
  async #attempt<T>(
    caller: Caller,
    id: TransactionId,
    body: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions,
  ): Promise<TransactionResult<T> | undefined> {
    const locks = new Locks(this.#host, caller, id)
    const tx = new Transaction(locks)
    let position: Position | undefined
    try {
      if (options.majority === true && !this.#isMajority()) return { ok: false, reason: { tag: 'no_majority' } }
      const value = await body(tx)
      tx.close()
      if (locks.isDoomed || !locks.isViewCurrent) return undefined
      if (options.majority === true && !this.#isMajority()) return { ok: false, reason: { tag: 'no_majority' } }
      const parts = tx.parts()
      if (parts.length === 0) return { ok: true, value, unconfirmed: [] }
      const { timeoutMs } = options
      const written = this.#host.write(parts, { wait: 'members', ...(timeoutMs === undefined ? {} : { timeoutMs }) })
      position = this.#host.position()
      const outcome = (await written) ?? { unconfirmed: [] }
      if (options.durable === true && !(await this.#isFlushed())) return { ok: false, reason: { tag: 'disc' } }
      return { ok: true, value, unconfirmed: outcome.unconfirmed }
    } catch (thrown) {
      tx.close()
      if (thrown instanceof Restart || locks.isDoomed) return undefined
      if (thrown instanceof Abort) return { ok: false, reason: { tag: 'aborted', reason: thrown.reason } }
      return { ok: false, reason: { tag: 'error', error: thrown } }
    } finally {
      locks.release(position)
    }
  }

  #isMajority(): boolean {
    return this.#host.running().length * 2 > this.#host.members().length
  }

  async #isFlushed(): Promise<boolean> {
    try {
      await this.#host.flushed()
      return true
    } catch {
      return false
    }
  }
}
