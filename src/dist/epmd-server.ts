/**
 * The server of epmd: which node of this machine listens on which port. The same protocol as Erlang's `epmd`, so whichever
 * is there first serves all.
 *
 * A registration lives as long as the socket that made it. Only nodes of this machine may register, ask for a dump or end the
 * server; others may ask for names and ports. It listens on loopback unless told otherwise, and what a stranger can
 * cost is bounded: connections, bytes of a request, and the time to send it.
 */
import type { Timers } from '../actors/system.ts'
import {
  type EpmdRequest,
  encodeAlive2Reply,
  encodeDumpReply,
  encodeNamesReply,
  encodePort2Reply,
  type NodeEntry,
  parseRequest,
  RequestReader,
} from './epmd-protocol.ts'
import { isLoopback } from './ip.ts'
import type { ByteStream, StreamListener, Transport } from './transport.ts'

/** How a server runs. */
export interface EpmdServerOptions {
  readonly transport: Transport
  readonly timers: Timers
  /** Fills with random bytes: where creations begin, so that they differ from those of the server before. */
  readonly randomFill: (buffer: Uint8Array) => void
  readonly port: number
  /** Addresses to listen on. @default 127.0.0.1 and, where there is IPv6, ::1 */
  readonly hosts?: readonly string[]
  /** Lets KILL end a server that has nodes, and STOP unregister one. @default false */
  readonly relaxedCommandCheck?: boolean
  /** Sockets of registered nodes. @default 4096 */
  readonly maxNodes?: number
  /** Sockets that have not registered; one more than this is closed. @default 512 */
  readonly maxVisitors?: number
  /** How long a visitor may take to ask and to take the answer. @default 10000 */
  readonly visitTimeoutMs?: number
  /** A KILL was obeyed: the server is closed. */
  readonly onKilled?: () => void
}

/** A server that runs. */
export interface EpmdServer {
  readonly port: number
  /** Registered nodes, the newest first. */
  nodes(): readonly NodeEntry[]
  /** Closes the listeners and every socket. */
  close(): Promise<void>
}

/** A server; `already_running` when another program has the port, as a rule another epmd; or the code of the system's error. */
export type EpmdServerResult =
  | { readonly ok: true; readonly server: EpmdServer }
  | { readonly ok: false; readonly reason: string }

const LOOPBACK = ['127.0.0.1', '::1']

/** Starts a server on each of the hosts, all with one port. */
export async function startEpmdServer(options: EpmdServerOptions): Promise<EpmdServerResult> {
  const server = new Server(options)
  const hosts = options.hosts ?? LOOPBACK
  for (const [index, host] of hosts.entries()) {
    const opened = await options.transport.listen({ host, port: server.port }, (stream) => server.accept(stream))
    if (opened.ok) {
      server.add(opened.listener)
      continue
    }
    // A machine without IPv6 has no ::1; nobody asked for it by name.
    if (index > 0 && options.hosts === undefined && opened.reason !== 'EADDRINUSE') continue
    await server.close()
    return { ok: false, reason: opened.reason === 'EADDRINUSE' ? 'already_running' : opened.reason }
  }
  return { ok: true, server }
}

class Server implements EpmdServer {
  readonly #options: EpmdServerOptions
  readonly #listeners: StreamListener[] = []
  /** By name, in the order of registration; removed when the socket closes. */
  readonly #nodes = new Map<string, { readonly entry: NodeEntry; readonly stream: ByteStream }>()
  readonly #streams = new Set<ByteStream>()
  #creation: number
  #isClosed = false

  constructor(options: EpmdServerOptions) {
    this.#options = options
    const seed = Buffer.alloc(4)
    options.randomFill(seed)
    this.#creation = seed.readUInt32BE(0)
  }

  get port(): number {
    return this.#listeners[0]?.address.port ?? this.#options.port
  }

