/**
 * The broker's settings: every key with its default, unit and allowed values, and the type of the configuration that
 * they make. The names are emqttd's where emqttd has the setting. etc/agner.toml shows the same table to users; a test
 * holds the two together.
 *
 * The rule for defaults: a node that nobody has configured must survive hostile clients, so every limit is finite.
 */
import { type Cidr, parseCidr } from '../dist/ip.ts'
import { BRIDGE_SETTINGS, bridgeId } from './bridge/options.ts'
import {
  bytes,
  check,
  closest,
  duration,
  flag,
  INFINITY,
  integer,
  isSetting,
  list,
  map,
  OFF,
  type Overrides,
  oneOf,
  type Settings,
  seconds,
  tables,
  text,
  type Values,
} from './settings.ts'

/** A rule of a listener's access list; the first that matches a peer's address decides. */
export interface AccessRule {
  readonly permission: 'allow' | 'deny'
  /** Undefined means every address. */
  readonly cidr: Cidr | undefined
}

function parseAccessRule(input: unknown): AccessRule | undefined {
  const match = typeof input === 'string' ? /^(allow|deny) +(\S+)$/.exec(input) : null
  if (!match) return undefined
  const cidr = match[2] === 'all' ? undefined : parseCidr(match[2]!)
  if (cidr === undefined && match[2] !== 'all') return undefined
  return { permission: match[1] as 'allow' | 'deny', cidr }
}

const string = (pattern: RegExp) => (input: unknown) =>
  typeof input === 'string' && pattern.test(input) ? input : undefined

/** `scrypt$N$r$p$salt$hash`, as `hashPassword` of auth-password.ts makes it. */
const PASSWORD_HASH = /^scrypt\$\d+\$\d+\$\d+\$[A-Za-z0-9_-]+\$[A-Za-z0-9_-]+$/

