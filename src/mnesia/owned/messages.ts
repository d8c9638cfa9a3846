/**
 * What nodes tell each other about owned tables. Plain data, with batches and rows as bytes.
 *
 *     hello      my copies, and how far I have got with every owner
 *     copies     my copies, when they have changed
 *     have       how far I have got with an owner that I am not connected to; whom I am connected to
 *     feed       send me the rows of an owner in a table: this is how far I have got
 *     stop       no more of that feed
 *     resume     from there the batches follow
 *     snapshot   all rows follow; batches from then on come in between
 *     rows       the rows whose keys' hashes are in a range, or some of them: `isLast` ends the range
 *     complete   the snapshot is complete
 *     entries    batches, or a piece of one
 *     digest     of the rows after the last batch sent
 *     repair     send me these buckets of them again
 *     ack        of feeds: bytes that have been taken in, and the batch up to which they have been applied
 *
 * `isMessage` looks at everything, since a message comes from another node: what has passed it can be handled without surprises.
 */
import { BUCKETS } from '../rows/bucket-digest.ts'
import { END } from '../rows/shards.ts'

/** How far a node has got with an owner, and whether it is connected to it. Its own rows are told in the same way. */
export type Have = readonly [table: string, owner: string, epoch: number, seq: number, isConnected: boolean]

export interface FeedRequest {
  readonly tag: 'feed'
  /** Given by the receiver, never twice on a connection. */
  readonly id: number
  readonly table: string
  readonly owner: string
  readonly epoch: number
  readonly seq: number
}

export type OwnedMessage =
  | { readonly tag: 'hello'; readonly tables: readonly string[]; readonly have: readonly Have[] }
  | { readonly tag: 'copies'; readonly tables: readonly string[] }
  | { readonly tag: 'have'; readonly have: readonly Have[] }
  | FeedRequest
  | { readonly tag: 'stop'; readonly id: number }
  | FeedMessage
  | { readonly tag: 'repair'; readonly id: number; readonly buckets: readonly number[] }
  | { readonly tag: 'ack'; readonly feeds: readonly (readonly [id: number, bytes: number, seq: number])[] }

/** What the source of a feed sends. */
export type FeedMessage =
  | { readonly tag: 'resume'; readonly id: number }
  | { readonly tag: 'snapshot'; readonly id: number; readonly epoch: number; readonly seq: number }
  | {
      readonly tag: 'rows'
      readonly id: number
      readonly from: number
      readonly to: number
      readonly bytes: Uint8Array
      readonly isLast: boolean
    }
  | { readonly tag: 'complete'; readonly id: number; readonly seq: number }
  | { readonly tag: 'entries'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly tag: 'digest'; readonly id: number; readonly seq: number; readonly digest: Uint8Array }

type Check = (value: unknown) => boolean

const isNumber: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const isText: Check = (value) => typeof value === 'string'
const isFlag: Check = (value) => typeof value === 'boolean'
const isBytes: Check = (value) => value instanceof Uint8Array
const isBucket: Check = (value) => isNumber(value) && (value as number) < BUCKETS
const isPosition: Check = (value) => isNumber(value) && (value as number) <= END

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check)
}

function tupleOf(...checks: readonly Check[]): Check {
  return (value) => Array.isArray(value) && checks.every((check, i) => check(value[i]))
}

/** Fields that are not named are left alone: a later version may send more. */
function objectOf(checks: Readonly<Record<string, Check>>): Check {
  const fields = Object.entries(checks)
  return (value) => fields.every(([field, check]) => check((value as Record<string, unknown>)[field]))
}

const isHave = listOf(tupleOf(isText, isText, isNumber, isNumber, isFlag))
const isTables = listOf(isText)

const CHECKS: Readonly<Record<OwnedMessage['tag'], Check>> = {
  hello: objectOf({ tables: isTables, have: isHave }),
  copies: objectOf({ tables: isTables }),
  have: objectOf({ have: isHave }),
  feed: objectOf({ id: isNumber, table: isText, owner: isText, epoch: isNumber, seq: isNumber }),
  stop: objectOf({ id: isNumber }),
  resume: objectOf({ id: isNumber }),
  snapshot: objectOf({ id: isNumber, epoch: isNumber, seq: isNumber }),
  rows: objectOf({ id: isNumber, from: isPosition, to: isPosition, bytes: isBytes, isLast: isFlag }),
  complete: objectOf({ id: isNumber, seq: isNumber }),
  entries: objectOf({ id: isNumber, bytes: isBytes }),
  digest: objectOf({ id: isNumber, seq: isNumber, digest: isBytes }),
  repair: objectOf({ id: isNumber, buckets: listOf(isBucket) }),
  ack: objectOf({ feeds: listOf(tupleOf(isNumber, isNumber, isNumber)) }),
}

/** True for a message that can be handled. One with an unknown tag is none. */
export function isMessage(message: { readonly tag: string }): message is OwnedMessage {
  return Object.hasOwn(CHECKS, message.tag) && CHECKS[message.tag as OwnedMessage['tag']](message)
}
