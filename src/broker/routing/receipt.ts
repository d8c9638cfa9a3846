/**
 * Who has yet to take over the messages of one publish, before their publisher is acknowledged.
 *
 * A session that keeps its messages on disc has taken them over when they are flushed, a node when all its sessions have, a session in memory as
 * soon as they are in its mailbox. Most publishes wait for nobody, and then there is no receipt at all.
 */
export class Receipt {
  #open = 0
  #hasFailed = false
  #callbacks: (() => void)[] | undefined

  /** Nobody is waited for. */
  get isDone(): boolean {
    return this.#open === 0
  }

  /** One of those who were expected could not take the messages over: they are not safe there. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** One more has to take the messages over. */
  expect(): void {
    this.#open += 1
  }

  /** One of those who were expected has taken them over, or never will. */
  taken(): void {
    this.#open -= 1
    if (this.#open > 0) return
    const callbacks = this.#callbacks
    this.#callbacks = undefined
    if (callbacks !== undefined) for (const callback of callbacks) callback()
  }

  /** One of those who were expected has the messages, but not where they are safe. */
  failed(): void {
    this.#hasFailed = true
    this.taken()
  }

  /** Calls `callback`, once, when nobody is waited for any more; at once when nobody is. */
  whenDone(callback: () => void): void {
    if (this.#open === 0) callback()
    else if (this.#callbacks === undefined) this.#callbacks = [callback]
    else this.#callbacks.push(callback)
  }

  /** Has this one wait for another one too. */
  join(other: Receipt): void {
    if (other.isDone) {
      this.#hasFailed ||= other.hasFailed
      return
    }
    this.expect()
    other.whenDone(() => (other.hasFailed ? this.failed() : this.taken()))
  }
}
