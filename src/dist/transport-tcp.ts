/**
 * Distribution and epmd over TCP [OTP inet_tcp_dist, inet6_tcp_dist]: which of IPv4 and IPv6 it is follows from the address.
 */
import { connect, createServer } from 'node:net'
import type { Transport } from './transport.ts'
import { openServer, SocketStream, whenConnected } from './transport-socket.ts'

/** Streams over plain TCP. */
export function tcpTransport(): Transport {
  return {
    proto: 'inet_tcp',
    listen: (at, onAccept) =>
      openServer(
        createServer({ pauseOnConnect: true, noDelay: true }, (socket) => onAccept(new SocketStream(socket))),
        at,
      ),
    connect: ({ host, port }, signal) =>
      whenConnected(connect({ host, port, noDelay: true, autoSelectFamily: true }), 'connect', signal),
  }
}
