/**
 * A simulated wire between a client and a server: bytes in order, both ways, under virtual time.
 *
 * Chunks arrive after random delays, cut and joined at random; the wire holds so many bytes, beyond which a writer's bytes
 * wait with it (`writableLength`) until the other side reads on. Either side can close its half, or destroy its end;
 * the wire can be lost, which both sides notice at some time of their own, or be silent for a while, which nobody notices.
 * Both ends look the same, so a test can be client or server; the broker takes an end as the `Transport` of a connection.
 */
import type { SeededRandom } from './random.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'

/** An address. */
export interface WirePeer {
  readonly host: string
  readonly port: number
}

/** What an end of a wire reports; never in the middle of a call of its owner's. Has the shape of the broker's `TransportEvents`. */
export interface WireEvents {
  onData(chunk: Buffer): void
  onDrain(): void
  /** The other side will send no more. */
  onEnd(): void
  /** The wire is gone; called exactly once. */
  onClose(reason: string): void
}

export interface WireOptions {
  /** Milliseconds that a chunk takes. @default 0.1 to 5 */
  readonly delayMs?: { readonly least: number; readonly most: number }
  /** Bytes that the wire holds in one direction. @default 16384 */
  readonly holdsBytes?: number
  /** Address that the near end sees. @default 192.0.2.1:40000 */
  readonly peer?: WirePeer
}

/** What a wire is made of. */
export interface WireWorld {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly trace: Trace
}

const DEFAULT_DELAY_MS = { least: 0.1, most: 5 }
const DEFAULT_HOLDS_BYTES = 16_384

export class Wire {
  /** The server's end. */
  readonly near: WireEnd
  /** The client's end. */
  readonly far: WireEnd
  readonly #world: WireWorld

  constructor(world: WireWorld, options: WireOptions = {}) {
    this.#world = world
    const delayMs = options.delayMs ?? DEFAULT_DELAY_MS
    const holdsBytes = options.holdsBytes ?? DEFAULT_HOLDS_BYTES
    this.near = new WireEnd(world, delayMs, holdsBytes, options.peer ?? { host: '192.0.2.1', port: 40_000 })
    this.far = new WireEnd(world, delayMs, holdsBytes, { host: '192.0.2.254', port: 1883 })
    this.near.other = this.far
    this.far.other = this.near
  }

  /** The connection is lost with all that is under way; each side is told at a time of its own. */
  lose(): void {
    this.#world.trace.note('lose')
    this.near.fail('ECONNRESET')
    this.far.fail('ECONNRESET')
  }

  /** From now on nothing arrives, and nobody is told. */
  silence(): void {
    this.near.isSilent = true
    this.far.isSilent = true
  }

  /** Ends `silence`: what was sent meanwhile arrives. */
  speak(): void {
    for (const end of [this.near, this.far]) {
      end.isSilent = false
      end.resume()
    }
  }
}

/** One end of a wire; has the shape of the broker's `Transport`. */
export class WireEnd {
  readonly peer: WirePeer
  /** Set by `Wire`. */
  other!: WireEnd
  isSilent = false
  readonly #world: WireWorld
  readonly #delayMs: { readonly least: number; readonly most: number }
  readonly #holdsBytes: number
  #events: WireEvents | undefined
  /** What the other end has sent and this one has not taken. */
  #arriving: Buffer[] = []
  #arrivingBytes = 0
  #finArriving = false
  #finTaken = false
  #timer: object | undefined
  #isPaused = false
  /** Closed its half: what still comes is thrown away. */
  #isEnded = false
  #isDestroyed = false
  #isClosed = false
  #isFailing = false
  #closeReason = 'closed'

  constructor(world: WireWorld, delayMs: { least: number; most: number }, holdsBytes: number, peer: WirePeer) {
    this.#world = world
    this.#delayMs = delayMs
    this.#holdsBytes = holdsBytes
    this.peer = peer
  }

  get writableLength(): number {
    return this.#isDestroyed ? 0 : Math.max(0, this.other.#arrivingBytes - this.#holdsBytes)
  }

