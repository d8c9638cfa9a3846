/**
 * Topic names and topic filters: what is valid, what a filter says, and whether a name matches it.
 *
 * A client writes `sensor/+/temp`, but also `$share/group/sensor/#`, `$queue/jobs` and `$local/cache`. `parseFilter` takes
 * the prefixes off once, when the client subscribes; everything behind it (trie, routes, retained messages) knows plain
 * filters only. `matches` is the definition of matching that the trie and the retained index are tested against; the
 * publish path does not call it.
 *
 * Length and UTF-8 of strings are the codec's business as far as the wire goes; the limits here are the broker's own.
 */

/** What the broker accepts at most. */
export interface TopicLimits {
  /** Levels of a name or filter, counted without a `$share/group/` or `$local/` prefix. */
  readonly maxLevels: number
  /** Bytes of UTF-8; the protocol itself allows 65535. */
  readonly maxBytes: number
}

/** Limits that protect a broker whose configuration says nothing. */
const DEFAULT_TOPIC_LIMITS: TopicLimits = { maxLevels: 128, maxBytes: 4096 }

/** Why a topic name or filter is refused. */
export type TopicError =
  /** A name, a filter, or what follows a prefix has no character [MQTT5-4.7.3-1]. */
  | 'empty'
  /** Contains U+0000 [MQTT5-4.7.3-2]. */
  | 'null_character'
  | 'too_long'
  | 'too_many_levels'
  /** A topic name contains `+` or `#` [MQTT5-3.3.2-2]. */
  | 'wildcard_in_name'
  /** A wildcard does not fill its level, or `#` is not last [MQTT5-4.7.1-1, MQTT5-4.7.1-2]. */
  | 'misplaced_wildcard'
  /** The share name is empty or has a wildcard, or two prefixes of a kind are nested [MQTT5-4.8.2-1, MQTT5-4.8.2-2]. */
  | 'invalid_share'

/** A topic filter without its prefixes. */
export interface ParsedFilter {
  /** The whole filter in one spelling, prefixes included: what names this subscription within a session. */
  readonly key: string
  /** What topic names are matched against. */
  readonly filter: string
  /** Name of the group of a shared subscription; `$queue` for `$queue/…`. */
  readonly group: string | undefined
  /** True when only messages published on this node are wanted. */
  readonly local: boolean
}

/** The outcome of `parseFilter`. */
export type ParseResult =
  | { readonly ok: true; readonly value: ParsedFilter }
  | { readonly ok: false; readonly reason: TopicError }

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

const SHARE = '$share/'
const QUEUE = '$queue/'
const LOCAL = '$local/'

/**
 * Checks a topic name, as it stands in a PUBLISH or a will.
 * Returns undefined when it is valid, else the reason.
 */
export function validateName(name: string, limits: TopicLimits = DEFAULT_TOPIC_LIMITS): TopicError | undefined {
  const length = name.length
  if (length === 0) return 'empty'
  let levels = 1
  for (let i = 0; i < length; i++) {
    const char = name.charCodeAt(i)
    if (char === SLASH) levels++
    else if (char === PLUS || char === HASH) return 'wildcard_in_name'
    else if (char === 0) return 'null_character'
  }
  if (levels > limits.maxLevels) return 'too_many_levels'
  return isTooLong(name, limits.maxBytes) ? 'too_long' : undefined
}

/**
 * Checks a topic filter that has no `$share/`, `$queue/` or `$local/` prefix (or whose prefix is meant literally).
 * Returns undefined when it is valid, else the reason.
 */
export function validateFilter(filter: string, limits: TopicLimits = DEFAULT_TOPIC_LIMITS): TopicError | undefined {
  const length = filter.length
  if (length === 0) return 'empty'
  let levels = 1
  for (let i = 0; i < length; i++) {
    const char = filter.charCodeAt(i)
    if (char === SLASH) levels++
    else if (char === 0) return 'null_character'
    else if (char === PLUS || char === HASH) {
      if (i > 0 && filter.charCodeAt(i - 1) !== SLASH) return 'misplaced_wildcard'
      if (i + 1 < length && (char === HASH || filter.charCodeAt(i + 1) !== SLASH)) return 'misplaced_wildcard'
    }
  }
  if (levels > limits.maxLevels) return 'too_many_levels'
  return isTooLong(filter, limits.maxBytes) ? 'too_long' : undefined
}

