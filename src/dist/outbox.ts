/**
 * What waits to be sent to one peer: frames of one turn are encoded side by side and leave in one write at its end, or as soon
 * as they are many.
 *
 * It works before the connection is up, too: what is sent meanwhile leaves when a stream is attached. Signals leave in the order
 * in which they were made, always. When more than `busyBytes` wait, senders that can wait are blocked until all has
 * left; beyond `maxBytes` the peer is given up, as nothing may grow without bound.
 */
import type { Process } from '../actors/process.ts'
import type { Flushable, Scheduler } from '../actors/scheduler.ts'
import { Encoder } from './etf-encode.ts'
import type { Tuple } from './term.ts'
import type { ByteStream } from './transport.ts'

/** The byte before the terms of a frame without a distribution header. */
export const PASS_THROUGH = 112

/** A batch this long does not wait for the turn's end. */
const BATCH_BYTES = 64 << 10
/** With room for the frame with which a batch becomes long enough, lest it be copied for that. */
const SLAB_BYTES = BATCH_BYTES + (16 << 10)
/** Binaries of this length leave as they are: to copy them costs more than to write them by themselves. */
const SHARE_BYTES = 16 << 10

const TICK = Buffer.alloc(4)

export interface OutboxLimits {
  /** Bytes that may wait before senders are blocked [OTP erl +zdbbl]. @default 1 MiB */
  readonly busyBytes: number
  /** Bytes that may wait before the peer is given up. @default 256 MiB */
  readonly maxBytes: number
}

export const OUTBOX_LIMITS: OutboxLimits = { busyBytes: 1 << 20, maxBytes: 256 << 20 }

export interface OutboxEvents {
  /** The outbox has become too full; `sender` is blocked, unless it cannot be. */
  onBusy(sender: Process | undefined): void
  /** More waits than may. */
  onOverflow(): void
}

export class Outbox implements Flushable {
  /** Bytes written to the stream since the beginning. */
  bytesOut = 0
  readonly #scheduler: Scheduler
  readonly #limits: OutboxLimits
  readonly #events: OutboxEvents
  readonly #encoder = new Encoder({ slabBytes: SLAB_BYTES, shareBytes: SHARE_BYTES })
  readonly #blocked = new Set<Process>()
  #stream: ByteStream | undefined = undefined
  /** The control message of the last frame of the batch that has a payload, and where it stands. */
  #last: Tuple | undefined = undefined
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
  }

  /** Bytes that have not left. */
  get waitingBytes(): number {
    return this.#encoder.length + (this.#stream?.writableLength ?? 0)
  }

  /** True from more than `busyBytes` until all has left. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Adds a frame of one or two terms. Throws `UnsendableError`, and has then added nothing. */
  frame(control: Tuple, hasPayload: boolean, payload: unknown): void {
    if (this.#isClosed) return
    const encoder = this.#encoder
    const start = encoder.length
    encoder.uint32(0)
    encoder.byte(PASS_THROUGH)
    try {
      if (hasPayload) {
        this.#control(control)
        encoder.writeVersioned(payload)
      } else {
        encoder.writeVersioned(control)
      }
    } catch (error) {
      encoder.truncate(start)
      this.#last = undefined
      throw error
    }
    encoder.patchUint32(start, encoder.length - start - 4)
    if (this.#stream === undefined) return
    if (encoder.length >= BATCH_BYTES) {
      this.flush()
    } else if (!this.#isDirty) {
      this.#isDirty = true
      this.#scheduler.atTurnEnd(this)
    }
  }

  /** Messages come in runs from one process to another: their control messages are the same, and are copied. */
  #control(control: Tuple): void {
    const encoder = this.#encoder
    if (isSame(control, this.#last) && encoder.repeat(this.#lastAt, this.#lastBytes)) return
    this.#lastAt = encoder.length
    encoder.writeVersioned(control)
    this.#last = control
    this.#lastBytes = encoder.length - this.#lastAt
  }

  /** To be called after a frame that `sender` caused: blocks it while too much waits. */
  pressure(sender: Process | undefined): void {
    const waiting = this.waitingBytes
    if (waiting <= this.#limits.busyBytes) return
    if (waiting > this.#limits.maxBytes) {
      this.#events.onOverflow()
      return
    }
    if (sender !== undefined && !this.#blocked.has(sender)) {
      this.#blocked.add(sender)
      sender.block()
    }
    if (this.#isBusy) return
    this.#isBusy = true
    this.#events.onBusy(sender)
  }

  /** From now on what waits, and what will, goes to this stream. */
  attach(stream: ByteStream): void {
    this.#stream = stream
    this.flush()
  }

  flush(): void {
    this.#isDirty = false
    const stream = this.#stream
    if (stream === undefined || this.#encoder.length === 0) return
    const bytes = this.#encoder.length
    this.#last = undefined
    this.#hasWritten = true
    this.bytesOut += bytes
    stream.write(this.#encoder.takeParts(), bytes)
    if (stream.writableLength === 0) this.drained()
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

  /** All that was written has left. */
  drained(): void {
    if (this.#encoder.length > this.#limits.busyBytes) return
    this.#isBusy = false
    this.#release()
  }

  /** The peer is gone, and what waits with it. */
  close(): void {
    this.#isClosed = true
    this.#stream = undefined
    this.#encoder.truncate(0)
    this.#last = undefined
    this.#isBusy = false
    this.#release()
  }

  #release(): void {
    if (this.#blocked.size === 0) return
    const blocked = [...this.#blocked]
    this.#blocked.clear()
    for (const process of blocked) process.unblock()
  }
}

function isSame({ elements }: Tuple, other: Tuple | undefined): boolean {
  if (other === undefined || other.elements.length !== elements.length) return false
  for (let i = 0; i < elements.length; i++) if (elements[i] !== other.elements[i]) return false
  return true
}
