/**
 * SUBSCRIBE and UNSUBSCRIBE of a client: each filter is measured against the limits and the access control on its own,
 * so that one refused filter costs the others nothing [MQTT311-3.9.3-1] [MQTT5-3.9.3-1].
 */
import type { SubscribeEntry, SubscribePacket, UnsubscribePacket } from '../packet.ts'
import type { AuthorizedSubscribe } from '../process-messages.ts'
import { type ProtocolEffect, type ProtocolState, protocolError } from '../protocol-state.ts'
import { RC, subackCode } from '../reason-codes.ts'
import { countLevels, isFilter, isLongerThan, sharedFilterStart } from './topic-check.ts'

/** Takes a SUBSCRIBE of a connected client. */
export function handleSubscribe(state: ProtocolState, effects: ProtocolEffect[], packet: SubscribePacket): void {
  const { subscriptions } = packet
  if (subscriptions.length === 0) {
    // [MQTT311-3.8.3-3] [MQTT5-3.8.3-2]
    protocolError(state, effects, 'SUBSCRIBE without filters')
    return
  }
  const { limits } = state.environment
  const hasId = packet.properties?.subscriptionIdentifier !== undefined
  const denied: number[] = []
  for (const entry of subscriptions) {
    const start = sharedFilterStart(entry.topic)
    if (start === -1 || !isFilter(entry.topic, start)) {
      // [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2] [MQTT5-4.8.2-1]
      protocolError(state, effects, 'not a topic filter', RC.topic_filter_invalid)
      return
    }
    if (start > 0 && entry.nl === true) {
      // [MQTT5-3.8.3-4]
      protocolError(state, effects, 'no local on a shared subscription')
      return
    }
    const code = hasId && !limits.subscriptionIdentifiersAvailable ? RC.subscription_identifiers_not_supported : 0
    denied.push(subackCode(code === 0 ? deniedCode(state, entry, start) : code, state.version))
    // The granted QoS may be lower than what was asked for [MQTT5-3.8.4-7].
    if (entry.qos > limits.maximumQoS) entry.qos = limits.maximumQoS
  }
  const authorized: AuthorizedSubscribe = { ...packet, denied }
  if (state.forSession === undefined) state.forSession = [authorized]
  else state.forSession.push(authorized)
}

/** The 5.0 reason code with which a filter is refused, 0 when it is allowed. `start` is where the shared part ends. */
function deniedCode(state: ProtocolState, entry: SubscribeEntry, start: number): number {
  const { environment } = state
  const { limits } = environment
  const filter = entry.topic
  if (isLongerThan(filter, limits.maxTopicBytes)) return RC.topic_filter_invalid
  const proper = start === 0 ? filter : filter.slice(start)
  if (countLevels(proper, limits.maxTopicLevels) > limits.maxTopicLevels) return RC.topic_filter_invalid
  if (start > 0 && !limits.sharedSubscriptionAvailable) return RC.shared_subscriptions_not_supported
  if (!limits.wildcardSubscriptionAvailable && (proper.includes('+') || proper.includes('#'))) {
    return RC.wildcard_subscriptions_not_supported
  }
  // The right to read is a matter of the topics, whoever else shares them.
  if (!environment.authorize('subscribe', proper, entry.qos, false)) {
    environment.count('subscribe_denied')
    return RC.not_authorized
  }
  return 0
}

/** Takes an UNSUBSCRIBE of a connected client; nobody is refused the end of a subscription. */
export function handleUnsubscribe(state: ProtocolState, effects: ProtocolEffect[], packet: UnsubscribePacket): void {
  if (packet.unsubscriptions.length === 0) {
    // [MQTT311-3.10.3-2] [MQTT5-3.10.3-2]
    protocolError(state, effects, 'UNSUBSCRIBE without filters')
    return
  }
  if (state.forSession === undefined) state.forSession = [packet]
  else state.forSession.push(packet)
}
