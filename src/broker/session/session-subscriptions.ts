/**
 * SUBSCRIBE and UNSUBSCRIBE: the part of the session machine that keeps the subscriptions.
 *
 * A SUBSCRIBE is answered when the router has confirmed the routes of all its filters, so that whoever publishes after SUBACK
 * reaches the client; each filter has its own code, and a refused one does not touch the others. Messages may reach the
 * client before SUBACK [MQTT5-3.8.4-3]. Retained messages follow SUBACK.
 */
import type { UnsubscribePacket } from '../packet.ts'
import type { AuthorizedSubscribe } from '../process-messages.ts'
import { FIRST_FAILURE, RC, subackCode } from '../reason-codes.ts'
import { type ParsedFilter, parseFilter } from '../routing/topic.ts'
import { outStored } from './session-effects.ts'
import { readRetained } from './session-outbound.ts'
import {
  deleteSubscription,
  type Effect,
  type PendingSubscribe,
  type PendingUnsubscribe,
  putSubscription,
  type SessionState,
  type Subscription,
} from './session-state.ts'
import { NOT_OF_CLIENT } from './static-subscriptions.ts'

/** The connection has checked every filter; what is left is to read it. */
const NO_LIMITS = { maxLevels: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

/** The attachment of a request that nobody waits for. */
const NOBODYS = 0

/** Takes a SUBSCRIBE [MQTT5-3.8.4] [MQTT311-3.8.4]. */
export function subscribe(state: SessionState, packet: AuthorizedSubscribe, effects: Effect[]): void {
  const { messageId, subscriptions, denied, properties } = packet
  const granted: number[] = []
  const entries: PendingSubscribe['entries'][number][] = []
  for (let index = 0; index < subscriptions.length; index += 1) {
    const entry = subscriptions[index]!
    const parsed = parseFilter(entry.topic, NO_LIMITS)
    const code = denied[index] ?? 0
    if (code !== 0 || !parsed.ok) {
      granted.push(subackCode(code === 0 ? RC.topic_filter_invalid : code, state.version))
      continue
    }
    const filter = parsed.value
    const isNew = !state.subscriptions.has(filter.key)
    if (isNew && state.subscriptions.size >= state.limits.maxSubscriptions) {
      granted.push(subackCode(RC.quota_exceeded, state.version))
      continue
    }
    const { qos, nl = false, rap = false, rh = 0 } = entry
    const id = properties?.subscriptionIdentifier
    const subscription: Subscription = { filter, qos, noLocal: nl, rap, rh, id }
    // One that is there already is replaced, without a gap [MQTT5-3.8.4-3] [MQTT311-3.8.4-3].
    if (isNew && filter.group !== undefined) state.sharedCount += 1
    putSubscription(state, subscription)
    granted.push(subscription.qos)
    entries.push({ index, isNew, subscription })
  }
  if (entries.length === 0 && messageId === NOT_OF_CLIENT) return
  if (entries.length === 0) {
    outStored(state, effects, { cmd: 'suback', messageId, granted })
    return
  }
  const attachment = messageId === NOT_OF_CLIENT ? NOBODYS : state.attachment
  const ticket = remember(state, { messageId, attachment, granted, entries })
  effects.push({ tag: 'subscribe', ticket, subscriptions: entries.map(({ subscription }) => subscription) })
}

/** Takes the router's answer to a `subscribe` effect. */
export function subscribed(
  state: SessionState,
  ticket: number,
  codes: readonly number[] | undefined,
  effects: Effect[],
): void {
  const pending = recall(state, ticket)
  if (pending === undefined || !('entries' in pending)) return
  const { messageId, granted, entries } = pending
  const accepted: (typeof entries)[number][] = []
  entries.forEach((entry, i) => {
    const code = codes?.[i] ?? 0
    if (code < FIRST_FAILURE) accepted.push(entry)
    else {
      granted[entry.index] = subackCode(code, state.version)
      if (entry.isNew && state.subscriptions.get(entry.subscription.filter.key) === entry.subscription) {
        forget(state, entry.subscription.filter, effects)
      }
    }
  })
  if (pending.attachment === state.attachment && state.connection !== undefined) {
    outStored(state, effects, { cmd: 'suback', messageId, granted })
  }
  for (const { subscription, isNew } of accepted) {
    if (state.subscriptions.get(subscription.filter.key) === subscription && wantsRetained(subscription, isNew)) {
      abandonRead(state, subscription.filter, effects)
      state.retainedReads.push({ ticket: nextTicket(state), subscription, asked: false })
    }
  }
  readRetained(state, effects)
}

/** Takes an UNSUBSCRIBE [MQTT5-3.10.4]. */
export function unsubscribe(state: SessionState, packet: UnsubscribePacket, effects: Effect[]): void {
  const { messageId, unsubscriptions } = packet
  const granted: number[] = []
  const filters: ParsedFilter[] = []
  for (const text of unsubscriptions) {
    const parsed = parseFilter(text, NO_LIMITS)
    if (!parsed.ok) granted.push(RC.topic_filter_invalid)
    else if (forget(state, parsed.value, effects)) {
      filters.push(parsed.value)
      granted.push(RC.success)
    } else granted.push(RC.no_subscription_existed)
  }
  if (filters.length === 0) {
    outStored(state, effects, { cmd: 'unsuback', messageId, granted })
    return
  }
  const ticket = remember(state, { messageId, attachment: state.attachment, granted })
  effects.push({ tag: 'unsubscribe', ticket, filters })
}

/** Takes the router's answer to an `unsubscribe` effect: nothing more is routed to these filters. */
export function unsubscribed(state: SessionState, ticket: number, effects: Effect[]): void {
  const pending = recall(state, ticket)
  if (pending === undefined) return
  if (pending.attachment === state.attachment && state.connection !== undefined) {
    outStored(state, effects, { cmd: 'unsuback', messageId: pending.messageId, granted: pending.granted })
  }
}

/** [MQTT5-3.3.1-9, 10, 11]; never for a shared subscription [MQTT5-4.8.2]. */
function wantsRetained({ filter, rh }: Subscription, isNew: boolean): boolean {
  return (rh === 0 || (rh === 1 && isNew)) && filter.group === undefined
}

function forget(state: SessionState, filter: ParsedFilter, effects: Effect[]): boolean {
  if (!deleteSubscription(state, filter.key)) return false
  if (filter.group !== undefined) state.sharedCount -= 1
  abandonRead(state, filter, effects)
  return true
}

function abandonRead(state: SessionState, { key }: ParsedFilter, effects: Effect[]): void {
  const read = state.retainedReads.find((each) => each.subscription.filter.key === key)
  if (read === undefined) return
  state.retainedReads = state.retainedReads.filter((each) => each !== read)
  effects.push({ tag: 'forget_retained', ticket: read.ticket })
}

function nextTicket(state: SessionState): number {
  const ticket = state.nextTicket
  state.nextTicket += 1
  return ticket
}

function remember(state: SessionState, pending: PendingSubscribe | PendingUnsubscribe): number {
  const ticket = nextTicket(state)
  state.pendingSubscribes ??= new Map()
  state.pendingSubscribes.set(ticket, pending)
  if (pending.attachment !== NOBODYS) state.asking += 1
  return ticket
}

function recall(state: SessionState, ticket: number): PendingSubscribe | PendingUnsubscribe | undefined {
  const pending = state.pendingSubscribes?.get(ticket)
  state.pendingSubscribes?.delete(ticket)
  if (state.pendingSubscribes?.size === 0) state.pendingSubscribes = undefined
  if (pending?.attachment === state.attachment && state.asking > 0) state.asking -= 1
  return pending
}
