import { describe, expect, it } from 'vitest'
import { type Config, type ConfigSources, readConfig } from '../../src/boot/config-file.ts'

function configOf(sources: ConfigSources): Config {
  const result = readConfig(sources)
  if (!result.ok) throw new Error(result.errors.join('\n'))
  return result.config
}

function errorsOf(sources: ConfigSources): readonly string[] {
  const result = readConfig(sources)
  return result.ok ? [] : result.errors
}

const file = (text: string) => ({ name: 'etc/agner.toml', text })

describe('the layers of a configuration', () => {
  it('are defaults, file, environment and --set, the later over the earlier', () => {
    const text = '[listeners.tcp]\nport = 1\nbacklog = 2\nmax_connections = 3\n'
    const env = { AGNER_LISTENERS__TCP__BACKLOG: '20', AGNER_LISTENERS__TCP__MAX_CONNECTIONS: '30' }
    const { tcp } = configOf({ file: file(text), env, sets: ['listeners.tcp.max_connections=300'] }).listeners
    expect(tcp).toMatchObject({ host: '127.0.0.1', port: 1, backlog: 20, maxConnections: 300 })
  })

  it('give the last of two --set the say', () => {
    expect(configOf({ sets: ['log.level=debug', 'log.level=warn'] }).log.level).toBe('warn')
  })

  it('take values with units, plain numbers and bare words alike', () => {
    const config = configOf({
      sets: ['mqtt.idle_timeout=500ms', 'broker.sys_interval=5', 'mqtt.max_packet_size=64KB', 'log.format=json'],
      env: { AGNER_SESSION__EXPIRY_INTERVAL: 'infinity', AGNER_MQTT__MAX_CLIENTID_LEN: '100' },
    })
    expect(config.mqtt).toMatchObject({ idleTimeoutMs: 500, maxPacketBytes: 65_536, maxClientIdBytes: 100 })
    expect(config.broker.sysIntervalMs).toBe(5000)
    expect(config.session.expirySec).toBe(Number.POSITIVE_INFINITY)
    expect(config.log.format).toBe('json')
  })

  it('let --set name an entry of a table that the user fills, dots and all', () => {
    const hash = 'scrypt$16384$8$1$c2FsdA$aGFzaA'
    const config = configOf({ sets: [`access.users.bob.b=${hash}`, 'session.queue.priorities.a/b=7'] })
    expect({ ...config.access.users }).toEqual({ 'bob.b': hash })
    expect({ ...config.session.queue.priorities }).toEqual({ 'a/b': 7 })
  })

  it('ignore variables that are no settings', () => {
    expect(errorsOf({ env: { AGNER_COOKIE: 'x', AGNER_EPMD_PORT: '4370', PATH: '/bin' } })).toEqual([])
  })
})

describe('bridges in a configuration', () => {
  it('are tables of a list, with defaults', () => {
    const text =
      '[[bridges]]\nnode = "n2@h"\ntopic = "a/#"\n[[bridges]]\nnode = "n2@h"\ntopic = "b"\nqos = 1\nqueue = 5\n'
    expect(configOf({ file: file(text) }).bridges).toEqual([
      { node: 'n2@h', filter: 'a/#', qos: 2, prefix: '', suffix: '', maxQueue: 10_000 },
      { node: 'n2@h', filter: 'b', qos: 1, prefix: '', suffix: '', maxQueue: 5 },
    ])
  })

  it('are refused by file, line and key', () => {
    const good = '[[bridges]]\nnode = "n2@h"\ntopic = "a"\n'
    expect(errorsOf({ file: file(`${good}[[bridges]]\nnode = "n2"\ntopic = "a"\nqoss = 1\n`) })).toEqual([
      'etc/agner.toml:5: bridges.1.node must be the name of the node to publish on, NAME@HOST, not "n2"',
      'etc/agner.toml:7: bridges.1.qoss is not a setting; did you mean qos?',
    ])
    expect(errorsOf({ file: file(good + good) })).toEqual(['etc/agner.toml:4: bridges.1 is there already: n2@h a'])
    expect(errorsOf({ file: file('[bridges]\nnode = "n2@h"\n') })).toEqual([
      'etc/agner.toml:1: bridges must be a list of tables with node, topic, qos, prefix, suffix, queue',
    ])
  })
})

