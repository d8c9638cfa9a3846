/**
 * The broker under test, and clients for it.
 *
 * `useBroker` starts one broker per test file and closes every client after each test. Which broker: ours in this
 * process by default; with MQTT_TARGET=mosquitto one mosquitto per file, to check the suite itself against a broker
 * that others wrote; with MQTT_TARGET=host:port whatever listens there.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, connect as netConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import { readConfig } from '../../src/boot/config-file.ts'
import { type Broker, startBroker } from '../../src/broker/broker.ts'
import type { ConnectPacket, ProtocolVersion } from '../../src/broker/packet.ts'
import { eventually } from './eventually.ts'
import { Peers } from './peer.ts'
import { type Address, RawClient } from './raw-client.ts'

/** A running broker. */
export interface BrokerUnderTest extends Address {
  /** The handle, when the broker is ours and in this process. */
  readonly broker?: Broker
  stop(): Promise<void>
}

/** Overrides of the configuration, as `--set` takes them. */
export type Overrides = Readonly<Record<string, string | number | boolean>>

const TARGET = process.env.MQTT_TARGET ?? 'agner'

/** True when the suite runs against mosquitto, whose own deviations are skipped by name. */
export const IS_MOSQUITTO = TARGET === 'mosquitto'

/** True when the suite runs against our own broker, so that it may configure it. */
export const IS_AGNER = TARGET === 'agner'

/** A TCP port that was free a moment ago, for programs that cannot report which one they chose. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function accepts({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = netConnect({ host, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  await new Promise((resolve) => {
    child.once('exit', resolve)
    child.kill('SIGTERM')
  })
}

async function startMosquitto(): Promise<BrokerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'mosquitto-'))
  const address = { host: '127.0.0.1', port: await freePort() }
  const lines = [
    `listener ${address.port} ${address.host}`,
    'allow_anonymous true',
    'persistence false',
    'set_tcp_nodelay true',
    'max_inflight_messages 100',
    'sys_interval 1',
  ]
  await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`)
  const child = spawn('/usr/sbin/mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' })
  await eventually(() => accepts(address))
  return {
    ...address,
    stop: async () => {
      await stopChild(child)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Starts the broker that MQTT_TARGET names. */
export async function startTarget(overrides: Overrides = {}): Promise<BrokerUnderTest> {
  if (IS_MOSQUITTO) return startMosquitto()
  if (IS_AGNER) return startAgner(overrides)
  const [host = '127.0.0.1', port = '1883'] = TARGET.split(':')
  return { host, port: Number(port), stop: () => Promise.resolve() }
}

async function startAgner(overrides: Overrides): Promise<BrokerUnderTest> {
  const sets = Object.entries({ 'listeners.tcp.port': 0, 'log.level': 'silent', ...overrides })
  const result = readConfig({ file: undefined, env: {}, sets: sets.map(([key, value]) => `${key}=${value}`) })
  if (!result.ok) throw new Error(result.errors.join('\n'))
  const { log: _log, dist: _dist, cluster: _cluster, ...config } = result.config
  const broker = await startBroker({ ...config, logger: pino({ level: 'silent' }) })
  return { host: '127.0.0.1', port: broker.listeners[0]!.port, broker, stop: () => broker.stop() }
}

/** Starts our broker as a named node in a process of its own, from its sources. */
export async function startNode(overrides: Overrides = {}): Promise<BrokerUnderTest> {
  const peers = await Peers.create()
  try {
    const sets = Object.entries(overrides).map(([key, value]) => `${key}=${value}`)
    const { mqttPort } = await peers.start('test@127.0.0.1', { sets })
    return { host: '127.0.0.1', port: mqttPort, stop: () => peers.end() }
  } catch (error) {
    await peers.end()
    throw error
  }
}

/** What `useBroker` gives to a test file. */
export interface Mqtt extends Address {
  /** A client that has connected; a fresh client id unless one is given. */
  client(options?: Partial<ConnectPacket> & { version?: ProtocolVersion }): Promise<RawClient>
  /** An open socket on which nothing has been sent. */
  socket(version?: ProtocolVersion): Promise<RawClient>
  /** A topic that no other test uses. */
  topic(): string
  /** A client id that no other test uses. */
  id(): string
  /** The handle of our own broker; throws when another one is under test. */
  readonly broker: Broker
}

/** One broker for the tests of this file; clients speak `version` unless told otherwise. */
export function useBroker(version: ProtocolVersion, overrides: Overrides = {}): Mqtt {
  let broker: BrokerUnderTest | undefined
  let clients: RawClient[] = []
  let serial = 0
  const address = (): BrokerUnderTest => {
    if (broker === undefined) throw new Error('the broker has not been started')
    return broker
  }
  const open = async (wanted: ProtocolVersion): Promise<RawClient> => {
    const client = await RawClient.open(address(), wanted)
    clients.push(client)
    client.clientId = `c${process.pid}x${++serial}`
    return client
  }
  beforeAll(async () => {
    broker = await startTarget(overrides)
  })
  afterEach(() => {
    for (const client of clients) client.cut()
    clients = []
  })
  afterAll(async () => {
    await broker?.stop()
  })
  return {
    get host() {
      return address().host
    },
    get port() {
      return address().port
    },
    get broker() {
      const handle = address().broker
      if (handle === undefined) throw new Error('the broker under test is not ours')
      return handle
    },
    client: async ({ version: wanted = version, ...options } = {}) => {
      const client = await open(wanted)
      await client.handshake(options)
      return client
    },
    socket: (wanted = version) => open(wanted),
    topic: () => `t${process.pid}x${++serial}`,
    id: () => `i${process.pid}x${++serial}`,
  }
}

/**
 * A test of normative statements, named `[MQTT-…] what must hold`. `mosquitto` says why it is not run against
 * mosquitto, `elsewhere` why only against our own broker.
 */
export function statement(
  name: string,
  run: () => Promise<void>,
  except: { mosquitto?: string; elsewhere?: string } = {},
): void {
  const isSkipped = (IS_MOSQUITTO && except.mosquitto !== undefined) || (!IS_AGNER && except.elsewhere !== undefined)
  test.skipIf(isSkipped)(name, run)
}
