/**
 * Cuts links between real nodes without being root: stands between them as their epmd.
 *
 *     node ─ register n1, port 4711 ─▶ cutter ─ register n1, port P ─▶ epmd       P is a port of the cutter's
 *     other node ─ where is n1? ─▶ cutter ─▶ epmd: P;   other node ─ P ─▶ cutter ─ 4711 ─▶ n1
 *
 * Whose connection it is, the first message of the handshake says, so nodes that talk over TLS cannot be cut. A link that is
 * silenced passes nothing and loses nothing, as when a cable is out: what was sent arrives when it is mended, unless one side
 * has given up. One that is reset is closed, and refused while it is cut.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { EpmdServer } from '../../src/dist/epmd-server.ts'
import { startEpmd } from './epmd.ts'
import type { Cut, Links } from './links.ts'

type SocketCut = Extract<Cut, 'silence' | 'reset'>

const ALIVE2 = 120
/** Of a handshake message before the length of the name: length, `N`, flags, creation. */
const NAME_LENGTH_AT = 2 + 1 + 8 + 4

export class LinkCutter implements Links {
  readonly cuts = ['silence', 'reset'] as const
  /** Called with everything that passes between nodes. */
  tap: ((bytes: Buffer) => void) | undefined
  readonly #epmd: EpmdServer
  readonly #servers = new Set<Server>()
  readonly #sockets = new Set<Socket>()
  readonly #links = new Set<Link>()
  readonly #cutPairs = new Map<string, SocketCut>()

  private constructor(epmd: EpmdServer) {
    this.#epmd = epmd
  }

  /** Starts an epmd that is seen on `port`. */
  static async start(port: number): Promise<LinkCutter> {
    const cutter = new LinkCutter(await startEpmd(0))
    await cutter.#listen(port, (socket) => cutter.#askEpmd(socket))
    return cutter
  }

  cut(a: string, b: string, how: Cut): void {
    if (how === 'deaf' || how === 'mute') throw new Error('sockets are cut in both directions')
    const pair = pairOf(a, b)
    this.#cutPairs.set(pair, how)
    for (const link of this.#linksOf(pair)) link.cut(how)
  }

  mend(a: string, b: string): void {
    const pair = pairOf(a, b)
    this.#cutPairs.delete(pair)
    for (const link of this.#linksOf(pair)) link.mend()
  }

  mendAll(): void {
    for (const pair of [...this.#cutPairs.keys()]) {
      const [a, b] = pair.split(' ') as [string, string]
      this.mend(a, b)
    }
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await this.#epmd.close()
  }

  #linksOf(pair: string): Link[] {
    return [...this.#links].filter((link) => link.pair === pair)
  }

  #listen(port: number, onSocket: (socket: Socket) => void): Promise<Server> {
    const server = createServer({ noDelay: true }, (socket) => onSocket(this.#own(socket)))
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: '127.0.0.1', port }, () => resolve(server))
    })
  }

  #own(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }

  /** Requests to epmd pass as they are, but for the port of a node that registers. */
  #askEpmd(near: Socket): void {
    const far = this.#own(connect({ host: '127.0.0.1', port: this.#epmd.port, noDelay: true }))
    far.pipe(near)
    near.once('close', () => far.destroy())
    far.once('close', () => near.end())
    const wanted = (bytes: Buffer) => (bytes.length < 2 ? 2 : 2 + bytes.readUInt16BE(0))
    gather(near, wanted, async (request) => {
      if (request[2] === ALIVE2) {
        const port = request.readUInt16BE(3)
        const name = request.toString('utf8', 13, 13 + request.readUInt16BE(11))
        const server = await this.#listen(0, (socket) => this.#accept(socket, port, name))
        near.once('close', () => server.close())
        request.writeUInt16BE((server.address() as AddressInfo).port, 3)
      }
      far.write(request)
      near.pipe(far)
    })
  }

  /** A connection for the node `to`, which listens on `port`. */
  #accept(near: Socket, port: number, to: string): void {
    const nameAt = NAME_LENGTH_AT + 2
    const wanted = (bytes: Buffer) => nameAt + (bytes.length < nameAt ? 0 : bytes.readUInt16BE(NAME_LENGTH_AT))
    gather(near, wanted, (first) => {
      const pair = pairOf(first.toString('utf8', nameAt, wanted(first)), to)
      const far = () => this.#own(connect({ host: '127.0.0.1', port, noDelay: true }))
      const link = new Link(pair, near, first, far, (bytes) => this.tap?.(bytes))
      this.#links.add(link)
      near.once('close', () => this.#links.delete(link))
      const cut = this.#cutPairs.get(pair)
      if (cut === undefined) link.mend()
      else link.cut(cut)
    })
  }
}

/** One connection between two nodes. It begins silenced. */
class Link {
  /** The names of both. */
  readonly pair: string
  readonly #near: Socket
  readonly #first: Buffer
  readonly #connect: () => Socket
  readonly #tap: (bytes: Buffer) => void
  #far: Socket | undefined
  #isSilenced = true

  constructor(pair: string, near: Socket, first: Buffer, connectFar: () => Socket, tap: (bytes: Buffer) => void) {
    this.pair = pair
    this.#near = near
    this.#first = first
    this.#connect = connectFar
    this.#tap = tap
  }

  cut(how: SocketCut): void {
    if (how === 'reset') {
      this.#near.destroy()
      this.#far?.destroy()
      return
    }
    this.#isSilenced = true
    this.#near.pause()
    this.#far?.pause()
  }

  mend(): void {
    if (!this.#isSilenced) return
    this.#isSilenced = false
    if (this.#far === undefined) {
      this.#far = this.#connect()
      this.#tap(this.#first)
      this.#far.write(this.#first)
      this.#pass(this.#near, this.#far)
      this.#pass(this.#far, this.#near)
    }
    for (const [from, to] of this.#directions(this.#far)) {
      if (from.destroyed) to.end()
      else from.resume()
    }
  }

  #directions(far: Socket): [from: Socket, to: Socket][] {
    return [
      [this.#near, far],
      [far, this.#near],
    ]
  }

  /** What comes from one goes to the other, as fast as that takes it; so does the end. */
  #pass(from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      this.#tap(chunk)
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      if (!this.#isSilenced) from.resume()
    })
    for (const event of ['end', 'close']) {
      from.on(event, () => {
        if (!this.#isSilenced) to.end()
      })
    }
  }
}

/** By what epmd knows of a name, the part before the `@`. */
function pairOf(a: string, b: string): string {
  return [a, b]
    .map((name) => name.split('@', 1)[0])
    .sort()
    .join(' ')
}

/** Calls `whole` once, with the first bytes of a socket as soon as there are as many as `wanted` says; the socket is then paused. */
function gather(socket: Socket, wanted: (bytes: Buffer) => number, whole: (bytes: Buffer) => void): void {
  let bytes: Buffer = Buffer.alloc(0)
  const onData = (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    if (bytes.length < wanted(bytes)) return
    socket.off('data', onData)
    socket.pause()
    whole(bytes)
  }
  socket.on('data', onData)
}
