/**
 * Between which nodes, and when, nothing was cut, frozen or killed.
 *
 * A fault ends the calm between two nodes; it begins anew when all is quiet, since what was missed meanwhile has then been made good.
 */
interface Interval {
  readonly fromMs: number
  toMs: number
}

export class Calm {
  readonly #nowMs: () => number
  /** By pair of nodes, the earliest first; the last is open as long as the calm lasts. */
  readonly #intervals = new Map<string, Interval[]>()
  readonly #lastFaultsMs = new Map<string, number>()
  #lastFaultMs = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Something happens to the link of two nodes. */
  disturb(a: string, b: string): void {
    this.#lastFaultMs = this.#nowMs()
    this.#lastFaultsMs.set(pairOf(a, b), this.#nowMs())
    const last = this.#intervals.get(pairOf(a, b))?.at(-1)
    if (last?.toMs === Number.POSITIVE_INFINITY) last.toMs = this.#nowMs()
  }

  /** All is quiet among these nodes. */
  begin(names: readonly string[]): void {
    for (const a of names) {
      for (const b of names) {
        if (a >= b) continue
        const intervals = this.#intervals.get(pairOf(a, b)) ?? []
        this.#intervals.set(pairOf(a, b), intervals)
        if (intervals.at(-1)?.toMs === Number.POSITIVE_INFINITY) continue
        intervals.push({ fromMs: this.#nowMs(), toMs: Number.POSITIVE_INFINITY })
      }
    }
  }

  /** Whether all the time nothing happened between two nodes; between a node and itself nothing ever does. */
  was(a: string, b: string, fromMs: number, toMs: number): boolean {
    if (a === b) return true
    const intervals = this.#intervals.get(pairOf(a, b)) ?? []
    return intervals.some((interval) => interval.fromMs <= fromMs && toMs < interval.toMs)
  }

  /** Whether two nodes had some calm, of a length, within a time. */
  hadSome(a: string, b: string, fromMs: number, toMs: number, lengthMs: number): boolean {
    if (a === b) return true
    const intervals = this.#intervals.get(pairOf(a, b)) ?? []
    return intervals.some((interval) => Math.min(interval.toMs, toMs) - Math.max(interval.fromMs, fromMs) >= lengthMs)
  }

  /** When the last calm between two nodes has ended; Infinity as long as it lasts. */
  endMs(a: string, b: string): number {
    return this.#intervals.get(pairOf(a, b))?.at(-1)?.toMs ?? 0
  }

  /** When something has happened between two nodes for the last time. */
  lastFaultMs(a: string, b: string): number {
    return this.#lastFaultsMs.get(pairOf(a, b)) ?? 0
  }

  /** Whether there was calm among these nodes from a time on until now. */
  isSince(fromMs: number, names: readonly string[]): boolean {
    return fromMs > this.#lastFaultMs && this.isAmong(fromMs, names)
  }

  /** Whether there was calm between each two of these nodes from a time on until now, whatever happened to others. */
  isAmong(fromMs: number, names: readonly string[]): boolean {
    return names.every((a) => names.every((b) => this.was(a, b, fromMs, this.#nowMs())))
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
