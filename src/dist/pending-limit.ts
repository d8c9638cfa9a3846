/**
 * How many accepted streams may be in their handshake at a time, in all and from one address: a stranger costs us no more
 * than these. Peers that are connected do not count.
 */
export class PendingLimit {
  readonly #maxPending: number
  readonly #maxPerHost: number
  /** By address; removed when none of it is left. */
  readonly #hosts = new Map<string, number>()
  #pending = 0

  constructor({ maxPending = 256, maxPerHost = 64 }: { maxPending?: number; maxPerHost?: number } = {}) {
    this.#maxPending = maxPending
    this.#maxPerHost = maxPerHost
  }

  get pending(): number {
    return this.#pending
  }

  /** Whether one more may begin; if so it counts until `release`. */
  take(host: string): boolean {
    const count = this.#hosts.get(host) ?? 0
    if (this.#pending >= this.#maxPending || count >= this.#maxPerHost) return false
    this.#pending++
    this.#hosts.set(host, count + 1)
    return true
  }

  /** The handshake of one that was taken has ended. */
  release(host: string): void {
    const count = this.#hosts.get(host)
    if (count === undefined) return
    this.#pending--
    if (count === 1) this.#hosts.delete(host)
    else this.#hosts.set(host, count - 1)
  }
}
