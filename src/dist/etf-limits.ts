/**
 * Limits of the External Term Format codec. Each has a default that protects the node from a peer that holds the cookie
 * and sends hostile terms, and that no honest peer meets.
 *
 * The decoder's memory is bounded twice: every count is checked against the bytes that are left, so a term costs at most
 * about 50 times its bytes (a list of empty lists does), and the estimate of `maxHeapBytes` bounds it absolutely.
 */

export interface DecodeLimits {
  /** Tuples, lists and maps within each other. A proper list is one level however long it is. */
  readonly maxDepth: number
  /** Bytes of one integer's magnitude. */
  readonly maxIntegerBytes: number
  /** Estimated bytes of JavaScript heap that one term may become; binaries are views and count little. */
  readonly maxHeapBytes: number
}

export interface EncodeLimits {
  /** As the decoder's, like the next: our own peers refuse what is beyond. */
  readonly maxDepth: number
  readonly maxIntegerBytes: number
  /** Bytes of one term. A peer of ours cuts the connection over a frame longer than its own limit. */
  readonly maxTermBytes: number
}

// 200,000 levels overflow the stack of a fresh process; a thousand fit many times over, wherever the caller stands.
const MAX_DEPTH = 1000
const MAX_INTEGER_BYTES = 1 << 20

export const DECODE_LIMITS: DecodeLimits = {
  maxDepth: MAX_DEPTH,
  maxIntegerBytes: MAX_INTEGER_BYTES,
  maxHeapBytes: 256 << 20,
}

export const ENCODE_LIMITS: EncodeLimits = {
  maxDepth: MAX_DEPTH,
  maxIntegerBytes: MAX_INTEGER_BYTES,
  maxTermBytes: 64 << 20,
}

/** Characters of an atom's name, in Erlang's count: code points. */
export const MAX_ATOM_CHARACTERS = 255

/** 32-bit words of a reference [ERTS_MAX_REF_NUMBERS]. */
export const MAX_REF_WORDS = 5

/** Distinct atoms that one peer may have brought in and that are still in use here. */
export const MAX_ATOMS_PER_PEER = 100_000
