/**
 * What a session's rows in the store look like: keys and bytes.
 *
 *     space           key                    row
 *     session         NUMBER/CLIENT ID       expiry, will, times, what is shown of the client
 *     subscription    NUMBER/FILTER          its options
 *     arriving        NUMBER/CLIENT ID       nothing: what else there is of it is part of a session that is on its way to this node
 *     m/NUMBER        mN                     message N with how it is to be delivered, and the identifier it was sent with
 *                     iID                    identifier ID, where it says more than the message: sent out of the queue, PUBREL is due, done
 *                     rID                    QoS 2 message of the client that waits for PUBREL
 *
 * NUMBER is that of the session in this store, never given to another. The first two spaces are read through at a start, in step,
 * since their keys begin alike; the messages of a session lie apart from those of others, so that they can be read when they
 * are needed. Each row begins with the version of its form.
 */
import type { Pid } from '../../../actors/pid.ts'
import { BinaryReader, BinaryWriter, Damaged } from '../../../mnesia/binary.ts'
import type { ProtocolVersion } from '../../packet.ts'
import type { ClientInfo, Will } from '../../process-messages.ts'
import { parseFilter } from '../../routing/topic.ts'
import type { Delivery } from '../delivery.ts'
import type { Subscription } from '../session-state.ts'
import { qosOf, readMessage, readWill, writeMessage, writeWill } from './message-bytes.ts'

/** Grows when rows change in a way that an earlier version cannot read. */
const VERSION = 1

export const SESSIONS = 'session'
export const SUBSCRIPTIONS = 'subscription'
export const ARRIVING = 'arriving'

