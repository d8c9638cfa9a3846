/**
 * A byte stream over a socket of Node: TCP, and TLS, whose sockets are of the same kind; and what their listeners share. The broker's
 * clients come in over the same streams.
 *
 * Small buffers that leave together are copied into one: measured cheaper than a vector of 50, and both cost one system call. Larger
 * ones go out as a vector, without a copy.
 */
import type { Server, Socket } from 'node:net'
import { plainAddress } from './ip.ts'
import type { Address, ByteStream, ListenResult, StreamEvents } from './transport.ts'

/** Up to this total a copy is cheaper than a vector. */
const MAX_CONCAT_BYTES = 16_384

const STREAM = Symbol('stream')

/** A socket that knows its stream, so that one listener serves all sockets: closures take 400 bytes a socket (measured). */
interface OwnedSocket extends Socket {
  [STREAM]: SocketStream
}

/** Wraps a connected or accepted socket that is paused. It listens for errors from now on, so that none can be unhandled. */
export class SocketStream implements ByteStream {
  readonly peer: Address
  readonly #socket: Socket
  #error: string | undefined = undefined
  #events: StreamEvents | undefined = undefined
  #isClosed = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.peer = { host: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    ;(socket as OwnedSocket)[STREAM] = this
    socket.on('error', onError)
    socket.on('close', onClose)
  }

  get writableLength(): number {
    return this.#socket.writableLength
  }

  start(events: StreamEvents): void {
    this.#events = events
    const socket = this.#socket
    if (this.#isClosed) {
      // It went before anybody cared; the caller must not be called back in the middle of its call.
      queueMicrotask(() => events.onClose(this.#error ?? 'closed'))
      return
    }
    // What is written leaves when a turn ends; Nagle's algorithm would hold it back for the peer's delayed ACK.
    socket.setNoDelay(true)
    socket.on('data', onData)
    socket.on('drain', onDrain)
    if (events.onEnd !== undefined) socket.on('end', onEnd)
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
    this.#events!.onEnd!()
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
  ;(this as OwnedSocket)[STREAM].received(chunk)
}

function onDrain(this: Socket): void {
  ;(this as OwnedSocket)[STREAM].drained()
}

function onEnd(this: Socket): void {
  ;(this as OwnedSocket)[STREAM].ended()
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  ;(this as OwnedSocket)[STREAM].failed(error)
}

function onClose(this: Socket): void {
  ;(this as OwnedSocket)[STREAM].closed()
}

/** Opens a server of Node as a `StreamListener`. */
export function openServer(server: Server, { host, port }: Address): Promise<ListenResult> {
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException) => resolve({ ok: false, reason: error.code ?? error.message })
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.off('error', onError)
      // Accepting may fail for want of file descriptors; what is open goes on.
      server.on('error', () => {})
      const bound = server.address() as { address: string; port: number }
      resolve({
        ok: true,
        listener: { address: { host: bound.address, port: bound.port }, close: () => closeServer(server) },
      })
    })
  })
}

/** The address is free at once; Node's own callback would wait for the open streams too. */
function closeServer(server: Server): Promise<void> {
  server.close()
  return new Promise((resolve) => setImmediate(resolve))
}

/** Resolves when a socket that is connecting has come to `event`, has failed or is told to give up. */
export function whenConnected(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal | undefined,
): Promise<{ readonly ok: true; readonly stream: SocketStream } | { readonly ok: false; readonly reason: string }> {
  return new Promise((resolve) => {
    const settle = () => {
      signal?.removeEventListener('abort', onAbort)
      socket.off(event, onEvent)
      socket.off('error', onError)
      socket.off('close', onClose)
    }
    const fail = (reason: string) => {
      settle()
      // A socket may report a second error when it is destroyed.
      socket.on('error', () => {})
      socket.destroy()
      resolve({ ok: false, reason })
    }
    const onEvent = () => {
      settle()
      socket.pause()
      resolve({ ok: true, stream: new SocketStream(socket) })
    }
    const onError = (error: NodeJS.ErrnoException) => fail(error.code ?? error.message)
    const onClose = () => fail('closed')
    const onAbort = () => fail('aborted')
    if (signal?.aborted === true) return fail('aborted')
    signal?.addEventListener('abort', onAbort)
    socket.once(event, onEvent)
    socket.once('error', onError)
    socket.once('close', onClose)
  })
}
