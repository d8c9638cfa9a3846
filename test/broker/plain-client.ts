/** A client that shows all that it was sent, and of whose closed socket a test learns without an error. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { ConnectPacket, Packet, ProtocolVersion } from '../../src/broker/packet.ts'
import { bytesOf, packetsOf } from './connection-harness.ts'
import { connectPacket } from './protocol-harness.ts'

export class PlainClient {
  readonly socket: Socket
  readonly version: ProtocolVersion
  /** Settles when the socket has closed. */
  readonly closed: Promise<void>
  #bytes = Buffer.alloc(0)
  /** Packets that `next` has returned. */
  #taken = 0

  private constructor(socket: Socket, version: ProtocolVersion) {
    this.socket = socket
    this.version = version
    // A reset shows as the end of the socket, which tests wait for.
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
    })
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  /** Opens a TCP connection and sends nothing. */
  static async open(port: number, version: ProtocolVersion = 4): Promise<PlainClient> {
    const socket = connect({ host: '127.0.0.1', port })
    const client = new PlainClient(socket, version)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    return client
  }

  /** Opens a connection and goes as far as CONNACK, which stands first in `packets`. */
  static async connect(port: number, packet: Partial<ConnectPacket> = {}): Promise<PlainClient> {
    const client = await PlainClient.open(port, packet.protocolVersion ?? 4)
    client.send(connectPacket(packet))
    await client.next()
    return client
  }

  send(...packets: Packet[]): void {
    this.socket.write(bytesOf(this.version, ...packets))
  }

  /** All packets so far. */
  get packets(): Packet[] {
    return packetsOf(this.version, this.#bytes)
  }

  /** The next packet that was not returned before; undefined when the socket closes first. */
  async next(): Promise<Packet | undefined> {
    for (;;) {
      const packet = this.packets[this.#taken]
      if (packet !== undefined) {
        this.#taken++
        return packet
      }
      if (this.socket.closed) return undefined
      await new Promise<void>((resolve) => {
        const go = () => {
          this.socket.off('data', go)
          this.socket.off('close', go)
          resolve()
        }
        this.socket.on('data', go)
        this.socket.on('close', go)
      })
    }
  }
}