/**
 * Takes the prefixes off a filter of a SUBSCRIBE or UNSUBSCRIBE and checks what is left. `$share/g/` or `$queue/` and
 * `$local/` may be combined, in either order, each at most once.
 */
export function parseFilter(text: string, limits: TopicLimits = DEFAULT_TOPIC_LIMITS): ParseResult {
  let filter = text
  let group: string | undefined
  let local = false
  while (filter.charCodeAt(0) === DOLLAR) {
    if (filter.startsWith(SHARE)) {
      const end = filter.indexOf('/', SHARE.length)
      const name = end < 0 ? '' : filter.slice(SHARE.length, end)
      // [MQTT5-4.8.2-1] and [MQTT5-4.8.2-2]: a share name, and behind it a filter
      if (group !== undefined || name === '' || isWildcard(name)) return { ok: false, reason: 'invalid_share' }
      group = name
      filter = filter.slice(end + 1)
    } else if (filter.startsWith(QUEUE)) {
      if (group !== undefined) return { ok: false, reason: 'invalid_share' }
      group = '$queue'
      filter = filter.slice(QUEUE.length)
    } else if (filter.startsWith(LOCAL)) {
      if (local) return { ok: false, reason: 'invalid_share' }
      local = true
      filter = filter.slice(LOCAL.length)
    } else break
  }
  const reason = validateFilter(filter, limits)
  if (reason !== undefined) return { ok: false, reason }
  return { ok: true, value: { key: filterKey(filter, group, local), filter, group, local } }
}

/** The one spelling of a subscription: `$local/` first, then `$share/group/`, then the filter. */
export function filterKey(filter: string, group: string | undefined, local: boolean): string {
  if (group === undefined) return local ? LOCAL + filter : filter
  const shared = `${SHARE}${group}/${filter}`
  return local ? LOCAL + shared : shared
}

const NO_LIMITS = { maxLevels: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

/** The parts of what `filterKey` made. */
export function partsOf(key: string): ParsedFilter {
  if (key.charCodeAt(0) !== 0x24) return { key, filter: key, group: undefined, local: false }
  const result = parseFilter(key, NO_LIMITS)
  if (!result.ok) throw new TypeError(`${key} is no filter: ${result.reason}`)
  return result.value
}

/** Tells whether a valid filter has a wildcard; one that has none matches exactly the topic of the same name. */
export function isWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#')
}

/** Tells whether wildcards in the first level pass this topic by: every topic that begins with `$` [MQTT5-4.7.2-1]. */
export function isShielded(name: string): boolean {
  return name.charCodeAt(0) === DOLLAR
}

/** The levels of a name or filter; `/a` has two, the first of them empty. */
export function words(topic: string): string[] {
  return topic.split('/')
}

/** Tells whether a valid topic name matches a valid filter, level by level: the reference for every index. */
export function matches(name: string, filter: string): boolean {
  const nameWords = words(name)
  const filterWords = words(filter)
  const first = filterWords[0]
  if (isShielded(name) && (first === '+' || first === '#')) return false
  for (let i = 0; i < filterWords.length; i++) {
    const word = filterWords[i]
    // `#` also stands for no level at all: `t/#` matches `t` (MQTT 5.0, 4.7.1.2)
    if (word === '#') return true
    if (i >= nameWords.length) return false
    if (word !== '+' && word !== nameWords[i]) return false
  }
  return nameWords.length === filterWords.length
}

function isTooLong(text: string, maxBytes: number): boolean {
  // A UTF-16 unit takes at most three bytes, so a short text need not be measured.
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes
}
