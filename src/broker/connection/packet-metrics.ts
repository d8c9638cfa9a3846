/**
 * Counts packets and messages by kind and direction, under emqttd's names (metrics.ts).
 */
import type { MetricName, Metrics } from '../monitor/metrics.ts'
import type { Packet } from '../packet.ts'
import type { ControlPacket, ProtocolCounter } from './protocol-state.ts'

const METRICS_OF: Record<ProtocolCounter, readonly MetricName[]> = {
  publish_denied: ['messages/dropped', 'messages/dropped/not_authorized'],
  publish_topic_invalid: ['messages/dropped', 'messages/dropped/topic_invalid'],
  subscribe_denied: ['client/subscribe/denied'],
  malformed: ['packets/malformed'],
  protocol_error: ['packets/protocol_error'],
  keep_alive_timeout: ['connections/closed/keep_alive_timeout'],
  connect_timeout: ['connections/closed/connect_timeout'],
  slow_consumer: ['connections/closed/slow_consumer'],
}

/** Counts what the protocol machine reports. */
export function countProtocol(metrics: Metrics, counter: ProtocolCounter): void {
  for (const name of METRICS_OF[counter]) metrics[name] += 1
}

/** Counts what one chunk of a client held. */
export function countReceived(metrics: Metrics, packets: readonly Packet[], bytes: number): void {
  metrics['bytes/received'] += bytes
  metrics['packets/received'] += packets.length
  for (let i = 0; i < packets.length; i++) {
    const packet = packets[i]!
    switch (packet.cmd) {
      case 'publish':
        metrics['packets/publish/received'] += 1
        metrics['messages/received'] += 1
        if (packet.qos === 0) metrics['messages/qos0/received'] += 1
        else if (packet.qos === 1) metrics['messages/qos1/received'] += 1
        else metrics['messages/qos2/received'] += 1
        break
      case 'puback':
        metrics['packets/puback/received'] += 1
        break
      case 'pubrec':
        metrics['packets/pubrec/received'] += 1
        break
      case 'pubrel':
        metrics['packets/pubrel/received'] += 1
        break
      case 'pubcomp':
        metrics['packets/pubcomp/received'] += 1
        break
      case 'pingreq':
        metrics['packets/pingreq'] += 1
        break
      case 'connect':
        metrics['packets/connect'] += 1
        break
      case 'subscribe':
        metrics['packets/subscribe'] += 1
        break
      case 'unsubscribe':
        metrics['packets/unsubscribe'] += 1
        break
      case 'disconnect':
        metrics['packets/disconnect'] += 1
        break
      case 'auth':
        metrics['packets/auth/received'] += 1
        break
    }
  }
}

/** Counts packets that the connection itself sends, and the answers of its session but acknowledgements. */
export function countSentControl(metrics: Metrics, cmd: ControlPacket['cmd'] | 'suback' | 'unsuback'): void {
  metrics['packets/sent'] += 1
  switch (cmd) {
    case 'connack':
      metrics['packets/connack'] += 1
      break
    case 'pingresp':
      metrics['packets/pingresp'] += 1
      break
    case 'disconnect':
      metrics['packets/disconnect/sent'] += 1
      break
    case 'auth':
      metrics['packets/auth/sent'] += 1
      break
    case 'suback':
      metrics['packets/suback'] += 1
      break
    case 'unsuback':
      metrics['packets/unsuback'] += 1
      break
  }
}

/** Counts `count` messages that are sent to a client at one QoS. */
export function countSentMessages(metrics: Metrics, qos: number, count: number): void {
  metrics['packets/sent'] += count
  metrics['packets/publish/sent'] += count
  metrics['messages/sent'] += count
  if (qos === 0) metrics['messages/qos0/sent'] += count
  else if (qos === 1) metrics['messages/qos1/sent'] += count
  else metrics['messages/qos2/sent'] += count
}
