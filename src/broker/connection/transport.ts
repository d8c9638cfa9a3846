/**
 * What a connection needs of the wire below it: bytes in order, both ways, and word of the end.
 *
 * It is a stream of the distribution's (src/dist/transport.ts) whose client may end its half and still read: TCP
 * (src/dist/transport-socket.ts) is one of them; TLS and WebSocket look the same from above, and so do simulated wires.
 */
import type { ByteStream, StreamEvents } from '../../dist/transport.ts'

/** What a transport reports. It makes no call before `start` and none after `onClose`. */
export interface TransportEvents extends StreamEvents {
  /** The peer will send no more, but may still read; `end` or `destroy` is expected. */
  onEnd(): void
}

/** One wire to one client. */
export interface Transport extends ByteStream {
  /** Begins to read. */
  start(events: TransportEvents): void
}
