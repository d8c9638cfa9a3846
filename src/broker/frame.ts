/**
 * Cuts the bytes of a connection into MQTT frames (fixed header and all), however the chunks of the socket are cut.
 *
 * A frame that lies whole in a chunk is shown in place, without a copy. The start of one that does not is collected in a
 * buffer that grows by doubling up to the length that the header announced: the cost stays linear for a peer that sends
 * single bytes, which a list of chunks would not be in memory, and a peer that announces 256 MB and sends nothing costs
 * nothing. The announced length is held against the limit before anything is collected.
 */

/** What `FrameSplitter.next` found. */
export type FrameStatus = 'frame' | 'incomplete' | 'malformed' | 'too_large'

/** Longest fixed header: the type byte and four bytes of remaining length [MQTT5-2.1.4]. */
const MAX_HEADER_BYTES = 5
const FIRST_HELD_BYTES = 256
const NOTHING = Buffer.alloc(0)

/** Splits a stream of chunks; after `next` returned 'frame', `bytes`, `start`, `body` and `end` tell where the frame is. */
export class FrameSplitter {
  /** Holds for frames that begin after it is set; bytes, fixed header included. */
  maxPacketBytes: number
  /** Buffer in which the frame lies: the chunk itself, or a buffer of its own if it came in pieces. */
  bytes: Buffer = NOTHING
  /** Offset of the first byte of the fixed header. */
  start = 0
  /** Offset of the first byte after the fixed header. */
  body = 0
  /** Offset of the first byte after the frame. */
  end = 0

  #chunk: Buffer = NOTHING
  /** Offset in `#chunk` of the first byte that belongs to no frame yet. */
  #at = 0
  /** Start of an incomplete frame; undefined between frames. */
  #held: Buffer | undefined = undefined
  #heldBytes = 0
  /** Length of the incomplete frame, 0 while its header is incomplete. */
  #neededBytes = 0

  constructor(maxPacketBytes: number) {
    this.maxPacketBytes = maxPacketBytes
  }

  /** Bytes of an incomplete frame. */
  get pendingBytes(): number {
    return this.#heldBytes
  }

  /** Gives the splitter its next chunk. Only after `next` returned 'incomplete'. */
  push(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** Takes back what follows the frame that `next` has shown; `next` then returns 'incomplete'. Only after 'frame'. */
  takeRest(): Buffer {
    const rest = this.#at < this.#chunk.length ? this.#chunk.subarray(this.#at) : NOTHING
    this.#finish('incomplete')
    return rest
  }

  /** Finds the next complete frame; 'incomplete' asks for another chunk, 'malformed' and 'too_large' end the stream. */
  next(): FrameStatus {
    if (this.#held !== undefined) return this.#nextHeld(this.#held)
    const status = this.#readHeader(this.#chunk, this.#at, this.#chunk.length)
    if (status !== 'frame') {
      if (status === 'incomplete' && this.#at < this.#chunk.length) this.#hold(0)
      return this.#finish(status)
    }
    if (this.end - this.start > this.maxPacketBytes) return this.#finish('too_large')
    if (this.end > this.#chunk.length) {
      this.#hold(this.end - this.start)
      return this.#finish('incomplete')
    }
    this.bytes = this.#chunk
    this.#at = this.end
    return 'frame'
  }

  /** Lets go of the chunk, so that an idle connection does not pin it, and after an error of all else. */
  #finish(status: FrameStatus): FrameStatus {
    if (status !== 'incomplete') this.#held = undefined
    this.#chunk = NOTHING
    this.#at = 0
    this.bytes = NOTHING
    return status
  }

  /** Reads the fixed header at `at`; sets `start`, `body` and `end` when it is complete. */
  #readHeader(bytes: Buffer, at: number, limit: number): FrameStatus {
    let next = at + 1
    let length = 0
    for (let factor = 1; next < limit; factor *= 0x80) {
      const byte = bytes[next++]!
      length += (byte & 0x7f) * factor
      if (byte < 0x80) {
        this.start = at
        this.body = next
        this.end = next + length
        return 'frame'
      }
      if (next - at === MAX_HEADER_BYTES) return 'malformed'
    }
    return 'incomplete'
  }

  #hold(neededBytes: number): void {
    const rest = this.#chunk.length - this.#at
    // Not from the pool: a piece may be held for as long as the peer is slow.
    const held = Buffer.allocUnsafeSlow(capacityFor(rest, neededBytes))
    this.#chunk.copy(held, 0, this.#at)
    this.#held = held
    this.#heldBytes = rest
    this.#neededBytes = neededBytes
  }

  #nextHeld(held: Buffer): FrameStatus {
    while (this.#neededBytes === 0) {
      if (this.#at === this.#chunk.length) return this.#finish('incomplete')
      held[this.#heldBytes++] = this.#chunk[this.#at++]!
      const status = this.#readHeader(held, 0, this.#heldBytes)
      if (status === 'malformed') return this.#finish(status)
      if (status === 'frame') {
        if (this.end > this.maxPacketBytes) return this.#finish('too_large')
        this.#neededBytes = this.end
      }
    }
    const take = Math.min(this.#neededBytes - this.#heldBytes, this.#chunk.length - this.#at)
    const bytes = this.#heldWithRoom(held, this.#heldBytes + take)
    this.#chunk.copy(bytes, this.#heldBytes, this.#at, this.#at + take)
    this.#at += take
    this.#heldBytes += take
    if (this.#heldBytes < this.#neededBytes) return this.#finish('incomplete')
    this.bytes = bytes
    this.#readHeader(bytes, 0, this.#neededBytes)
    this.#held = undefined
    this.#heldBytes = 0
    this.#neededBytes = 0
    return 'frame'
  }

  #heldWithRoom(held: Buffer, bytes: number): Buffer {
    if (bytes <= held.length) return held
    const larger = Buffer.allocUnsafeSlow(capacityFor(bytes, this.#neededBytes))
    held.copy(larger, 0, 0, this.#heldBytes)
    this.#held = larger
    return larger
  }
}

/** Room for `bytes` now and as many again later, never more than the frame needs (when that is known). */
function capacityFor(bytes: number, neededBytes: number): number {
  const room = Math.max(2 * bytes, FIRST_HELD_BYTES)
  return neededBytes === 0 ? room : Math.min(room, neededBytes)
}

/** Bytes of the shortest encoding of a variable byte integer [MQTT5-1.5.5-1]. */
export function varIntBytes(value: number): 1 | 2 | 3 | 4 {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4
}

/** Writes a variable byte integer at `at`; returns the offset after it. */
export function writeVarInt(out: Buffer, value: number, at: number): number {
  let rest = value
  let next = at
  while (rest > 0x7f) {
    out[next++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[next++] = rest
  return next
}