  nodes(): readonly NodeEntry[] {
    return [...this.#nodes.values()].map(({ entry }) => entry).reverse()
  }

  add(listener: StreamListener): void {
    this.#listeners.push(listener)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const stream of this.#streams) stream.destroy()
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }

  accept(stream: ByteStream): void {
    const { maxVisitors = 512, visitTimeoutMs = 10_000, timers } = this.#options
    if (this.#isClosed || this.#streams.size - this.#nodes.size >= maxVisitors) {
      stream.destroy()
      return
    }
    this.#streams.add(stream)
    const reader = new RequestReader()
    const timer = timers.set(visitTimeoutMs, () => stream.destroy())
    let name: string | undefined
    let hasAsked = false
    stream.start({
      onData: (chunk) => {
        // What a node sends after it has registered means nothing; that its socket is open does.
        if (hasAsked) return
        const body = reader.push(chunk)
        if (body === 'more') return
        hasAsked = true
        const request = body === 'bad' ? undefined : parseRequest(body)
        if (request === undefined) return stream.destroy()
        if (request.tag !== 'alive2') return this.#answer(stream, request)
        if (!isLoopback(stream.peer.host)) return stream.destroy()
        if (!this.#register(stream, request.node)) return
        name = request.node.name
        timers.clear(timer)
      },
      onDrain: () => {},
      onClose: () => {
        timers.clear(timer)
        this.#streams.delete(stream)
        // A STOP may have given the name to another meanwhile.
        if (name !== undefined && this.#nodes.get(name)?.stream === stream) this.#nodes.delete(name)
      },
    })
  }

  #register(stream: ByteStream, entry: NodeEntry): boolean {
    const { maxNodes = 4096 } = this.#options
    const isFree = !this.#nodes.has(entry.name) && this.#nodes.size < maxNodes
    const reply = encodeAlive2Reply(isFree ? this.#nextCreation() : undefined, entry.highest)
    stream.write([reply], reply.length)
    if (isFree) this.#nodes.set(entry.name, { entry, stream })
    else stream.end()
    return isFree
  }

  /** 0 is no creation, and 1 to 3 are what nodes of 16 bits have. */
  #nextCreation(): number {
    this.#creation = (this.#creation + 1) >>> 0
    if (this.#creation < 4) this.#creation = 4
    return this.#creation
  }

  #answer(stream: ByteStream, request: Exclude<EpmdRequest, { tag: 'alive2' }>): void {
    const reply = this.#replyTo(request, isLoopback(stream.peer.host))
    if (reply === undefined) {
      stream.destroy()
      return
    }
    stream.write([reply], reply.length)
    stream.end()
  }

  /** Undefined where Erlang's epmd closes without a word. */
  #replyTo(request: Exclude<EpmdRequest, { tag: 'alive2' }>, isLocal: boolean): Buffer | undefined {
    const { relaxedCommandCheck = false } = this.#options
    switch (request.tag) {
      case 'port_please2':
        return encodePort2Reply(this.#nodes.get(request.name)?.entry)
      case 'names':
        return encodeNamesReply(this.port, this.nodes())
      case 'dump':
        return isLocal ? encodeDumpReply(this.port, this.nodes()) : undefined
      case 'kill':
        if (!isLocal) return undefined
        if (this.#nodes.size > 0 && !relaxedCommandCheck) return Buffer.from('NO')
        this.#die()
        return Buffer.from('OK')
      case 'stop':
        return isLocal && relaxedCommandCheck ? Buffer.from(this.#stop(request.name)) : undefined
    }
  }

  #stop(name: string): string {
    const node = this.#nodes.get(name)
    if (node === undefined) return 'NOEXIST'
    this.#nodes.delete(name)
    node.stream.destroy()
    return 'STOPPED'
  }

  /** Not before the answer has left. */
  #die(): void {
    this.#isClosed = true
    const { timers, onKilled } = this.#options
    timers.set(1, () => {
      void this.close().then(onKilled)
    })
  }
}
