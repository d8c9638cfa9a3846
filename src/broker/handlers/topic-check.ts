/**
 * The limits that a broker puts on topic names and filters, beyond what makes them well-formed.
 *
 * The codec has already refused whatever is not a topic name or filter at all (wildcards in a name, glued wildcards in a
 * filter, U+0000, the empty string); here they are measured against the configuration and looked at for features that
 * may be switched off.
 */
import type { ProtocolLimits } from '../protocol-state.ts'
import { RC } from '../reason-codes.ts'

const SLASH = 0x2f

/** Returns the number of levels of a topic name or filter; stops counting past `limit`. */
export function countLevels(topic: string, limit: number): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at !== -1 && levels <= limit; at = topic.indexOf('/', at + 1)) levels++
  return levels
}

/** True when the UTF-8 form of a string has more bytes than the limit. */
export function isLongerThan(text: string, maxBytes: number): boolean {
  // A UTF-16 unit is at most three bytes, so most strings need no count.
  if (text.length > maxBytes) return true
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes
}

/** Returns 0 for a topic name that is within the limits, else the reason code with which to refuse it. */
export function checkTopicName(topic: string, limits: ProtocolLimits): number {
  if (isLongerThan(topic, limits.maxTopicBytes)) return RC.topic_name_invalid
  if (countLevels(topic, limits.maxTopicLevels) > limits.maxTopicLevels) return RC.topic_name_invalid
  // [MQTT311-4.7.2-1]: $ topics are the server's; $SYS is where it reports, so clients may not forge it.
  if (!limits.allowSysPublish && (topic.startsWith('$SYS/') || topic === '$SYS')) return RC.not_authorized
  return 0
}

/** True when a string could not be the topic name of a message [MQTT5-3.3.2-2]. */
export function isNoTopicName(topic: string): boolean {
  return topic === '' || topic.includes('+') || topic.includes('#') || topic.includes('\0')
}

/** Where the filter proper begins in `$share/group/filter` or `$queue/filter`: its index, 0 for a filter that is not shared, -1 for a broken one. */
export function sharedFilterStart(filter: string): number {
  if (filter.charCodeAt(0) !== 0x24) return 0
  if (filter.startsWith('$queue/')) return filter.length > 7 ? 7 : -1
  if (!filter.startsWith('$share/')) return filter === '$share' || filter === '$queue' ? -1 : 0
  // [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]: a group name of at least one character without wildcards, and a filter behind it.
  const end = filter.indexOf('/', 7)
  if (end <= 7 || end === filter.length - 1) return -1
  for (let at = 7; at < end; at++) {
    const unit = filter.charCodeAt(at)
    if (unit === 0x2b || unit === 0x23) return -1
  }
  return end + 1
}

/** False for a filter whose wildcards do not stand alone in their level or whose `#` is not last [MQTT5-4.7.1-1, -2]. */
export function isFilter(filter: string, start = 0): boolean {
  if (filter.length === start) return false
  for (let at = start; at < filter.length; at++) {
    const unit = filter.charCodeAt(at)
    if (unit === 0) return false
    if (unit !== 0x2b && unit !== 0x23) continue
    if (at > start && filter.charCodeAt(at - 1) !== SLASH) return false
    if (at + 1 < filter.length && (unit === 0x23 || filter.charCodeAt(at + 1) !== SLASH)) return false
  }
  return true
}
