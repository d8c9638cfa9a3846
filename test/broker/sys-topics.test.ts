import { pino } from 'pino'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Runtime } from '../../src/actors/runtime.ts'
import { Hooks } from '../../src/broker/hooks.ts'
import { createMetrics, METRIC_NAMES } from '../../src/broker/metrics.ts'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { Stats } from '../../src/broker/stats.ts'
import { publishPresence, type SysPublish } from '../../src/broker/sys-events.ts'
import { formatDatetime, formatUptime, type SysTopicsOptions, sysTopics } from '../../src/broker/sys-topics.ts'
import { validateName } from '../../src/broker/topic.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'

interface Published {
  topic: string
  payload: string
  retain: boolean
}

let sim: Simulation
let runtime: Runtime
let published: Published[]
const publish: SysPublish = (topic, payload, { retain }) =>
  void published.push({ topic, payload: typeof payload === 'string' ? payload : payload(), retain })

beforeEach(() => {
  sim = simulate({ seed: 1, nodes: ['n1@127.0.0.1'] })
  onTestFinished(() => sim.stop())
  runtime = sim.node('n1@127.0.0.1')
  published = []
})

const metrics = createMetrics()
const stats = new Stats()

async function start(options: Partial<SysTopicsOptions> = {}): Promise<void> {
  const all: SysTopicsOptions = {
    publish,
    metrics,
    stats,
    runningNodes: () => ['n2@127.0.0.1', 'n1@127.0.0.1'],
    version: '0.1.0',
    description: 'Agner MQTT Broker',
    sysIntervalMs: 60_000,
    ...options,
  }
  const started = sysTopics.start(runtime, all)
  await sim.run()
  await started
}

const take = () => published.splice(0)
const PREFIX = '$SYS/brokers/n1@127.0.0.1'

describe('the $SYS topics of a node', () => {
  it('begin with who is there, retained', async () => {
    await start()
    expect(take()).toEqual([
      { topic: '$SYS/brokers', payload: 'n2@127.0.0.1,n1@127.0.0.1', retain: true },
      { topic: `${PREFIX}/version`, payload: '0.1.0', retain: true },
      { topic: `${PREFIX}/sysdescr`, payload: 'Agner MQTT Broker', retain: true },
    ])
  })

  it('tell uptime and date each second', async () => {
    await start()
    take()
    await sim.advance('3s')
    const all = take()
    expect(all.map(({ topic }) => topic)).toEqual(
      Array(3)
        .fill([`${PREFIX}/uptime`, `${PREFIX}/datetime`])
        .flat(),
    )
    expect(all.filter(({ topic }) => topic.endsWith('uptime')).map(({ payload }) => payload)).toEqual([
      '1 seconds',
      '2 seconds',
      '3 seconds',
    ])
    expect(all[1]!.payload).toBe(formatDatetime(runtime.clock.now() - 2000))
    expect(all.some(({ retain }) => retain)).toBe(false)
  })

  it('tell statistics and metrics each sys_interval', async () => {
    stats.source('clients', () => 3)
    metrics['bytes/received'] = 1234
    await start({ sysIntervalMs: 10_000 })
    take()
    await sim.advance('9999ms')
    expect(take().filter(({ topic }) => !/(uptime|datetime)$/.test(topic))).toEqual([])
    await sim.advance('1ms')
    const round = take().filter(({ topic }) => !/(uptime|datetime)$/.test(topic))
    expect(round).toHaveLength(3 + stats.entries().length + METRIC_NAMES.length)
    expect(round).toContainEqual({ topic: `${PREFIX}/stats/clients/count`, payload: '3', retain: false })
    expect(round).toContainEqual({ topic: `${PREFIX}/stats/clients/max`, payload: '3', retain: false })
    expect(round).toContainEqual({ topic: `${PREFIX}/metrics/bytes/received`, payload: '1234', retain: false })
    await sim.advance('10s')
    expect(take().filter(({ topic }) => topic === '$SYS/brokers')).toHaveLength(1)
  })

  it('take a sample of the statistics each second, published or not', async () => {
    let sessions = 5
    stats.source('sessions', () => sessions)
    await start({ sysIntervalMs: 0 })
    await sim.advance('1s')
    sessions = 1
    await sim.advance('1s')
    expect([stats.count('sessions'), stats.max('sessions')]).toEqual([1, 5])
    expect(take()).toEqual([])
  })
})

