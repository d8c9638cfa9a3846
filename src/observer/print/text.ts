/**
 * Text for terminals: nothing that another node sends may move the cursor, change colours or forge a prompt.
 */
import { isUtf8 } from 'node:buffer'
import stringWidth from 'string-width'

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The text with escapes for whatever is no printable character. */
export function safe(text: string): string {
  return text.replace(UNSAFE, (character) => ESCAPES[character] ?? escaped(character))
}

/** As a JavaScript string literal. */
export function quoted(text: string): string {
  return `'${safe(text.replace(/[\\']/g, '\\$&'))}'`
}

function escaped(character: string): string {
  const code = character.charCodeAt(0)
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  return stringWidth(text)
}

/** The text in so many columns at most; what is cut off is marked. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    used += width(character)
    if (used > columns - 1) break
    kept += character
  }
  return `${kept}…`
}

/** Filled up with spaces, at the end or in front. */
export function padded(text: string, columns: number, side: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, columns - width(text)))
  return side === 'right' ? space + text : text + space
}

const SHOWN_BYTES = 32

/** Erlang's binary: `<<"text">>` when it is one, else the first bytes and how many there are. */
export function binary(bytes: Uint8Array, maxLength: number): string {
  if (bytes.length === 0) return '<<>>'
  if (bytes.length <= maxLength && isUtf8(bytes)) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    if (!UNPRINTABLE.test(text)) return `<<"${safe(text.replace(/[\\"]/g, '\\$&'))}">>`
  }
  const hex = Buffer.from(bytes.subarray(0, SHOWN_BYTES))
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1 ')
  return bytes.length > SHOWN_BYTES ? `<<${hex} … ${bytes.length} bytes>>` : `<<${hex}>>`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a binary with these is no text
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/
