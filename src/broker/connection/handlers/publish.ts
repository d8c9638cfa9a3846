/**
 * PUBLISH of a client: topic alias, limits, access control. What remains is the session's.
 *
 * This is the hot path: a PUBLISH of 3.1.1 costs a look at its flags, a comparison of its topic with the last one and
 * the question to the access control, and allocates nothing. The packet itself goes on, with `denied` added.
 */
import { isUtf8 } from 'node:buffer'
import type { PublishPacket, PublishProperties } from '../../packet.ts'
import type { AuthorizedPublish } from '../../process-messages.ts'
import { RC } from '../../reason-codes.ts'
import { disconnect, type ProtocolEffect, type ProtocolState, protocolError } from '../protocol-state.ts'
import { checkTopicName, NO_TOPIC_NAME } from './topic-check.ts'

/** Takes a PUBLISH of a connected client. */
export function handlePublish(state: ProtocolState, effects: ProtocolEffect[], packet: PublishPacket): void {
  const { environment } = state
  const { limits } = environment
  const { properties } = packet
  if (packet.qos > limits.maximumQoS) {
    // [MQTT5-3.2.2-11]
    protocolError(state, effects, 'QoS is not supported', RC.qos_not_supported)
    return
  }
  if (packet.retain && !limits.retainAvailable) {
    // [MQTT5-3.2.2-14]
    protocolError(state, effects, 'retained messages are not supported', RC.retain_not_supported)
    return
  }
  if (properties !== undefined && !takeProperties(state, effects, packet, properties)) return
  const { topic } = packet
  let denied: number
  if (topic === state.checkedTopic) {
    denied = state.checkedCode
  } else {
    denied = checkTopicName(topic, limits)
    if (denied === NO_TOPIC_NAME) {
      // [MQTT311-3.3.2-2] [MQTT311-4.7.3-1] [MQTT5-3.3.2-2] [MQTT5-4.7.3-1]
      protocolError(state, effects, 'not a topic name', RC.topic_name_invalid)
      return
    }
    state.checkedTopic = topic
    state.checkedCode = denied
  }
  if (topic !== state.authorizedTopic) {
    state.authorizedTopic = topic
    state.isAuthorized = environment.authorize('publish', topic)
  }
  if (denied === 0 && !state.isAuthorized) denied = RC.not_authorized
  if (denied === 0 && properties?.payloadFormatIndicator === true && limits.validatePayloadFormat) {
    // [MQTT5-3.3.2-6]: the server may check; the payload of QoS 0 has no other answer than to be dropped.
    if (!isUtf8(packet.payload)) denied = RC.payload_format_invalid
  }
  if (denied !== 0 && !mayDeny(state, effects, packet, denied)) return
  const authorized = packet as AuthorizedPublish
  // The packet is ours since it was decoded; a copy of it would be the only allocation on this path.
  ;(authorized as { denied: number }).denied = denied
  if (state.forSession === undefined) state.forSession = [authorized]
  else state.forSession.push(authorized)
}

/** Counts a refused PUBLISH; false when that is all, true when the session has to acknowledge it. */
function mayDeny(state: ProtocolState, effects: ProtocolEffect[], packet: PublishPacket, denied: number): boolean {
  const { environment } = state
  environment.count(denied === RC.topic_name_invalid ? 'publish_topic_invalid' : 'publish_denied')
  if (environment.limits.denyAction === 'disconnect') {
    disconnect(state, effects, denied, { reason: 'publish denied', publishWill: true })
    return false
  }
  // [MQTT311-3.3.5-2]: at QoS 1 and 2 a positive acknowledgement in 3.1.1; the reason code in 5.0.
  return packet.qos > 0
}

/** Checks the properties and puts the topic of an alias in place; false when the connection has ended. */
function takeProperties(
  state: ProtocolState,
  effects: ProtocolEffect[],
  packet: PublishPacket,
  properties: PublishProperties,
): boolean {
  if (properties.subscriptionIdentifier !== undefined) {
    // [MQTT5-3.3.4-6]
    protocolError(state, effects, 'subscription identifier in a PUBLISH of a client')
    return false
  }
  const { responseTopic } = properties
  if (responseTopic !== undefined && checkTopicName(responseTopic, state.environment.limits) === NO_TOPIC_NAME) {
    // [MQTT5-3.3.2-14]
    protocolError(state, effects, 'response topic is not a topic name', RC.topic_name_invalid)
    return false
  }
  const alias = properties.topicAlias
  if (alias === undefined) return true
  const aliases = state.inboundAliases
  if (!aliases.isValid(alias)) {
    // [MQTT5-3.3.2-8] [MQTT5-3.3.2-9]
    protocolError(state, effects, 'topic alias is out of range', RC.topic_alias_invalid)
    return false
  }
  if (packet.topic === '') {
    const topic = aliases.get(alias)
    if (topic === undefined) {
      // [MQTT5-3.3.2.3.4]: an alias without a topic must have been set before.
      protocolError(state, effects, 'topic alias is unknown')
      return false
    }
    packet.topic = topic
    return true
  }
  aliases.set(alias, packet.topic)
  return true
}
