/**
 * bin/ctl as an OS process against a real node: each command, with what emqttd_ctl 1.1.3 prints for it (recorded from a running one; what
 * changes is replaced by a word in <>). Where this program tells more or other things on purpose, the test has its own words.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type BinCtl, binCtl } from '../support/bin-ctl.ts'
import { asked, client, N1, retain } from '../support/clustered.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, Peers, testPeers } from '../support/peer.ts'

let peers: Peers
let n1: Peer
let ctl: BinCtl
beforeAll(async () => {
  peers = await Peers.create()
  n1 = await peers.start(N1)
  ctl = binCtl(peers)
})
afterAll(() => peers.end())

/** Lines with what differs from run to run replaced, as in the recording. */
function normal(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line
      .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, '<YYYY-MM-DD hh:mm:ss>')
      .replace(/(_at=)\d{10}/, '$1<unix seconds>')
      .replace(/(: )(\d+ (days|hours|minutes),? ?)*\d+ seconds$/, '$1<n seconds>')
      .replace(/(: )\d+(\.\d\d)?$/, '$1<n>'),
  )
}

const did = async (...words: string[]): Promise<string[]> => normal(await ctl.did(n1, ...words))
const refused = async (...words: string[]): Promise<string[]> => normal(await ctl.refused(n1, ...words))

/** The recorded labels of `label : <n>` lines, padded as they are. */
const labels = (lines: readonly string[]) => lines.map((line) => line.replace(/: .*$/, ':'))

