/**
 * The connection to one node after the handshake: frames in, ticks out, and its end, which is reported exactly once.
 *
 * A peer from which no byte came for `netTicktimeMs` is taken for dead [OTP net_kernel, net_ticktime]. Any byte counts, so a
 * peer in the middle of a large message is alive. A frame that cannot be decoded ends the connection, as it does in Erlang: what
 * follows it could not be trusted.
 */
import type { Runtime } from '../actors/runtime.ts'
import type { TimerHandle } from '../actors/system.ts'
import type { AtomQuota } from './atom-table.ts'
import { controlFromTerms } from './control.ts'
import { Decoder } from './etf-decode.ts'
import { VERSION } from './etf-tags.ts'
import { DIST_HEADER, FragmentJoiner, isFragment, WHOLE } from './fragments.ts'
import { FrameSplitter } from './frame.ts'
import { PASS_THROUGH } from './outbox.ts'
import type { Peer } from './peer.ts'
import type { ByteStream, StreamEvents } from './transport.ts'

/** Why a connection ended, in OTP's words where it has some [OTP net_kernel, nodedown_reason]. */
export type NodedownReason =
  | 'connection_closed'
  | 'disconnect'
  | 'net_tick_timeout'
  | 'net_kernel_terminated'
  /** More waited to be sent than may. */
  | 'queue_overflow'
  /** The peer sent what is no frame. */
  | 'corrupt_frame'
  /** The peer came back and connected again. */
  | 'replaced'

/** Ticks per `netTicktimeMs` [OTP net_kernel, net_tickintensity]. */
const TICK_INTENSITY = 4

export interface ConnectionOptions {
  readonly runtime: Runtime
  readonly peer: Peer
  readonly stream: ByteStream
  readonly netTicktimeMs: number
  readonly maxFrameBytes: number
  /** Whether large messages may be sent in fragments. */
  readonly takesFragments: boolean
  readonly quota: AtomQuota
  /** Called exactly once. */
  readonly onEnd: (reason: NodedownReason) => void
}

/** A control message, and what it came in, up to `end`. Messages come in runs from one process to another, for which that is the same. */
interface Control {
  readonly bytes: Buffer
  readonly end: number
  readonly value: unknown
}

/** What is longer is not kept in memory for the sake of its control message. */
const MAX_KEPT_BYTES = 64 << 10

/** How many messages of the greatest length may be under way in fragments. */
const UNFINISHED_MESSAGES = 8

export class Connection implements StreamEvents {
  /** Bytes of frames and ticks that have come in. */
  bytesIn = 0
  /** Resolves when the stream is closed, which may be after the end of the connection. */
  readonly closed: Promise<void>
  #onClosed: () => void = () => {}
  readonly #options: ConnectionOptions
  readonly #splitter: FrameSplitter
  readonly #decoder: Decoder
  readonly #joiner: FragmentJoiner
  #isEnded = false
  #timer: TimerHandle | undefined = undefined
  #hasReceived = true
  #silentTicks = 0
  #last: Control | undefined = undefined

