/** The commands of bin/ctl on a broker with real clients: emqttd's formats, current figures, refusals. */
import { connectAsync, type MqttClient } from 'mqtt'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { type Command, done } from '../../src/ctl/command.ts'
import { CommandTable } from '../../src/ctl/command-table.ts'
import { commandTable } from '../../src/ctl/commands.ts'
import { embeddedBroker } from '../support/embedded-broker.ts'

const RULE = '-'.repeat(80)

interface Ctl {
  readonly broker: Broker
  /** The lines of a command that is a success. */
  lines(...words: string[]): Promise<readonly string[]>
  /** The lines of a refusal. */
  refusal(...words: string[]): Promise<readonly string[]>
  connect(clientId: string, options?: object): Promise<MqttClient>
}

async function ctl(): Promise<Ctl> {
  const broker = await embeddedBroker()
  const table = commandTable()
  const run = (words: readonly string[]) => table.run({ runtime: broker.runtime, services: broker.services }, words)
  return {
    broker,
    lines: async (...words) => {
      const { ok, lines } = await run(words)
      expect(ok).toBe(true)
      return lines
    },
    refusal: async (...words) => {
      const { ok, lines } = await run(words)
      expect(ok).toBe(false)
      return lines
    },
    connect: async (clientId, options = {}) => {
      const { port } = broker.listeners[0]!
      const client = await connectAsync({ host: '127.0.0.1', port, clientId, reconnectPeriod: 0, ...options })
      onTestFinished(() => client.endAsync(true))
      return client
    },
  }
}

describe('help', () => {
  it('shows the usage of every command for no word, for help and, as a refusal, for an unknown word', async () => {
    const { lines, refusal } = await ctl()
    const help = await lines('help')
    expect(help[0]).toMatch(/^Usage: bin\/ctl/)
    expect(help).toContain(RULE)
    expect(help).toContain('clients show <ClientId>                         # A client that is connected to this node')
    expect(await lines()).toEqual(help)
    expect(await refusal('nosuch')).toEqual(help)
  })

  it('shows the usage of a command that does not understand its words', async () => {
    const { lines, refusal } = await ctl()
    expect(await refusal('status', 'x')).toEqual([
      'status                                          # Whether this node and its broker run',
    ])
    expect(await lines('clients', 'help')).toEqual(await refusal('clients'))
    expect(await lines('help', 'clients')).toEqual(await refusal('clients'))
    for (const words of [['clients'], ['clients', 'show'], ['clients', 'list', 'all']]) {
      const shown = await refusal(...words)
      expect(shown.map((line) => line.slice(0, 15).trim())).toEqual([
        'clients list',
        'clients show <C',
        'clients kick <C',
      ])
    }
  })
})

