/**
 * MQTT control packets as the broker handles them: what the codec decodes from bytes and encodes to bytes.
 *
 * The field names are those of the `mqtt-packet` package, so a rarely used packet passes through the codec without a
 * copy. Strings have been checked (UTF-8, no U+0000, no surrogates), packet ids are never 0, and lengths are bounded
 * by the time anything past the codec sees a packet.
 */

/** Quality of service: 0 at most once, 1 at least once, 2 exactly once. */
export type QoS = 0 | 1 | 2

/** Protocol level: 3 is MQTT 3.1, 4 is MQTT 3.1.1, 5 is MQTT 5.0. */
export type ProtocolVersion = 3 | 4 | 5

/** User properties as they travel: a name may occur several times; order among equal names is kept. */
export type UserProperties = Record<string, string | string[]>

/** The properties of a PUBLISH that are forwarded to subscribers unaltered [MQTT5-3.3.2-15, -16, -17, -18, -20]. */
export interface ForwardedProperties {
  payloadFormatIndicator?: boolean
  contentType?: string
  responseTopic?: string
  correlationData?: Buffer
  userProperties?: UserProperties
  /**
   * The names of all user properties in the order in which they came, one for each value; present only when
   * `userProperties` alone would give another order, which must be kept [MQTT5-3.3.2-18].
   */
  userPropertyOrder?: readonly string[]
}

export interface PublishProperties extends ForwardedProperties {
  /** Seconds. */
  messageExpiryInterval?: number
  topicAlias?: number
  subscriptionIdentifier?: number | number[]
}

export interface WillProperties extends ForwardedProperties {
  /** Seconds. */
  willDelayInterval?: number
  /** Seconds. */
  messageExpiryInterval?: number
}

export interface ConnectPacket {
  cmd: 'connect'
  protocolId: 'MQTT' | 'MQIsdp'
  protocolVersion: ProtocolVersion
  /** The bridge bit (0x80 of the protocol level) that mosquitto's bridges set. */
  bridgeMode?: boolean
  clientId: string
  /** Clean session in 3.1 and 3.1.1, clean start in 5.0. */
  clean: boolean
  /** Seconds; 0 means none. */
  keepalive: number
  username?: string
  password?: Buffer
  will?: { topic: string; payload: Buffer; qos: QoS; retain: boolean; properties?: WillProperties }
  properties?: {
    /** Seconds; 0xFFFFFFFF means never. */
    sessionExpiryInterval?: number
    receiveMaximum?: number
    /** Bytes. */
    maximumPacketSize?: number
    topicAliasMaximum?: number
    requestResponseInformation?: boolean
    requestProblemInformation?: boolean
    authenticationMethod?: string
    authenticationData?: Buffer
    userProperties?: UserProperties
  }
}

export interface ConnackPacket {
  cmd: 'connack'
  sessionPresent: boolean
  /** 3.1 and 3.1.1 return code. */
  returnCode?: number
  /** 5.0 reason code. */
  reasonCode?: number
  properties?: {
    sessionExpiryInterval?: number
    receiveMaximum?: number
    maximumQoS?: number
    retainAvailable?: boolean
    maximumPacketSize?: number
    assignedClientIdentifier?: string
    topicAliasMaximum?: number
    reasonString?: string
    userProperties?: UserProperties
    wildcardSubscriptionAvailable?: boolean
    subscriptionIdentifiersAvailable?: boolean
    sharedSubscriptionAvailable?: boolean
    serverKeepAlive?: number
    responseInformation?: string
    serverReference?: string
    authenticationMethod?: string
    authenticationData?: Buffer
  }
}

export interface PublishPacket {
  cmd: 'publish'
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  dup: boolean
  /** Present when qos > 0. */
  messageId?: number
  properties?: PublishProperties
}

export interface AckProperties {
  reasonString?: string
  userProperties?: UserProperties
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. */
export interface AckPacket {
  cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  messageId: number
  /** 5.0; 0 when absent. */
  reasonCode?: number
  properties?: AckProperties
}

export interface SubscribeEntry {
  /** The topic filter as the client wrote it, `$share/…` included. */
  topic: string
  qos: QoS
  /** No local. */
  nl?: boolean
  /** Retain as published. */
  rap?: boolean
  /** Retain handling: 0 send, 1 send if new, 2 do not send. */
  rh?: 0 | 1 | 2
}

export interface SubscribePacket {
  cmd: 'subscribe'
  messageId: number
  subscriptions: SubscribeEntry[]
  properties?: { subscriptionIdentifier?: number; userProperties?: UserProperties }
}

export interface SubackPacket {
  cmd: 'suback'
  messageId: number
  /** One code per filter: granted QoS or a failure (0x80 in 3.1.1). */
  granted: number[]
  properties?: AckProperties
}

export interface UnsubscribePacket {
  cmd: 'unsubscribe'
  messageId: number
  unsubscriptions: string[]
  properties?: { userProperties?: UserProperties }
}

export interface UnsubackPacket {
  cmd: 'unsuback'
  messageId: number
  /** 5.0: one reason code per filter. */
  granted?: number[]
  properties?: AckProperties
}

export interface PingPacket {
  cmd: 'pingreq' | 'pingresp'
}

export interface DisconnectPacket {
  cmd: 'disconnect'
  reasonCode?: number
  properties?: {
    sessionExpiryInterval?: number
    reasonString?: string
    userProperties?: UserProperties
    serverReference?: string
  }
}

export interface AuthPacket {
  cmd: 'auth'
  reasonCode?: number
  properties?: {
    authenticationMethod?: string
    authenticationData?: Buffer
    reasonString?: string
    userProperties?: UserProperties
  }
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingPacket
  | DisconnectPacket
  | AuthPacket
