/**
 * What nodes tell each other about shared tables. Plain data, with entries and rows as bytes.
 *
 *     hello, progress   how far I have got, what my copies lack, whom I am connected to
 *     reports           what is known of each member, down ones included: passed on, the newest stays
 *     feed, stop        send me the entries of an origin from here on; no more
 *     entries, gap      some of them; the log begins only there
 *     ack               what I have taken in of your feeds
 *     sync …            comparing a table: see sync-source.ts
 *
 * `isMessage` looks at everything, since a message comes from another node: what has passed it can be handled without surprises.
 */
import type { SentFloor, SentHole } from './coverage.ts'
import type { SentProgress } from './vector.ts'

/** A copy that a node has: table, whether it lacks what is settled, holes. */
export type SentCopy = readonly [table: string, lacksSettled: boolean, holes: readonly SentHole[]]

/** What a node says of itself to all members. */
export interface Report {
  readonly node: string
  readonly epoch: number
  /** Grows with each report of an incarnation. */
  readonly number: number
  /** Clock at its start: nothing that it writes in this epoch has this or less. */
  readonly startClock: number
  /** On its disc. */
  readonly vector: readonly SentProgress[]
  readonly copies: readonly SentCopy[]
  readonly settled: readonly SentFloor[]
  /** It has had every operation with a clock up to this, and will write none. */
  readonly low: number
  /** It has tombstones, so it is interested in `low`. */
  readonly hasTombstones: boolean
  /** Origins of which it knows that nothing more is to come from themselves. */
  readonly dead: readonly SentLink[]
}

export interface Hello {
  readonly tag: 'hello'
  readonly wallMs: number
  /** Clock up to which it has forgotten tombstones. */
  readonly forgotten: number
  /** Clock at its start: nothing that it writes in this epoch has this or less. */
  readonly startClock: number
  readonly vector: readonly SentProgress[]
  readonly copies: readonly SentCopy[]
  readonly links: readonly SentLink[]
  readonly reports: readonly Report[]
}

export type SentLink = readonly [node: string, epoch: number]

export interface ProgressMessage {
  readonly tag: 'progress'
  readonly wallMs: number
  readonly forgotten: number
  /** What has changed. */
  readonly vector: readonly SentProgress[]
  /** All copies, when one of them has changed. */
  readonly copies: readonly SentCopy[] | undefined
  readonly links: readonly SentLink[]
}

export interface FeedRequest {
  readonly tag: 'feed'
  /** Given by the receiver, never twice on a connection. */
  readonly id: number
  readonly node: string
  readonly epoch: number
  readonly from: number
}

export interface SyncBegin {
  readonly tag: 'sync_begin'
  readonly id: number
  /** How far the source has got, and what its copy lacks of that. */
  readonly vector: readonly SentProgress[]
  readonly holes: readonly SentHole[]
  readonly lacksSettled: boolean
  readonly cleared: readonly [node: string, epoch: number, clock: number] | undefined
  /** The source's copy has had every operation up to this clock. */
  readonly low: number
  /** The source has forgotten tombstones up to this clock. */
  readonly forgotten: number
  /** Tombstones up to this clock are not compared. */
  readonly floor: number
  /** Cells of the source's copy. */
  readonly size: number
  /** Which buckets differ. */
  readonly buckets: readonly number[]
}

export interface SyncRequest {
  readonly tag: 'sync_request'
  /** Of the sync. */
  readonly id: number
  readonly request: number
  readonly buckets: readonly number[]
  /** Of the parts of each bucket, one behind the other. Without them everything is sent. */
  readonly digests: Uint8Array | undefined
}

export interface SyncRows {
  readonly tag: 'sync_rows'
  readonly id: number
  readonly request: number
  readonly bytes: Uint8Array
  readonly isLast: boolean
}

