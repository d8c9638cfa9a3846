/**
 * Connects to the members that are not connected, again and again for as long as they are members.
 *
 * The mesh of src/dist gives a lost node up after some minutes, and knows of no node that it has not met since its start; a
 * member may come back after a week. Pauses grow, and are spread, so that many members do not dial one at the same time.
 */

const FIRST_PAUSE_MS = 1000
const LAST_PAUSE_MS = 30_000

export interface DialerOutside {
  connect(node: string): Promise<boolean>
  isConnected(node: string): boolean
  setTimer(ms: number, callback: () => void): () => void
  random(): number
  /** An attempt has failed; there will be another. */
  failed(node: string): void
}

interface Attempts {
  failed: number
  /** Undefined while an attempt is under way. */
  cancelTimer: (() => void) | undefined
}

export class Dialer {
  readonly #outside: DialerOutside
  readonly #attempts = new Map<string, Attempts>()
  #isStopped = false

  constructor(outside: DialerOutside) {
    this.#outside = outside
  }

  /** Nodes that are to be connected from now on; those that are not are dialled at once. */
  setNodes(nodes: readonly string[]): void {
    for (const [node, attempts] of [...this.#attempts]) {
      if (nodes.includes(node)) continue
      attempts.cancelTimer?.()
      this.#attempts.delete(node)
    }
    for (const node of nodes) if (!this.#attempts.has(node)) this.#dial(node, { failed: 0, cancelTimer: undefined })
  }

  /** A node is gone; it is dialled after a pause. */
  lost(node: string): void {
    const attempts = this.#attempts.get(node)
    if (attempts === undefined || attempts.cancelTimer !== undefined) return
    attempts.failed = 0
    this.#pause(node, attempts)
  }

  stop(): void {
    this.#isStopped = true
    this.setNodes([])
  }

  #dial(node: string, attempts: Attempts): void {
    if (this.#isStopped) return
    this.#attempts.set(node, attempts)
    attempts.cancelTimer = undefined
    void this.#outside.connect(node).then((isUp) => {
      if (this.#attempts.get(node) !== attempts || attempts.cancelTimer !== undefined) return
      if (isUp && this.#outside.isConnected(node)) return
      attempts.failed++
      this.#pause(node, attempts)
      this.#outside.failed(node)
    })
  }

  #pause(node: string, attempts: Attempts): void {
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** attempts.failed, LAST_PAUSE_MS)
    const inMs = pauseMs * (0.5 + this.#outside.random() / 2)
    attempts.cancelTimer = this.#outside.setTimer(inMs, () => this.#dial(node, attempts))
  }
}
