/**
 * What the `mnesia` processes of two nodes say to each other before they are linked, and what they make of it.
 *
 * Each side greets the other (`hello`) and judges the other's greeting. The link is up when each has accepted the other. Everything
 * between two greetings is marked with both of their numbers, so that what belongs to an earlier greeting is known as such: a
 * `mnesia` process that crashed greets anew over the same connection. A side that wants to change its mind greets anew, too.
 */
import { type Mismatch, mismatches, mismatchText } from './definitions.ts'
import { statusAmong, statusIn } from './members.ts'
import type { Departure } from './own-record.ts'
import { merged, type Registry, type RegistryRow, registryRowsOf } from './registry.ts'

/** Versions of the protocol that this code speaks. */
export const PROTOCOL = { least: 1, most: 1 } as const

/** Random; names one greeting, among all that both nodes ever send. */
export type GreetingId = number

export interface Hello {
  readonly tag: 'hello'
  readonly node: string
  readonly id: GreetingId
  /** The greeting of the other side that the sender has; undefined before it has one. */
  readonly re: GreetingId | undefined
  readonly protocol: { readonly least: number; readonly most: number }
  readonly cluster: string
  readonly epoch: number
  /** The greatest epoch of the receiver that the sender has seen; 0 for none. */
  readonly seen: number
  /** The sender's schema. */
  readonly rows: readonly RegistryRow[]
  /** Clusters that the sender has left. */
  readonly departures: readonly Departure[]
  /** Somebody has told the sender to end the partition between the two. */
  readonly heals: boolean
}

/** The sender takes the receiver for a member and wants the link. */
export interface Accept {
  readonly tag: 'accept'
  readonly id: GreetingId
  readonly re: GreetingId
}

/** The sender does not link, or ends the link, until one of both greets anew. */
export interface Close {
  readonly tag: 'close'
  readonly id: GreetingId
  readonly re: GreetingId
  readonly reason: CloseReason
}

/** A message of a part, over a link that is up. */
export interface PartMessage {
  readonly tag: 'part'
  readonly id: GreetingId
  readonly re: GreetingId
  readonly part: string
  readonly message: { readonly tag: string }
}

/** Rows of the schema that are new. */
export interface SchemaMessage {
  readonly tag: 'schema'
  readonly id: GreetingId
  readonly re: GreetingId
  readonly rows: readonly RegistryRow[]
}

export type LinkMessage = Hello | Accept | Close | PartMessage | SchemaMessage

export type CloseReason =
  /** The node stops on purpose. */
  | 'stopped'
  /** The receiver is no member any more, as the greeting's rows say. */
  | 'removed'
  | 'other_cluster'
  | 'incompatible_version'
  | 'definitions_differ'
  /** Both sides have run apart, and the policy is to wait until somebody says that they may join. */
  | 'partitioned'
  /** The receiver's data has been set back. */
  | 'old_epoch'
  /** The sender is changing its cluster. */
  | 'busy'
  /** A part of the sender failed on what came from the receiver. */
  | 'failed'

export type Judgement =
  | { readonly accepted: true; readonly protocol: number }
  | { readonly accepted: false; readonly reason: CloseReason; readonly text: string }

/** What a side knows when it judges. */
export interface Judge {
  readonly node: string
  readonly cluster: string
  readonly registry: Registry
  /** The greatest epoch that was seen of the node that greets. */
  readonly seen: number
}

/** Whether a greeting's rows are to be merged: those of a node of this cluster that has not been removed. */
export function isTrusted({ cluster, registry }: Judge, hello: Hello): boolean {
  const status = statusIn(registry, hello.node)
  if (hello.cluster !== cluster || protocolWith(hello) === undefined) return false
  if (status === 'member' || status === undefined) return true
  // It may have joined again: then its own row is newer than the one that says it is none.
  return statusIn(mergedView(registry, hello.rows), hello.node) === 'member'
}

