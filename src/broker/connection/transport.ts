/**
 * What a connection needs of the wire below it: bytes in order, both ways, and word of the end.
 *
 * TCP (transport-socket.ts) is one of them; TLS and WebSocket look the same from above, and so do simulated wires. A
 * transport knows nothing of MQTT and of processes: it calls `TransportEvents`, and whoever implements those sees to it
 * that a process is entered by messages only.
 */

/** Where the peer is, as far as access rules and logs are concerned. */
export interface Peer {
  /** IP address; IPv4 in its own form also on a dual-stack socket. */
  readonly host: string
  readonly port: number
}

/** What a transport reports. It makes no call before `start` and none after `onClose`. */
export interface TransportEvents {
  /** Bytes have come. The chunk belongs to the receiver. */
  onData(chunk: Buffer): void
  /** All that was written has left. */
  onDrain(): void
  /** The peer will send no more, but may still read; `end` or `destroy` is expected. */
  onEnd(): void
  /** The wire is gone, whoever ended it; called exactly once, also after `destroy`. `closed`, or an error code such as `ECONNRESET`. */
  onClose(reason: string): void
}

/** One wire to one client. */
export interface Transport {
  readonly peer: Peer
  /** Bytes that were written and that the kernel has not yet taken. */
  readonly writableLength: number
  /** Begins to read. */
  start(events: TransportEvents): void
  /** Sends the buffers, in order, in as few system calls as it can. They must not be changed afterwards. `bytes` is their total. */
  write(buffers: readonly Buffer[], bytes: number): void
  /** Stops reading; a chunk that is under way may still come. */
  pause(): void
  resume(): void
  /** Closes when all that was written has left. What still comes is thrown away, so that the peer can read to the end. */
  end(): void
  /** Closes at once and forgets what has not left. */
  destroy(): void
}
