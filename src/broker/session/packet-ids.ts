/**
 * Packet identifiers: the order in which the server gives them out, and a compact set of those that a client has in use.
 *
 * The set remembers the QoS 2 messages of a client between PUBLISH and PUBREL: nothing but the identifier is kept, since the
 * message is published when it comes. Clients count their identifiers upwards, so an open-addressed table of 16-bit cells
 * indexed by the low bits almost always hits at once, takes two to four bytes per identifier and never allocates in steady use;
 * a JavaScript Set takes over thirty and churns the heap with every message.
 */

/** Greatest packet identifier [MQTT5-2.2.1]; the least is 1, since 0 means that there is none [MQTT5-2.2.1-2]. */
export const MAX_PACKET_ID = 65_535

const FIRST_CAPACITY = 16

/** Returns the packet identifier after `id`: 1 follows 65535. */
export function nextPacketId(id: number): number {
  return id >= MAX_PACKET_ID ? 1 : id + 1
}

/** Returns the latest of packet identifiers that were given out one after another, of which none is half round behind another; 0 when there are none. */
export function latestPacketId(ids: readonly number[]): number {
  return ids.reduce((a, b) => (a === 0 || (b - a + MAX_PACKET_ID) % MAX_PACKET_ID < MAX_PACKET_ID / 2 ? b : a), 0)
}

/** A set of packet identifiers, 1 to 65535. Linear probing; half of the cells at least are free. */
export class PacketIdSet {
  /** 0 is a free cell. Allocated with the first identifier, since most clients never send QoS 2. */
  #cells: Uint16Array | undefined
  #size = 0

  /** How many identifiers the set holds. */
  get size(): number {
    return this.#size
  }

  has(id: number): boolean {
    const cells = this.#cells
    if (cells === undefined) return false
    const mask = cells.length - 1
    for (let i = id & mask; ; i = (i + 1) & mask) {
      const cell = cells[i]
      if (cell === id) return true
      if (cell === 0) return false
    }
  }

  /** Adds an identifier; returns false when it was there already. */
  add(id: number): boolean {
    let cells = this.#cells
    if (cells === undefined) cells = this.#cells = new Uint16Array(FIRST_CAPACITY)
    else if (this.#size * 2 >= cells.length) cells = this.#grow(cells)
    if (!insert(cells, id)) return false
    this.#size += 1
    return true
  }

  /** Removes an identifier; returns false when it was not there. */
  delete(id: number): boolean {
    const cells = this.#cells
    if (cells === undefined) return false
    const mask = cells.length - 1
    let hole = id & mask
    while (cells[hole] !== id) {
      if (cells[hole] === 0) return false
      hole = (hole + 1) & mask
    }
    this.#size -= 1
    // Entries behind the hole that were pushed past it move up, so that no search ends at the hole too early.
    for (let i = (hole + 1) & mask; cells[i] !== 0; i = (i + 1) & mask) {
      const home = cells[i]! & mask
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        cells[hole] = cells[i]!
        hole = i
      }
    }
    cells[hole] = 0
    return true
  }

  /** Removes all and gives the memory back. */
  clear(): void {
    this.#cells = undefined
    this.#size = 0
  }

  /** Returns the identifiers, in no particular order. */
  toArray(): number[] {
    return this.#cells === undefined ? [] : Array.from(this.#cells).filter((cell) => cell !== 0)
  }

  #grow(cells: Uint16Array): Uint16Array {
    const grown = new Uint16Array(cells.length * 2)
    for (const id of cells) if (id !== 0) insert(grown, id)
    this.#cells = grown
    return grown
  }
}

function insert(cells: Uint16Array, id: number): boolean {
  const mask = cells.length - 1
  let i = id & mask
  while (cells[i] !== 0) {
    if (cells[i] === id) return false
    i = (i + 1) & mask
  }
  cells[i] = id
  return true
}
