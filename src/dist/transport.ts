/**
 * What the distribution needs of the network: streams of bytes to and from other nodes and epmd.
 *
 * TCP and TLS (transport-tcp.ts, transport-tls.ts) are two of them, and a simulated network a third (src/testing), so that the
 * production code of epmd, handshake and connections runs unchanged under virtual time. A transport knows nothing of
 * processes: it calls `StreamEvents`, and whoever implements those sees to it that a process is entered by messages only.
 */

/** An address to listen on or to connect to. */
export interface Address {
  /** IP address or host name. */
  readonly host: string
  readonly port: number
}

/** What a stream reports. It makes no call before `start` and none after `onClose`. */
export interface StreamEvents {
  /** Bytes have come. The chunk belongs to the receiver. */
  onData(chunk: Buffer): void
  /** All that was written has left. */
  onDrain(): void
  /** The peer will send no more. Only of streams that may be half open; the others close by themselves. */
  onEnd?(): void
  /** The stream is gone, whoever ended it; called exactly once, also after `destroy`. `closed`, or an error code such as `ECONNRESET`. */
  onClose(reason: string): void
}

/** Bytes in order, both ways. Unless it may be half open, a peer that ends its half ends it, when all that was written has left. */
export interface ByteStream {
  /** The other end; IPv4 in its own form also on a dual-stack socket. */
  readonly peer: Address
  /** Bytes that were written and have not left. */
  readonly writableLength: number
  /** Begins to read. */
  start(events: StreamEvents): void
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

/** An open listener. */
export interface StreamListener {
  /** Where it listens; the port is the one that was found when 0 was asked for. */
  readonly address: Address
  /** Stops accepting; open streams stay. Resolves when the address is free. */
  close(): Promise<void>
}

/** A listener, or the error code of the system: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`. */
export type ListenResult =
  | { readonly ok: true; readonly listener: StreamListener }
  | { readonly ok: false; readonly reason: string }

/** A stream, or why there is none: `ECONNREFUSED`, `ENOTFOUND`, `aborted`, a code of TLS. */
export type ConnectResult =
  | { readonly ok: true; readonly stream: ByteStream }
  | { readonly ok: false; readonly reason: string }

/** A way to other nodes. */
export interface Transport {
  /** Erlang's name for it, as in `-proto_dist`. */
  readonly proto: 'inet_tcp' | 'inet6_tcp' | 'inet_tls'
  /** Accepted streams are handed over before they are started. */
  listen(at: Address, onAccept: (stream: ByteStream) => void): Promise<ListenResult>
  /** Never rejects. There is no time limit but `signal`. */
  connect(to: Address, signal?: AbortSignal): Promise<ConnectResult>
}
