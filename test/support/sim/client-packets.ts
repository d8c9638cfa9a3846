/** What simulated clients are made with, what they send, and what they keep of one connection. */
import type {
  ConnectPacket,
  ProtocolVersion,
  PublishPacket,
  PublishProperties,
  QoS,
} from '../../../src/broker/packet.ts'
import type { Wire } from '../../../src/testing/wire.ts'

/** The identifier of all subscriptions. */
export const SUBSCRIPTION_ID = 7

export interface ClientOptions {
  readonly id: string
  readonly version: ProtocolVersion
  /** The session outlives the connection. */
  readonly isPersistent: boolean
  /** 5.0: seconds; 3.1.1 sessions have the configured one. @default 120 */
  readonly expirySec?: number
  readonly subscriptions?: readonly { readonly filter: string; readonly qos: QoS }[]
  /** 5.0. @default none */
  readonly receiveMaximum?: number
  readonly keepAliveSec?: number
  /** Random milliseconds before an acknowledgement. @default 20 */
  readonly ackDelayMs?: number
  /** Random milliseconds before it connects again; Infinity: it does not. @default 300 */
  readonly reconnectMs?: number
  /** QoS 1 and 2 messages that it has under way. @default 4 */
  readonly window?: number
  /** Seconds for which a will of its own waits, which it leaves with each CONNECT; 3.1.1: 0. @default no will */
  readonly willDelaySec?: number
}

/** One connection of a client. */
export class Link {
  readonly wire: Wire
  /** CONNACK has come. */
  isUp = false
  isOver = false
  /** When the last acknowledgement leaves. */
  ackAtMs = 0
  /** Key of the will that CONNECT has left. */
  will: string | undefined
  /** Messages received on this connection and not acknowledged to the end, by packet identifier. */
  readonly unacknowledged = new Set<number>()
  /** Packet identifiers sent on this connection, in order, whose PUBACK or PUBREC is due. */
  readonly expected: { id: number; cmd: 'puback' | 'pubrec' }[] = []

  /** An earlier CONNECT has no answer, and may come to the broker after the one of this connection. */
  readonly mayBeOvertaken: boolean
  /** Its CONNECT wants a new session. */
  readonly isClean: boolean

  constructor(wire: Wire, mayBeOvertaken: boolean, isClean: boolean) {
    this.wire = wire
    this.mayBeOvertaken = mayBeOvertaken
    this.isClean = isClean
  }
}

/** CONNECT of a client; one with `isClean` wants a new session. */
export function connectPacket(options: ClientOptions, will: ConnectPacket['will'], isClean = false): ConnectPacket {
  const { id, version, isPersistent, expirySec = 120, receiveMaximum, keepAliveSec = 0 } = options
  const packet: ConnectPacket = {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: id,
    clean: isClean || !isPersistent,
    keepalive: keepAliveSec,
  }
  if (will !== undefined) packet.will = will
  if (version === 5) {
    packet.properties = { sessionExpiryInterval: isPersistent ? expirySec : 0 }
    if (receiveMaximum !== undefined) packet.properties.receiveMaximum = receiveMaximum
  }
  return packet
}

/** Properties from which a subscriber sees whether they reached it whole. */
export function publishProperties(key: string): PublishProperties {
  return {
    contentType: 'text/plain',
    correlationData: Buffer.from(key),
    userProperties: { key, many: ['1', '2'] },
    messageExpiryInterval: 3600,
  }
}

/** What is wrong with the properties of a PUBLISH that a 5.0 client got: they go on as they are [MQTT5-3.3.2-20]. */
export function propertiesFault({ properties }: PublishPacket, key: string): string | undefined {
  const { subscriptionIdentifier, correlationData, userProperties, contentType } = properties ?? {}
  if (subscriptionIdentifier === undefined) return 'without subscription identifier'
  if (correlationData === undefined) {
    return userProperties === undefined && contentType === undefined ? undefined : 'with part of its properties'
  }
  if (correlationData.toString() !== key) return `with the correlation data ${correlationData}`
  if (userProperties?.key !== key || contentType !== 'text/plain') return 'with other properties'
  return undefined
}