/** Judges a greeting; its rows have been merged if they are to be. */
export function judge({ node, cluster, registry, seen }: Judge, hello: Hello): Judgement {
  const protocol = protocolWith(hello)
  const { least, most } = hello.protocol
  if (protocol === undefined) {
    const text = `${hello.node} speaks versions ${least} to ${most} of the table protocol, this node ${PROTOCOL.least} to ${PROTOCOL.most}: upgrade the older one`
    return refused('incompatible_version', text)
  }
  if (hello.cluster !== cluster) {
    return refused('other_cluster', `${hello.node} is in another cluster (${hello.cluster}; this one is ${cluster})`)
  }
  if (statusIn(registry, hello.node) !== 'member') {
    const isMutual = statusAmong(hello.rows, node) !== 'member'
    const text = isMutual
      ? `${hello.node} and this node have each been removed by the other: they are two clusters now, and \`cluster join\` on one of them makes them one`
      : `${hello.node} has been removed from this cluster`
    return refused('removed', text)
  }
  if (statusIn(registry, node) !== 'member') return refused('removed', `this node has been removed from its cluster`)
  if (hello.epoch < seen) {
    const text = `${hello.node} has begun epoch ${hello.epoch}, but was seen in epoch ${seen}: its data has been set back; start it again`
    return refused('old_epoch', text)
  }
  const different = mismatches(registry.rows(), hello.rows)
  if (different.length > 0) return refused('definitions_differ', mismatchesText(hello.node, different))
  return { accepted: true, protocol }
}

/** The version that both speak; undefined when there is none. */
export function protocolWith({ protocol }: Pick<Hello, 'protocol'>): number | undefined {
  const version = Math.min(protocol.most, PROTOCOL.most)
  return version < Math.max(protocol.least, PROTOCOL.least) ? undefined : version
}

function mismatchesText(node: string, different: readonly Mismatch[]): string {
  return `${node} defines tables in another way: ${different.map(mismatchText).join(', ')}`
}

function refused(reason: CloseReason, text: string): Judgement {
  return { accepted: false, reason, text }
}

function mergedView(registry: Registry, rows: readonly RegistryRow[]): Pick<Registry, 'get'> {
  const view = merged(registry.rows(), rows)
  return { get: (key) => view.get(key)?.value }
}

/** The message in something that another node has sent; undefined when it is none. */
export function linkMessageOf(message: unknown): LinkMessage | undefined {
  if (typeof message !== 'object' || message === null) return undefined
  const { tag, id } = message as Partial<LinkMessage>
  if (typeof id !== 'number') return undefined
  if (tag === 'hello') return helloOf(message as Partial<Hello>)
  if (typeof (message as Partial<Accept>).re !== 'number') return undefined
  switch (tag) {
    case 'accept':
      return message as Accept
    case 'close':
      return typeof (message as Partial<Close>).reason === 'string' ? (message as Close) : undefined
    case 'schema':
      return registryRowsOf((message as Partial<SchemaMessage>).rows) && (message as SchemaMessage)
    case 'part': {
      const { part, message: inner } = message as Partial<PartMessage>
      const isPart = typeof part === 'string' && typeof inner === 'object' && inner !== null
      return isPart && typeof inner.tag === 'string' ? (message as PartMessage) : undefined
    }
    default:
      return undefined
  }
}

function helloOf(message: Partial<Hello>): Hello | undefined {
  const { node, re, protocol, cluster, epoch, seen, rows, departures, heals } = message
  const isHello =
    typeof node === 'string' &&
    (re === undefined || typeof re === 'number') &&
    Number.isInteger(protocol?.least) &&
    Number.isInteger(protocol?.most) &&
    typeof cluster === 'string' &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(seen) &&
    registryRowsOf(rows) !== undefined &&
    typeof heals === 'boolean' &&
    Array.isArray(departures) &&
    departures.every(
      (departure) => typeof departure?.cluster === 'string' && registryRowsOf(departure.rows) !== undefined,
    )
  return isHello ? (message as Hello) : undefined
}
