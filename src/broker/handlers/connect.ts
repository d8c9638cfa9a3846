/**
 * CONNECT and what follows from it until CONNACK: checks of the packet, authentication, opening of the session.
 *
 * Everything that needs no answer from elsewhere is checked before the client is authenticated, so that a bad CONNECT
 * costs nothing; the right to publish the will is checked after, as it depends on who the client is.
 */
import { KeepAlive } from '../keepalive.ts'
import type { ConnackPacket, ConnectPacket, ForwardedProperties } from '../packet.ts'
import type { Will } from '../process-messages.ts'
import {
  type AuthResult,
  fail,
  PAUSED_CONNECTING,
  type ProtocolEffect,
  type ProtocolEvent,
  type ProtocolLimits,
  type ProtocolState,
  pause,
  protocolError,
  refuse,
} from '../protocol-state.ts'
import { RC } from '../reason-codes.ts'
import { InboundAliases } from '../topic-alias.ts'
import { checkTopicName, NO_TOPIC_NAME } from './topic-check.ts'

const MAX_16 = 0xffff
/** The greatest packet that the protocol can describe, fixed header included. */
const MAX_PACKET = 268_435_460

/** Takes the first packet of a connection. */
export function handleConnect(state: ProtocolState, effects: ProtocolEffect[], packet: ConnectPacket): void {
  if (state.phase !== 'waiting') {
    // [MQTT311-3.1.0-2] [MQTT5-3.1.0-2]
    protocolError(state, effects, 'second CONNECT')
    return
  }
  const { limits } = state.environment
  const { protocolVersion, properties } = packet
  state.version = protocolVersion
  state.connect = packet
  state.phase = 'authenticating'
  effects.push({
    tag: 'version',
    version: protocolVersion,
    maxPacketBytes: properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    topicAliasMaximum: Math.min(properties?.topicAliasMaximum ?? 0, limits.outboundTopicAliasMaximum),
    problemInformation: properties?.requestProblemInformation !== false,
  })
  const fault = faultOf(packet, limits)
  if (fault !== undefined) {
    refuse(state, effects, fault.code, fault.reason)
    return
  }
  const method = properties?.authenticationMethod
  state.authMethod = method
  state.requestedExpirySec = properties?.sessionExpiryInterval ?? 0
  // [MQTT311-3.1.3-6] [MQTT5-3.1.3-6]: a client without an id gets one of its own.
  const clientId = packet.clientId === '' ? state.environment.assignClientId() : packet.clientId
  state.client = clientOf(packet, clientId, limits)
  // A client that authenticates step by step goes on talking; from any other nothing is needed until it is accepted.
  if (method === undefined) pause(state, effects, PAUSED_CONNECTING)
  effects.push({ tag: 'authenticate', connect: packet, clientId })
}

/** What is wrong with a CONNECT that is well-formed, or undefined. */
function faultOf(packet: ConnectPacket, limits: ProtocolLimits): { code: number; reason: string } | undefined {
  const { protocolVersion, properties, will } = packet
  if (!limits.protocolVersions.includes(protocolVersion)) {
    // [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]
    return { code: RC.unsupported_protocol_version, reason: 'protocol version is not served' }
  }
  if (packet.clientId === '') {
    // [MQTT311-3.1.3-8]; 3.1 has no empty client ids; in 5.0 one is assigned whatever clean start says.
    if (protocolVersion === 3 || (protocolVersion === 4 && !packet.clean)) {
      return { code: RC.client_identifier_not_valid, reason: 'client id is empty' }
    }
  } else if (Buffer.byteLength(packet.clientId) > limits.maxClientIdBytes) {
    return { code: RC.client_identifier_not_valid, reason: 'client id is too long' }
  }
  if (properties?.receiveMaximum === 0) return { code: RC.protocol_error, reason: 'receive maximum is 0' }
  if (properties?.maximumPacketSize === 0) return { code: RC.protocol_error, reason: 'maximum packet size is 0' }
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    return { code: RC.protocol_error, reason: 'authentication data without a method' }
  }
  if (will === undefined) return undefined
  const code = checkTopicName(will.topic, limits)
  if (code === NO_TOPIC_NAME) return { code: RC.topic_name_invalid, reason: 'will topic is not a topic name' }
  if (code !== 0) return { code, reason: 'will topic is not accepted' }
  // [MQTT5-3.2.2-12] [MQTT5-3.2.2-13]
  if (will.qos > limits.maximumQoS) return { code: RC.qos_not_supported, reason: 'QoS of the will is not supported' }
  if (will.retain && !limits.retainAvailable) {
    return { code: RC.retain_not_supported, reason: 'retained wills are not supported' }
  }
  return undefined
}

