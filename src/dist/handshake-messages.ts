/**
 * The messages of handshake 6, as bytes [OTP erts, Distribution Protocol, Distribution Handshake].
 *
 * Each has a length before it, of 2 bytes over TCP and of 4 over TLS. Reading is strict about what is used and ignores
 * bytes after a name, as the protocol says; it copies what it returns, so nothing holds the chunk.
 */

/** Longest message of a handshake that is read. */
export const MAX_HANDSHAKE_BYTES = 4096

/** Longest name: nodes keep it as an atom, and Erlang crashes over longer ones. */
const MAX_NAME_BYTES = 255

/** Bytes of the length before a message. */
export type HeaderBytes = 2 | 4

/** What a node says of itself. */
export interface Introduction {
  readonly name: string
  readonly creation: number
  readonly flags: bigint
}

const NAME = 0x4e
const OLD_NAME = 0x6e
const STATUS = 0x73
const REPLY = 0x72
const ACK = 0x61

/** Why bytes are no message: `old_handshake` is that of OTP 22 and before. */
export type BadMessage = 'old_handshake' | 'bad_name' | 'bad_message'

// Written

export function encodeName({ name, creation, flags }: Introduction, header: HeaderBytes): Buffer {
  const text = Buffer.from(name, 'utf8')
  const body = Buffer.alloc(15 + text.length)
  body[0] = NAME
  body.writeBigUInt64BE(flags, 1)
  body.writeUInt32BE(creation, 9)
  body.writeUInt16BE(text.length, 13)
  body.set(text, 15)
  return withLength(body, header)
}

export function encodeStatus(status: string, header: HeaderBytes): Buffer {
  return withLength(Buffer.concat([Buffer.of(STATUS), Buffer.from(status, 'latin1')]), header)
}

export function encodeChallenge(
  { name, creation, flags }: Introduction,
  challenge: number,
  header: HeaderBytes,
): Buffer {
  const text = Buffer.from(name, 'utf8')
  const body = Buffer.alloc(19 + text.length)
  body[0] = NAME
  body.writeBigUInt64BE(flags, 1)
  body.writeUInt32BE(challenge, 9)
  body.writeUInt32BE(creation, 13)
  body.writeUInt16BE(text.length, 17)
  body.set(text, 19)
  return withLength(body, header)
}

export function encodeReply(challenge: number, digest: Buffer, header: HeaderBytes): Buffer {
  const body = Buffer.alloc(5)
  body[0] = REPLY
  body.writeUInt32BE(challenge, 1)
  return withLength(Buffer.concat([body, digest]), header)
}

export function encodeAck(digest: Buffer, header: HeaderBytes): Buffer {
  return withLength(Buffer.concat([Buffer.of(ACK), digest]), header)
}

// Read

export function parseName(body: Buffer): Introduction | BadMessage {
  if (body[0] === OLD_NAME) return 'old_handshake'
  if (body[0] !== NAME || body.length < 15) return 'bad_message'
  const name = nameAt(body, 13)
  return name === undefined ? 'bad_name' : { name, creation: body.readUInt32BE(9), flags: body.readBigUInt64BE(1) }
}

/** The word of a status; undefined when it is none. */
export function parseStatus(body: Buffer): string | undefined {
  return body[0] === STATUS && body.length <= 1 + MAX_NAME_BYTES ? body.toString('latin1', 1) : undefined
}

export function parseChallenge(body: Buffer): { readonly from: Introduction; readonly challenge: number } | BadMessage {
  if (body[0] === OLD_NAME) return 'old_handshake'
  if (body[0] !== NAME || body.length < 19) return 'bad_message'
  const name = nameAt(body, 17)
  if (name === undefined) return 'bad_name'
  const from = { name, creation: body.readUInt32BE(13), flags: body.readBigUInt64BE(1) }
  return { from, challenge: body.readUInt32BE(9) }
}

export function parseReply(body: Buffer): { readonly challenge: number; readonly digest: Buffer } | undefined {
  if (body[0] !== REPLY || body.length !== 21) return undefined
  return { challenge: body.readUInt32BE(1), digest: body.subarray(5) }
}

export function parseAck(body: Buffer): Buffer | undefined {
  return body[0] === ACK && body.length === 17 ? body.subarray(1) : undefined
}

/** Cuts messages out of the bytes of a handshake. It keeps at most one message and what came with its last bytes. */
export class HandshakeReader {
  readonly #header: HeaderBytes
  #bytes: Buffer = Buffer.alloc(0)

  constructor(header: HeaderBytes) {
    this.#header = header
  }

  /** Bytes that no message has taken. */
  get rest(): Buffer {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
  }

  /** The next message; undefined when it is not whole yet. An empty one is none. */
  next(): Buffer | 'too_large' | 'bad_message' | undefined {
    const bytes = this.#bytes
    if (bytes.length < this.#header) return undefined
    const length = this.#header === 2 ? bytes.readUInt16BE(0) : bytes.readUInt32BE(0)
    if (length > MAX_HANDSHAKE_BYTES) return 'too_large'
    if (length === 0) return 'bad_message'
    const end = this.#header + length
    if (bytes.length < end) return undefined
    this.#bytes = bytes.subarray(end)
    return bytes.subarray(this.#header, end)
  }
}

function nameAt(body: Buffer, lengthAt: number): string | undefined {
  const start = lengthAt + 2
  const length = body.readUInt16BE(lengthAt)
  if (length === 0 || length > MAX_NAME_BYTES || start + length > body.length) return undefined
  return body.toString('latin1', start, start + length)
}

function withLength(body: Buffer, header: HeaderBytes): Buffer {
  const head = Buffer.alloc(header)
  if (header === 2) head.writeUInt16BE(body.length)
  else head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}