/** The settings of the broker, as the tables of a configuration file. */
export const BROKER_SETTINGS = {
  bridges: tables({
    field: 'bridges',
    of: BRIDGE_SETTINGS,
    nameOf: bridgeId,
    doc: 'Bridges to nodes of other clusters, which publish messages of this node as well: for each a table [[bridges]] with node and topic and, as wanted, qos, prefix, suffix and queue (docs/bridges.md).',
  }),
  mqtt: {
    max_packet_size: bytes({
      field: 'maxPacketBytes',
      default: '2MB',
      min: 1024,
      max: 268_435_456,
      doc: 'Largest packet taken from a client; a larger one closes its connection (5.0: reason 0x95).',
    }),
    max_clientid_len: integer({
      field: 'maxClientIdBytes',
      default: 1024,
      min: 23,
      max: 65_535,
      doc: 'Longest client id, in bytes.',
    }),
    max_topic_levels: integer({
      field: 'maxTopicLevels',
      default: 128,
      min: 1,
      max: 65_535,
      doc: 'Most levels (parts between slashes) of a topic name or filter.',
    }),
    max_topic_length: integer({
      field: 'maxTopicBytes',
      default: 4096,
      min: 1,
      max: 65_535,
      doc: 'Longest topic name or filter, in bytes.',
    }),
    idle_timeout: duration({
      field: 'idleTimeoutMs',
      default: '15s',
      min: 100,
      max: 3_600_000,
      doc: 'A connection that has not sent a whole CONNECT packet by then is closed.',
    }),
    max_keepalive: seconds({
      field: 'maxKeepAliveSec',
      default: 'off',
      min: 1,
      max: 65_535,
      word: OFF,
      doc: 'Imposed on 5.0 clients that ask for a longer keep alive or for none.',
    }),
    max_qos_allowed: oneOf({
      field: 'maxQoS',
      default: 2,
      values: [0, 1, 2],
      doc: 'Greatest QoS of a publish; 5.0 clients are told.',
    }),
    retain_available: flag({
      field: 'retainAvailable',
      default: true,
      doc: 'Whether clients may publish retained messages.',
    }),
    wildcard_subscription: flag({
      field: 'wildcardSubscription',
      default: true,
      doc: 'Whether filters may have wildcards.',
    }),
    shared_subscription: flag({
      field: 'sharedSubscription',
      default: true,
      doc: 'Whether $share/GROUP/FILTER and $queue/FILTER may be subscribed.',
    }),
    max_topic_alias: integer({
      field: 'maxTopicAlias',
      default: 64,
      min: 0,
      max: 65_535,
      doc: 'Topic aliases per 5.0 client and direction; each costs up to max_topic_length bytes.',
    }),
  },
  session: {
    max_inflight: integer({
      field: 'maxInflight',
      default: 100,
      min: 1,
      max: 65_535,
      doc: 'QoS 1 and 2 messages sent to a client and not yet acknowledged; a 5.0 client may ask for fewer.',
    }),
    max_awaiting_rel: integer({
      field: 'maxAwaitingRel',
      default: 1000,
      min: 1,
      max: 65_535,
      doc: 'QoS 1 and 2 messages that a client may send before they are acknowledged (5.0: the receive maximum it is told).',
    }),
    expiry_interval: seconds({
      field: 'expirySec',
      default: '2h',
      min: 1,
      max: 0xff_ff_ff_fe,
      word: INFINITY,
      doc: 'How long the session of a 3.1 or 3.1.1 client without clean session outlives its connection.',
    }),
    max_expiry_interval: seconds({
      field: 'maxExpirySec',
      default: '30d',
      min: 1,
      max: 0xff_ff_ff_fe,
      word: INFINITY,
      doc: 'The longest session expiry that a 5.0 client gets, whatever it asks for.',
    }),
    home_wait: duration({
      field: 'homeWaitMs',
      default: '10s',
      min: 0,
      max: 3_600_000,
      doc: 'How long a client waits for its session when that is on the disc of a member that has gone down.',
    }),
    home_down: oneOf({
      field: 'homeDown',
      default: 'new',
      values: ['new', 'refuse'],
      doc: 'What a client gets whose session is on a member that stays away: a new session, or a refusal.',
    }),
    migrate: flag({
      field: 'migrate',
      default: false,
      doc: 'Whether a session that outlives its connection moves to the node where its client connects next; else it stays, and is served from there.',
    }),
    migrate_wait: duration({
      field: 'migrateWaitMs',
      default: '5s',
      min: 100,
      max: 60_000,
      doc: 'How long such a move may take, while its client waits for CONNACK. One that takes longer is given up: the session stays.',
    }),
    max_subscriptions: integer({
      field: 'maxSubscriptions',
      default: 10_000,
      min: 1,
      word: INFINITY,
      doc: 'Subscriptions of one client.',
    }),
    durability: oneOf({
      field: 'durability',
      default: 'disc',
      values: ['disc', 'memory'],
      doc: 'Where sessions that outlive their connection are kept: on disc, which a restart finds again, or in memory.',
    }),
    upgrade_qos: flag({
      field: 'upgradeQoS',
      default: false,
      doc: 'Deliver at the QoS of the subscription even when the message was published at a smaller one.',
    }),
    queue: {
      max_length: integer({
        field: 'maxLength',
        default: 1000,
        min: 1,
        word: INFINITY,
        doc: 'Messages that wait in a session while its client is offline or its window is full.',
      }),
      max_bytes: bytes({
        field: 'maxBytes',
        default: '16MB',
        min: 1024,
        word: INFINITY,
        doc: 'Memory of those messages: topics and payloads.',
      }),
      drop: oneOf({
        field: 'drop',
        default: 'oldest',
        values: ['oldest', 'newest'],
        doc: 'Which message a full queue drops; QoS 0 ones go first. Each drop is counted.',
      }),
      store_qos0: flag({
        field: 'storeQoS0',
        default: true,
        doc: 'Whether QoS 0 messages wait too while the client is offline.',
      }),
      hold_timeout: duration({
        field: 'holdTimeoutMs',
        default: '1s',
        min: 1,
        word: OFF,
        doc: 'A client whose queue is half full holds up those who publish QoS 1 and 2 to it, until it has acknowledged nothing for so long.',
      }),
      priorities: map({
        field: 'priorities',
        allowed: 'a table from topic to a whole number from 0 to 255',
        doc: 'Topics whose messages overtake others in the queue: { "topic" = 0 to 255 }; topics not named have 0.',
        parse: (value) =>
          Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255 ? Number(value) : undefined,
      }),
    },
  },
  retained: {
    max_message_num: integer({
      field: 'maxMessages',
      default: 1_000_000,
      min: 0,
      word: INFINITY,
      doc: 'Retained messages of the node; at the limit existing topics can still be replaced.',
    }),
    max_payload_size: bytes({
      field: 'maxPayloadBytes',
      default: '1MB',
      min: 0,
      word: INFINITY,
      doc: 'Largest payload that is retained; a larger message is delivered but not kept.',
    }),
    expiry_interval: seconds({
      field: 'expirySec',
      default: 'infinity',
      min: 1,
      word: INFINITY,
      doc: 'How long a message without an expiry of its own is retained.',
    }),
  },
  broker: {
    sys_interval: duration({
      field: 'sysIntervalMs',
      default: '60s',
      min: 1000,
      word: OFF,
      doc: 'How often $SYS/brokers, version, sysdescr, stats and metrics are published; "off" ends uptime and datetime too.',
    }),
    shared_subscription_strategy: oneOf({
      field: 'sharedStrategy',
      default: 'round_robin',
      values: ['random', 'round_robin', 'sticky', 'hash_clientid', 'hash_topic'],
      doc: 'Which member of a shared subscription gets a message.',
    }),
    forward_wait: duration({
      field: 'forwardWaitMs',
      default: '1s',
      min: 0,
      max: 3_600_000,
      doc: 'How long the acknowledgement of a QoS 1 or 2 message waits for another node to take the message over.',
    }),
    forward_max: bytes({
      field: 'forwardMaxBytes',
      default: '64MB',
      min: 65_536,
      doc: 'Messages that may be on their way to another node; what comes beyond is kept on disc, or dropped and counted if it is not for sessions that outlive their connection.',
    }),
    hint_max: bytes({
      field: 'hintMaxBytes',
      default: '256MB',
      min: 65_536,
      doc: 'What is kept on disc for a member that is away or stands still: QoS 1 and 2 messages for sessions that outlive their connection. The oldest go first.',
    }),
    hint_max_age: duration({
      field: 'hintMaxAgeMs',
      default: '7d',
      min: 1000,
      doc: 'How long it is kept.',
    }),
  },
  listeners: {
    tcp: {
      host: text({
        field: 'host',
        default: '127.0.0.1',
        allowed: 'an address or host name',
        pattern: /^[^\s/]+$/,
        doc: 'Address to listen on; "0.0.0.0" or "::" for all.',
      }),
      port: integer({
        field: 'port',
        default: 1883,
        min: 0,
        max: 65_535,
        doc: 'Port to listen on; 0 takes any free one.',
      }),
      max_connections: integer({
        field: 'maxConnections',
        default: 100_000,
        min: 1,
        word: INFINITY,
        doc: 'Connections at a time; more are closed at once.',
      }),
      max_conn_rate: integer({
        field: 'maxConnPerSec',
        default: 1000,
        min: 1,
        word: INFINITY,
        doc: 'New connections a second; more wait in the backlog or are closed.',
      }),
      backlog: integer({
        field: 'backlog',
        default: 1024,
        min: 1,
        max: 65_535,
        doc: 'Connections that the kernel holds until they are accepted.',
      }),
      access: list({
        field: 'access',
        default: ['allow all'],
        allowed: 'a list of rules such as ["allow 10.0.0.0/8", "deny all"]',
        doc: 'Who may connect, by address; the first rule that matches decides, and none means no.',
        parse: parseAccessRule,
      }),
      high_watermark: bytes({
        field: 'highWatermarkBytes',
        default: '1MB',
        min: 1024,
        doc: 'Unsent output of a connection above which its session is told to wait.',
      }),
      slow_consumer_timeout: duration({
        field: 'slowConsumerTimeoutMs',
        default: '30s',
        min: 100,
        word: INFINITY,
        doc: 'A client that takes none of its waiting output for so long is disconnected.',
      }),
    },
  },
  access: {
    allow_anonymous: flag({
      field: 'allowAnonymous',
      default: true,
      doc: 'Whether a client may connect when no authentication source knows it.',
    }),
    acl_file: text({
      field: 'aclFile',
      default: '',
      doc: 'Access rules, a path relative to this file; "" means the built-in ones, those of etc/acl.conf as shipped.',
    }),
    acl_nomatch: oneOf({
      field: 'aclNoMatch',
      default: 'allow',
      values: ['allow', 'deny'],
      doc: 'What happens when no access rule matches.',
    }),
    deny_action: oneOf({
      field: 'denyAction',
      default: 'ignore',
      values: ['ignore', 'disconnect'],
      doc: 'What happens to the connection of a client that publishes where it may not: nothing (5.0: reason 0x87), or it is closed.',
    }),
    acl_cache_max_size: integer({
      field: 'aclCacheSize',
      default: 32,
      min: 1,
      max: 65_535,
      word: OFF,
      doc: 'Decisions kept per connection, for publishes and for subscriptions each.',
    }),
    acl_cache_ttl: duration({
      field: 'aclCacheTtlMs',
      default: '60s',
      min: 1,
      doc: 'How long a kept decision holds.',
    }),
    users: map({
      field: 'users',
      secret: true,
      allowed: 'a table from user name to a hash made by "bin/node --hash-password"',
      doc: 'Users and their passwords, hashed: { "user" = "scrypt$…" }.',
      parse: string(PASSWORD_HASH),
    }),
    clients: map({
      field: 'clients',
      secret: true,
      allowed: 'a table from client id to a hash made by "bin/node --hash-password"',
      doc: 'Client ids and their passwords, hashed: { "client" = "scrypt$…" }.',
      parse: string(PASSWORD_HASH),
    }),
  },
  sysmon: {
    long_gc: duration({
      field: 'longGcMs',
      default: '100ms',
      min: 1,
      word: OFF,
      doc: 'A garbage collection that stops the node for longer is reported.',
    }),
    long_schedule: duration({
      field: 'longScheduleMs',
      default: '240ms',
      min: 10,
      word: OFF,
      doc: 'A turn of the event loop that takes longer is reported.',
    }),
    large_heap: bytes({
      field: 'largeHeapBytes',
      default: '1GB',
      min: 1024 ** 2,
      word: OFF,
      doc: 'A JavaScript heap larger than this is reported.',
    }),
    long_mailbox: integer({
      field: 'longMailbox',
      default: 10_000,
      min: 1,
      word: OFF,
      doc: 'A process with more messages waiting than this is reported.',
    }),
  },
  cluster: {
    autoclean: duration({
      field: 'autocleanMs',
      default: 'off',
      min: 1000,
      word: OFF,
      doc: 'A member that has been down for longer is removed from the cluster, by a side that has more than half of the members.',
    }),
  },
} satisfies Settings