function clientOf(
  packet: ConnectPacket,
  clientId: string,
  limits: ProtocolLimits,
): NonNullable<ProtocolState['client']> {
  const { properties, protocolVersion } = packet
  let expirySec = packet.clean ? 0 : limits.persistentSessionExpirySec
  if (protocolVersion === 5) expirySec = Math.min(properties?.sessionExpiryInterval ?? 0, limits.maxSessionExpirySec)
  let keepAliveSec = packet.keepalive
  const override = limits.maxKeepAliveSec
  if (protocolVersion === 5 && override > 0 && (keepAliveSec === 0 || keepAliveSec > override)) keepAliveSec = override
  return {
    clientId,
    username: packet.username,
    protocolVersion,
    cleanStart: packet.clean,
    expirySec,
    receiveMaximum: properties?.receiveMaximum ?? MAX_16,
    keepAliveSec,
    will: packet.will === undefined ? undefined : willOf(packet.will),
  }
}

/** The will of a CONNECT as the session keeps it; its bytes are copied, since it outlives the chunk by far. */
function willOf(will: NonNullable<ConnectPacket['will']>): Will {
  const { willDelayInterval, messageExpiryInterval, ...forwarded } = will.properties ?? {}
  const properties: ForwardedProperties | undefined = Object.keys(forwarded).length === 0 ? undefined : forwarded
  return {
    topic: will.topic,
    payload: Buffer.from(will.payload),
    qos: will.qos,
    retain: will.retain,
    delaySec: willDelayInterval ?? 0,
    expirySec: messageExpiryInterval,
    properties,
  }
}

/** Takes the answer of the authentication chain to CONNECT or to an AUTH that belongs to it. */
export function handleConnectAuth(state: ProtocolState, effects: ProtocolEffect[], result: AuthResult): void {
  switch (result.outcome) {
    case 'continue':
      if (state.authMethod === undefined) {
        // Only a client that has named a method can be asked for more [MQTT5-4.12.0-6].
        fail(state, effects, RC.implementation_specific_error, 'authentication is not finished')
        return
      }
      // [MQTT5-4.12.0-2]
      effects.push({
        tag: 'send',
        packet: {
          cmd: 'auth',
          reasonCode: RC.continue_authentication,
          properties: authProperties(state.authMethod, result.data, result.reason),
        },
      })
      state.phase = 'challenged'
      return
    case 'refuse':
      // [MQTT5-4.12.0-1] [MQTT5-4.12.0-4]
      refuse(state, effects, result.reasonCode, result.reason, result.serverReference)
      return
    case 'accept':
      open(state, effects, result)
  }
}

/** Properties of an AUTH that the server sends [MQTT5-4.12.0-5]. */
export function authProperties(
  method: string,
  data: Buffer | undefined,
  reason?: string,
): { authenticationMethod: string; authenticationData?: Buffer; reasonString?: string } {
  const properties: ReturnType<typeof authProperties> = { authenticationMethod: method }
  if (data !== undefined) properties.authenticationData = data
  if (reason !== undefined) properties.reasonString = reason
  return properties
}

