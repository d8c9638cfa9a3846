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

const TRANSPORT = Symbol('transport')

/** A socket that knows its transport, so that one listener serves all sockets: closures take 400 bytes a socket (measured). */
interface OwnedSocket extends Socket {
  [TRANSPORT]: SocketTransport
}

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
    ;(socket as OwnedSocket)[TRANSPORT] = this
    socket.on('error', onError)
    socket.on('close', onClose)
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
    socket.on('data', onData)
    socket.on('drain', onDrain)
    socket.on('end', onEnd)
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

  // What the socket reports.

  received(chunk: Buffer): void {
    this.#events!.onData(chunk)
  }

  drained(): void {
    this.#events!.onDrain()
  }

  ended(): void {
    this.#events!.onEnd()
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#error ??= error.code ?? error.message
  }

  closed(): void {
    this.#isClosed = true
    this.#events?.onClose(this.#error ?? 'closed')
  }
}

// Listeners of all sockets, which Node calls with the socket as `this`.

function onData(this: Socket, chunk: Buffer): void {
  ;(this as OwnedSocket)[TRANSPORT].received(chunk)
}

function onDrain(this: Socket): void {
  ;(this as OwnedSocket)[TRANSPORT].drained()
}

function onEnd(this: Socket): void {
  ;(this as OwnedSocket)[TRANSPORT].ended()
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  ;(this as OwnedSocket)[TRANSPORT].failed(error)
}

function onClose(this: Socket): void {
  ;(this as OwnedSocket)[TRANSPORT].closed()
}