/** The configuration of a broker. Units are in the fields' names; a limit that is off is Infinity, a feature that is off 0. */
export type BrokerConfig = Values<typeof BROKER_SETTINGS>

/** What a program may say about a broker's configuration: some of its fields. */
export type BrokerOverrides = Overrides<typeof BROKER_SETTINGS>

/** The configuration of a node that nobody has configured. */
export function defaultConfig(): BrokerConfig {
  const result = check(BROKER_SETTINGS, {})
  if (!result.ok) throw new Error(`a default is not allowed: ${JSON.stringify(result.problems)}`)
  return result.value
}

/**
 * The defaults with some fields replaced, for programs that embed a broker.
 * Throws a TypeError when a field does not exist; the types tell before that what a field may hold.
 */
export function configOf(overrides: BrokerOverrides): BrokerConfig {
  return override(BROKER_SETTINGS, defaultConfig(), overrides, '') as BrokerConfig
}

function override(settings: Settings, defaults: object, overrides: object, path: string): object {
  const nodes = new Map(Object.entries(settings).map(([key, node]) => [isSetting(node) ? node.field : key, node]))
  const result: Record<string, unknown> = { ...defaults }
  for (const [field, value] of Object.entries(overrides)) {
    if (value === undefined) continue
    const node = nodes.get(field)
    if (node === undefined) {
      const nearest = closest(field, [...nodes.keys()])
      throw new TypeError(`${path}${field} is not a setting${nearest ? `; did you mean ${nearest}?` : ''}`)
    }
    result[field] = isSetting(node)
      ? value
      : override(node, result[field] as object, value as object, `${path}${field}.`)
  }
  return result
}
