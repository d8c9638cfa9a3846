/** A transport without a network: the test is the client. What is written waits until `take` when `isStalled`. */
import type { Transport, TransportEvents } from '../../src/broker/connection/transport.ts'

export class MemoryTransport implements Transport {
  readonly peer = { host: '192.0.2.1', port: 4711 }
  /** What each `write` was given, one entry per call. */
  readonly writes: Buffer[] = []
  isPaused = false
  isEnded = false
  isDestroyed = false
  /** While true the client takes nothing. */
  isStalled = false
  #unsent = 0
  #events: TransportEvents | undefined
  #isClosed = false

  get writableLength(): number {
    return this.#unsent
  }

  start(events: TransportEvents): void {
    this.#events = events
  }

  write(buffers: readonly Buffer[], bytes: number): void {
    const chunk = Buffer.concat(buffers)
    if (chunk.length !== bytes) throw new Error(`${bytes} bytes were announced, ${chunk.length} came`)
    if (this.isEnded || this.isDestroyed) throw new Error('written after the end')
    this.writes.push(chunk)
    if (this.isStalled) this.#unsent += bytes
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
    this.#close('closed')
  }

  /** The client sends bytes. */
  receive(bytes: Buffer): void {
    this.#events!.onData(bytes)
  }

  /** The client closes its half. */
  halfClose(): void {
    this.#events!.onEnd()
  }

  /** The client closes, or the network does. */
  fail(reason = 'closed'): void {
    this.#close(reason)
  }

  /** The client takes some of what waits for it. */
  take(bytes: number): void {
    this.#unsent = Math.max(0, this.#unsent - bytes)
    if (this.#unsent === 0) this.#events!.onDrain()
  }

  #close(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events?.onClose(reason)
  }
}
