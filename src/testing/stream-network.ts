/**
 * Byte streams between the nodes of a simulation, in place of TCP: the production code of the distribution runs over them.
 *
 * A stream delivers its bytes in order, after a random delay, cut into random chunks. A network can be cut between two hosts in
 * two ways: `cut` resets the streams, as a peer's kernel does; `freeze` delivers nothing in either direction until `thaw`,
 * as a pulled cable does, which only ticks can find out.
 */
import type { Address, ByteStream, ConnectResult, ListenResult, StreamEvents, Transport } from '../dist/transport.ts'
import type { SeededRandom } from './random.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface StreamNetworkOptions {
  /** Milliseconds that a chunk takes. @default 0.1 to 5 */
  readonly delayMs?: { readonly least: number; readonly most: number }
  /** Bytes that leave a stream at a time. @default 65536 */
  readonly chunkBytes?: number
}

export class StreamNetwork {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly #delayMs: { readonly least: number; readonly most: number }
  readonly chunkBytes: number
  readonly #listeners = new Map<string, (stream: ByteStream) => void>()
  readonly #streams = new Set<SimulatedStream>()
  readonly #cut = new Set<string>()
  readonly #frozen = new Set<string>()
  #lastPort = 40_000

  constructor(time: VirtualTime, random: SeededRandom, options: StreamNetworkOptions = {}) {
    this.time = time
    this.random = random
    this.#delayMs = options.delayMs ?? { least: 0.1, most: 5 }
    this.chunkBytes = options.chunkBytes ?? 65_536
  }