  constructor(options: ConnectionOptions) {
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve
    })
    this.#options = options
    this.#splitter = new FrameSplitter(options.maxFrameBytes)
    this.#decoder = new Decoder({ node: options.runtime.node, quota: options.quota })
    this.#joiner = new FragmentJoiner(options.maxFrameBytes, options.maxFrameBytes * UNFINISHED_MESSAGES)
  }

  /** What waits for the peer leaves, and ticks begin. */
  start(): void {
    const { peer, stream, takesFragments } = this.#options
    peer.outbox.attach(stream, takesFragments)
    this.#scheduleTick()
  }

  /** Ends the connection; what was written before leaves when it ends on purpose. */
  end(reason: NodedownReason): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const { runtime, peer, stream, onEnd } = this.#options
    if (this.#timer !== undefined) runtime.timers.clear(this.#timer)
    if (reason === 'disconnect' || reason === 'net_kernel_terminated') {
      peer.outbox.finish()
      stream.end()
    } else {
      stream.destroy()
    }
    onEnd(reason)
  }

  onData(chunk: Buffer): void {
    if (this.#isEnded) return
    this.#hasReceived = true
    this.bytesIn += chunk.length
    this.#splitter.push(chunk)
    while (!this.#isEnded) {
      const frame = this.#splitter.nextInPieces()
      if (frame === undefined) return
      if (frame === 'too_large') this.#corrupt('a frame is longer than it may be')
      else if (Array.isArray(frame)) this.#pieces(frame)
      else if (frame.length > 0) this.#frame(frame)
    }
  }

  onDrain(): void {
    this.#options.peer.outbox.drained()
  }

  onClose(_reason: string): void {
    this.#onClosed()
    this.end('connection_closed')
  }

  /** Waits no longer for what was written before the end to leave. */
  drop(): void {
    this.#options.stream.destroy()
  }

  #frame(frame: Buffer): void {
    if (frame[0] === PASS_THROUGH) this.#message(frame, 1, true)
    else if (frame[0] !== VERSION) this.#corrupt('a frame is of no kind that there is')
    else if (frame[1] === DIST_HEADER) this.#whole(frame)
    else this.#fragment([frame])
  }

  /** Fragments are joined when all have come, and not before. */
  #pieces(pieces: Buffer[]): void {
    if (isFragment(pieces[0]!)) this.#fragment(pieces)
    else this.#frame(Buffer.concat(pieces))
  }

  #whole(frame: Buffer): void {
    if (frame[2] === 0) this.#message(frame, WHOLE.length, false)
    else this.#corrupt('a frame refers to a cache of atoms, which was not negotiated')
  }

  #fragment(pieces: Buffer[]): void {
    const terms = this.#joiner.take(pieces)
    if (terms === 'malformed') this.#corrupt('a fragment is none, or comes out of order')
    else if (terms === 'too_large') this.#corrupt('a message in fragments is longer than it may be')
    else if (terms !== undefined) this.#message(terms, 0, false)
  }

  /** The terms at `from`, each with its version byte or both without one. */
  #message(bytes: Buffer, from: number, isVersioned: boolean): void {
    const control = this.#control(bytes, from, isVersioned)
    if (control === undefined) return
    const { end } = control
    let payload: unknown
    const hasPayload = end < bytes.length
    if (hasPayload) {
      const decoded = isVersioned ? this.#decoder.decode(bytes, end) : this.#decoder.decodeBare(bytes, end)
      if (!decoded.ok) {
        this.#corrupt(`a message cannot be decoded: ${decoded.error.reason}`)
        return
      }
      if (decoded.end !== bytes.length) {
        this.#corrupt('a frame is longer than its terms')
        return
      }
      payload = decoded.value
    }
    const message = controlFromTerms(control.value, hasPayload, payload)
    if (message === undefined) {
      this.#corrupt('a control message is none')
      return
    }
    try {
      this.#options.peer.receive(message)
    } catch (error) {
      // No signal may end the node, whatever it holds.
      this.#options.runtime.logger.error({ err: error, node: this.#options.peer.name }, 'signal of another node failed')
    }
  }

  /** The control message of a frame; undefined when it cannot be decoded, and the connection has ended. */
  #control(bytes: Buffer, from: number, isVersioned: boolean): Control | undefined {
    const last = this.#last
    if (last !== undefined && beginsAs(last, bytes)) return last
    const decoded = isVersioned ? this.#decoder.decode(bytes, from) : this.#decoder.decodeBare(bytes, from)
    if (!decoded.ok) {
      this.#corrupt(`a control message cannot be decoded: ${decoded.error.reason}`)
      return undefined
    }
    const { value, end } = decoded
    const control: Control = { bytes, end, value }
    this.#last = bytes.length > MAX_KEPT_BYTES ? undefined : control
    return control
  }

  #corrupt(problem: string): void {
    const { runtime, peer } = this.#options
    runtime.logger.error({ peer: peer.name, problem }, `dropping the connection to ${peer.name}: ${problem}`)
    this.end('corrupt_frame')
  }

  #scheduleTick(): void {
    const { runtime, netTicktimeMs } = this.#options
    this.#timer = runtime.timers.set(netTicktimeMs / TICK_INTENSITY, () => this.#tick())
  }

  #tick(): void {
    this.#silentTicks = this.#hasReceived ? 0 : this.#silentTicks + 1
    this.#hasReceived = false
    if (this.#silentTicks >= TICK_INTENSITY) {
      this.end('net_tick_timeout')
      return
    }
    this.#options.peer.outbox.tick()
    this.#scheduleTick()
  }
}

function beginsAs({ bytes: last, end }: Control, bytes: Buffer): boolean {
  if (bytes.length < end) return false
  for (let i = 0; i < end; i++) if (bytes[i] !== last[i]) return false
  return true
}