export type SharedMessage =
  | Hello
  | ProgressMessage
  | { readonly tag: 'reports'; readonly reports: readonly Report[] }
  | FeedRequest
  | { readonly tag: 'stop'; readonly id: number }
  | { readonly tag: 'entries'; readonly id: number; readonly first: number; readonly bytes: Uint8Array }
  | { readonly tag: 'gap'; readonly id: number; readonly first: number }
  | { readonly tag: 'ack'; readonly feeds: readonly (readonly [id: number, bytes: number, seq: number])[] }
  | {
      readonly tag: 'sync'
      readonly id: number
      readonly table: string
      readonly floor: number
      readonly digest: Uint8Array
    }
  | SyncBegin
  | SyncRequest
  | SyncRows
  | { readonly tag: 'sync_ack'; readonly id: number; readonly bytes: number }
  | { readonly tag: 'sync_end'; readonly id: number }
  | { readonly tag: 'sync_refused'; readonly id: number }

type Check = (value: unknown) => boolean

const isNumber: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const isText: Check = (value) => typeof value === 'string'
const isFlag: Check = (value) => typeof value === 'boolean'
const isBytes: Check = (value) => value instanceof Uint8Array

function optional(check: Check): Check {
  return (value) => value === undefined || check(value)
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check)
}

function tupleOf(...checks: readonly Check[]): Check {
  return (value) => Array.isArray(value) && value.length >= checks.length && checks.every((check, i) => check(value[i]))
}

/** Fields that are not named are left alone: a later version may send more. */
function objectOf(checks: Readonly<Record<string, Check>>): Check {
  const fields = Object.entries(checks)
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    fields.every(([field, check]) => check((value as Record<string, unknown>)[field]))
}

const isVector = listOf(tupleOf(isText, isNumber, isNumber, isNumber))
const isHoles = listOf(tupleOf(isText, isNumber, isNumber, isNumber, isNumber))
const isCopies = listOf(tupleOf(isText, isFlag, isHoles))
const isLinks = listOf(tupleOf(isText, isNumber))
const isReports = listOf(
  objectOf({
    node: isText,
    epoch: isNumber,
    number: isNumber,
    startClock: isNumber,
    vector: isVector,
    copies: isCopies,
    settled: listOf(tupleOf(isText, isNumber, isNumber)),
    low: isNumber,
    hasTombstones: isFlag,
    dead: isLinks,
  }),
)

const CHECKS: Readonly<Record<SharedMessage['tag'], Check>> = {
  hello: objectOf({
    wallMs: isNumber,
    forgotten: isNumber,
    startClock: isNumber,
    vector: isVector,
    copies: isCopies,
    links: isLinks,
    reports: isReports,
  }),
  progress: objectOf({
    wallMs: isNumber,
    forgotten: isNumber,
    vector: isVector,
    copies: optional(isCopies),
    links: isLinks,
  }),
  reports: objectOf({ reports: isReports }),
  feed: objectOf({ id: isNumber, node: isText, epoch: isNumber, from: isNumber }),
  stop: objectOf({ id: isNumber }),
  entries: objectOf({ id: isNumber, first: isNumber, bytes: isBytes }),
  gap: objectOf({ id: isNumber, first: isNumber }),
  ack: objectOf({ feeds: listOf(tupleOf(isNumber, isNumber, isNumber)) }),
  sync: objectOf({ id: isNumber, table: isText, floor: isNumber, digest: isBytes }),
  sync_begin: objectOf({
    id: isNumber,
    vector: isVector,
    holes: isHoles,
    lacksSettled: isFlag,
    cleared: optional(tupleOf(isText, isNumber, isNumber)),
    low: isNumber,
    forgotten: isNumber,
    floor: isNumber,
    size: isNumber,
    buckets: listOf(isNumber),
  }),
  sync_request: objectOf({ id: isNumber, request: isNumber, buckets: listOf(isNumber), digests: optional(isBytes) }),
  sync_rows: objectOf({ id: isNumber, request: isNumber, bytes: isBytes, isLast: isFlag }),
  sync_ack: objectOf({ id: isNumber, bytes: isNumber }),
  sync_end: objectOf({ id: isNumber }),
  sync_refused: objectOf({ id: isNumber }),
}

/** True for a message that can be handled. One with an unknown tag is none. */
export function isMessage(message: { readonly tag: string }): message is SharedMessage {
  return Object.hasOwn(CHECKS, message.tag) && CHECKS[message.tag as SharedMessage['tag']](message)
}
