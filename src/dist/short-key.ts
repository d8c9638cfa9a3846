/**
 * Keys of terms are made of the keys of what is in them. A key that is long is replaced by its digest: otherwise each level of a term
 * would copy all that is below it, and a term of a megabyte that is nested a hundred deep took half a minute.
 */
import { createHash } from 'node:crypto'

const LONGEST = 200

/** The text itself when it is short. No text begins with the character of a digest. */
export function shortKey(text: string): string {
  return text.length <= LONGEST ? text : `#${createHash('sha256').update(text).digest('base64')}`
}

/** The key of bytes, `kind` before them. */
export function bytesKey(kind: string, bytes: Uint8Array): string {
  if (bytes.length > LONGEST) return `#${createHash('sha256').update(kind).update(bytes).digest('base64')}`
  return `${kind}${bytes.length}:${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')}`
}
