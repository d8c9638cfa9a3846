/**
 * Reading the retained messages that match a filter, a page at a time.
 *
 * The table is ordered by topic, and its order is the index: from a topic that does not match, the cursor computes the
 * smallest topic behind it that may match and seeks there. So `a/+/c` costs a seek or two for each second level below `a`
 * and never sees other trees, and `#` is one walk. A cursor holds only the topic at which it stands; messages may come,
 * go and change between two pages.
 */

import type { TableReader } from '../../mnesia/table.ts'
import type { Message } from '../message.ts'
import { isShielded, isWildcard, words } from '../routing/topic.ts'
import type { RetainedRow } from '../tables.ts'

export interface RetainedPage {
  readonly messages: readonly Message[]
  /** True when there is nothing behind this page. */
  readonly done: boolean
}

/** Topics that a page looks at, at most, for each message that it may return: bounds the time of one call. */
const STEPS_PER_MESSAGE = 16

/** Bytes of payloads in a page; the last message may go beyond. */
const PAGE_BYTES = 1_048_576

export class RetainedCursor {
  readonly #table: TableReader<RetainedRow>
  readonly #filter: string
  readonly #words: readonly string[]
  readonly #nowMs: () => number
  /** The next topic to look at is this one or the first behind it; undefined at the end. */
  #at: string | undefined = ''

  /** `filter` is valid and without prefixes. Messages that have expired by `nowMs()` are passed over. */
  constructor(table: TableReader<RetainedRow>, filter: string, nowMs: () => number) {
    this.#table = table
    this.#filter = filter
    this.#words = words(filter)
    this.#nowMs = nowMs
  }

  /** Returns up to `max` messages, and about a megabyte, in the order of their topics; may return fewer, even none, before it is done. */
  next(max: number): RetainedPage {
    const nowMs = this.#nowMs()
    const messages: Message[] = []
    if (!isWildcard(this.#filter)) {
      if (this.#at !== undefined) this.#take(this.#filter, nowMs, messages)
      this.#at = undefined
      return { messages, done: true }
    }
    const table = this.#table
    let at = this.#at
    let key = at === undefined ? undefined : table.ceiling(at)
    let room = PAGE_BYTES
    let steps = max * STEPS_PER_MESSAGE
    for (; key !== undefined && steps > 0 && room > 0 && messages.length < max; steps--) {
      const target = advance(this.#words, key)
      if (target === true) {
        room -= this.#take(key, nowMs, messages)
        at = key
        key = table.next(key)
      } else {
        at = target
        key = target === undefined ? undefined : table.ceiling(target)
      }
    }
    this.#at = key
    return { messages, done: key === undefined }
  }

  /** Returns the bytes that it took. */
  #take(topic: string, nowMs: number, messages: Message[]): number {
    const row = this.#table.get(topic)
    if (row === undefined || row.expiresAtMs <= nowMs) return 0
    messages.push(row.message)
    return row.message.payload.length
  }
}

/**
 * True when a topic matches the words of a filter; else the smallest string behind the topic that a matching topic can
 * begin at, or undefined when there is none.
 */
function advance(filter: readonly string[], topic: string): true | string | undefined {
  const first = filter[0]
  // [MQTT5-4.7.2-1]; '%' is the character after '$'
  if (isShielded(topic) && (first === '+' || first === '#')) return '%'
  if (first === '#') return true
  const levels = words(topic)
  /** The levels that agree, with their slashes. */
  let prefix = ''
  for (let i = 0; i < filter.length; i++) {
    const word = filter[i]!
    if (word === '#') return true
    const level = levels[i]
    // Below a level that '+' stood for, the next sibling may come before its children: 'a', 'a-b', 'a/c'.
    if (level === undefined) return filter[i - 1] === '+' ? `${topic}\0` : `${topic}/`
    if (word !== '+' && word !== level) {
      const wanted = prefix + word
      const isLast = i + 1 === filter.length
      if ((isLast || filter[i + 1] === '#') && wanted > topic) return wanted
      // 'a-b' lies between 'a' and 'a/c', so having passed the one is not having passed the other.
      if (!isLast && `${wanted}/` > topic) return `${wanted}/`
      return behind(prefix)
    }
    prefix += `${level}/`
  }
  return levels.length === filter.length ? true : behind(prefix)
}

/** The smallest string behind all that begin with a prefix that ends in a slash; '0' is the character after '/'. */
function behind(prefix: string): string | undefined {
  return prefix === '' ? undefined : `${prefix.slice(0, -1)}0`
}