describe('I1: help', () => {
  it('is all usages, a rule before each command, for no word and for an unknown one', async () => {
    const help = await ctl.did(n1, 'help')
    expect(await ctl.did(n1)).toEqual(help)
    expect(await ctl.refused(n1, 'nosuch')).toEqual(help)
    const words = new Set(help.map((line) => line.split(' ')[0]!).filter((word) => /^[a-z]+$/.test(word)))
    const ofEmqttd =
      'status broker cluster users clients sessions routes topics subscriptions plugins bridges vm mnesia trace listeners'
    for (const word of ofEmqttd.split(' ')) expect(words).toContain(word)
    expect(help[1]).toBe('-'.repeat(80))
    expect(help[2]).toMatch(/^status {42}# /)
  })

  it('is the usage of a command whose words make no sense; a command line that makes none is told so', async () => {
    expect(await refused('clients')).toEqual([
      expect.stringMatching(/^clients list {36}# /),
      expect.stringMatching(/^clients show <ClientId> {25}# /),
      expect.stringMatching(/^clients kick <ClientId> {25}# /),
    ])
    expect(await ctl.run(n1, '--nonsense')).toMatchObject({ code: 2, err: expect.stringContaining("'--nonsense'") })
  })

  it('a node that is not there', async () => {
    const nobody = { ...n1, name: 'n9@127.0.0.1' } as Peer
    const ran = await ctl.run(nobody, 'status')
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toMatch(
      /^Node is not running! \(n9@127\.0\.0\.1 cannot be reached: it is down, or has another cookie\)\n$/,
    )
  })
})

describe('I1: the node and the broker', () => {
  it('status, ping, broker', async () => {
    expect(await did('status')).toEqual([`Node '${N1}' is started`, 'agner 0.1.0 is running'])
    expect(await did('ping')).toEqual(['pong'])
    expect(await did('broker')).toEqual([
      'sysdescr  : Agner MQTT broker',
      'version   : 0.1.0',
      'uptime    : <n seconds>',
      'datetime  : <YYYY-MM-DD hh:mm:ss>',
    ])
  })

  it('broker stats, metrics, pubsub', async () => {
    const counted = ['clients', 'retained', 'routes', 'sessions', 'subscribers', 'subscriptions', 'topics']
    const stats = counted.flatMap((name) => [`${name}/count`, `${name}/max`]).map((name) => `${name.padEnd(20)}: <n>`)
    expect(await did('broker', 'stats')).toEqual(stats)
    const metrics = await did('broker', 'metrics')
    expect(metrics).toHaveLength(33)
    expect(metrics).toContain('packets/publish/received: <n>')
    expect(metrics).toContain('messages/qos0/sent      : <n>')
    expect(labels(await did('broker', 'pubsub')).slice(0, 4)).toEqual([
      'pubsub:',
      '  status            :',
      '  message_queue_len :',
      '  reductions        :',
    ])
  })

  it('vm', async () => {
    expect(labels(await did('vm', 'memory'))).toContain('memory/total            :')
    expect(await did('vm', 'process')).toEqual(['process/count           : <n>'])
    expect(await did('vm', 'io')).toEqual(['io/max_fds              : <n>', 'io/active_fds           : <n>'])
    expect(await did('vm', 'ports')).toEqual(['ports/count             : <n>'])
    expect(await did('vm', 'load')).toEqual([
      'cpu/load1               : <n>',
      'cpu/load5               : <n>',
      'cpu/load15              : <n>',
    ])
    expect((await did('vm', 'all')).length).toBe(3 + 5 + 1 + 2 + 1)
  })

  it('I3, mnesia: each table with its rows, copies and state', async () => {
    const lines = await did('mnesia')
    expect(lines[0]).toBe('---> Active tables <---')
    expect(lines.find((line) => line.startsWith('retained_message'))).toMatch(
      new RegExp(`^retained_message +: with \\d+ +records ordered_set, shared, disc_copies on ${N1}, loaded$`),
    )
    expect(lines).toContain('===> System info in version "0.1.0", debug level = none <===')
    expect(lines).toContain(`opt_disc. Directory "${join(peers.folder, 'data', N1, 'tables')}" is used.`)
    expect(lines).toContain(`running db nodes   = ['${N1}']`)
    expect(lines).toContain('stopped db nodes   = []')
    expect(lines.find((line) => line.startsWith('ram_copies '))).toMatch(/\[.*route,.*\]$/)
    expect(lines.find((line) => line.startsWith('disc_copies '))).toMatch(
      /\[.*backend_subscription.*retained_message.*\]$/,
    )
    expect(lines.find((line) => line.startsWith(`[{'${N1}',disc_copies}] = [`))).toBeDefined()
  })

  it('listeners, with why clients have left', async () => {
    await client(n1, { clientId: 'stays' })
    await client(n1, { clientId: 'goes' })
    expect(await did('clients', 'kick', 'goes')).toEqual(['ok'])
    await eventually(async () => expect((await asked(n1, 'listeners')).at(-1)).toMatch(/kicked,\d/))
    expect(labels(await did('listeners'))).toEqual([
      'listener on mqtt:127.0.0.1:<port>',
      '  acceptors       :',
      '  max_clients     :',
      '  current_clients :',
      '  peak_clients    :',
      '  shutdown_count  :',
    ])
  })

  it('acl, alarms', async () => {
    expect(await did('acl', 'reload')).toEqual(['ok'])
    expect(await did('alarms', 'list')).toEqual([])
    expect(await refused('alarms', 'clear', 'none')).toEqual(['Not Found.'])
  })
})

describe('I1: clients and what they have', () => {
  it('clients, sessions', async () => {
    await client(n1, { clientId: 'client1' })
    await client(n1, { clientId: 'withuser', username: 'test' })
    const persistent = await client(n1, { clientId: 'pers1', clean: false })
    await persistent.subscribeAsync('s/#', { qos: 1 })
    await persistent.endAsync()
    const line = (id: string, user: string) =>
      `Client(${id}, clean_sess=true, username=${user}, peername=127.0.0.1:<port>, connected_at=<unix seconds>)`
    expect(await did('clients', 'list')).toEqual([line('client1', 'undefined'), line('withuser', 'test')])
    expect(await did('clients', 'show', 'client1')).toEqual([line('client1', 'undefined')])
    expect(await refused('clients', 'show', 'pers1')).toEqual(['Not Found.'])
    const session = (id: string, clean: boolean) =>
      `Session(${id}, clean_sess=${clean}, max_inflight=100, inflight_queue=0, message_queue=0, message_dropped=0, awaiting_rel=0, awaiting_ack=0, awaiting_comp=0, created_at=<unix seconds>)`
    const all = await did('sessions', 'list')
    expect(all[0]).toBe(session('pers1', false))
    expect(all.slice(1).toSorted()).toEqual([session('client1', true), session('withuser', true)])
    expect(await did('sessions', 'list', 'persistent')).toEqual([session('pers1', false)])
    expect(await did('sessions', 'show', 'pers1')).toEqual([session('pers1', false)])
    expect(await refused('sessions', 'show', 'nope')).toEqual(['Not Found.'])
  })

  it('routes, topics, subscriptions', async () => {
    const client1 = await client(n1, { clientId: 'client1' })
    await client1.subscribeAsync('t/y', { qos: 1 })
    await client1.subscribeAsync('t/+/x', { qos: 2 })
    expect(await did('routes', 'list')).toEqual(['s/#', 't/+/x', 't/y'].map((filter) => `${filter} -> ${N1}`))
    expect(await did('routes', 'show', 't/+/x')).toEqual([`t/+/x -> ${N1}`])
    expect(await did('topics', 'list')).toEqual(['s/#', 't/+/x', 't/y'])
    expect(await did('topics', 'show', 't/y')).toEqual(['t/y'])
    expect(await did('subscriptions', 'list')).toEqual(['client1 -> t/y:1,t/+/x:2', 'pers1 -> s/#:1'])
    expect(await did('subscriptions', 'show', 'client1')).toEqual(['client1 -> t/y:1,t/+/x:2'])
    expect(await refused('subscriptions', 'show', 'nope')).toEqual(['Not Found.'])
  })

  it('static subscriptions', async () => {
    expect(await did('subscriptions', 'list', 'static')).toEqual([])
    expect(await did('subscriptions', 'add', 'c9', 'a/b', '1')).toEqual(['ok'])
    expect(await refused('subscriptions', 'add', 'c9', 'a/b', '1')).toEqual(['Error: already existed'])
    for (const qos of ['3', 'x']) {
      expect(await refused('subscriptions', 'add', 'c9', 'a/c', qos)).toEqual(['QoS should be 0, 1, 2'])
    }
    expect(await refused('subscriptions', 'add', 'c9', 'a/#/b', '1')).toEqual(['Error: a/#/b is no topic filter'])
    expect(await did('subscriptions', 'add', 'c9', 'a/c', '2')).toEqual(['ok'])
    expect(await did('subscriptions', 'add', 'c9', 'a/+/c/#', '0')).toEqual(['ok'])
    expect(await did('subscriptions', 'list', 'static')).toEqual(['c9 -> a/b:1,a/c:2,a/+/c/#:0'])
    for (const words of [['a/b'], ['a/b'], []])
      expect(await did('subscriptions', 'del', 'c9', ...words)).toEqual(['ok'])
    expect(await did('subscriptions', 'del', 'nope')).toEqual(['ok'])
    expect(await did('subscriptions', 'list', 'static')).toEqual([])
  })

  it('users', async () => {
    expect(await did('users', 'add', 'bob', 'secret')).toEqual(['ok'])
    expect(await did('users', 'list')).toEqual(['bob'])
    expect(await did('users', 'del', 'bob')).toEqual(['ok'])
  })

  it('retained, data', async () => {
    await retain(n1, 'r/1', 'hello')
    expect((await did('retained', 'show', 'r/1'))[1]).toBe('hello')
    const file = join(peers.folder, 'data', N1, 'saved.backup')
    const saved = await did('data', 'export', 'saved.backup')
    expect(saved).toContain('retained_message: 1 rows')
    expect(saved.at(-1)).toBe(`Exported to ${file}`)
    expect(await refused('data', 'export', 'saved.backup')).toEqual([
      `${file} is there already and would be replaced; confirm with --yes`,
    ])
    expect((await did('data', 'show', file))[0]).toMatch(new RegExp(`^of ${N1}, \\d{4}-`))
    expect(await did('retained', 'delete', 'r/1')).toEqual(['ok'])
    expect(await did('data', 'import', file, '--missing-only')).toContain('retained_message: 1 rows, 1 written, 0 kept')
    expect((await did('retained', 'show', 'r/1'))[1]).toBe('hello')
    expect(await did('data', 'import', file)).toContain('retained_message: 1 rows, 0 written, 1 kept')
    expect(await refused('data', 'import', 'none.backup')).toEqual([expect.stringContaining('there is no such file')])
  })
})

describe('I1: trace', () => {
  it('of a client and of a topic, to files', async () => {
    const [ofClient, ofTopic] = ['c1.log', 't.log'].map((name) => join(peers.folder, name)) as [string, string]
    expect(await did('trace', 'list')).toEqual([])
    expect(await did('trace', 'client', 'c1', ofClient)).toEqual(['trace client c1 successfully.'])
    expect(await did('trace', 'client', 'c1', ofClient)).toEqual(['trace client c1 successfully.'])
    expect(await refused('trace', 'client', 'c1', ofTopic)).toEqual(['trace client c1 error: existed'])
    expect(await did('trace', 'topic', 't/#', ofTopic)).toEqual(['trace topic t/# successfully.'])
    expect(await refused('trace', 'topic', 'x', '/none/x.log')).toEqual(['trace topic x error: enoent'])
    expect(await did('trace', 'list')).toEqual([`trace client c1 -> ${ofClient}`, `trace topic t/# -> ${ofTopic}`])
    const c1 = await client(n1, { clientId: 'c1' })
    await c1.subscribeAsync('t/1', { qos: 1 })
    await c1.publishAsync('t/1', 'one\ntwo', { qos: 1 })
    await c1.publishAsync('elsewhere', 'x', { qos: 1 })
    await c1.endAsync()
    expect(await did('trace', 'client', 'c1', 'off')).toEqual(['stop tracing client c1 successfully.'])
    expect(await refused('trace', 'client', 'c1', 'off')).toEqual(['stop tracing client c1 error: not_found.'])
    expect(await did('trace', 'off')).toEqual(['stop tracing topic t/# successfully.'])
    const events = async (path: string) => {
      const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
      return lines.map((line) => line.split(' ')[1])
    }
    const seen = await events(ofClient)
    expect(seen).toEqual(
      expect.arrayContaining(['connect', 'connected', 'subscribed', 'publish', 'deliver', 'acked', 'disconnected']),
    )
    expect(seen.filter((event) => event === 'publish')).toHaveLength(2)
    expect(new Set(await events(ofTopic))).toEqual(new Set(['publish', 'deliver', 'acked']))
    expect(await readFile(ofTopic, 'utf8')).toContain('publish from="c1" topic="t/1" qos=1')
    expect(await readFile(ofTopic, 'utf8')).toContain('payload="one\\ntwo"')
  })
})

describe('I1: plugins, bridges', () => {
  it('there are no plugins, and it is said', async () => {
    expect(await did('plugins', 'list')).toEqual([])
    expect(await refused('plugins', 'load', 'nope')).toEqual(['load plugin error: not_found'])
    expect(await refused('plugins', 'unload', 'nope')).toEqual(['unload plugin error: not_started'])
  })

  it('bridges start, list, stop', async () => {
    const n3 = 'n3@127.0.0.1'
    const options = 'qos=2,prefix=p/,suffix=/s,queue=1000'
    expect(await did('bridges', 'start', 'n3', 'a/b', options)).toEqual(['bridge is started.'])
    expect(await did('bridges', 'list')).toEqual([`bridge: ${N1}--a/b-->${n3}`])
    expect(await did('bridges', 'stop', n3, 'a/b')).toEqual(['bridge is stopped.'])
    expect(await refused('bridges', 'stop', n3, 'a/b')).toEqual([
      'error: not_found',
      `there is no bridge of a/b to ${n3}; \`bridges list\` has all`,
    ])
  })
})

describe('for programs', () => {
  it('--json prints one object, also of a refusal', async () => {
    const status = JSON.parse((await ctl.run(n1, '--json', 'cluster', 'status')).out) as unknown
    expect(status).toMatchObject({ node: N1, running: [N1], stopped: [], partitioned: [], stale: [] })
    const refusal = await ctl.run(n1, 'cluster', 'join', N1, '--json')
    expect(refusal.code).toBe(1)
    expect(JSON.parse(refusal.out)).toMatchObject({ error: 'cannot_join_with_self', node: N1 })
  })

  it('I1, --node has another member do it', async () => {
    const nobody = { ...n1, name: 'n9@127.0.0.1' } as Peer
    expect(await ctl.did(nobody, '--node', N1, 'ping')).toEqual(['pong'])
    expect(await ctl.did(nobody, '--node', 'n1', 'ping')).toEqual(['pong'])
  })
})

describe('I2: a node in the background', () => {
  it('is restarted, and stopped, and is gone when the command says so', async () => {
    const own = await testPeers()
    const { did: done, run } = binCtl(own)
    const command = own.launch(N1, { args: ['--detached'] })
    expect(await command.ended).toBe(0)
    const pid = Number(/It is OS process (\d+)/.exec(command.out)![1])
    let isEnded = false
    onTestFinished(() => void (isEnded || process.kill(pid, 'SIGKILL')))
    await retain(command, 'kept', 'x')
    expect(await done(command, 'restart')).toEqual(['ok'])
    expect(await done(command, 'status')).toContain('agner 0.1.0 is running')
    expect((await done(command, 'retained', 'show', 'kept'))[1]).toBe('x')
    expect(await done(command, 'stop')).toEqual(['ok'])
    expect(await run(command, 'ping')).toMatchObject({ code: 1, err: expect.stringContaining('Node is not running!') })
    const log = join(own.folder, 'data', N1, 'agner.log')
    await eventually(async () =>
      expect(await readFile(log, 'utf8')).toMatch(/"asked":"stop".*\n(.*\n)*.*"msg":"stopped"/),
    )
    await eventually(() => !isAlive(pid))
    isEnded = true
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
