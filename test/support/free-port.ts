/** A TCP port that nobody has at the moment, below the range from which the system takes ports for connections. */
import { createServer } from 'node:net'

const FIRST = 20_000
const LAST = 32_000

/** Tries random ports on loopback until one can be listened on. */
export function freePort(): Promise<number> {
  const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(freePort()))
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(port)))
  })
}
