/** A protocol machine with surroundings that the tests of protocol.ts set, and short ways to make packets. */
import { Pid } from '../../src/actors/pid.ts'
import { createProtocol, handle } from '../../src/broker/connection/protocol.ts'
import type {
  AuthResult,
  ProtocolCounter,
  ProtocolEffect,
  ProtocolEvent,
  ProtocolLimits,
  ProtocolState,
} from '../../src/broker/connection/protocol-state.ts'
import type { ConnackPacket, ConnectPacket, Packet, ProtocolVersion, PublishPacket } from '../../src/broker/packet.ts'

const node = { name: 'n1@127.0.0.1', creation: 1 }
export const session = new Pid(node, 7, 0)
export const otherSession = new Pid(node, 8, 0)

export const defaultLimits: ProtocolLimits = {
  protocolVersions: [3, 4, 5],
  connectTimeoutMs: 10_000,
  maxClientIdBytes: 64,
  maxPacketBytes: 1_048_576,
  maxPipelinedPackets: 10,
  topics: { maxBytes: 100, maxLevels: 5 },
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  sharedSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  receiveMaximum: 65_535,
  topicAliasMaximum: 4,
  outboundTopicAliasMaximum: 16,
  maxSessionExpirySec: 0xffffffff,
  persistentSessionExpirySec: 7200,
  maxKeepAliveSec: 0,
  denyAction: 'ignore',
  validatePayloadFormat: false,
  syncEveryMessages: 4,
  syncEveryBytes: 1_000_000,
  maxUnsynced: 2,
  slowConsumerMs: 60_000,
}

type EffectOf<T extends ProtocolEffect['tag']> = Extract<ProtocolEffect, { tag: T }>

/** One machine; every effect that it ever asked for is in `effects`. */
export class Machine {
  readonly state: ProtocolState
  readonly effects: ProtocolEffect[] = []
  readonly counted: ProtocolCounter[] = []
  nowMs = 0
  mayPublish: (topic: string) => boolean = () => true
  maySubscribe: (filter: string) => boolean = () => true

  constructor(limits: Partial<ProtocolLimits> = {}) {
    this.state = createProtocol({
      limits: { ...defaultLimits, ...limits },
      assignClientId: () => 'assigned-1',
      authorize: (action, topic) => (action === 'publish' ? this.mayPublish(topic) : this.maySubscribe(topic)),
      count: (counter) => this.counted.push(counter),
    })
    this.event({ tag: 'start' })
  }

  event(event: ProtocolEvent): ProtocolEffect[] {
    const effects = handle(this.state, event)
    this.effects.push(...effects)
    return effects
  }

  packets(...packets: Packet[]): ProtocolEffect[] {
    return this.event({ tag: 'packets', packets, bytes: 10 * packets.length, nowMs: this.nowMs })
  }

  auth(result: AuthResult = { outcome: 'accept' }): ProtocolEffect[] {
    return this.event({ tag: 'auth', result })
  }

  opened(present = false): ProtocolEffect[] {
    return this.event({ tag: 'opened', session, present, nowMs: this.nowMs })
  }

  /** Goes all the way to CONNACK. */
  connect(packet: Partial<ConnectPacket> = {}, present = false): this {
    this.packets(connectPacket(packet))
    this.auth()
    this.opened(present)
    return this
  }

  all<T extends ProtocolEffect['tag']>(tag: T): EffectOf<T>[] {
    return this.effects.filter((effect): effect is EffectOf<T> => effect.tag === tag)
  }

  /** The packets that were sent to the client by the connection itself. */
  get sent(): Packet[] {
    return this.all('send').map((effect) => effect.packet)
  }

  get connack(): ConnackPacket | undefined {
    return this.sent.find((packet): packet is ConnackPacket => packet.cmd === 'connack')
  }

  /** What went to the session, flat. */
  get passed(): Packet[] {
    return this.all('to_session').flatMap((effect) => [...effect.packets])
  }

  get isClosed(): boolean {
    return this.state.phase === 'closed'
  }
}

export function connectPacket(packet: Partial<ConnectPacket> = {}): ConnectPacket {
  return {
    cmd: 'connect',
    protocolId: packet.protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: 4,
    clientId: 'c1',
    clean: true,
    keepalive: 60,
    ...packet,
  }
}

export function publishPacket(packet: Partial<PublishPacket> = {}): PublishPacket {
  const qos = packet.qos ?? 0
  return {
    cmd: 'publish',
    topic: 't',
    payload: Buffer.from('x'),
    retain: false,
    dup: false,
    ...(qos > 0 ? { messageId: 1 } : {}),
    ...packet,
    qos,
  }
}

export const versions: readonly ProtocolVersion[] = [3, 4, 5]
