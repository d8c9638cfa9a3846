/** The broker as its connections see it: fits services.ts to what connection-environment.ts asks for. */
import type { AuthOutcome, Credentials } from './access-control.ts'
import { FrameReader } from './codec.ts'
import type { BrokerConfig } from './config.ts'
import type { ConnectionEnvironment } from './connection-environment.ts'
import type { ProtocolLimits } from './protocol-state.ts'
import { publishAll } from './publish.ts'
import { connackReturnCode } from './reason-codes.ts'
import type { Services } from './services.ts'
import { willMessage } from './will.ts'

const NO_EXPIRY_SEC = 0xffff_ffff

/** Makes what the connections of a listener need; its settings are those of the listener. */
export function connectionEnvironment(
  services: Services,
  listener: BrokerConfig['listeners']['tcp'],
): ConnectionEnvironment {
  const { access, config, hooks, metrics, sessions, nextMessageId, runtime } = services
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
    authenticate: ({ clientId, username, password, protocolVersion, peer }) => {
      const credentials = { clientId, username, password, host: peer.host, protocolVersion }
      hooks.notify('client.connect', credentials)
      return authenticate(services, credentials)
    },
    authStep: (step) => hooks.authStep(step),
    authorizer: (clientId, username, peer) => access.authorizer(clientId, username, peer.host),
    openSession: (client) => sessions.open(client),
    connected: (client) => hooks.notify('client.connected', client),
    disconnected: (client, reason) => hooks.notify('client.disconnected', client, reason),
    publishWill: ({ clientId }, will) =>
      publishAll(services, [willMessage(will, clientId, nextMessageId(), runtime.clock.now())]),
  }
}

async function authenticate({ access, hooks }: Services, credentials: Credentials): Promise<AuthOutcome> {
  const outcome = await access.authenticate(credentials)
  if (outcome.outcome === 'refuse') {
    const { reasonCode } = outcome
    const code = credentials.protocolVersion === 5 ? reasonCode : (connackReturnCode(reasonCode) ?? reasonCode)
    hooks.notify('client.refused', credentials, code)
  }
  return outcome
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
    allowSysPublish: false,
    validatePayloadFormat: false,
    syncEveryMessages: 128,
    syncEveryBytes: 262_144,
    maxUnsynced: 8,
    slowConsumerMs: listener.slowConsumerTimeoutMs,
  }
}
