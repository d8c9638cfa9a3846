/**
 * A raw MQTT client for tests: one real TCP socket, packets in and out one by one, no cleverness.
 *
 * Nothing is acknowledged, retried or answered by itself, so a test sees exactly what the broker does. Packets come in
 * order through `expect`; each keeps the bytes that it arrived as. `barrier` (a PINGREQ and an UNSUBSCRIBE of nothing)
 * replaces sleeping: what the broker had to say before it answered has arrived by then.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { generate, type Packet as LoosePacket, parser } from 'mqtt-packet'
import { expect } from 'vitest'
import type {
  ConnackPacket,
  ConnectPacket,
  Packet,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubackPacket,
  SubscribeEntry,
  SubscribePacket,
  UnsubackPacket,
} from '../../src/broker/packet.ts'

/** A packet as it arrived, with its bytes. */
export type Received<P extends Packet = Packet> = P & { readonly bytes: Buffer }

/** Where a broker listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** Fields that a packet must have; plain objects are compared in part, a string also stands for the bytes of a payload. */
export type Pattern = Readonly<Record<string, unknown>>

/** Bounds how long a broken test waits. Not a threshold: no test passes or fails by it unless the broker stays silent. */
const SILENCE_MS = 30_000

type WithCommand<P extends Packet, C> = P extends { cmd: infer K } ? (C extends K ? P : never) : never
type CommandPacket<C extends Packet['cmd']> = WithCommand<Packet, C>

/** The length of the first whole packet in `buffer`, or 0 when it is not complete. */
function firstPacketLength(buffer: Buffer): number {
  let length = 0
  for (let i = 1; i < 5 && i < buffer.length; i++) {
    length += (buffer[i]! & 0x7f) * 128 ** (i - 1)
    if (buffer[i]! < 0x80) return buffer.length >= 1 + i + length ? 1 + i + length : 0
  }
  return 0
}

function decode(bytes: Buffer, protocolVersion: ProtocolVersion): Packet {
  const decoder = parser({ protocolVersion })
  let decoded: Packet | undefined
  decoder.on('packet', (packet) => {
    decoded = packet as Packet
  })
  decoder.on('error', (error: unknown) => {
    throw new Error(`the broker sent ${bytes.toString('hex')}: ${String(error)}`)
  })
  decoder.parse(bytes)
  if (decoded === undefined) throw new Error(`the broker sent ${bytes.toString('hex')}, which is no packet`)
  return decoded
}

function expectFields(actual: unknown, pattern: Pattern, path: string): void {
  for (const [key, wanted] of Object.entries(pattern)) {
    const value = (actual as Record<string, unknown> | undefined)?.[key]
    const at = `${path}.${key}`
    if (typeof wanted === 'string' && Buffer.isBuffer(value)) expect(value.toString(), at).toBe(wanted)
    else if (wanted !== null && typeof wanted === 'object' && !Array.isArray(wanted) && !Buffer.isBuffer(wanted))
      expectFields(value, wanted as Pattern, at)
    else expect(value, at).toEqual(wanted)
  }
}

function describePacket(packet: Packet): string {
  return JSON.stringify(packet, (key, value: unknown) => (key === 'bytes' ? undefined : value))
}

/** See the head of this file. */
export class RawClient {
  readonly version: ProtocolVersion
  readonly socket: Socket
  /** The CONNACK that it was answered with. */
  connack: ConnackPacket | undefined
  clientId = ''
  readonly #inbox: Received[] = []
  #rest: Buffer = Buffer.alloc(0)
  #isClosed = false
  #wake: (() => void) | undefined
  #lastId = 0
  #failure: unknown

