/**
 * The topic name of a PUBLISH or a will against the limits of the broker.
 *
 * What is no topic name at all (wildcards, U+0000) the codec has refused already; it is looked for again since one scan
 * tells both, and since what is routed must not depend on who made the packet.
 */

import { RC } from '../../reason-codes.ts'
import { validateName } from '../../routing/topic.ts'
import type { ProtocolLimits } from '../protocol-state.ts'

/** Not a reason code: the string is no topic name. */
export const NO_TOPIC_NAME = -1

/** Returns 0 for a topic name within the limits, the reason code with which to refuse it, or `NO_TOPIC_NAME`. */
export function checkTopicName(topic: string, limits: ProtocolLimits): number {
  const fault = validateName(topic, limits.topics)
  if (fault === undefined) return RC.success
  return fault === 'too_long' || fault === 'too_many_levels' ? RC.topic_name_invalid : NO_TOPIC_NAME
}
