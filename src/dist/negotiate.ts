/**
 * Runs a handshake over a byte stream, and hands the stream over when the peer's cookie is right.
 *
 * It owns the stream and the time limit meanwhile. Whoever has the table of connections answers the two questions that
 * the handshake may have, at once or later. A stream that failed is ended so that the peer still gets the last status,
 * and destroyed when the peer does not close its side within the time limit.
 */
import type { TimerHandle, Timers } from '../actors/system.ts'
import { type Handshake, handle } from './handshake.ts'
import type { Introduction } from './handshake-messages.ts'
import {
  type Decision,
  HANDSHAKE_TIMEOUT_MS,
  type HandshakeEffect,
  type HandshakeEvent,
  type HandshakeFailure,
  type HandshakePeer,
} from './handshake-types.ts'
import type { ByteStream, StreamEvents } from './transport.ts'

/** Who wants the connection. */
export interface Negotiator {
  /** Acceptor: may this peer, whose cookie is not checked yet, connect? Call `answer` once. */
  decide(peer: Introduction, answer: (decision: Decision) => void): void
  /** Initiator: the peer believes to be connected to us; is that connection gone? Call `answer` once. */
  askedIfNew(answer: (isNew: boolean) => void): void
  /**
   * The peer has the cookie. Returns who gets the stream's events from now on; bytes that have come already follow as
   * the first `onData`. The table may have changed since `decide`: look again, and destroy what is not to be.
   */
  connected(peer: HandshakePeer, stream: ByteStream): StreamEvents
  failed(failure: { reason: HandshakeFailure; peer: string | undefined; detail: string }): void
}

/** A handshake that runs. */
export interface Negotiation {
  /** Gives up without a word to the peer, for instance when its own attempt has won; `failed` is not called. */
  cancel(): void
}

/** Starts the stream and runs the handshake; `first` are the effects with which it began. */
export function negotiate(
  stream: ByteStream,
  handshake: Handshake,
  first: readonly HandshakeEffect[],
  timers: Timers,
  negotiator: Negotiator,
): Negotiation {
  const run = new Run(stream, handshake, timers, negotiator)
  stream.start(run)
  run.perform(first)
  return run
}

class Run implements Negotiation, StreamEvents {
  readonly #stream: ByteStream
  readonly #handshake: Handshake
  readonly #timers: Timers
  readonly #negotiator: Negotiator
  readonly #timer: TimerHandle
  /** Who gets the events after the handshake. */
  #heir: StreamEvents | undefined
  #isCancelled = false

  constructor(stream: ByteStream, handshake: Handshake, timers: Timers, negotiator: Negotiator) {
    this.#stream = stream
    this.#handshake = handshake
    this.#timers = timers
    this.#negotiator = negotiator
    this.#timer = timers.set(HANDSHAKE_TIMEOUT_MS, () => {
      this.#take({ tag: 'timeout' })
      stream.destroy()
    })
  }

  cancel(): void {
    if (this.#heir !== undefined || this.#isCancelled) return
    this.#isCancelled = true
    // Ends the machine, so that its challenge is given back.
    handle(this.#handshake, { tag: 'closed', reason: 'cancelled' })
    this.#stream.destroy()
  }

  onData(chunk: Buffer): void {
    if (this.#heir === undefined) this.#take({ tag: 'bytes', chunk })
    else this.#heir.onData(chunk)
  }

  onDrain(): void {
    this.#heir?.onDrain()
  }

  onClose(reason: string): void {
    this.#timers.clear(this.#timer)
    if (this.#heir === undefined) this.#take({ tag: 'closed', reason })
    else this.#heir.onClose(reason)
  }

  perform(effects: readonly HandshakeEffect[]): void {
    for (const effect of effects) if (!this.#isCancelled) this.#performOne(effect)
  }

  #take(event: HandshakeEvent): void {
    if (!this.#isCancelled) this.perform(handle(this.#handshake, event))
  }

  #performOne(effect: HandshakeEffect): void {
    switch (effect.tag) {
      case 'send':
        this.#stream.write([effect.bytes], effect.bytes.length)
        break
      case 'decide':
        this.#negotiator.decide(effect.peer, (decision) => this.#take({ tag: 'decision', decision }))
        break
      case 'asked_if_new':
        this.#negotiator.askedIfNew((isNew) => this.#take({ tag: 'is_new', isNew }))
        break
      case 'connected':
        this.#timers.clear(this.#timer)
        this.#heir = this.#negotiator.connected(effect.peer, this.#stream)
        if (effect.rest.length > 0) this.#heir.onData(effect.rest)
        break
      case 'failed':
        this.#stream.end()
        this.#negotiator.failed(effect)
        break
    }
  }
}