  constructor(socket: Socket, version: ProtocolVersion) {
    this.socket = socket
    this.version = version
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined) // a reset is one way of being closed; 'close' follows
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  /** Opens the connection and sends nothing. */
  static async open(address: Address, version: ProtocolVersion): Promise<RawClient> {
    const socket = connectSocket({ host: address.host, port: address.port })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket, version)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  #onData(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let length = firstPacketLength(this.#rest); length > 0; length = firstPacketLength(this.#rest)) {
      const bytes = this.#rest.subarray(0, length)
      this.#rest = this.#rest.subarray(length)
      try {
        this.#inbox.push(Object.assign(decode(bytes, this.version), { bytes }))
      } catch (error) {
        this.#failure = error
      }
    }
    this.#wake?.()
  }

  /** A packet identifier that this client has not used yet. */
  nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1
    return this.#lastId
  }

  /** Sends valid packets, in one write. */
  send(...packets: Packet[]): void {
    const options = { protocolVersion: this.version }
    this.sendBytes(...packets.map((packet) => generate(packet as LoosePacket, options)))
  }

  /** Sends any bytes. */
  sendBytes(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** The next packet, or 'closed' when the broker closed instead. */
  async next(): Promise<Received | 'closed'> {
    if (this.#inbox.length === 0 && !this.#isClosed && this.#failure === undefined) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${this.clientId}: the broker stayed silent for ${SILENCE_MS} ms`)),
          SILENCE_MS,
        )
        this.#wake = () => {
          if (this.#inbox.length === 0 && !this.#isClosed && this.#failure === undefined) return
          clearTimeout(timer)
          this.#wake = undefined
          resolve()
        }
      })
    }
    const packet = this.#inbox.shift()
    if (packet === undefined && this.#failure !== undefined) throw this.#failure
    return packet ?? 'closed'
  }

  /** The next packet, which must be a `cmd` with the given fields. */
  async expect<C extends Packet['cmd']>(cmd: C, pattern: Pattern = {}): Promise<Received<CommandPacket<C>>> {
    const packet = await this.next()
    if (packet === 'closed') throw new Error(`${this.clientId}: expected ${cmd}, got a closed connection`)
    if (packet.cmd !== cmd) throw new Error(`${this.clientId}: expected ${cmd}, got ${describePacket(packet)}`)
    expectFields(packet, pattern, cmd)
    return packet as unknown as Received<CommandPacket<C>>
  }

  /** The next packet, which must be a PUBLISH with the given fields. */
  async expectPublish(pattern: Pattern = {}): Promise<Received<PublishPacket>> {
    return this.expect('publish', pattern)
  }

  /**
   * The broker closes the connection, and sends nothing before but, in 5.0, a DISCONNECT or a refusing CONNACK.
   * Returns its reason code; when there is one and `reasonCodes` are given, it must be among them.
   */
  async expectClosed(reasonCodes?: readonly number[]): Promise<number | undefined> {
    let code: number | undefined
    for (;;) {
      const packet = await this.next()
      if (packet === 'closed') break
      const isFarewell =
        this.version === 5 && code === undefined && (packet.cmd === 'disconnect' || packet.cmd === 'connack')
      if (!isFarewell) throw new Error(`${this.clientId}: expected the end, got ${describePacket(packet)}`)
      code = packet.reasonCode ?? 0
      expect(code, `reason code of ${packet.cmd}`).toBeGreaterThanOrEqual(0x80)
      if (reasonCodes !== undefined) expect(reasonCodes, `reason code of ${packet.cmd}`).toContain(code)
    }
    return code
  }

  /** The broker refuses the CONNECT with this code and closes. */
  async expectRefused(code: number): Promise<Received<ConnackPacket>> {
    const connack = await this.expect('connack', {
      sessionPresent: false,
      [this.version === 5 ? 'reasonCode' : 'returnCode']: code,
    })
    await this.expectEnd()
    return connack
  }

  /** The broker sends a DISCONNECT with this reason code and closes (5.0). */
  async expectDisconnected(reasonCode: number): Promise<void> {
    await this.expect('disconnect', { reasonCode })
    await this.expectEnd()
  }

  /** The connection ends without a further packet. */
  async expectEnd(): Promise<void> {
    const packet = await this.next()
    if (packet !== 'closed') throw new Error(`${this.clientId}: expected the end, got ${describePacket(packet)}`)
  }

  /**
   * Returns everything that the broker sent until it had answered a PINGREQ (which the connection answers) and an
   * UNSUBSCRIBE of nothing (which the session answers).
   */
  async barrier(): Promise<Received[]> {
    const messageId = 65_000 + (this.nextId() % 500)
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [`barrier/${messageId}`] })
    this.send({ cmd: 'pingreq' })
    const before: Received[] = []
    let answers = 0
    while (answers < 2) {
      const packet = await this.next()
      if (packet === 'closed') throw new Error(`${this.clientId}: the connection closed before the barrier`)
      if (packet.cmd === 'pingresp' || (packet.cmd === 'unsuback' && packet.messageId === messageId)) answers++
      else before.push(packet)
    }
    return before
  }

  /** Reads until the broker answers a PINGREQ, or closes, whatever else it sends. */
  async survives(): Promise<boolean> {
    this.send({ cmd: 'pingreq' })
    for (;;) {
      const packet = await this.next()
      if (packet === 'closed') return false
      if (packet.cmd === 'pingresp') return true
    }
  }

  /** Reads until the broker closes, and returns what it sends before. */
  async drainToEnd(): Promise<Received[]> {
    const packets: Received[] = []
    for (;;) {
      const packet = await this.next()
      if (packet === 'closed') return packets
      packets.push(packet)
    }
  }

  /** Nothing has come and nothing is on its way. */
  async expectNothing(): Promise<void> {
    const packets = await this.barrier()
    expect(packets.slice(0, 3).map(describePacket)).toEqual([])
  }

  /** Sends a CONNECT of this client's version, filled in with defaults. */
  sendConnect(options: Partial<ConnectPacket> = {}): void {
    this.clientId = options.clientId ?? this.clientId
    this.send({
      cmd: 'connect',
      protocolId: this.version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: this.version,
      clean: true,
      keepalive: 0,
      ...options,
      clientId: this.clientId,
    })
  }

  /** CONNECT, and an accepting CONNACK. */
  async handshake(options: Partial<ConnectPacket> = {}): Promise<ConnackPacket> {
    this.sendConnect(options)
    this.connack = await this.expect('connack', { [this.version === 5 ? 'reasonCode' : 'returnCode']: 0 })
    return this.connack
  }

  /** SUBSCRIBE and its SUBACK; retained messages that follow are left to the test. */
  async subscribe(
    filters: string | readonly SubscribeEntry[],
    qos: QoS = 0,
    properties?: SubscribePacket['properties'],
  ): Promise<Received<SubackPacket>> {
    const messageId = this.nextId()
    const subscriptions = typeof filters === 'string' ? [{ topic: filters, qos }] : [...filters]
    this.send({ cmd: 'subscribe', messageId, subscriptions, ...(properties && { properties }) })
    return this.expect('suback', { messageId })
  }

  /** UNSUBSCRIBE and its UNSUBACK. */
  async unsubscribe(...unsubscriptions: string[]): Promise<Received<UnsubackPacket>> {
    const messageId = this.nextId()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions })
    return this.expect('unsuback', { messageId })
  }

  /** Sends a PUBLISH, with a new packet identifier when its QoS needs one, and returns what it sent. */
  sendPublish(topic: string, options: Partial<Omit<PublishPacket, 'payload'>> & { payload?: string | Buffer } = {}) {
    const packet: PublishPacket = {
      cmd: 'publish',
      topic,
      qos: 0,
      retain: false,
      dup: false,
      ...((options.qos ?? 0) > 0 && { messageId: this.nextId() }),
      ...options,
      payload: Buffer.from(options.payload ?? 'x'),
    }
    this.send(packet)
    return packet
  }

  /** PUBLISH and the whole acknowledgement of its QoS; at QoS 0 a PINGRESP shows that the broker has taken it. */
  async publish(topic: string, options: Parameters<RawClient['sendPublish']>[1] = {}): Promise<void> {
    const { qos, messageId } = this.sendPublish(topic, options)
    if (qos === 0) {
      this.send({ cmd: 'pingreq' })
      await this.expect('pingresp')
    } else if (qos === 1) {
      await this.expect('puback', { messageId })
    } else {
      await this.expect('pubrec', { messageId })
      this.send({ cmd: 'pubrel', messageId: messageId! })
      await this.expect('pubcomp', { messageId })
    }
  }

  /** Acknowledges a received PUBLISH to the end. */
  async acknowledge(packet: PublishPacket): Promise<void> {
    const { messageId, qos } = packet
    if (qos === 1) this.send({ cmd: 'puback', messageId: messageId! })
    if (qos !== 2) return
    this.send({ cmd: 'pubrec', messageId: messageId! })
    await this.expect('pubrel', { messageId })
    this.send({ cmd: 'pubcomp', messageId: messageId! })
  }

  /** DISCONNECT, then waits until the broker has closed too. */
  async disconnect(packet: { reasonCode?: number; properties?: Pattern } = {}): Promise<void> {
    this.send({ cmd: 'disconnect', ...packet } as Packet)
    await this.expectEnd()
  }

  /** Ends the connection without a DISCONNECT. */
  cut(): void {
    this.socket.destroy()
  }
}
