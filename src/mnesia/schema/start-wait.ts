/**
 * How long a node that starts waits for the other members: until those that answer have told what they have, and never longer than its limit.
 *
 * A member that cannot be reached is not waited for, unless it may have newer rows: it was up when this node last went down. So a
 * node that went down last, or alone, serves at once, and one that went down before others gives them time to come up.
 */

export class StartWait {
  /** Resolves when the wait is over, with members that may have newer rows and have not been heard. */
  readonly over: Promise<readonly string[]>
  readonly #expected: Set<string>
  readonly #awaited: ReadonlySet<string>
  readonly #linked = new Set<string>()
  #resolve: ((missing: readonly string[]) => void) | undefined
  #cancelTimer: (() => void) | undefined

  /** `awaited`: members that may have newer rows. */
  constructor(
    members: readonly string[],
    awaited: readonly string[],
    limitMs: number,
    setTimer: (ms: number, callback: () => void) => () => void,
  ) {
    this.#expected = new Set(members)
    this.#awaited = new Set(awaited)
    this.over = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#cancelTimer = setTimer(limitMs, () => this.end())
    this.#look()
  }

  get isOver(): boolean {
    return this.#resolve === undefined
  }

  /** It could not be reached. */
  unreached(node: string): void {
    if (!this.#awaited.has(node) && !this.#linked.has(node)) this.#done(node)
  }

  /** It was reached, and is to tell what it has. */
  linked(node: string): void {
    this.#linked.add(node)
  }

  lost(node: string): void {
    this.#linked.delete(node)
  }

  /** All that it had is here, or it will tell nothing. */
  settled(node: string): void {
    this.#done(node)
  }

  end(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#resolve?.([...this.#expected].filter((node) => this.#awaited.has(node)).sort())
    this.#resolve = undefined
  }

  #done(node: string): void {
    this.#expected.delete(node)
    this.#look()
  }

  #look(): void {
    if (this.#expected.size === 0) this.end()
  }
}
