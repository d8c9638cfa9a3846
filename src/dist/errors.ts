/**
 * Errors that the distribution layer throws, all for misuse by the caller. What a peer sends never throws: it is answered
 * with data (`Decoded`, for example), because the sender of a bad byte is not on our stack.
 */

/** Why a value cannot be a term: see `UnsendableError`. */
export type UnsendableReason =
  | 'function'
  | 'symbol'
  /** An instance of a class that is no term: Date, Error, Set, a class of one's own. */
  | 'instance'
  /** A key of an object that is no text: it has half a surrogate pair. */
  | 'bad_key'
  /** Two keys of a Map that are one term, such as 'a' and Buffer.from('a'). */
  | 'duplicate_key'
  | 'cyclic'
  | 'too_deep'
  | 'too_large'

/** Thrown by the sender's own call when a value, or something in it, has no place in the External Term Format. */
export class UnsendableError extends Error {
  override readonly name = 'UnsendableError'
  readonly code = 'unsendable'
  readonly reason: UnsendableReason
  /** Where in the value it is, such as `.options[2].callback`; empty for the value itself. */
  readonly path: string

  constructor(reason: UnsendableReason, what: string, path: string) {
    super(path === '' ? `cannot send ${what}` : `cannot send ${what}, found at ${path}`)
    this.reason = reason
    this.path = path
  }
}
