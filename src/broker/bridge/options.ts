/** What a bridge is started with, as its words in `bridges start` and as its table in the configuration. */
import { topicNameFault } from '../codec/topic-syntax.ts'
import type { QoS } from '../packet.ts'
import { parseFilter } from '../routing/topic.ts'
import { integer, oneOf, type Settings, text, type Values } from '../settings.ts'

const AFFIX = { default: '', allowed: 'part of a topic: no wildcard, no U+0000', pattern: /^[^+#\0]*$/ } as const

/** The keys of a `[[bridges]]` table. */
export const BRIDGE_SETTINGS = {
  node: text({
    field: 'node',
    default: '',
    allowed: 'the name of the node to publish on, NAME@HOST',
    pattern: /^[0-9A-Za-z_-]+@[^@\s]+$/,
    doc: 'The node that the messages are published on as well.',
  }),
  topic: text({
    field: 'filter',
    default: '',
    allowed: 'a topic filter without $share/, $queue/ or $local/',
    pattern: { test: (filter: string) => isPlainFilter(filter) },
    doc: 'Which messages, of those that are published on this node.',
  }),
  qos: oneOf({
    field: 'qos',
    default: 2,
    values: [0, 1, 2] as readonly QoS[],
    doc: 'The greatest QoS at which they are published there.',
  }),
  prefix: text({ field: 'prefix', ...AFFIX, doc: 'Put before each topic.' }),
  suffix: text({ field: 'suffix', ...AFFIX, doc: 'Put behind each topic.' }),
  queue: integer({
    field: 'maxQueue',
    default: 10_000,
    min: 1,
    max: 1_000_000,
    doc: 'Messages that wait while the node is away or behind; the oldest go first.',
  }),
} satisfies Settings

/** A bridge. */
export type BridgeOptions = Values<typeof BRIDGE_SETTINGS>

/** Names a bridge among those of its node: there is one of a node and a filter. */
export function bridgeId({ node, filter }: Pick<BridgeOptions, 'node' | 'filter'>): string {
  return `${node} ${filter}`
}

/** The topic under which a bridge publishes; undefined when that would be too long. */
export function bridgedTopic({ prefix, suffix }: Pick<BridgeOptions, 'prefix' | 'suffix'>, topic: string) {
  if (prefix === '' && suffix === '') return topic
  const bridged = prefix + topic + suffix
  return topicNameFault(bridged) === undefined ? bridged : undefined
}

function isPlainFilter(filter: string): boolean {
  const parsed = parseFilter(filter)
  return parsed.ok && parsed.value.key === filter && parsed.value.group === undefined && !parsed.value.local
}
