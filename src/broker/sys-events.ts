/**
 * What the broker publishes under $SYS when something happens: clients that come and go, alarms, reports of sysmon.
 *
 * Topics and payloads are emqttd's; what is published on a schedule is in sys-topics.ts. None is retained. A client id
 * becomes one level of a topic, so the characters that have a meaning in topics are written %2F, %2B, %23 (and %25);
 * the payload has the id as it is. Differs from emqttd: the end of a connection that was taken over is published too.
 */
import type { AlarmHandler } from './alarm.ts'
import type { Hooks } from './hooks.ts'
import type { ProtocolVersion } from './packet.ts'

/** Publishes a message of the broker, QoS 0. A payload that is a function is made only when somebody is to get it. */
export type SysPublish = (
  topic: string,
  payload: string | (() => string),
  options: { readonly retain: boolean },
) => void

/** What events need; `node` is the node's name. */
export interface SysEventOptions {
  readonly node: string
  readonly publish: SysPublish
  /** Wall clock, ms since 1970. */
  readonly nowMs: () => number
}

const EVENT = { retain: false }

/** Publishes clients that connect, are refused, and disconnect; returns what ends that. */
export function publishPresence(hooks: Hooks, { node, publish, nowMs }: SysEventOptions): () => void {
  // Joined, since a template is a chain of string objects, which the cache of destinations would keep (230 bytes, measured).
  const topic = (clientId: string, event: string) =>
    ['$SYS/brokers', node, 'clients', topicLevel(clientId), event].join('/')
  const connected = (client: Presence, host: string, session: boolean, connack: number) => {
    const { clientId, username = 'undefined', protocolVersion } = client
    const payload = () =>
      JSON.stringify({
        clientid: clientId,
        username,
        ipaddress: host,
        session,
        protocol: protocolVersion,
        connack,
        ts: seconds(nowMs()),
      })
    publish(topic(clientId, 'connected'), payload, EVENT)
  }
  const disconnected = (clientId: string, reason: string) => {
    const payload = () => JSON.stringify({ clientid: clientId, reason, ts: seconds(nowMs()) })
    publish(topic(clientId, 'disconnected'), payload, EVENT)
  }
  const ends = [
    hooks.on('client.connected', (client) => connected(client, hostOf(client.peer), !client.cleanStart, 0)),
    hooks.on('client.refused', (client, code) => connected(client, client.host, false, code)),
    hooks.on('client.disconnected', ({ clientId }, reason) => disconnected(clientId, reason)),
  ]
  return () => {
    for (const end of ends) end()
  }
}

interface Presence {
  readonly clientId: string
  readonly username: string | undefined
  readonly protocolVersion: ProtocolVersion
}

/** Publishes alarms as they are raised and cleared. */
export function alarmPublisher({ node, publish }: SysEventOptions): AlarmHandler {
  const topic = (id: string, event: string) => `$SYS/brokers/${node}/alarms/${topicLevel(id)}/${event}`
  return {
    alert: ({ id, severity, title, summary, raisedAtMs }) =>
      publish(topic(id, 'alert'), JSON.stringify({ id, severity, title, summary, ts: seconds(raisedAtMs) }), EVENT),
    clear: ({ id }, atMs) => publish(topic(id, 'clear'), JSON.stringify({ id, ts: seconds(atMs) }), EVENT),
  }
}

/** A text as one level of a topic. */
function topicLevel(text: string): string {
  return /[%/+#]/.test(text) ? text.replace(/[%/+#]/g, encodeURIComponent) : text
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}

/** The address of `address:port`. */
function hostOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')))
}
