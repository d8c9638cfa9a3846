/**
 * Byte streams between the hosts of a simulation, in place of TCP: the production code of epmd, handshake and connections runs
 * over them unchanged.
 *
 * A stream delivers its bytes in order, after a random delay, cut into random chunks. The link between two hosts can be lost
 * in two ways: `cut` resets the streams, as a peer's kernel does; `freeze` delivers nothing in either direction until
 * `thaw`, as a pulled cable does, which only ticks and time limits can find out. What was sent meanwhile then arrives.
 */
import type { Address, ByteStream, ConnectResult, ListenResult, StreamEvents, Transport } from '../dist/transport.ts'
import type { SeededRandom } from './random.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How the network behaves. */
export interface StreamNetworkOptions {
  /** Milliseconds that bytes take from machine to machine. @default 0.1 to 5 */
  readonly delayMs?: { readonly least: number; readonly most: number }
  /** Most bytes that arrive at a time. @default 65536 */
  readonly chunkBytes?: number
}

/** All hosts and their streams. */
export class StreamNetwork {
  readonly #time: VirtualTime
  readonly #random: SeededRandom
  readonly #delayMs: { readonly least: number; readonly most: number }
  readonly #chunkBytes: number
  readonly #listeners = new Map<string, (stream: ByteStream) => void>()
  readonly #ends = new Set<End>()
  readonly #cut = new Set<string>()
  readonly #frozen = new Set<string>()
  #lastPort = 40_000

  constructor(time: VirtualTime, random: SeededRandom, options: StreamNetworkOptions = {}) {
    this.#time = time
    this.#random = random
    this.#delayMs = options.delayMs ?? { least: 0.1, most: 5 }
    this.#chunkBytes = options.chunkBytes ?? 65_536
  }