function open(state: ProtocolState, effects: ProtocolEffect[], accepted: NonNullable<ProtocolState['accepted']>): void {
  const asked = state.client!
  const { clientId = asked.clientId, username = asked.username } = accepted
  const isAsAsked = clientId === asked.clientId && username === asked.username
  const client = isAsAsked ? asked : { ...asked, clientId, username }
  state.client = client
  state.accepted = accepted
  const { will } = client
  if (will !== undefined && !state.environment.authorize('publish', will.topic)) {
    state.environment.count('publish_denied')
    refuse(state, effects, RC.not_authorized, 'not authorized to publish the will')
    return
  }
  state.phase = 'opening'
  state.isOpenPending = true
  pause(state, effects, PAUSED_CONNECTING)
  effects.push({ tag: 'open', client })
}

/** The session is there: answers CONNECT and starts the life of the connection. */
export function handleOpened(
  state: ProtocolState,
  effects: ProtocolEffect[],
  event: Extract<ProtocolEvent, { tag: 'opened' }>,
): void {
  const connect = state.connect!
  state.session = event.session
  effects.push({ tag: 'disarm', timer: 'connect' })
  effects.push({ tag: 'send', packet: connackOf(state, connect, event.present) })
  effects.push({ tag: 'connected', present: event.present })
  state.phase = 'connected'
  if (state.version === 5) state.inboundAliases = new InboundAliases(state.environment.limits.topicAliasMaximum)
  state.keepAlive = new KeepAlive(state.client!.keepAliveSec, event.nowMs)
  if (state.keepAlive.limitMs !== Number.POSITIVE_INFINITY) {
    effects.push({ tag: 'arm', timer: 'keep_alive', delayMs: state.keepAlive.limitMs })
  }
  state.connect = undefined
  state.accepted = undefined
}

function connackOf(state: ProtocolState, connect: ConnectPacket, present: boolean): ConnackPacket {
  // 3.1 has no session present flag, its byte is reserved.
  if (state.version !== 5) return { cmd: 'connack', sessionPresent: present && state.version === 4, returnCode: 0 }
  const { limits } = state.environment
  const client = state.client!
  const accepted = state.accepted!
  const properties: NonNullable<ConnackPacket['properties']> = {}
  if (client.clientId !== connect.clientId) properties.assignedClientIdentifier = client.clientId // [MQTT5-3.2.2-16]
  if (client.keepAliveSec !== connect.keepalive) properties.serverKeepAlive = client.keepAliveSec // [MQTT5-3.2.2-21]
  if (client.expirySec !== state.requestedExpirySec) properties.sessionExpiryInterval = client.expirySec // [MQTT5-3.2.2.3.2]
  if (limits.receiveMaximum < MAX_16) properties.receiveMaximum = limits.receiveMaximum
  if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum
  if (limits.maxPacketBytes < MAX_PACKET) properties.maximumPacketSize = limits.maxPacketBytes
  if (limits.maximumQoS < 2) properties.maximumQoS = limits.maximumQoS // [MQTT5-3.2.2-9]
  if (!limits.retainAvailable) properties.retainAvailable = false
  if (!limits.wildcardSubscriptionAvailable) properties.wildcardSubscriptionAvailable = false
  if (!limits.subscriptionIdentifiersAvailable) properties.subscriptionIdentifiersAvailable = false
  if (!limits.sharedSubscriptionAvailable) properties.sharedSubscriptionAvailable = false
  if (connect.properties?.requestResponseInformation === true && accepted.responseInformation !== undefined) {
    properties.responseInformation = accepted.responseInformation // [MQTT5-3.1.2-28]
  }
  if (state.authMethod !== undefined) {
    properties.authenticationMethod = state.authMethod // [MQTT5-4.12.0-5]
    if (accepted.data !== undefined) properties.authenticationData = accepted.data
  }
  if (accepted.userProperties !== undefined) properties.userProperties = accepted.userProperties
  return { cmd: 'connack', sessionPresent: present, reasonCode: RC.success, properties }
}
