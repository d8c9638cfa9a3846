/**
 * Distribution and epmd over TCP [OTP inet_tcp_dist, inet6_tcp_dist]: which of IPv4 and IPv6 it is follows from an address; of a host
 * name `inet_tcp` takes whatever answers first, `inet6_tcp` only addresses of IPv6.
 */
import { connect, createServer } from 'node:net'
import type { Transport } from './transport.ts'
import { openServer, SocketStream, whenConnected } from './transport-socket.ts'

/** Streams over plain TCP. */
export function tcpTransport(proto: 'inet_tcp' | 'inet6_tcp' = 'inet_tcp'): Transport {
  const lookup = proto === 'inet6_tcp' ? { family: 6 } : { autoSelectFamily: true }
  return {
    proto,
    listen: (at, onAccept) =>
      openServer(
        createServer({ pauseOnConnect: true, noDelay: true }, (socket) => onAccept(new SocketStream(socket))),
        at,
      ),
    connect: ({ host, port }, signal) =>
      whenConnected(connect({ host, port, noDelay: true, ...lookup }), 'connect', signal),
  }
}