  /** The network as a host sees it; `127.0.0.1` and `::1` are the host itself. */
  transport(host: string): Transport {
    const self = (name: string) => (name === '127.0.0.1' || name === '::1' || name === '::' ? host : name)
    return {
      proto: 'inet_tcp',
      listen: (at, onAccept) => Promise.resolve(this.#listen({ ...at, host: self(at.host) }, onAccept)),
      connect: (to, signal) => this.#connect(host, { ...to, host: self(to.host) }, signal),
    }
  }

  /** Resets all streams between two hosts; no new ones come up until `mend`. */
  cut(a: string, b: string): void {
    this.#cut.add(pairOf(a, b))
    this.reset(a, b)
  }

  /** Resets all streams between two hosts; new ones may come up. */
  reset(a: string, b: string): void {
    for (const end of [...this.#ends]) if (pairOf(end.host, end.peerHost) === pairOf(a, b)) end.close('ECONNRESET')
  }

  mend(a: string, b: string): void {
    this.#cut.delete(pairOf(a, b))
  }

  /** Stops all bytes between two hosts; nobody is told, and no new streams come up. */
  freeze(a: string, b: string): void {
    this.#frozen.add(pairOf(a, b))
  }

  /** Lets bytes through again, those that wait first. */
  thaw(a: string, b: string): void {
    this.#frozen.delete(pairOf(a, b))
    for (const end of this.#ends) end.resumeDelivery()
  }

  /** The host is gone: what it has open is reset, and it listens no more. */
  remove(host: string): void {
    for (const key of [...this.#listeners.keys()]) if (key.startsWith(`${host} `)) this.#listeners.delete(key)
    for (const end of [...this.#ends]) if (end.host === host || end.peerHost === host) end.close('ECONNRESET')
  }

  /** The host has lost its power: nobody is told, and it listens no more. Its peers find out when they next send something. */
  vanish(host: string): void {
    for (const key of [...this.#listeners.keys()]) if (key.startsWith(`${host} `)) this.#listeners.delete(key)
    for (const end of [...this.#ends]) if (end.host === host) end.close('closed')
  }

  isFrozen(a: string, b: string): boolean {
    return this.#frozen.has(pairOf(a, b))
  }

  get nowMs(): number {
    return this.#time.monotonic()
  }

  /** When bytes that are sent now arrive. */
  arrivalMs(): number {
    return this.nowMs + this.#delayMs.least + this.#random.next() * (this.#delayMs.most - this.#delayMs.least)
  }

  pieceOf(bytes: number): number {
    const most = Math.min(bytes, this.#chunkBytes)
    return this.#random.below(3) === 0 ? 1 + this.#random.below(most) : most
  }

  after(ms: number, callback: () => void): void {
    this.#time.set(ms, callback)
  }

  forget(end: End): void {
    this.#ends.delete(end)
  }

  #listen(at: Address, onAccept: (stream: ByteStream) => void): ListenResult {
    const address = at.port === 0 ? { host: at.host, port: ++this.#lastPort } : at
    const key = `${address.host} ${address.port}`
    if (this.#listeners.has(key)) return { ok: false, reason: 'EADDRINUSE' }
    this.#listeners.set(key, onAccept)
    const close = () => {
      this.#listeners.delete(key)
      return Promise.resolve()
    }
    return { ok: true, listener: { address, close } }
  }

  #connect(from: string, to: Address, signal: AbortSignal | undefined): Promise<ConnectResult> {
    return new Promise((resolve) => {
      signal?.addEventListener('abort', () => resolve({ ok: false, reason: 'aborted' }))
      const arrive = () => {
        if (signal?.aborted === true) return resolve({ ok: false, reason: 'aborted' })
        const isLost = this.isFrozen(from, to.host) || this.#cut.has(pairOf(from, to.host))
        if (isLost) return resolve({ ok: false, reason: 'EHOSTUNREACH' })
        const onAccept = this.#listeners.get(`${to.host} ${to.port}`)
        if (onAccept === undefined) return resolve({ ok: false, reason: 'ECONNREFUSED' })
        const mine = new End(this, from, to.host, to.port)
        const theirs = new End(this, to.host, from, ++this.#lastPort)
        mine.other = theirs
        theirs.other = mine
        this.#ends.add(mine).add(theirs)
        onAccept(theirs)
        resolve({ ok: true, stream: mine })
      }
      this.after(this.arrivalMs() - this.nowMs, arrive)
    })
  }
}

/** What is on its way to an end: bytes, or the end of the stream. */
interface Arriving {
  what: Buffer | 'end'
  readonly dueMs: number
}

/** One end of a stream. */
class End implements ByteStream {
  readonly peer: Address
  readonly host: string
  readonly peerHost: string
  other!: End
  readonly #network: StreamNetwork
  readonly #arriving: Arriving[] = []
  #events: StreamEvents | undefined
  #unsentBytes = 0
  #isDelivering = false
  #isPaused = false
  #isEnding = false
  #closedBy: string | undefined

  constructor(network: StreamNetwork, host: string, peerHost: string, port: number) {
    this.#network = network
    this.host = host
    this.peerHost = peerHost
    // A host knows itself by its loopback address, which epmd looks for.
    this.peer = { host: host === peerHost ? '127.0.0.1' : peerHost, port }
  }

  get writableLength(): number {
    return this.#unsentBytes
  }

  start(events: StreamEvents): void {
    this.#events = events
    const reason = this.#closedBy
    if (reason !== undefined) this.#network.after(0, () => events.onClose(reason))
    else this.resumeDelivery()
  }

  write(buffers: readonly Buffer[], bytes: number): void {
    if (this.#closedBy !== undefined || this.#isEnding) return
    this.#unsentBytes += bytes
    this.other.#arrive(Buffer.concat(buffers))
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.resumeDelivery()
  }

  end(): void {
    if (this.#closedBy !== undefined || this.#isEnding) return
    this.#isEnding = true
    this.other.#arrive('end')
  }

  destroy(): void {
    if (this.#closedBy !== undefined) return
    // The other end hears nothing through a frozen network; it finds out when it next sends something.
    if (!this.#network.isFrozen(this.host, this.peerHost)) this.other.#arrive('end')
    this.#close('closed')
  }

  /** Called by the network when the link is lost. */
  close(reason: string): void {
    this.#close(reason)
  }

  /** Called when what waits may go on. */
  resumeDelivery(): void {
    const next = this.#arriving[0]
    if (next === undefined || this.#isDelivering || !this.#isReading) return
    this.#isDelivering = true
    this.#network.after(Math.max(0, next.dueMs - this.#network.nowMs), () => {
      this.#isDelivering = false
      // The clock may be a rounding error short of what was asked for.
      const untilMs = Math.max(next.dueMs, this.#network.nowMs)
      while (this.#isReading && (this.#arriving[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= untilMs) {
        this.#deliver(this.#arriving[0]!)
      }
      this.resumeDelivery()
    })
  }

  get #isReading(): boolean {
    if (this.#isPaused || this.#events === undefined || this.#closedBy !== undefined) return false
    return !this.#network.isFrozen(this.host, this.peerHost)
  }

  /** In the order of sending, as TCP sees to. */
  #arrive(what: Buffer | 'end'): void {
    if (this.#closedBy !== undefined) {
      if (what !== 'end') this.#refuse()
      return
    }
    const lastMs = this.#arriving.at(-1)?.dueMs ?? 0
    this.#arriving.push({ what, dueMs: Math.max(lastMs, this.#network.arrivalMs()) })
    this.resumeDelivery()
  }

  /** What is sent to an end that is gone brings a reset. */
  #refuse(): void {
    this.#network.after(this.#network.arrivalMs() - this.#network.nowMs, () => {
      if (!this.#network.isFrozen(this.host, this.peerHost)) this.other.close('ECONNRESET')
    })
  }

  #deliver(next: Arriving): void {
    const { what } = next
    if (what === 'end') {
      this.#close('closed')
      this.other.#arrive('end')
      return
    }
    const piece = this.#network.pieceOf(what.length)
    if (piece === what.length) this.#arriving.shift()
    else next.what = what.subarray(piece)
    this.other.#hasLeft(piece)
    if (!this.#isEnding) this.#events?.onData(what.subarray(0, piece))
  }

  #hasLeft(bytes: number): void {
    this.#unsentBytes -= bytes
    if (this.#unsentBytes === 0 && this.#closedBy === undefined) this.#events?.onDrain()
  }

  #close(reason: string): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = reason
    this.#unsentBytes = 0
    this.#network.forget(this)
    const events = this.#events
    // As with sockets, nobody is called back in the middle of a call.
    if (events !== undefined) this.#network.after(0, () => events.onClose(reason))
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
