/** A broker around connections in which the test plays the rest: authentication, session manager and sessions. */
import mqttPacket from 'mqtt-packet'
import type { Pid } from '../../src/actors/pid.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { Credentials } from '../../src/broker/access/access-control.ts'
import { encode, FrameReader } from '../../src/broker/codec.ts'
import type {
  AuthStep,
  ConnectionEnvironment,
  ConnectionSettings,
  OpenAnswer,
} from '../../src/broker/connection/connection-environment.ts'
import type { AuthResult, ProtocolLimits } from '../../src/broker/connection/protocol-state.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { Packet, ProtocolVersion } from '../../src/broker/packet.ts'
import type { ClientInfo, OutPacket, ToSession } from '../../src/broker/process-messages.ts'
import { defaultLimits } from './protocol-harness.ts'

/** A session that keeps what it is told and says what the test says. */
export class FakeSession {
  readonly messages: ToSession[] = []
  readonly pid: Pid
  readonly client: ClientInfo
  readonly #runtime: Runtime
  isConfirming = true

  constructor(runtime: Runtime, client: ClientInfo) {
    this.#runtime = runtime
    this.client = client
    this.pid = runtime.spawn({ receive: (message) => this.#receive(message as ToSession) }, { label: 'session' })
  }

  out(...packets: OutPacket[]): void {
    this.#runtime.send(this.client.connection, { tag: 'out', from: this.pid, packets })
  }

  close(reasonCode: number, reason: string): void {
    this.#runtime.send(this.client.connection, { tag: 'close', from: this.pid, reasonCode, reason })
  }

  synced(): void {
    this.#runtime.send(this.client.connection, { tag: 'synced', from: this.pid })
  }

  /** All packets that the client sent, flat. */
  get packets(): Packet[] {
    return this.messages.flatMap((message) => (message.tag === 'packets' ? [...message.packets] : []))
  }

  get detaches(): Extract<ToSession, { tag: 'detach' }>[] {
    return this.messages.filter((message) => message.tag === 'detach')
  }

  #receive(message: ToSession): void {
    this.messages.push(message)
    if (message.tag === 'packets' && message.sync && this.isConfirming) this.synced()
  }
}

/** Everything that a connection needs, under the control of the test. */
export class FakeBroker implements ConnectionEnvironment {
  readonly limits: ProtocolLimits
  readonly settings: ConnectionSettings
  readonly metrics = createMetrics()
  readonly frames = new FrameReader()
  readonly sessions: FakeSession[] = []
  readonly events: string[] = []
  readonly #runtime: Runtime
  #ids = 0
  authenticate: (credentials: Credentials) => AuthResult | Promise<AuthResult> = () => ({ outcome: 'accept' })
  authStep: (step: AuthStep) => AuthResult | Promise<AuthResult> = () => ({ outcome: 'accept' })
  isAllowed: (action: 'publish' | 'subscribe', topic: string) => boolean = () => true
  open: (client: ClientInfo) => OpenAnswer = (client) => {
    const session = new FakeSession(this.#runtime, client)
    this.sessions.push(session)
    return { tag: 'opened', session: session.pid, present: false }
  }

  constructor(runtime: Runtime, limits: Partial<ProtocolLimits> = {}, settings: Partial<ConnectionSettings> = {}) {
    this.#runtime = runtime
    this.limits = { ...defaultLimits, ...limits }
    this.settings = {
      highWatermarkBytes: 1000,
      maxUnsentBytes: 10_000,
      maxUnhandledBytes: 100_000,
      lingerMs: 1000,
      ...settings,
    }
  }

  get session(): FakeSession {
    return this.sessions.at(-1)!
  }

  assignClientId(): string {
    return `assigned-${++this.#ids}`
  }

  authorizer(): { isAllowed: FakeBroker['isAllowed'] } {
    return { isAllowed: (action, topic) => this.isAllowed(action, topic) }
  }

  openSession(client: ClientInfo): void {
    this.#runtime.send(client.connection, this.open(client))
  }

  refused({ clientId }: Credentials, code: number): void {
    this.events.push(`refused ${clientId} ${code}`)
  }

  connected(client: ClientInfo): void {
    this.events.push(`connected ${client.clientId}`)
  }

  disconnected(client: ClientInfo, reason: string): void {
    this.events.push(`disconnected ${client.clientId} ${reason}`)
  }

  publishWill(client: ClientInfo, will: { topic: string }): void {
    this.events.push(`will ${client.clientId} ${will.topic}`)
  }
}

/** The bytes of packets of a client. */
export function bytesOf(version: ProtocolVersion, ...packets: Packet[]): Buffer {
  return Buffer.concat(packets.map((packet) => encode(packet, version)!))
}

/** The packets in bytes of a server. */
export function packetsOf(version: ProtocolVersion, bytes: Buffer): Packet[] {
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on('packet', (packet) => packets.push(packet as unknown as Packet))
  parser.parse(bytes)
  return packets
}
