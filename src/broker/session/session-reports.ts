/**
 * What a session tells counters and hooks. Each costs one comparison when nobody listens.
 */

import type { Message } from '../message.ts'
import type { ClientInfo, OutPacket } from '../process-messages.ts'
import type { PublishEnvironment } from '../publish.ts'
import type { DropReason } from './delivery.ts'
import type { RouterRequest } from './session-router.ts'
import type { Effect } from './session-state.ts'

/** A client has its session. */
export function reportAttached(
  { hooks, metrics }: PublishEnvironment,
  client: ClientInfo,
  { present, takenOver }: Extract<Effect, { tag: 'attached' }>,
): void {
  if (takenOver) {
    metrics['session/takenover'] += 1
    hooks.notify('session.takenover', client.clientId)
  }
  if (present) {
    metrics['session/resumed'] += 1
    hooks.notify('session.resumed', client)
  } else {
    metrics['session/created'] += 1
    hooks.notify('session.created', client)
  }
}

/** A session has ended, or has moved to another node, where it is resumed. */
export function reportEnded(
  { hooks, metrics }: PublishEnvironment,
  clientId: string,
  { reason }: Extract<Effect, { tag: 'ended' }>,
): void {
  if (reason === 'moved') {
    metrics['session/moved'] += 1
    return
  }
  if (reason === 'discarded') {
    metrics['session/discarded'] += 1
    hooks.notify('session.discarded', clientId)
  }
  metrics['session/terminated'] += 1
  hooks.notify('session.terminated', clientId, reason)
}

/** The client has more in flight than it may: its connection is closed, and what it has just sent goes nowhere. */
export function reportTooMuchInFlight({ metrics }: PublishEnvironment): void {
  metrics['messages/dropped'] += 1
  metrics['messages/dropped/receive_maximum'] += 1
}

/** Messages that the client of a session does not get. */
export function reportDropped(
  { hooks, metrics }: PublishEnvironment,
  clientId: string,
  reason: DropReason,
  messages: readonly Message[],
): void {
  // The connection counts those that are too large, since it knows the ones of QoS 0 as well.
  if (reason !== 'too_large') {
    metrics['delivery/dropped'] += messages.length
    metrics[`delivery/dropped/${reason}`] += messages.length
  }
  if (hooks.chains['delivery.dropped'].length === 0) return
  for (const message of messages) hooks.notify('delivery.dropped', clientId, message, reason)
}

/** Messages that have been handed to the connection, each once. */
export function reportDelivered({ hooks }: PublishEnvironment, clientId: string, packets: readonly OutPacket[]): void {
  if (hooks.chains['message.delivered'].length === 0) return
  for (const packet of packets) {
    if (packet.cmd === 'publish') {
      // A message that is sent again has been reported.
      if (!packet.dup) hooks.notify('message.delivered', clientId, packet.message)
    } else if (packet.cmd === 'batch') {
      for (const message of packet.batch.messages) hooks.notify('message.delivered', clientId, message)
    }
  }
}

/** Messages that the client has acknowledged to the end, where the hook is wanted. */
export function reportAcked({ hooks }: PublishEnvironment, clientId: string, messages: readonly Message[]): void {
  for (const message of messages) hooks.notify('message.acked', clientId, message)
}

/** Subscriptions that stand, or are gone. */
export function reportAnswered({ hooks }: PublishEnvironment, clientId: string, request: RouterRequest): void {
  if (request.tag === 'subscribe') {
    if (hooks.chains['session.subscribed'].length === 0) return
    for (const { filter, qos, noLocal: nl, rap } of request.subscriptions) {
      hooks.notify('session.subscribed', clientId, { topic: filter.key, qos, nl, rap })
    }
  } else {
    if (hooks.chains['session.unsubscribed'].length === 0) return
    for (const { key } of request.filters) hooks.notify('session.unsubscribed', clientId, key)
  }
}
