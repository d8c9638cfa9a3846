/**
 * Messages for members that are down, or were lost before they had confirmed: kept here, on disc, until the member is back.
 *
 * Only those of QoS 1 and 2 that sessions with more life than their connection would have got on that member. They are numbered for each member, and given out in
 * order. The log is bounded: by bytes for each member, where the oldest go first, and by age. What goes without having been given out is counted.
 */
import { termBytes } from '../../mnesia/row-bytes.ts'
import type { Store } from '../../mnesia/store/store.ts'
import type { Message } from '../message.ts'
import type { Share } from '../session/delivery.ts'

export interface HintLimits {
  /** For each member. */
  readonly maxBytes: number
  readonly maxAgeMs: number
}

export interface HintLogOptions extends HintLimits {
  /** Nobody else writes to it. */
  readonly store: Store
  /** Wall clock, ms. */
  readonly now: () => number
  /** So many messages are given up. */
  readonly onDropped: (messages: number) => void
}

/** The client whose session gets what came too late for a former one. */
export interface Heir {
  readonly clientId: string
  /** When the former one was last opened, as its row said. */
  readonly connectedAtMs: number
}

/** Messages as they were sent, or would have been: of one publish. */
export interface Hint {
  readonly atMs: number
  /** Of the message between forwarders that had them, when they were sent; else undefined. */
  readonly stream: number | undefined
  readonly seq: number | undefined
  /** For a member of this group. With neither: for all sessions that outlive their connection. */
  readonly share?: Share | undefined
  /** For this session alone. */
  readonly heir?: Heir | undefined
  readonly messages: readonly Message[]
}

/** A hint that has been added. */
export interface Added {
  readonly number: number
  /** Resolves when it is on disc; rejects with a `StoreError` when the disc refuses. */
  readonly flushed: Promise<void>
}

/** Some hints in a row. */
export interface HintPage {
  readonly hints: readonly Hint[]
  /** Number of the last of them. */
  readonly last: number
  /** There are others behind them. */
  readonly more: boolean
}

interface Log {
  /** Nothing is before this number. */
  first: number
  /** Number of the next one. */
  next: number
  /** Of those that are there: single ones may have been removed from between. */
  count: number
  bytes: number
}

const SPACE = 'hints/'
const BYTES = termBytes<Hint>()
const KEY_DIGITS = 16

export class HintLog {
  readonly #options: HintLogOptions
  readonly #logs = new Map<string, Log>()

  constructor(options: HintLogOptions) {
    this.#options = options
    const { store } = options
    for (const space of store.spaces()) {
      if (!space.startsWith(SPACE)) continue
      const log: Log = { first: 0, next: 0, count: 0, bytes: 0 }
      for (const [key, value] of store.entries(space)) {
        if (log.count === 0) log.first = Number(key)
        log.next = Number(key) + 1
        log.count += 1
        log.bytes += value.length
      }
      this.#logs.set(space.slice(SPACE.length), log)
    }
  }

  /** Whether there are hints for a member. */
  has(node: string): boolean {
    return (this.#logs.get(node)?.count ?? 0) > 0
  }

  /** Members for which there are hints. */
  nodes(): string[] {
    return [...this.#logs.keys()].filter((node) => this.has(node))
  }

  /** Adds a hint. */
  add(node: string, hint: Hint): Added {
    const { store, maxBytes } = this.#options
    let log = this.#logs.get(node)
    if (log === undefined) {
      log = { first: 0, next: 0, count: 0, bytes: 0 }
      this.#logs.set(node, log)
    }
    const value = BYTES.encode(hint)
    const number = log.next
    store.commit([{ space: SPACE + node, key: keyOf(number), value }])
    log.next += 1
    log.count += 1
    log.bytes += value.length
    while (log.bytes > maxBytes && log.count > 1) this.#dropFirst(node, log)
    return { number, flushed: store.flushed() }
  }

  /** The first hints for a member, up to about so many bytes; those that are too old are dropped. Undefined when there are none. */
  read(node: string, maxBytes: number): HintPage | undefined {
    const { store, now, maxAgeMs } = this.#options
    const log = this.#logs.get(node)
    if (log === undefined) return undefined
    const oldestMs = now() - maxAgeMs
    const hints: Hint[] = []
    let bytes = 0
    let at = log.first
    for (; at < log.next && bytes < maxBytes; at += 1) {
      const value = store.get(SPACE + node, keyOf(at))
      if (value === undefined) continue
      const hint = BYTES.decode(value)
      if (hints.length === 0) {
        log.first = at
        if (hint.atMs < oldestMs) {
          this.#dropFirst(node, log)
          continue
        }
      }
      hints.push(hint)
      bytes += value.length
    }
    return hints.length === 0 ? undefined : { hints, last: at - 1, more: log.count > hints.length }
  }

  /** A member has taken over all up to a number. */
  remove(node: string, last: number): void {
    const log = this.#logs.get(node)
    if (log === undefined) return
    while (log.first <= last && log.first < log.next) this.#removeFirst(node, log)
  }

  /** A member has got those from one number up to another in another way. */
  removeOnly(node: string, from: number, upTo: number): void {
    const log = this.#logs.get(node)
    if (log === undefined) return
    for (let number = Math.max(from, log.first); number <= upTo; number += 1) {
      this.#removeAt(node, log, number)
      if (number === log.first) log.first += 1
    }
    if (log.count === 0) log.first = log.next
  }

  /** A member is none any more: what was kept for it is given up. */
  forget(node: string): void {
    const log = this.#logs.get(node)
    if (log === undefined) return
    // The log stays, so that what it says of numbers that were given means nothing later.
    while (log.first < log.next) this.#dropFirst(node, log)
  }

  /** By member: hints and their bytes. */
  status(): Record<string, { readonly hints: number; readonly bytes: number }> {
    const status: ReturnType<HintLog['status']> = {}
    for (const [node, { count, bytes }] of this.#logs) if (count > 0) status[node] = { hints: count, bytes }
    return status
  }

  #dropFirst(node: string, log: Log): void {
    const value = this.#removeFirst(node, log)
    if (value !== undefined) this.#options.onDropped(BYTES.decode(value).messages.length)
  }

  #removeFirst(node: string, log: Log): Uint8Array | undefined {
    const value = this.#removeAt(node, log, log.first)
    log.first += 1
    return value
  }

  #removeAt(node: string, log: Log, number: number): Uint8Array | undefined {
    const { store } = this.#options
    const key = keyOf(number)
    const value = store.get(SPACE + node, key)
    if (value === undefined) return undefined
    store.commit([{ space: SPACE + node, key, value: undefined }])
    log.count -= 1
    log.bytes -= value.length
    return value
  }
}

function keyOf(number: number): string {
  return String(number).padStart(KEY_DIGITS, '0')
}
