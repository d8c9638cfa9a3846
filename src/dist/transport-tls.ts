/**
 * Distribution over TLS, as Erlang's `-proto_dist inet_tls` [OTP inet_tls_dist]. epmd stays plain TCP.
 *
 * Verification is mutual: each side must show a certificate that the configured authority has signed, and the side that
 * connects also checks that the certificate is one of the host it dialled, so that one member's key cannot stand in for
 * another's. The cookie is asked for all the same.
 */
import { type ConnectionOptions, connect, createSecureContext, createServer } from 'node:tls'
import { parseAddress } from './ip.ts'
import type { Transport } from './transport.ts'
import { openServer, SocketStream, whenConnected } from './transport-socket.ts'

/** The `[dist.tls]` settings, PEM texts in place of file names. */
export interface TlsOptions {
  /** Our certificate, followed by intermediate ones. */
  readonly cert: string
  /** Its private key. */
  readonly key: string
  /** The authority that has signed the certificates of all nodes. */
  readonly ca: string
  /** Whether the certificate of a dialled node must name its host. @default true */
  readonly verifyHost?: boolean
  /** How long an accepted peer may take for its TLS handshake. @default 7000 */
  readonly handshakeTimeoutMs?: number
}

/** Streams over TLS 1.2 and 1.3. Throws when key and certificate are no PEM or do not fit each other. */
export function tlsTransport(options: TlsOptions): Transport {
  const { cert, key, ca, verifyHost = true, handshakeTimeoutMs = 7000 } = options
  const identity = { cert, key, ca, minVersion: 'TLSv1.2', rejectUnauthorized: true } as const
  // What is wrong with the files is said now, and not with the first connection.
  createSecureContext(identity)
  return {
    proto: 'inet_tls',
    listen: (at, onAccept) => {
      const server = createServer(
        { ...identity, requestCert: true, handshakeTimeout: handshakeTimeoutMs, noDelay: true, pauseOnConnect: true },
        (socket) => onAccept(new SocketStream(socket)),
      )
      // A handshake that takes too long or goes wrong is only told; the socket would stay.
      server.on('tlsClientError', (_error, socket) => socket.destroy())
      return openServer(server, at)
    },
    connect: ({ host, port }, signal) => {
      const dial: ConnectionOptions = { ...identity, host, port }
      // SNI takes no addresses.
      if (parseAddress(host) === undefined) dial.servername = host
      if (!verifyHost) dial.checkServerIdentity = () => undefined
      return whenConnected(connect(dial), 'secureConnect', signal)
    },
  }
}