describe('a time up', () => {
  it.each([
    [0, '0 seconds'],
    [59_999, '59 seconds'],
    [60_000, '1 minutes, 0 seconds'],
    [5_124_000, '1 hours, 25 minutes, 24 seconds'],
    [90_061_000, '1 days, 1 hours, 1 minutes, 1 seconds'],
  ])('of %d ms is %s', (ms, text) => {
    expect(formatUptime(ms)).toBe(text)
  })

  it('is not a date, which has two digits each', () => {
    expect(formatDatetime(new Date(2026, 0, 2, 3, 4, 5).getTime())).toBe('2026-01-02 03:04:05')
  })
})

describe('the presence of clients', () => {
  const setUp = () => {
    const hooks = new Hooks(pino({ level: 'silent' }), createMetrics())
    const end = publishPresence(hooks, { node: 'n1@127.0.0.1', publish, nowMs: () => 1_795_306_195_999 })
    return { hooks, end }
  }
  const client = (over: Partial<ClientInfo> = {}): ClientInfo => ({
    clientId: 'client1',
    username: undefined,
    peer: '127.0.0.1:50000',
    connection: runtime.init.pid,
    protocolVersion: 4,
    cleanStart: true,
    expirySec: 0,
    receiveMaximum: 65_535,
    keepAliveSec: 60,
    will: undefined,
    connectedAtMs: 0,
    ...over,
  })

  it("is published as emqttd's JSON when they connect and disconnect", () => {
    const { hooks } = setUp()
    hooks.notify('client.connected', client())
    hooks.notify('client.connected', client({ clientId: 'c2', username: 'bob', cleanStart: false, protocolVersion: 5 }))
    hooks.notify('client.disconnected', client(), 'normal')
    expect(published.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual([
      `${PREFIX}/clients/client1/connected {"clientid":"client1","username":"undefined","ipaddress":"127.0.0.1","session":false,"protocol":4,"connack":0,"ts":1795306195}`,
      `${PREFIX}/clients/c2/connected {"clientid":"c2","username":"bob","ipaddress":"127.0.0.1","session":true,"protocol":5,"connack":0,"ts":1795306195}`,
      `${PREFIX}/clients/client1/disconnected {"clientid":"client1","reason":"normal","ts":1795306195}`,
    ])
    expect(published.some(({ retain }) => retain)).toBe(false)
  })

  it('is published for refused clients with the code of the refusal', () => {
    const { hooks } = setUp()
    const credentials = { clientId: 'c', username: 'eve', password: Buffer.from('x'), host: '10.0.0.1' }
    hooks.notify('client.refused', { ...credentials, protocolVersion: 4 }, 5)
    expect(JSON.parse(published[0]!.payload)).toMatchObject({ connack: 5, ipaddress: '10.0.0.1', username: 'eve' })
    expect(published[0]!.payload).not.toContain('password')
  })

  it('has a valid topic whatever the client calls itself', () => {
    const { hooks } = setUp()
    for (const clientId of ['+', '#', 'a/b', '50%', 'a+#/%b', 'ü'])
      hooks.notify('client.connected', client({ clientId }))
    for (const { topic } of published) {
      expect(validateName(topic)).toBeUndefined()
      expect(topic.split('/')).toHaveLength(6)
    }
    expect(new Set(published.map(({ topic }) => topic)).size).toBe(6)
    expect(JSON.parse(published[4]!.payload)).toMatchObject({ clientid: 'a+#/%b' })
  })

  it('is not published any more after the end', () => {
    const { hooks, end } = setUp()
    end()
    hooks.notify('client.connected', client())
    expect(published).toEqual([])
    expect(hooks.chains['client.connected']).toHaveLength(0)
  })
})