describe('the broker', () => {
  it('says what it is', async () => {
    const { lines, broker } = await ctl()
    expect(await lines('status')).toEqual([`Node '${broker.runtime.node.name}' is started`, 'agner 0.1.0 is running'])
    const identity = await lines('broker')
    expect(identity[0]).toBe('sysdescr  : Agner MQTT broker')
    expect(identity[1]).toBe('version   : 0.1.0')
    expect(identity[2]).toMatch(/^uptime {4}: \d+ seconds$/)
    expect(identity[3]).toMatch(/^datetime {2}: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
  })

  it('counts what there is at the moment of the question', async () => {
    const { lines, connect } = await ctl()
    expect(await lines('broker', 'stats')).toContain('clients/count       : 0')
    const client = await connect('c1')
    await client.subscribeAsync(['a', 'b/#'])
    const stats = await lines('broker', 'stats')
    expect(stats).toContain('clients/count       : 1')
    expect(stats).toContain('subscriptions/count : 2')
    expect(stats.map((line) => line.split(/\s*:/)[0])).toEqual([...stats.map((line) => line.split(/\s*:/)[0])].sort())
    const metrics = await lines('broker', 'metrics')
    expect(metrics).toHaveLength(33)
    expect(metrics).toContain('packets/subscribe       : 1')
    expect(metrics).toContain('packets/pubcomp/received: 0')
  })

  it('shows its listeners, with the reasons for which clients have left', async () => {
    const { lines, connect, broker } = await ctl()
    await connect('c1')
    expect(await lines('clients', 'kick', 'c1')).toEqual(['ok'])
    await expect.poll(() => lines('listeners')).toContain('  current_clients : 0')
    const shown = await lines('listeners')
    expect(shown[0]).toBe(`listener on mqtt:127.0.0.1:${broker.listeners[0]!.port}`)
    expect(shown.at(-1)).toMatch(/^ {2}shutdown_count {2}: \[\{kick(ed)?,1\}\]$/)
  })
})

describe('clients and sessions', () => {
  it('lists clients by name, shows one, and says when there is none', async () => {
    const { lines, refusal, connect } = await ctl()
    await connect('withuser', { username: 'test', clean: false })
    await connect('client1')
    const row =
      /^Client\((\w+), clean_sess=(true|false), username=(\w+), peername=127\.0\.0\.1:\d+, connected_at=\d{10}\)$/
    const shown = (await lines('clients', 'list')).map((line) => row.exec(line)?.slice(1))
    expect(shown).toEqual([
      ['client1', 'true', 'undefined'],
      ['withuser', 'false', 'test'],
    ])
    expect((await lines('clients', 'show', 'client1'))[0]).toMatch(row)
    expect(await refusal('clients', 'show', 'nope')).toEqual(['Not Found.'])
    expect(await refusal('clients', 'kick', 'nope')).toEqual(['Not Found.'])
  })

  it('lists persistent sessions before transient ones, with the figures of the moment', async () => {
    const { lines, refusal, connect, broker } = await ctl()
    await connect('trans')
    const persistent = await connect('pers', { clean: false })
    await persistent.subscribeAsync('t', { qos: 1 })
    await persistent.endAsync()
    for (let i = 0; i < 3; i++) await broker.publish({ topic: 't', payload: 'x', qos: 1 })
    await expect.poll(async () => (await lines('sessions', 'show', 'pers'))[0]).toContain('message_queue=3')
    const all = await lines('sessions', 'list')
    expect(all.map((line) => line.split(',')[0])).toEqual(['Session(pers', 'Session(trans'])
    expect(all[0]).toMatch(
      /^Session\(pers, clean_sess=false, max_inflight=\d+, inflight_queue=0, message_queue=3, message_dropped=0, awaiting_rel=0, awaiting_ack=0, awaiting_comp=0, created_at=\d{10}\)$/,
    )
    expect(await lines('sessions', 'list', 'persistent')).toEqual([all[0]])
    expect(await lines('sessions', 'list', 'transient')).toEqual([all[1]])
    expect(await lines('sessions', 'show', 'pers')).toEqual([all[0]])
    expect(await refusal('sessions', 'show', 'nope')).toEqual(['Not Found.'])
  })
})

describe('routes, topics and subscriptions', () => {
  it('are listed sorted, and shown by their exact name', async () => {
    const { lines, refusal, connect, broker } = await ctl()
    const client = await connect('client1')
    await client.subscribeAsync('t/+/x', { qos: 1 })
    await client.subscribeAsync('t/#', { qos: 2 })
    const { name } = broker.runtime.node
    expect(await lines('routes', 'list')).toEqual([`t/# -> ${name}`, `t/+/x -> ${name}`])
    expect(await lines('routes', 'show', 't/+/x')).toEqual([`t/+/x -> ${name}`])
    expect(await refusal('routes', 'show', 't')).toEqual(['Not Found.'])
    expect(await lines('topics', 'list')).toEqual(['t/#', 't/+/x'])
    expect(await refusal('topics', 'show', 'a')).toEqual(['Not Found.'])
    expect(await lines('subscriptions', 'list')).toEqual(['client1 -> t/+/x:1,t/#:2'])
    expect(await lines('subscriptions', 'show', 'client1')).toEqual(['client1 -> t/+/x:1,t/#:2'])
    expect(await refusal('subscriptions', 'show', 'client2')).toEqual(['Not Found.'])
  })

  it('print nothing when there are none, and a word instead of ten thousand rows', async () => {
    const { lines, refusal, connect } = await ctl()
    expect(await lines('routes', 'list')).toEqual([])
    const client = await connect('many')
    const filters = Array.from({ length: 10_000 }, (_, i) => `f/${i}`)
    for (let i = 0; i < filters.length; i += 500) await client.subscribeAsync(filters.slice(i, i + 500))
    expect(await refusal('routes', 'list')).toEqual(['Could not list, too many routes: 10000'])
    expect(await refusal('topics', 'list')).toEqual(['Could not list, too many topics: 10000'])
    expect(await refusal('subscriptions', 'list')).toEqual(['Could not list, too many subscriptions: 10000'])
  })
})

describe('what an operator changes', () => {
  it('users are added, listed by name and deleted', async () => {
    const { lines, refusal } = await ctl()
    expect(await lines('users', 'add', 'bob', 'secret')).toEqual(['ok'])
    expect(await lines('users', 'add', 'alice', 'secret')).toEqual(['ok'])
    expect(await lines('users', 'list')).toEqual(['alice', 'bob'])
    expect(await lines('users', 'del', 'bob')).toEqual(['ok'])
    await refusal('users', 'del', 'bob')
    expect(await lines('users', 'list')).toEqual(['alice'])
  })

  it('retained messages are listed, shown and deleted', async () => {
    const { lines, refusal, broker } = await ctl()
    await broker.publish({ topic: 'r/1', payload: 'hello', qos: 1, retain: true })
    expect((await lines('retained', 'show', 'r/1'))[1]).toBe('hello')
    expect((await lines('retained', 'list')).filter((line) => !line.startsWith('Retained($SYS'))).toEqual([
      expect.stringMatching(/^Retained\(r\/1, qos=1, bytes=5, published_at=\d{10}, expires_at=never\)$/),
    ])
    expect(await lines('retained', 'delete', 'r/1')).toEqual(['ok'])
    expect(await refusal('retained', 'delete', 'r/1')).toEqual(['Not Found.'])
  })

  it('alarms are listed and cleared', async () => {
    const { lines, refusal, broker } = await ctl()
    broker.services.alarms.alert({ id: 'disc_full', severity: 'critical', title: 'disc', summary: 'no room' })
    expect((await lines('alarms', 'list'))[0]).toMatch(
      /^Alarm\(disc_full, severity=critical, title=disc, summary=no room/,
    )
    expect(await lines('alarms', 'clear', 'disc_full')).toEqual(['ok'])
    expect(await refusal('alarms', 'clear', 'disc_full')).toEqual(['Not Found.'])
  })
})

describe('a table of commands', () => {
  const hello: Command = {
    name: 'hello',
    usages: [{ syntax: 'hello', text: 'Say so' }],
    run: (_context, words) => {
      if (words.length > 0) throw new Error('no words')
      return done(['hello'], 'hello')
    },
  }

  it('takes commands of other modules, each name once', async () => {
    const table = new CommandTable()
    table.register(hello)
    expect(() => table.register(hello)).toThrow(TypeError)
  })

  it('turns what a command throws into a refusal', async () => {
    const table = new CommandTable()
    table.register(hello)
    const { broker } = await ctl()
    const outcome = await table.run({ runtime: broker.runtime, services: broker.services }, ['hello', 'you'])
    expect(outcome).toMatchObject({ ok: false, lines: ['hello has failed: no words'] })
  })
})

describe('bridges', () => {
  const N2 = 'n2@127.0.0.1'

  it('shows its options as emqttd does', async () => {
    const { lines } = await ctl()
    expect(await lines('bridges', 'options')).toEqual([
      'Options:',
      '  qos     = 0 | 1 | 2',
      '  prefix  = string',
      '  suffix  = string',
      '  queue   = integer',
      'Example:',
      '  qos=2,prefix=abc/,suffix=/yxz,queue=1000',
    ])
  })

  it('starts one of a node and a filter, and refuses with a sentence what makes no sense', async () => {
    const { lines, refusal, broker } = await ctl()
    expect(await lines('bridges', 'start', N2, 'sensor/#')).toEqual(['bridge is started.'])
    expect(await refusal('bridges', 'start', N2, 'sensor/#')).toEqual([
      expect.stringMatching(/^error: \{already_started,<0\.\d+\.\d+>\}$/),
      'this bridge is started already; stop it to start it anew',
    ])
    const { name } = broker.runtime.node
    expect(await refusal('bridges', 'start', name, 'x')).toEqual([
      'error: bridge_to_self',
      `${name} is this node itself`,
    ])
    expect(await refusal('bridges', 'start', N2, 'a/c', 'bogus=2')).toEqual([
      'Bad Option: bogus',
      'an option is qos=…, prefix=…, suffix=…, queue=…',
    ])
    expect(await refusal('bridges', 'start', N2, 'a/c', 'qos=3,prefix=#')).toEqual([
      'error: bad_option',
      'qos must be one of 0, 1, 2, not 3; prefix must be part of a topic: no wildcard, no U+0000, not "#"',
    ])
    expect(await refusal('bridges', 'start', N2, '$share/g/a')).toEqual([
      'error: bad_option',
      'topic must be a topic filter without $share/, $queue/ or $local/, not "$share/g/a"',
    ])
    expect(await lines('bridges', 'list')).toEqual([`bridge: ${name}--sensor/#-->${N2}`])
    expect(broker.services.bridges.list()[0]!.options).toEqual({
      node: N2,
      filter: 'sensor/#',
      qos: 2,
      prefix: '',
      suffix: '',
      maxQueue: 10_000,
    })
  })

  it('has those of the configuration from the start', async () => {
    const bridge = { node: N2, filter: 'a/#', qos: 1, prefix: 'p/', suffix: '', maxQueue: 5 } as const
    const broker = await embeddedBroker({ bridges: [bridge] })
    const context = { runtime: broker.runtime, services: broker.services }
    const { data } = await commandTable().run(context, ['bridges', 'list'])
    expect(data).toEqual([
      {
        ...{ from: broker.runtime.node.name, node: N2, topic: 'a/#' },
        ...{ qos: 1, prefix: 'p/', suffix: '', queue: 5 },
        state: 'down',
        queued: 0,
      },
    ])
    const self = { ...bridge, node: 'n1@127.0.0.1' }
    await expect(embeddedBroker({ bridges: [self] })).rejects.toThrow('the bridge of a/# leads to this node itself')
  })
})
