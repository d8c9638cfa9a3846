/**
 * The bytes of epmd's protocol, for its client and its server [OTP erts, Distribution Protocol, EPMD Protocol].
 *
 * A request is a 2-byte length and a body; a reply has no length: the server closes after every answer but that to
 * ALIVE2, whose socket is the registration. Everything here is pure. Requests and replies are bounded by what they may
 * rightly hold, so a peer that floods is told by its length.
 */

/** Where epmd listens unless ERL_EPMD_PORT or AGNER_EPMD_PORT says otherwise. */
export const EPMD_PORT = 4369

/** Longest body of a request that our server takes; Erlang's takes about as much. */
export const MAX_REQUEST_BYTES = 1024

/** Longest name of a node, before the `@`. */
const MAX_NAME_BYTES = 255

/** Longest reply to NAMES that a client reads: more than 50,000 nodes of one machine. */
export const MAX_NAMES_REPLY_BYTES = 1 << 20

/** Longest reply to PORT_PLEASE2: name and extra bytes have lengths of two bytes. */
export const MAX_PORT_REPLY_BYTES = 12 + 2 + 2 * 65_535

/** 77 for an Erlang node of its own, 72 for a hidden one. */
export type NodeType = 77 | 72

/** What a node tells epmd of itself. */
export interface NodeEntry {
  /** Before the `@`. */
  readonly name: string
  /** Where it listens for other nodes. */
  readonly port: number
  /** 77 or 72 for the nodes that there are; epmd hands on any byte. */
  readonly nodeType: number
  /** 0 is TCP over IPv4; nodes over IPv6 and TLS say 0 as well. */
  readonly protocol: number
  /** Highest and lowest version of the handshake: 6 and 5 since OTP 23. */
  readonly highest: number
  readonly lowest: number
  readonly extra: Buffer
}

/** A request to epmd. */
export type EpmdRequest =
  | { readonly tag: 'alive2'; readonly node: NodeEntry }
  | { readonly tag: 'port_please2'; readonly name: string }
  | { readonly tag: 'names' }
  | { readonly tag: 'dump' }
  | { readonly tag: 'kill' }
  | { readonly tag: 'stop'; readonly name: string }

/** A name and its port, as `epmd -names` shows them. */
export interface NamePort {
  readonly name: string
  readonly port: number
}

const ALIVE2_REQ = 120
const ALIVE2_RESP = 121
const ALIVE2_X_RESP = 118
const PORT_PLEASE2_REQ = 122
const PORT2_RESP = 119
const NAMES_REQ = 110
const DUMP_REQ = 100
const KILL_REQ = 107
const STOP_REQ = 115

/** With this version and above, creations have 32 bits. */
const LARGE_CREATION_VERSION = 6

// Requests

/** Registers a node. */
export function encodeAlive2(node: NodeEntry): Buffer {
  return framed(Buffer.concat([Buffer.of(ALIVE2_REQ), encodeEntry(node)]))
}

/** Asks where a node listens. */
export function encodePortPlease2(name: string): Buffer {
  return framed(Buffer.concat([Buffer.of(PORT_PLEASE2_REQ), Buffer.from(name, 'utf8')]))
}

/** Asks for all names. */
export const NAMES_REQUEST: Buffer = framed(Buffer.of(NAMES_REQ))

/** Asks epmd to end. */
export const KILL_REQUEST: Buffer = framed(Buffer.of(KILL_REQ))

/** Asks epmd to forget a name. */
export function encodeStop(name: string): Buffer {
  return framed(Buffer.concat([Buffer.of(STOP_REQ), Buffer.from(name, 'utf8')]))
}

/** Puts the chunks of one request together; a socket carries only one. */
export class RequestReader {
  #bytes: Buffer = Buffer.alloc(0)

