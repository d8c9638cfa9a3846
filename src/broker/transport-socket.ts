/**
 * A transport over a socket of Node: TCP, and TLS, whose sockets are of the same kind.
 *
 * Small frames that leave together are copied into one buffer: measured cheaper than a vector of 50, and both cost one
 * system call. Larger ones go out as a vector, without a copy.
 */
import type { Socket } from 'node:net'
import { plainAddress } from '../dist/ip.ts'
import type { Peer, Transport, TransportEvents } from './transport.ts'

/** Up to this total a copy is cheaper than a vector. */
const MAX_CONCAT_BYTES = 16_384

/** Wraps an accepted socket that is paused, of a server with `allowHalfOpen` and `noDelay`. Listens for errors from now on, so that none can be unhandled. */
export class SocketTransport implements Transport {
  readonly peer: Peer
  readonly #socket: Socket
  #error: string | undefined = undefined
  #events: TransportEvents | undefined = undefined
  #isClosed = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.peer = { host: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= error.code ?? error.message
    })
    socket.on('close', () => this.#closed())
  }

  get writableLength(): number {
    return this.#socket.writableLength
  }

  start(events: TransportEvents): void {
    this.#events = events
    const socket = this.#socket
    if (this.#isClosed) {
      // It went before anybody cared; the caller must not be called back in the middle of its call.
      queueMicrotask(() => events.onClose(this.#error ?? 'closed'))
      return
    }
    socket.on('data', (chunk: Buffer) => events.onData(chunk))
    socket.on('drain', () => events.onDrain())
    socket.on('end', () => events.onEnd())
    socket.resume()
  }

  write(buffers: readonly Buffer[], bytes: number): void {
    const socket = this.#socket
    if (!socket.writable) return
    if (buffers.length === 1) {
      socket.write(buffers[0]!)
    } else if (bytes <= MAX_CONCAT_BYTES) {
      socket.write(Buffer.concat(buffers, bytes))
    } else {
      socket.cork()
      for (const buffer of buffers) socket.write(buffer)
      socket.uncork()
    }
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    const socket = this.#socket
    // Unread input would make the kernel reset the connection, and the peer lose what was sent to it last.
    socket.removeAllListeners('data')
    socket.resume()
    socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #closed(): void {
    this.#isClosed = true
    this.#events?.onClose(this.#error ?? 'closed')
  }
}
