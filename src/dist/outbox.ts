/**
 * What waits to be sent to one peer: frames of one turn are encoded side by side and leave in one write at its end, or as soon
 * as they are many.
 *
 * It works before the connection is up, too: what is sent meanwhile leaves when a stream is attached. Signals of a process leave in
 * the order in which they were made, always. When more than `busyBytes` wait, senders that can wait are blocked until all has
 * left; beyond `maxBytes` the peer is given up, as nothing may grow without bound. A large message goes to a peer that can take
 * fragments piece by piece, beside all others, and blocks nobody but its sender.
 */
import type { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import type { Flushable, Scheduler } from '../actors/scheduler.ts'
import { Encoder, preencode } from './etf-encode.ts'
import { FRAGMENT_BYTES, WHOLE } from './fragments.ts'
import { MAX_FRAME_BYTES } from './frame.ts'
import { LargeMessages } from './large-messages.ts'
import { type Encoded, Tuple } from './term.ts'
import type { ByteStream } from './transport.ts'

/** The byte before the terms of a frame without a distribution header. */
export const PASS_THROUGH = 112

/** A batch this long does not wait for the turn's end. */
const BATCH_BYTES = 64 << 10
/** With room for the frame with which a batch becomes long enough, lest it be copied for that. */
const SLAB_BYTES = BATCH_BYTES + (16 << 10)
/** Binaries of this length leave as they are: to copy them costs more than to write them by themselves. */
const SHARE_BYTES = 16 << 10

/**
 * Longer messages leave in fragments. The system's own buffer of a socket holds about as much, so shorter ones would delay nothing less
 * in pieces, and fragments cost a tenth of a millisecond for each MiB.
 */
const LARGE_BYTES = 2 << 20
/** Fragments are added while fewer bytes wait in the stream: enough to keep the link busy, and soon gone. */
const WINDOW_BYTES = 512 << 10
/** Bytes of fragments that leave in one turn, lest a fast link hold up everything else here. */
const TURN_BYTES = 4 << 20

/** Of a frame beside its message: more than a control tuple takes, whose names have 255 characters at most. */
const FRAME_OVERHEAD_BYTES = 8192

const LENGTH_BYTES = 4
const TICK = Buffer.alloc(LENGTH_BYTES)

export interface OutboxLimits {
  /**
   * Bytes that may wait before senders are blocked [OTP erl +zdbbl]; over sockets 64 KiB at least, since Node does not tell that
   * a stream has emptied in which fewer waited. @default 1 MiB
   */
  readonly busyBytes: number
  /** Bytes that may wait before the peer is given up. @default 256 MiB */
  readonly maxBytes: number
  /** Bytes of one frame. What is longer is not sent; of what comes it ends the connection. @default 64 MiB */
  readonly maxFrameBytes: number
}

export const OUTBOX_LIMITS: OutboxLimits = {
  busyBytes: 1 << 20,
  maxBytes: 256 << 20,
  maxFrameBytes: MAX_FRAME_BYTES,
}

export interface OutboxEvents {
  /** The outbox has become too full; `sender` is blocked, unless it cannot be. */
  onBusy(sender: Process | undefined): void
  /** More waits than may. */
  onOverflow(): void
}

/** What is to become a frame once it is known what the peer can take. */
interface Waiting {
  readonly control: Encoded
  readonly hasPayload: boolean
  readonly payload: Encoded | undefined
  readonly sender: Pid | undefined
}

export class Outbox implements Flushable {
  /** Bytes written to the stream since the beginning. */
  bytesOut = 0
  readonly #scheduler: Scheduler
  readonly #limits: OutboxLimits
  readonly #events: OutboxEvents
  readonly #maxTermBytes: number
  readonly #encoder: Encoder
  readonly #large = new LargeMessages()
  readonly #blocked = new Set<Process>()
  /** Until a stream is attached. */
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #stream: ByteStream | undefined = undefined
  #takesFragments = false
  /** The control message of the last frame of the batch that has a payload, and where it stands. */
  #last: Tuple | Encoded | undefined = undefined
  #lastAt = 0
  #lastBytes = 0
  #isDirty = false
  #isBusy = false
  #isClosed = false
  #hasWritten = false

  constructor(scheduler: Scheduler, limits: OutboxLimits, events: OutboxEvents) {
    this.#scheduler = scheduler
    this.#limits = limits
    this.#events = events
    this.#maxTermBytes = limits.maxFrameBytes - FRAME_OVERHEAD_BYTES
    this.#encoder = new Encoder({
      limits: { maxTermBytes: this.#maxTermBytes },
      slabBytes: SLAB_BYTES,
      shareBytes: SHARE_BYTES,
    })
  }

  /** Bytes that have not left. */
  get waitingBytes(): number {
    return this.#smallBytes + this.#large.bytes
  }

  get #smallBytes(): number {
    return this.#waitingBytes + this.#encoder.length + (this.#stream?.writableLength ?? 0)
  }

  /** True from more than `busyBytes` until all has left. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /**
   * Adds a frame of one or two terms that is a signal of `sender`. Binaries of 16 KiB and more are not copied. Throws
   * `UnsendableError`, and has then added nothing.
   */
  frame(control: Tuple, hasPayload: boolean, payload: unknown, sender: Pid | undefined): void {
    if (this.#isClosed) return
    if (this.#stream !== undefined) {
      this.#add(control, hasPayload, payload, sender)
      return
    }
    const limits = { maxTermBytes: this.#maxTermBytes }
    const waiting: Waiting = {
      control: preencode(control, limits),
      hasPayload,
      payload: hasPayload ? preencode(payload, limits) : undefined,
      sender,
    }
    this.#waiting.push(waiting)
    this.#waitingBytes += waiting.control.bytes.length + (waiting.payload?.bytes.length ?? 0)
  }

  /** To be called after a frame that `sender` caused: blocks it while too much waits. */
  pressure(sender: Process | undefined): void {
    const small = this.#smallBytes
    const large = this.#large.bytes
    if (large === 0 && small <= this.#limits.busyBytes) return
    if (small + large > this.#limits.maxBytes) {
      this.#events.onOverflow()
      return
    }
    const waitsForItsOwn = large > 0 && sender !== undefined && this.#large.block(sender)
    if (small <= this.#limits.busyBytes && !(waitsForItsOwn && large > this.#limits.busyBytes)) return
    if (sender !== undefined && !waitsForItsOwn && !this.#blocked.has(sender)) {
      this.#blocked.add(sender)
      sender.block()
    }
    if (this.#isBusy) return
    this.#isBusy = true
    this.#events.onBusy(sender)
  }

  /** From now on what waits, and what will, goes to this stream, to a peer that can take fragments or not. */
  attach(stream: ByteStream, takesFragments: boolean): void {
    this.#stream = stream
    this.#takesFragments = takesFragments
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const { control, hasPayload, payload, sender } of waiting) this.#add(control, hasPayload, payload, sender)
    this.flush()
  }

  flush(): void {
    this.#isDirty = false
    const stream = this.#stream
    if (stream === undefined) return
    const bytes = this.#encoder.length
    if (bytes > 0) {
      this.#last = undefined
      this.#write(stream, this.#encoder.takeParts(), bytes)
    }
    if (!this.#large.isEmpty) this.#pump(stream)
    if (stream.writableLength === 0) this.#settle()
  }

  /** Writes everything, as much as it may be: the connection is about to be ended on purpose. */
  finish(): void {
    this.flush()
    const stream = this.#stream
    if (stream === undefined || this.#large.isEmpty) return
    const { frames, bytes } = this.#large.take(Number.POSITIVE_INFINITY)
    this.#write(stream, frames, bytes)
  }

  /** Sends a tick if nothing else has gone since the last call [OTP net_ticktime]. */
  tick(): void {
    const stream = this.#stream
    if (stream === undefined) return
    this.flush()
    // Bytes that wait in the socket are as good as a tick, and a tick would wait behind them.
    if (!this.#hasWritten && stream.writableLength === 0) {
      this.bytesOut += TICK.length
      stream.write([TICK], TICK.length)
    }
    this.#hasWritten = false
  }

  /** To be called when all that was written has left. */
  drained(): void {
    if (this.#stream !== undefined && !this.#large.isEmpty) this.#pump(this.#stream)
    this.#settle()
  }

  /** The peer is gone, and what waits with it. */
  close(): void {
    this.#isClosed = true
    this.#stream = undefined
    this.#waiting = []
    this.#waitingBytes = 0
    this.#encoder.truncate(0)
    this.#last = undefined
    this.#large.clear()
    this.#isBusy = false
    this.#release()
  }

  #add(control: Tuple | Encoded, hasPayload: boolean, payload: unknown, sender: Pid | undefined): void {
    const encoder = this.#encoder
    const start = encoder.length
    encoder.uint32(0)
    if (this.#takesFragments) encoder.raw(WHOLE)
    else encoder.byte(PASS_THROUGH)
    const controlAt = encoder.length
    let payloadAt = controlAt
    try {
      this.#control(control, hasPayload)
      payloadAt = encoder.length
      if (hasPayload) this.#term(payload)
    } catch (error) {
      this.#last = undefined
      encoder.truncate(start)
      throw error
    }
    const bytes = encoder.length - controlAt
    encoder.patchUint32(start, encoder.length - start - LENGTH_BYTES)
    const isLarge = this.#takesFragments && bytes > LARGE_BYTES && isSmallControl(payloadAt - controlAt, bytes)
    if (sender !== undefined && (isLarge || this.#large.holds(sender))) {
      this.#toLane(sender, isLarge ? controlAt : start, isLarge)
    } else if (encoder.length >= BATCH_BYTES) {
      this.flush()
    } else {
      this.#flushLater()
    }
  }

  /** Messages come in runs from one process to another: their control messages are the same, and are copied. */
  #control(control: Tuple | Encoded, hasPayload: boolean): void {
    const encoder = this.#encoder
    if (hasPayload && isSame(control, this.#last) && encoder.repeat(this.#lastAt, this.#lastBytes)) return
    const at = encoder.length
    this.#term(control)
    if (!hasPayload) return
    this.#last = control
    this.#lastAt = at
    this.#lastBytes = encoder.length - at
  }

  #term(term: unknown): void {
    if (this.#takesFragments) this.#encoder.write(term)
    else this.#encoder.writeVersioned(term)
  }

  /** Takes the frame that was written last out of the batch, or its terms alone when they are to be sent in fragments. */
  #toLane(sender: Pid, from: number, isLarge: boolean): void {
    const encoder = this.#encoder
    this.#last = undefined
    const bytes = encoder.length - from
    const parts = encoder.takeFrom(from)
    if (isLarge) {
      encoder.truncate(from - LENGTH_BYTES - WHOLE.length)
      this.#large.add(sender, parts, bytes)
    } else {
      this.#large.addFrame(sender, parts, bytes)
    }
    this.#flushLater()
  }

  #pump(stream: ByteStream): void {
    let left = TURN_BYTES
    while (left > 0 && !this.#large.isEmpty && stream.writableLength < WINDOW_BYTES) {
      const { frames, bytes } = this.#large.take(WINDOW_BYTES)
      this.#write(stream, frames, bytes)
      left -= bytes
    }
    // Else what waits in the stream will leave, which is told.
    if (left <= 0 && !this.#large.isEmpty) this.#flushLater()
  }

  #write(stream: ByteStream, buffers: readonly Buffer[], bytes: number): void {
    this.#hasWritten = true
    this.bytesOut += bytes
    stream.write(buffers, bytes)
  }

  #flushLater(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#scheduler.atTurnEnd(this)
  }

  #settle(): void {
    if (this.#encoder.length > this.#limits.busyBytes) return
    if (this.#large.bytes <= this.#limits.busyBytes) this.#isBusy = false
    this.#release()
  }

  #release(): void {
    if (this.#blocked.size === 0) return
    const blocked = [...this.#blocked]
    this.#blocked.clear()
    for (const process of blocked) process.unblock()
  }
}

/** The control message has to be in the first fragment; one without a payload is sent whole. */
function isSmallControl(controlBytes: number, bytes: number): boolean {
  return controlBytes < bytes && controlBytes < FRAGMENT_BYTES
}

function isSame(control: Tuple | Encoded, other: Tuple | Encoded | undefined): boolean {
  if (!(control instanceof Tuple && other instanceof Tuple)) return false
  const { elements } = control
  const others = other.elements
  if (others.length !== elements.length) return false
  for (let i = 0; i < elements.length; i++) if (elements[i] !== others[i]) return false
  return true
}