describe('an error in a configuration', () => {
  it('names file, line, key and what is allowed', () => {
    const text = '# first\n[mqtt]\nmax_qos_allowed = 3\n\n[listeners.tcp]\nport = 99999\n'
    expect(errorsOf({ file: file(text) })).toEqual([
      'etc/agner.toml:3: mqtt.max_qos_allowed must be one of 0, 1, 2, not 3',
      'etc/agner.toml:6: listeners.tcp.port must be a whole number, from 0 to 65535, not 99999',
    ])
  })

  it('suggests the key that was meant', () => {
    const text = '[mqtt]\nmax_packet_sise = 1024\n[lisseners.tcp]\nport = 1\n[session]\nmax_length = 5\n'
    expect(errorsOf({ file: file(text) })).toEqual([
      'etc/agner.toml:2: mqtt.max_packet_sise is not a setting; did you mean max_packet_size?',
      'etc/agner.toml:6: session.max_length is not a setting here; did you mean session.queue.max_length?',
      'etc/agner.toml:3: lisseners is not a setting; did you mean listeners?',
    ])
  })

  it('lists the keys when none is near', () => {
    expect(errorsOf({ file: file('[broker]\ncolour = 1\n') })).toEqual([
      'etc/agner.toml:2: broker.colour is not a setting; broker has sys_interval, shared_subscription_strategy, forward_wait, forward_max, hint_max, hint_max_age',
    ])
  })

  it('gives line and column of broken TOML', () => {
    expect(errorsOf({ file: file('[mqtt]\nmax_qos_allowed = = 3\n') })[0]).toMatch(
      /^etc\/agner.toml:2:\d+: this is not TOML/,
    )
  })

  it('names the variable or the --set that it came from', () => {
    const errors = errorsOf({
      file: file('[log]\nlevel = "info"\n'),
      env: { AGNER_LOG__LEVEL: 'loud', AGNER_LOG__LEVLE: 'info', AGNER_LOG: 'x' },
      sets: ['listeners.tcp.prot=1', 'mqtt.max_topic_levels=0', 'nonsense', 'mqtt=1'],
    })
    expect(errors).toEqual([
      'AGNER_LOG__LEVLE: log.levle is not a setting; did you mean log.level?',
      '--set listeners.tcp.prot: listeners.tcp.prot is not a setting; did you mean listeners.tcp.port?',
      '--set nonsense: must be KEY=VALUE, such as --set listeners.tcp.port=2883',
      expect.stringMatching(/^--set mqtt: is a table, not a setting; it has max_packet_size/),
      '--set mqtt.max_topic_levels: mqtt.max_topic_levels must be a whole number, from 1 to 65535, not 0',
      expect.stringMatching(/^AGNER_LOG__LEVEL: log.level must be one of "fatal"/),
    ])
  })

  it('says so when a value stands where a table belongs', () => {
    expect(errorsOf({ file: file('mqtt = 3\n'), sets: ['mqtt.max_qos_allowed=1'] })).toEqual([
      'etc/agner.toml:1: mqtt must be a table',
    ])
  })

  it('never shows a password', () => {
    const errors = errorsOf({ file: file('[access.users]\nbob = "letmein"\n') })
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatch(/^etc\/agner.toml:1: access.users must be a table from user name to a hash/)
    expect(errors[0]).not.toContain('letmein')
  })

  it('refuses prototype names as keys', () => {
    expect(errorsOf({ sets: ['__proto__.x=1', 'mqtt.constructor=1', 'toString=1'] })).toHaveLength(3)
  })
})