const NUMBER_DIGITS = 10
const NO_LIMITS = { maxLevels: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

/** What the row of a session says. */
export interface StoredSession {
  readonly client: Omit<ClientInfo, 'connection' | 'cleanStart'>
  readonly createdAtMs: number
  /** Wall clock, ms; 0 while the client was connected. */
  readonly detachedAtMs: number
  readonly expirySec: number
  /** Undefined once it is published or must not be. */
  readonly will: Will | undefined
  /** Undefined unless it may be another node's from now on. */
  readonly moved?: Moved | undefined
}

/** A session that another node has been told to go on with, and may have. */
export interface Moved {
  readonly node: string
  /** The greatest number of a message that it has been given. */
  readonly upTo: number
}

/** A message that waits in the queue or for its acknowledgement. */
export interface StoredDelivery {
  readonly delivery: Delivery
  /** The packet identifier with which it was sent at once, without having been queued; 0: it was queued. */
  readonly sentAs: number
}

/** A packet identifier in use. `order` is that among the identifiers and the messages that were sent at once. */
export type StoredIdentifier =
  /** It was sent out of the queue: the number of the message. */
  | { readonly phase: 'publish'; readonly order: number; readonly number: number }
  /** The client has received the message of this id, and PUBREL waits for PUBCOMP. */
  | { readonly phase: 'pubrel'; readonly order: number; readonly messageId: string }
  /** The identifier is free again, but the message of this id may be published once more by somebody who does not know. */
  | { readonly phase: 'done'; readonly order: number; readonly messageId: string }

/** The name of a session's number in keys; names are in the order of numbers. */
export function numberName(number: number): string {
  return number.toString(36).padStart(NUMBER_DIGITS, '0')
}

/** The number and what is behind it of a key in `SESSIONS` or `SUBSCRIPTIONS`. */
export function parseKey(key: string): { readonly name: string; readonly number: number; readonly rest: string } {
  const name = key.slice(0, NUMBER_DIGITS)
  return { name, number: Number.parseInt(name, 36), rest: key.slice(NUMBER_DIGITS + 1) }
}

/** The space of the messages of a session. */
export function messageSpace(name: string): string {
  return `m/${name}`
}

const PHASES = ['publish', 'pubrel', 'done'] as const

const writer = new BinaryWriter()

/** The row of a session. As those of all rows, the bytes are not written to again. */
export function sessionBytes(session: StoredSession): Buffer {
  const { client, will, moved } = session
  begin()
  writer.byte((client.username === undefined ? 0 : 1) | (will === undefined ? 0 : 2) | (moved === undefined ? 0 : 4))
  writer.byte(client.protocolVersion)
  writer.varint(session.expirySec)
  writer.varint(client.receiveMaximum)
  writer.varint(client.keepAliveSec)
  writer.integer(Math.floor(client.connectedAtMs))
  writer.integer(Math.floor(session.createdAtMs))
  writer.integer(Math.ceil(session.detachedAtMs))
  writer.text(client.peer)
  if (client.username !== undefined) writer.text(client.username)
  if (will !== undefined) writeWill(writer, will)
  if (moved !== undefined) {
    writer.text(moved.node)
    writer.varint(moved.upTo)
  }
  return writer.take()
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readSession(clientId: string, bytes: Uint8Array): StoredSession {
  const reader = open(bytes)
  const flag = reader.byte()
  const protocolVersion = reader.byte()
  if (protocolVersion < 3 || protocolVersion > 5) throw new Damaged(`protocol version ${protocolVersion}`)
  const expirySec = reader.varint()
  const receiveMaximum = reader.varint()
  const keepAliveSec = reader.varint()
  const connectedAtMs = reader.integer()
  const createdAtMs = reader.integer()
  const detachedAtMs = reader.integer()
  const peer = reader.text()
  const username = flag & 1 ? reader.text() : undefined
  const will = flag & 2 ? readWill(reader) : undefined
  const moved = flag & 4 ? { node: reader.text(), upTo: reader.varint() } : undefined
  const client = {
    clientId,
    username,
    peer,
    protocolVersion: protocolVersion as ProtocolVersion,
    expirySec,
    receiveMaximum,
    keepAliveSec,
    will,
    connectedAtMs,
  }
  return { client, createdAtMs, detachedAtMs, expirySec, will, moved }
}

/** The client of a stored session, as a session knows it that has no connection: `nobody` stands for that. */
export function storedClient({ client }: StoredSession, nobody: Pid): ClientInfo {
  return { ...client, connection: nobody, cleanStart: false }
}

export function subscriptionBytes({ qos, noLocal, rap, rh, id }: Subscription): Buffer {
  begin()
  writer.byte(qos | (noLocal ? 4 : 0) | (rap ? 8 : 0) | (rh << 4))
  writer.varint(id ?? 0)
  return writer.take()
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readSubscription(key: string, bytes: Uint8Array): Subscription {
  const reader = open(bytes)
  const flag = reader.byte()
  const id = reader.varint()
  const parsed = parseFilter(key, NO_LIMITS)
  if (!parsed.ok) throw new Damaged(`${key} is no filter: ${parsed.reason}`)
  return {
    filter: parsed.value,
    qos: qosOf(flag),
    noLocal: (flag & 4) !== 0,
    rap: (flag & 8) !== 0,
    rh: ((flag >> 4) & 3) as 0 | 1 | 2,
    id: id === 0 ? undefined : id,
  }
}

/** A delivery with the identifier with which it was sent at once; 0: it is queued. */
export function deliveryBytes({ message, qos, retain, ids, share }: Delivery, sentAs: number): Buffer {
  begin()
  const isLocal = share?.local === true
  writer.byte(
    qos | (retain ? 4 : 0) | (ids === undefined ? 0 : 8) | (share === undefined ? 0 : 16) | (isLocal ? 32 : 0),
  )
  writer.varint(sentAs)
  if (ids !== undefined) {
    writer.varint(ids.length)
    for (const id of ids) writer.varint(id)
  }
  if (share !== undefined) {
    writer.text(share.group)
    writer.text(share.filter)
  }
  writeMessage(writer, message)
  return writer.take()
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readDelivery(number: number, bytes: Uint8Array): StoredDelivery {
  const reader = open(bytes)
  const flag = reader.byte()
  const sentAs = reader.varint()
  let ids: number[] | undefined
  if (flag & 8) {
    ids = []
    for (let left = reader.varint(); left > 0; left--) ids.push(reader.varint())
  }
  const local = flag & 32 ? (true as const) : undefined
  const share = flag & 16 ? { group: reader.text(), filter: reader.text(), local } : undefined
  const message = readMessage(reader)
  return { delivery: { number, message, qos: qosOf(flag), retain: (flag & 4) !== 0, ids, share }, sentAs }
}

export function identifierBytes(identifier: StoredIdentifier): Buffer {
  begin()
  writer.byte(PHASES.indexOf(identifier.phase))
  writer.varint(identifier.order)
  if (identifier.phase === 'publish') writer.varint(identifier.number)
  else writer.text(identifier.messageId)
  return writer.take()
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readIdentifier(bytes: Uint8Array): StoredIdentifier {
  const reader = open(bytes)
  const phase = PHASES[reader.byte()]
  const order = reader.varint()
  if (phase === undefined) throw new Damaged('unknown phase')
  return phase === 'publish' ? { phase, order, number: reader.varint() } : { phase, order, messageId: reader.text() }
}

/** A QoS 2 message of the client; with the id of the message as long as it is not known to be taken over by all who get it. */
export function receivedBytes(messageId: string | undefined): Buffer {
  begin()
  if (messageId !== undefined) writer.text(messageId)
  return writer.take()
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readReceived(bytes: Uint8Array): string | undefined {
  const reader = open(bytes)
  return reader.isAtEnd ? undefined : reader.text()
}

function begin(): void {
  // A row that could not be made may have left its beginning.
  writer.truncate(0)
  writer.byte(VERSION)
}

function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes)
  const version = reader.byte()
  if (version !== VERSION) throw new Damaged(`form ${version}; this version reads ${VERSION}`)
  return reader
}
