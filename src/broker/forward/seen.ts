/**
 * Which messages of a node's streams have been taken in, so that what the node has kept because it did not learn that is not taken in again.
 *
 * Of each node the last streams are remembered, each as the number up to which all have come and those beyond.
 */

/** More than that are never asked for: a node keeps what it has sent on the stream that was just lost. */
const STREAMS = 4

interface Stream {
  readonly stream: number
  /** All up to here have come. */
  upTo: number
  readonly beyond: Set<number>
}

export class Seen {
  readonly #nodes = new Map<string, Stream[]>()

  add(node: string, stream: number, seq: number): void {
    const streams = this.#nodes.get(node) ?? []
    let known = streams.find((each) => each.stream === stream)
    if (known === undefined) {
      known = { stream, upTo: seq - 1, beyond: new Set() }
      streams.push(known)
      if (streams.length > STREAMS) streams.shift()
      this.#nodes.set(node, streams)
    }
    known.beyond.add(seq)
    while (known.beyond.delete(known.upTo + 1)) known.upTo += 1
  }

  has(node: string, stream: number, seq: number): boolean {
    const known = this.#nodes.get(node)?.find((each) => each.stream === stream)
    return known !== undefined && (seq <= known.upTo || known.beyond.has(seq))
  }
}