  /** The network as a host sees it. */
  transport(host: string): Transport {
    return {
      proto: 'inet_tcp',
      listen: (at, onAccept) => Promise.resolve(this.#listen(host, at.port, onAccept)),
      connect: (to, signal) => this.#connect(host, to, signal),
    }
  }

  /** Resets all streams between two hosts; no new ones come up until `mend`. */
  cut(a: string, b: string): void {
    this.#cut.add(pairOf(a, b))
    this.reset(a, b)
  }

  /** Resets all streams between two hosts; new ones may come up. */
  reset(a: string, b: string): void {
    for (const stream of [...this.#streams]) if (stream.pair === pairOf(a, b)) stream.reset('ECONNRESET')
  }

  mend(a: string, b: string): void {
    this.#cut.delete(pairOf(a, b))
  }

  freeze(a: string, b: string): void {
    this.#frozen.add(pairOf(a, b))
  }

  thaw(a: string, b: string): void {
    this.#frozen.delete(pairOf(a, b))
    for (const stream of this.#streams) if (stream.pair === pairOf(a, b)) stream.pump()
  }

  isFrozen(pair: string): boolean {
    return this.#frozen.has(pair)
  }

  /** The host is gone: what it has open is reset, and it listens no more. */
  remove(host: string): void {
    for (const key of [...this.#listeners.keys()]) if (key.startsWith(`${host}:`)) this.#listeners.delete(key)
    for (const stream of [...this.#streams]) {
      if (stream.pair.split(' ').includes(host)) stream.reset('ECONNRESET')
    }
  }

  delay(): number {
    const { least, most } = this.#delayMs
    return least + this.random.next() * (most - least)
  }

  forget(stream: SimulatedStream): void {
    this.#streams.delete(stream)
  }

  #listen(host: string, port: number, onAccept: (stream: ByteStream) => void): ListenResult {
    const address = { host, port: port === 0 ? this.#lastPort++ : port }
    const key = `${host}:${address.port}`
    if (this.#listeners.has(key)) return { ok: false, reason: 'EADDRINUSE' }
    this.#listeners.set(key, onAccept)
    const close = (): Promise<void> => {
      this.#listeners.delete(key)
      return Promise.resolve()
    }
    return { ok: true, listener: { address, close } }
  }

  #connect(from: string, to: Address, signal: AbortSignal | undefined): Promise<ConnectResult> {
    return new Promise((resolve) => {
      const abort = (): void => resolve({ ok: false, reason: 'aborted' })
      signal?.addEventListener('abort', abort)
      this.time.set(this.delay(), () => {
        signal?.removeEventListener('abort', abort)
        if (signal?.aborted === true) return
        const accept = this.#listeners.get(`${to.host}:${to.port}`)
        const pair = pairOf(from, to.host)
        if (this.#cut.has(pair) || this.#frozen.has(pair)) return resolve({ ok: false, reason: 'EHOSTUNREACH' })
        if (accept === undefined) return resolve({ ok: false, reason: 'ECONNREFUSED' })
        const near = new SimulatedStream(this, pair, { host: to.host, port: to.port })
        const far = new SimulatedStream(this, pair, { host: from, port: this.#lastPort++ })
        near.other = far
        far.other = near
        this.#streams.add(near).add(far)
        accept(far)
        resolve({ ok: true, stream: near })
      })
    })
  }
}

class SimulatedStream implements ByteStream {
  readonly peer: Address
  readonly pair: string
  other: SimulatedStream | undefined = undefined
  writableLength = 0
  readonly #network: StreamNetwork
  #events: StreamEvents | undefined = undefined
  #queue: Buffer[] = []
  /** What has arrived before `start`. */
  #early: Buffer[] = []
  #isPumping = false
  #isEnding = false
  isClosed = false
  #closeReason = 'closed'

  constructor(network: StreamNetwork, pair: string, peer: Address) {
    this.#network = network
    this.pair = pair
    this.peer = peer
  }

  start(events: StreamEvents): void {
    this.#events = events
    const early = this.#early
    this.#early = []
    queueMicrotask(() => {
      for (const chunk of early) if (!this.isClosed) events.onData(chunk)
      if (this.isClosed) events.onClose(this.#closeReason)
    })
  }

  write(buffers: readonly Buffer[], bytes: number): void {
    if (this.isClosed || this.#isEnding) return
    this.#queue.push(...buffers.map((buffer) => Buffer.from(buffer)))
    this.writableLength += bytes
    this.pump()
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    this.#isEnding = true
    this.pump()
  }

  destroy(): void {
    // The other end hears nothing through a frozen network; it finds out when it next sends something.
    if (!this.#network.isFrozen(this.pair)) this.other?.closeSoon('closed')
    this.#close('closed')
  }

  /** Both ends fail at once. */
  reset(reason: string): void {
    this.other?.closeSoon(reason)
    this.closeSoon(reason)
  }

  closeSoon(reason: string): void {
    this.#network.time.set(0, () => this.#close(reason))
  }

  /** Sends the next chunk when none is under way. */
  pump(): void {
    if (this.#isPumping || this.isClosed || this.#network.isFrozen(this.pair)) return
    if (this.#queue.length === 0) {
      if (this.#isEnding) this.destroy()
      return
    }
    this.#isPumping = true
    this.#network.time.set(this.#network.delay(), () => {
      this.#isPumping = false
      if (this.isClosed || this.#network.isFrozen(this.pair)) return
      const queued = Buffer.concat(this.#queue)
      const most = Math.min(queued.length, this.#network.chunkBytes)
      const size = this.#network.random.below(3) === 0 ? 1 + this.#network.random.below(most) : most
      this.#queue = size === queued.length ? [] : [queued.subarray(size)]
      this.writableLength -= size
      if (this.other?.isClosed) return this.#close('ECONNRESET')
      this.other?.arrive(queued.subarray(0, size))
      if (this.writableLength === 0) this.#events?.onDrain()
      this.pump()
    })
  }

  arrive(chunk: Buffer): void {
    if (this.isClosed) return
    if (this.#events === undefined) this.#early.push(chunk)
    else this.#events.onData(chunk)
  }

  #close(reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#closeReason = reason
    this.#queue = []
    this.writableLength = 0
    this.#network.forget(this)
    this.#events?.onClose(reason)
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
