/**
 * Which strings are topic names and which are topic filters [MQTT5-4.7, 4.8.2] [MQTT311-4.7].
 *
 * A filter with misplaced wildcards or a bad `$share/…` breaks a MUST of the standard, so the packet that carries it is
 * refused as a whole and the connection ends [MQTT311-4.8.0-1] [MQTT5-4.13.1-1]; its reason code is 0x8F, which says most.
 * Reason codes per filter in SUBACK are for filters that are correct but not wanted: not authorized, shared or wildcard
 * subscriptions switched off, too many levels. That is the session's business, not this file's.
 */

const SHARE_PREFIX = '$share/'
const MAX_TOPIC_BYTES = 65_535
const PLUS = 0x2b
const HASH = 0x23

/** Returns why a string is not a topic name that one may publish to, undefined when it is one. */
export function topicNameFault(topic: string): string | undefined {
  if (topic.length === 0) return 'topic name is empty' // [MQTT5-4.7.3-1]
  for (let i = 0; i < topic.length; i++) {
    const code = topic.charCodeAt(i)
    if (code === PLUS || code === HASH) return 'topic name contains a wildcard' // [MQTT5-3.3.2-2] [MQTT311-3.3.2-2]
    if (code === 0) return 'topic name contains U+0000' // [MQTT5-4.7.3-2]
  }
  return tooLong(topic) ? 'topic name is longer than 65535 bytes' : undefined // [MQTT5-4.7.3-3]
}

/** Returns why a string is not a topic filter (`$share/group/filter` included), undefined when it is one. */
export function topicFilterFault(filter: string): string | undefined {
  if (tooLong(filter)) return 'topic filter is longer than 65535 bytes'
  if (!isShared(filter)) return plainFilterFault(filter)
  const slash = filter.indexOf('/', SHARE_PREFIX.length)
  const group = slash < 0 ? filter.slice(SHARE_PREFIX.length) : filter.slice(SHARE_PREFIX.length, slash)
  if (group.length === 0) return 'shared subscription has an empty share name' // [MQTT5-4.8.2-1]
  if (/[+#\0]/.test(group)) return 'share name contains a wildcard or U+0000' // [MQTT5-4.8.2-2]
  if (slash < 0) return 'shared subscription has no topic filter' // [MQTT5-4.8.2-2]
  const rest = filter.slice(slash + 1)
  if (isShared(rest)) return 'shared subscription within a shared subscription'
  return plainFilterFault(rest)
}

/** Whether a filter asks for a shared subscription. */
export function isShared(filter: string): boolean {
  return filter.startsWith(SHARE_PREFIX)
}

function plainFilterFault(filter: string): string | undefined {
  if (filter.length === 0) return 'topic filter is empty' // [MQTT5-4.7.3-1]
  const last = filter.length - 1
  for (let i = 0; i <= last; i++) {
    const char = filter[i]
    if (char === '\0') return 'topic filter contains U+0000'
    if (char !== '+' && char !== '#') continue
    const alone = (i === 0 || filter[i - 1] === '/') && (i === last || filter[i + 1] === '/')
    if (!alone) return `topic filter has '${char}' within a level` // [MQTT5-4.7.1-1, 2]
    if (char === '#' && i !== last) return "topic filter has '#' before its last level" // [MQTT5-4.7.1-1]
  }
  return undefined
}

function tooLong(topic: string): boolean {
  // A UTF-16 unit is at most three bytes of UTF-8: counts bytes only where it could matter.
  return topic.length * 3 > MAX_TOPIC_BYTES && Buffer.byteLength(topic) > MAX_TOPIC_BYTES
}
