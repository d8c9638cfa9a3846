/**
 * Large messages in pieces, so that small ones of other processes, and signs of life, find their way between them [erts, External Term
 * Format, Distribution header for fragmented messages].
 *
 * Erlang takes a peer for dead from which no whole frame comes within its `net_ticktime`: a message that takes longer on its way has
 * to come in several. A node that can take them (FRAGMENTS) is sent all frames with a distribution header; the cache of
 * atoms, of which such a header can carry changes, is not negotiated, so headers are empty. Fragments of one message are
 * numbered down to 1, and come in that order; those of several messages may be mixed.
 */
import { VERSION } from './etf-tags.ts'

/** The byte after the version byte: a whole message, the first fragment of one, another fragment. */
export const DIST_HEADER = 68
const FIRST_FRAGMENT = 69
const NEXT_FRAGMENT = 70

/** What a frame of a whole message begins with: there are no atoms of a cache. */
export const WHOLE: Buffer = Buffer.of(VERSION, DIST_HEADER, 0)

/** Bytes of a message that one fragment carries; Erlang's carry 64 KiB. Each fragment is a write of its own and a few buffers. */
export const FRAGMENT_BYTES = 256 << 10

const NO_BYTES = Buffer.alloc(0)
const LENGTH_BYTES = 4
const IDS_BYTES = 16
const TWO_32 = 2 ** 32
const MAX_HIGH_WORD = 2 ** 21

/** Whether a frame, or the first piece of one, is a fragment, and its head is whole. */
export function isFragment(frame: Buffer): boolean {
  const kind = frame[1]
  if (frame[0] !== VERSION || !(kind === FIRST_FRAGMENT || kind === NEXT_FRAGMENT)) return false
  const isFirst = kind === FIRST_FRAGMENT
  // References to a cache of atoms are not negotiated.
  return frame.length >= headBytes(isFirst) && !(isFirst && frame[headBytes(isFirst) - 1] !== 0)
}

function headBytes(isFirst: boolean): number {
  return 2 + IDS_BYTES + (isFirst ? 1 : 0)
}

/** One large message on its way out. The control message has to be in the first fragment. */
export class FragmentedMessage {
  readonly #sequence: number
  readonly #parts: readonly Buffer[]
  /** Bytes of the terms that have not been taken. */
  bytesLeft: number
  #isFirst = true
  /** Where the next fragment begins: in which part, and where in that. */
  #part = 0
  #offset = 0

  /** `parts` hold both terms, without version bytes; `sequence` is the number of no other message that is on its way. */
  constructor(sequence: number, parts: readonly Buffer[], bytes: number) {
    this.#sequence = sequence
    this.#parts = parts
    this.bytesLeft = bytes
  }

  /** Adds the next fragment, a whole frame, to `buffers`; returns its bytes. */
  next(buffers: Buffer[]): number {
    const headAt = buffers.push(NO_BYTES) - 1
    let bytes = 0
    while (bytes < FRAGMENT_BYTES && this.#part < this.#parts.length) {
      const part = this.#parts[this.#part]!
      const slice = part.subarray(this.#offset, this.#offset + FRAGMENT_BYTES - bytes)
      buffers.push(slice)
      bytes += slice.length
      this.#offset += slice.length
      if (this.#offset < part.length) break
      this.#part++
      this.#offset = 0
    }
    const head = this.#head(bytes)
    buffers[headAt] = head
    this.#isFirst = false
    this.bytesLeft -= bytes
    return head.length + bytes
  }

  #head(bytes: number): Buffer {
    const length = headBytes(this.#isFirst)
    const head = Buffer.allocUnsafe(LENGTH_BYTES + length)
    head.writeUInt32BE(length + bytes, 0)
    head[4] = VERSION
    head[5] = this.#isFirst ? FIRST_FRAGMENT : NEXT_FRAGMENT
    head.writeUInt32BE(Math.floor(this.#sequence / TWO_32), 6)
    head.writeUInt32BE(this.#sequence % TWO_32, 10)
    // This one and those after it; fewer than 2^32, since terms are bounded.
    head.writeUInt32BE(0, 14)
    head.writeUInt32BE(Math.ceil(this.bytesLeft / FRAGMENT_BYTES), 18)
    if (this.#isFirst) head[22] = 0
    return head
  }
}

/** What a fragment makes: the two terms of a message that is whole now, nothing yet, or an error. */
export type Joined = Buffer | undefined | 'malformed' | 'too_large'

interface Unfinished {
  readonly pieces: Buffer[]
  bytes: number
  /** Fragments that have not come. */
  left: number
}

/** What a piece costs beside its bytes. */
const PIECE_COST = 256
/** Shorter pieces are copied, since they would keep the chunk alive in which they came. */
const COPIED_BYTES = 8 << 10

/** Joins the fragments that one peer sends. */
export class FragmentJoiner {
  readonly #maxMessageBytes: number
  readonly #maxBytes: number
  /** By the 8 bytes of the sequence. */
  readonly #unfinished = new Map<string, Unfinished>()
  #held = 0

  /** A message may have `maxMessageBytes`, and all that are not whole yet together `maxBytes`. */
  constructor(maxMessageBytes: number, maxBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
    this.#maxBytes = maxBytes
  }

  /** Takes a frame for which `isFragment` holds, in one piece or more. An error is final: the connection is to be dropped. */
  take(pieces: readonly Buffer[]): Joined {
    const first = pieces[0]!
    if (!isFragment(first)) return 'malformed'
    const isFirst = first[1] === FIRST_FRAGMENT
    const sequence = first.toString('latin1', 2, 10)
    const high = first.readUInt32BE(10)
    const left = high * TWO_32 + first.readUInt32BE(14) - 1
    if (high >= MAX_HIGH_WORD || left < 0) return 'malformed'
    return this.#add(sequence, isFirst, left, [first.subarray(headBytes(isFirst)), ...pieces.slice(1)])
  }

  #add(sequence: string, isFirst: boolean, left: number, pieces: readonly Buffer[]): Joined {
    let message = this.#unfinished.get(sequence)
    if (message === undefined) {
      if (!isFirst) return 'malformed'
      message = { pieces: [], bytes: 0, left: left + 1 }
      this.#unfinished.set(sequence, message)
    } else if (isFirst) {
      return 'malformed'
    }
    if (left !== message.left - 1) return 'malformed'
    message.left = left
    for (const piece of pieces) {
      message.bytes += piece.length
      this.#held += piece.length + PIECE_COST
      message.pieces.push(piece.length < COPIED_BYTES ? Buffer.from(piece) : piece)
    }
    if (message.bytes > this.#maxMessageBytes || this.#held > this.#maxBytes) return 'too_large'
    if (left > 0) return undefined
    this.#unfinished.delete(sequence)
    this.#held -= message.bytes + message.pieces.length * PIECE_COST
    return Buffer.concat(message.pieces, message.bytes)
  }
}
