/** What the benchmarks of tables measure with. */

/** CPU nanoseconds for each of `n`. */
export function cpuNs(n: number, run: () => void): number {
  const before = process.cpuUsage()
  run()
  return sinceNs(before) / n
}

export function sinceNs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000
}

/** Bytes that are held, after a collection. */
export function heldBytes(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A topic of 23 to 26 characters, a new string each time, as one that has come from a socket. */
export function topic(i: number): string {
  return Buffer.from(`site/${(i * 7919) % 997}/dev/${String(i).padStart(9, '0')}/up`).toString('latin1')
}

/** `count` topics of `n`, picked evenly and out of order. */
export function someTopics(n: number, count = 200_000): string[] {
  return Array.from({ length: count }, (_, i) => topic(Math.floor((i * 2_654_435_761) % n)))
}

export function print(name: string, figures: Readonly<Record<string, string | number>>): void {
  const text = Object.entries(figures).map(
    ([what, figure]) => `${what} ${typeof figure === 'number' ? round(figure) : figure}`,
  )
  process.stdout.write(`${name.padEnd(34)} ${text.join(', ')}\n`)
}

function round(figure: number): string {
  return figure >= 100 ? Math.round(figure).toLocaleString('en') : figure.toPrecision(3)
}
