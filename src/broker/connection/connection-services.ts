/** The broker as its connections see it: fits services.ts to what connection-environment.ts asks for. */
import { FrameReader } from '../codec.ts'
import type { BrokerConfig } from '../config.ts'
import { publishAll } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import type { Services } from '../services.ts'
import { willMessage } from '../session/will.ts'
import type { ConnectionEnvironment } from './connection-environment.ts'
import type { AuthResult, ProtocolLimits } from './protocol-state.ts'

const NO_EXPIRY_SEC = 0xffff_ffff

const BANNED: AuthResult = { outcome: 'refuse', reasonCode: RC.banned, reason: 'banned' }

/** Makes what the connections of a listener need; its settings are those of the listener. */
export function connectionEnvironment(
  services: Services,
  listener: BrokerConfig['listeners']['tcp'],
): ConnectionEnvironment {
  const { access, config, connections, hooks, metrics, sessions, nextMessageId, runtime } = services
  return {
    limits: protocolLimits(config, listener),
    settings: {
      highWatermarkBytes: listener.highWatermarkBytes,
      maxUnsentBytes: Math.max(listener.highWatermarkBytes * 8, 2 * config.mqtt.maxPacketBytes),
      maxUnhandledBytes: 1_048_576,
      lingerMs: 5000,
    },
    metrics,
    frames: new FrameReader(),
    assignClientId: () => `agner-${nextMessageId()}`,
    authenticate: (credentials) => {
      hooks.notify('client.connect', credentials)
      return access.authenticate(credentials)
    },
    authStep: (step) => {
      const { credentials, isFirst, reauthenticate } = step
      if (isFirst && !reauthenticate) hooks.notify('client.connect', credentials)
      if (access.banned.has(credentials)) return BANNED
      return hooks.authStep(step)
    },
    authorizer: (clientId, username, host) => access.authorizer(clientId, username, host),
    subscribing: (client, entries) =>
      hooks.chains['client.subscribe'].length > 0 ? hooks.subscribe(entries, client) : undefined,
    unsubscribing: (client, filters) =>
      hooks.chains['client.unsubscribe'].length > 0 ? hooks.unsubscribe(filters, client) : undefined,
    openSession: (client) => sessions.open(client),
    refused: (credentials, code) => hooks.notify('client.refused', credentials, code),
    connected: (client) => {
      connections.add(client)
      hooks.notify('client.connected', client)
    },
    disconnected: (client, reason) => {
      connections.remove(client)
      hooks.notify('client.disconnected', client, reason)
    },
    publishWill: ({ clientId }, will) =>
      publishAll(services, [willMessage(will, clientId, nextMessageId(), runtime.clock.now())]),
  }
}

function protocolLimits(
  { mqtt, session, access }: BrokerConfig,
  listener: BrokerConfig['listeners']['tcp'],
): ProtocolLimits {
  return {
    protocolVersions: [3, 4, 5],
    connectTimeoutMs: mqtt.idleTimeoutMs,
    maxClientIdBytes: mqtt.maxClientIdBytes,
    maxPacketBytes: mqtt.maxPacketBytes,
    maxPipelinedPackets: 1000,
    topics: { maxLevels: mqtt.maxTopicLevels, maxBytes: mqtt.maxTopicBytes },
    maximumQoS: mqtt.maxQoS,
    retainAvailable: mqtt.retainAvailable,
    wildcardSubscriptionAvailable: mqtt.wildcardSubscription,
    sharedSubscriptionAvailable: mqtt.sharedSubscription,
    subscriptionIdentifiersAvailable: true,
    receiveMaximum: session.maxAwaitingRel,
    topicAliasMaximum: mqtt.maxTopicAlias,
    outboundTopicAliasMaximum: mqtt.maxTopicAlias,
    maxSessionExpirySec: Math.min(session.maxExpirySec, NO_EXPIRY_SEC),
    persistentSessionExpirySec: Math.min(session.expirySec, NO_EXPIRY_SEC),
    maxKeepAliveSec: mqtt.maxKeepAliveSec,
    denyAction: access.denyAction,
    validatePayloadFormat: false,
    syncEveryMessages: 128,
    syncEveryBytes: 262_144,
    maxUnsynced: 8,
    slowConsumerMs: listener.slowConsumerTimeoutMs,
  }
}