  /** Takes a chunk; returns the body once it is whole, `bad` when its length is 0 or more than `MAX_REQUEST_BYTES`. */
  push(chunk: Buffer): Buffer | 'more' | 'bad' {
    // Not more than one request is kept, whatever the chunk holds.
    const part = chunk.subarray(0, 2 + MAX_REQUEST_BYTES - this.#bytes.length)
    this.#bytes = Buffer.concat([this.#bytes, part])
    if (this.#bytes.length < 2) return 'more'
    const length = this.#bytes.readUInt16BE(0)
    if (length === 0 || length > MAX_REQUEST_BYTES) return 'bad'
    return this.#bytes.length < 2 + length ? 'more' : this.#bytes.subarray(2, 2 + length)
  }
}

/** Reads the body of a request; undefined when it is none. */
export function parseRequest(body: Buffer): EpmdRequest | undefined {
  const rest = body.subarray(1)
  switch (body[0]) {
    case ALIVE2_REQ: {
      const node = parseEntry(rest)
      return node === undefined || !isName(node.name) ? undefined : { tag: 'alive2', node }
    }
    case PORT_PLEASE2_REQ:
      return named('port_please2', rest)
    case STOP_REQ:
      return named('stop', rest)
    case NAMES_REQ:
      return { tag: 'names' }
    case DUMP_REQ:
      return { tag: 'dump' }
    case KILL_REQ:
      return { tag: 'kill' }
    default:
      return undefined
  }
}

// Replies

/** The answer to ALIVE2; `creation` undefined refuses. 16 bits are left of it for a node that knows no more. */
export function encodeAlive2Reply(creation: number | undefined, highest: number): Buffer {
  const isLarge = highest >= LARGE_CREATION_VERSION
  const reply = Buffer.alloc(isLarge ? 6 : 4)
  reply[0] = isLarge ? ALIVE2_X_RESP : ALIVE2_RESP
  reply[1] = creation === undefined ? 1 : 0
  // Erlang's epmd says 99 when it refuses.
  if (isLarge) reply.writeUInt32BE(creation ?? 99, 2)
  // Creations of 16 bits are 1, 2 and 3 in turn: old nodes keep two bits of them.
  else reply.writeUInt16BE(creation === undefined ? 99 : (creation % 3) + 1, 2)
  return reply
}

/** Reads the answer to ALIVE2 as far as it has come. */
export function parseAlive2Reply(bytes: Buffer): { readonly creation: number } | 'refused' | 'more' | 'bad' {
  if (bytes.length === 0) return 'more'
  if (bytes[0] !== ALIVE2_X_RESP && bytes[0] !== ALIVE2_RESP) return 'bad'
  const isLarge = bytes[0] === ALIVE2_X_RESP
  if (bytes.length < (isLarge ? 6 : 4)) return 'more'
  if (bytes[1] !== 0) return 'refused'
  const creation = isLarge ? bytes.readUInt32BE(2) : bytes.readUInt16BE(2)
  return creation === 0 ? 'bad' : { creation }
}

/** The answer to PORT_PLEASE2; without a node, that there is none. */
export function encodePort2Reply(node: NodeEntry | undefined): Buffer {
  if (node === undefined) return Buffer.of(PORT2_RESP, 1)
  return Buffer.concat([Buffer.of(PORT2_RESP, 0), encodeEntry(node)])
}

/** Reads the answer to PORT_PLEASE2, once the server has closed. */
export function parsePort2Reply(bytes: Buffer): NodeEntry | 'noport' | 'bad' {
  if (bytes.length < 2 || bytes[0] !== PORT2_RESP) return 'bad'
  if (bytes[1] !== 0) return 'noport'
  return parseEntry(bytes.subarray(2)) ?? 'bad'
}

/** The answer to NAMES: the port of epmd and a line a node, the newest first as Erlang's epmd has it. */
export function encodeNamesReply(epmdPort: number, nodes: readonly NamePort[]): Buffer {
  return withPort(epmdPort, nodes.map(({ name, port }) => `name ${name} at port ${port}\n`).join(''))
}

/** The answer to DUMP, for people to read. */
export function encodeDumpReply(epmdPort: number, nodes: readonly NamePort[]): Buffer {
  return withPort(epmdPort, nodes.map(({ name, port }) => `active name     <${name}> at port ${port}\n\0`).join(''))
}

/** Reads the answer to NAMES, once the server has closed; the order of the names is kept. */
export function parseNamesReply(
  bytes: Buffer,
): { readonly epmdPort: number; readonly nodes: readonly NamePort[] } | 'bad' {
  if (bytes.length < 4) return 'bad'
  const nodes: NamePort[] = []
  for (const line of bytes.toString('utf8', 4).split('\n')) {
    const match = /^name (.+) at port (\d{1,5})$/.exec(line)
    if (match !== null) nodes.push({ name: match[1]!, port: Number(match[2]) })
    else if (line !== '') return 'bad'
  }
  return { epmdPort: bytes.readUInt32BE(0), nodes }
}

/** The part that ALIVE2 and the answer to PORT_PLEASE2 have in common. */
function encodeEntry({ name, port, nodeType, protocol, highest, lowest, extra }: NodeEntry): Buffer {
  const nameBytes = Buffer.from(name, 'utf8')
  const bytes = Buffer.alloc(12 + nameBytes.length + extra.length)
  bytes.writeUInt16BE(port, 0)
  bytes[2] = nodeType
  bytes[3] = protocol
  bytes.writeUInt16BE(highest, 4)
  bytes.writeUInt16BE(lowest, 6)
  bytes.writeUInt16BE(nameBytes.length, 8)
  bytes.set(nameBytes, 10)
  bytes.writeUInt16BE(extra.length, 10 + nameBytes.length)
  bytes.set(extra, 12 + nameBytes.length)
  return bytes
}

function parseEntry(bytes: Buffer): NodeEntry | undefined {
  if (bytes.length < 12) return undefined
  const nameEnd = 10 + bytes.readUInt16BE(8)
  if (bytes.length < nameEnd + 2) return undefined
  const extraEnd = nameEnd + 2 + bytes.readUInt16BE(nameEnd)
  if (bytes.length < extraEnd) return undefined
  return {
    name: bytes.toString('utf8', 10, nameEnd),
    port: bytes.readUInt16BE(0),
    nodeType: bytes[2]!,
    protocol: bytes[3]!,
    highest: bytes.readUInt16BE(4),
    lowest: bytes.readUInt16BE(6),
    // A copy, as it may be kept for as long as the node is registered.
    extra: Buffer.from(bytes.subarray(nameEnd + 2, extraEnd)),
  }
}

function named(tag: 'port_please2' | 'stop', bytes: Buffer): EpmdRequest | undefined {
  const name = bytes.toString('utf8')
  return isName(name) ? { tag, name } : undefined
}

/** A name that can stand in a line of NAMES without pretending to be another line. */
function isName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= MAX_NAME_BYTES && !/[\p{Cc}\p{Z}\ufffd]/u.test(name)
}

function withPort(epmdPort: number, text: string): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(epmdPort)
  return Buffer.concat([head, Buffer.from(text, 'utf8')])
}

function framed(body: Buffer): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(body.length)
  return Buffer.concat([head, body])
}
