/**
 * Writes that wait until every connected member has applied them.
 *
 * A peer confirms by the number of the last entry that it has applied, so a wait is over when all connected peers have confirmed its
 * number. Who is lost meanwhile has not confirmed, and nobody waits for it any longer; who comes meanwhile is waited for like the others, as it
 * may lack what was written while its link was lost. A peer for which a wait was in vain is *late*: as long as it says nothing, as one that
 * stands still does, it is named in each outcome and holds up none.
 */
import type { Links } from './link.ts'
import type { WriteOutcome } from './table.ts'

interface Waiter {
  readonly seq: number
  readonly resolve: (outcome: WriteOutcome) => void
  readonly group: Group
  readonly unconfirmed: string[]
}

/** Waiters that came at the same time and have the same time limit: a timer for each of them would cost more than the write. */
interface Group {
  readonly nowMs: number
  readonly timeoutMs: number
  waiting: number
  cancel: () => void
}

export class Confirmations {
  readonly #links: Pick<Links, 'now' | 'setTimer'>
  /** In the order of their numbers. */
  #waiters: Waiter[] = []
  #group: Group | undefined
  /** Connected peer → what it has confirmed. */
  readonly #confirmed = new Map<string, number>()
  readonly #late = new Set<string>()

  constructor(links: Pick<Links, 'now' | 'setTimer'>) {
    this.#links = links
  }

  /** Writes that wait. */
  get waiting(): number {
    return this.#waiters.length
  }

  /** A peer is connected. What it has it confirms when it asks for more. */
  up(node: string): void {
    this.#confirmed.set(node, 0)
  }

  confirm(node: string, seq: number): void {
    const held = this.#confirmed.get(node)
    if (held === undefined || held >= seq) return
    this.#confirmed.set(node, seq)
    this.#late.delete(node)
    this.#settle()
  }

  /** A peer need not confirm anything: it has nothing to do with what is written here. */
  excuse(node: string): void {
    if (this.#confirmed.has(node)) this.confirm(node, Number.POSITIVE_INFINITY)
  }

  down(node: string): void {
    const confirmed = this.#confirmed.get(node)
    if (confirmed === undefined) return
    this.#confirmed.delete(node)
    this.#late.delete(node)
    for (const waiter of this.#waiters) if (waiter.seq > confirmed) waiter.unconfirmed.push(node)
    this.#settle()
  }

  /** Undefined when nobody has to confirm the entry. */
  wait(seq: number, timeoutMs: number): Promise<WriteOutcome> | undefined {
    if (this.#least() >= seq) {
      const unconfirmed = this.#behind(seq)
      return unconfirmed.length === 0 ? undefined : Promise.resolve({ unconfirmed })
    }
    return new Promise((resolve) => {
      const group = this.#groupOf(timeoutMs)
      group.waiting++
      this.#waiters.push({ seq, resolve, group, unconfirmed: [] })
    })
  }

  /** Nobody waits any longer. */
  stop(): void {
    for (const waiter of this.#waiters) this.#finish(waiter)
    this.#waiters = []
  }

  /** What all have confirmed who are not late. */
  #least(): number {
    let least = Number.POSITIVE_INFINITY
    for (const [node, seq] of this.#confirmed) if (seq < least && !this.#late.has(node)) least = seq
    return least
  }

  /** Peers that have not confirmed an entry, sorted. */
  #behind(seq: number): string[] {
    return [...this.#confirmed]
      .filter(([, confirmed]) => confirmed < seq)
      .map(([node]) => node)
      .sort()
  }

  #settle(): void {
    const least = this.#least()
    let settled = 0
    while (settled < this.#waiters.length && this.#waiters[settled]!.seq <= least) {
      this.#finish(this.#waiters[settled++]!)
    }
    if (settled > 0) this.#waiters.splice(0, settled)
  }

  #finish({ seq, resolve, group, unconfirmed }: Waiter): void {
    resolve({ unconfirmed: [...unconfirmed, ...this.#behind(seq)].sort() })
    if (--group.waiting > 0) return
    group.cancel()
    if (this.#group === group) this.#group = undefined
  }

  #groupOf(timeoutMs: number): Group {
    const nowMs = this.#links.now()
    if (this.#group?.nowMs === nowMs && this.#group.timeoutMs === timeoutMs) return this.#group
    const group: Group = { nowMs, timeoutMs, waiting: 0, cancel: () => undefined }
    group.cancel = this.#links.setTimer(timeoutMs, () => this.#expire(group))
    this.#group = group
    return group
  }

  #expire(group: Group): void {
    const expired = this.#waiters.filter((waiter) => waiter.group === group)
    this.#waiters = this.#waiters.filter((waiter) => waiter.group !== group)
    if (this.#group === group) this.#group = undefined
    for (const waiter of expired) {
      for (const node of this.#behind(waiter.seq)) this.#late.add(node)
      this.#finish(waiter)
    }
    // Others may have waited for nobody but them.
    this.#settle()
  }
}
