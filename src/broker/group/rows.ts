/**
 * Rows of messages that are kept for groups: the form in which they lie on disc.
 *
 *     space                       key              row
 *     group/$share/GROUP/FILTER   id of a message  since when it is kept, which node may have it, the message
 *
 * They lie in the store of the sessions, where there is one, so that what a session leaves to its group changes hands in one commit. A message that is kept twice
 * has one row.
 */
import { BinaryReader, BinaryWriter, Damaged } from '../../mnesia/binary.ts'
import type { StoreOperation } from '../../mnesia/store/store.ts'
import type { Message } from '../message.ts'
import { filterKey, partsOf } from '../routing/topic.ts'
import type { Share } from '../session/delivery.ts'
import { readMessage, writeMessage } from '../session/stored/message-bytes.ts'

/** Grows when rows change in a way that an earlier version cannot read. */
const VERSION = 1
const SPACE = 'group/'

/** A message that is kept for a group. */
export interface KeptMessage {
  readonly message: Message
  /** Wall clock, ms. */
  readonly keptAtMs: number
  /** A member on this node may have it already: it is given through that node alone, which knows. */
  readonly mayHave?: string | undefined
}

const writer = new BinaryWriter()

/** The space of a group. */
export function groupSpace({ group, filter, local }: Share): string {
  return SPACE + filterKey(filter, group, local === true)
}

/** The group of a space; undefined for another space. */
export function shareOf(space: string): Share | undefined {
  if (!space.startsWith(SPACE)) return undefined
  const { filter, group, local } = partsOf(space.slice(SPACE.length))
  return local ? { group: group!, filter, local } : { group: group!, filter }
}

/** What keeps a message for a group. */
export function keeping(share: Share, kept: KeptMessage): StoreOperation {
  return { space: groupSpace(share), key: kept.message.id, value: keptBytes(kept) }
}

/** What ends that. */
export function releasing(share: Share, id: string): StoreOperation {
  return { space: groupSpace(share), key: id, value: undefined }
}

/** Under this name a message is known to have come for a group. */
export function groupMessage({ group, filter }: Share, id: string): string {
  return `${id}/${group}/${filter}`
}

function keptBytes({ message, keptAtMs, mayHave }: KeptMessage): Buffer {
  // A row that could not be made may have left its beginning.
  writer.truncate(0)
  writer.byte(VERSION)
  writer.integer(Math.floor(keptAtMs))
  writer.text(mayHave ?? '')
  writeMessage(writer, message)
  return writer.take()
}

/** Whether a row is of the time at which a message was kept. */
export function isSame({ keptAtMs }: KeptMessage, bytes: Uint8Array): boolean {
  const reader = new BinaryReader(bytes)
  reader.byte()
  return reader.integer() === Math.floor(keptAtMs)
}

/** Throws `Damaged` for bytes that are no row of this version. */
export function readKept(bytes: Uint8Array): KeptMessage {
  const reader = new BinaryReader(bytes)
  const version = reader.byte()
  if (version !== VERSION) throw new Damaged(`form ${version}; this version reads ${VERSION}`)
  const keptAtMs = reader.integer()
  const mayHave = reader.text()
  return { keptAtMs, mayHave: mayHave === '' ? undefined : mayHave, message: readMessage(reader) }
}