  /** True when `onClose` has been called. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  start(events: WireEvents): void {
    this.#events = events
    if (this.#isFailing || this.#isDestroyed) this.#closeSoon()
    else this.#arm()
  }

  write(buffers: readonly Buffer[], _bytes: number): void {
    if (this.#isDestroyed || this.#isEnded || this.#isFailing) return
    const { other } = this
    if (other.#isDestroyed) {
      // The answer to bytes that nobody takes is a reset.
      this.fail('ECONNRESET')
      return
    }
    if (other.#isFailing) return
    for (const buffer of buffers) {
      // A kernel has its own copy from here on.
      other.#arriving.push(Buffer.from(buffer))
      other.#arrivingBytes += buffer.length
    }
    other.#arm()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#arm()
  }

  end(): void {
    if (this.#isEnded || this.#isDestroyed) return
    this.#isEnded = true
    this.#isPaused = false
    this.other.#finArriving = true
    this.other.#arm()
    this.#arm()
    this.#closeIfDone()
  }

  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    const { other } = this
    // Unread input, or chance, decides whether the other side sees an end or a reset.
    if (this.#arrivingBytes > 0 || this.#world.random.below(2) === 0) {
      if (!this.#isEnded) other.fail('ECONNRESET')
    } else {
      other.#finArriving = true
      other.#arm()
    }
    this.#forget()
    if (other.#finTaken || other.#isEnded) other.#closeIfDone()
    if (!this.#isFailing) this.#closeSoon()
  }

  /** The wire fails under this end: it is told after a while, and nothing gets through from now on. */
  fail(reason: string): void {
    if (this.#isFailing || this.#isClosed) return
    this.#isFailing = true
    this.#closeReason = reason
    this.#forget()
    this.#world.time.set(this.#delay(), () => this.#close())
  }

  #forget(): void {
    this.#arriving = []
    this.#arrivingBytes = 0
    if (this.#timer !== undefined) this.#world.time.clear(this.#timer)
    this.#timer = undefined
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#isPaused || this.isSilent || this.#events === undefined) return
    if (this.#isDestroyed || this.#isFailing || this.#isClosed) return
    if (this.#arrivingBytes === 0 && (!this.#finArriving || this.#finTaken)) return
    this.#timer = this.#world.time.set(this.#delay(), () => {
      this.#timer = undefined
      this.#arrive()
    })
  }

  #arrive(): void {
    if (this.#isPaused || this.isSilent) return
    const { random, trace } = this.#world
    if (this.#arrivingBytes === 0) {
      this.#finTaken = true
      trace.note('fin')
      this.#events!.onEnd()
      this.#closeIfDone()
      return
    }
    const held = this.other.writableLength > 0
    const all = Buffer.concat(this.#arriving)
    const bytes = random.below(2) === 0 ? all.length : 1 + random.below(all.length)
    this.#arriving = bytes === all.length ? [] : [all.subarray(bytes)]
    this.#arrivingBytes = all.length - bytes
    const chunk = Buffer.from(all.subarray(0, bytes))
    trace.bytes(chunk)
    if (!this.#isEnded) this.#events!.onData(chunk)
    if (held && this.other.writableLength === 0 && !this.other.#isClosed) this.other.#events?.onDrain()
    this.#arm()
  }

  #closeIfDone(): void {
    // Both halves are closed, and both sides know.
    if (this.#isEnded && this.#finTaken) this.#closeSoon()
    const { other } = this
    if (other.#isEnded && (other.#finTaken || this.#isDestroyed)) other.#closeSoon()
  }

  #closeSoon(): void {
    this.#world.time.set(0, () => this.#close())
  }

  #close(): void {
    if (this.#isClosed || this.#events === undefined) return
    this.#isClosed = true
    this.#isDestroyed = true
    this.#forget()
    this.#world.trace.note(this.#closeReason)
    this.#events.onClose(this.#closeReason)
  }

  #delay(): number {
    const { least, most } = this.#delayMs
    return least + this.#world.random.next() * (most - least)
  }
}
