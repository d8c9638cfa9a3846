/**
 * Which messages of a node's streams have been taken in, so that what the node has kept because it did not learn that is not taken in again.
 *
 * Of each node the last streams are remembered, each as a range of numbers that have all come, and those beyond. What is before the first that came need
 * not have come: it may have been lost with a link, when what follows was sent over the next one.
 */

/** More than that are hardly asked for: a node keeps what it has sent on the stream that was just lost. */
const STREAMS = 8

interface Stream {
  readonly stream: number
  /** All from here … */
  from: number
  /** … up to here have come. */
  upTo: number
  readonly beyond: Set<number>
}

export class Seen {
  readonly #nodes = new Map<string, Stream[]>()

  add(node: string, stream: number, seq: number): void {
    const streams = this.#nodes.get(node) ?? []
    let known = streams.find((each) => each.stream === stream)
    if (known === undefined) {
      known = { stream, from: seq, upTo: seq, beyond: new Set() }
      streams.push(known)
      if (streams.length > STREAMS) streams.shift()
      this.#nodes.set(node, streams)
    }
    if (seq < known.from || seq > known.upTo) known.beyond.add(seq)
    while (known.beyond.delete(known.upTo + 1)) known.upTo += 1
    while (known.beyond.delete(known.from - 1)) known.from -= 1
  }

  has(node: string, stream: number, seq: number): boolean {
    const known = this.#nodes.get(node)?.find((each) => each.stream === stream)
    return known !== undefined && ((seq >= known.from && seq <= known.upTo) || known.beyond.has(seq))
  }
}
