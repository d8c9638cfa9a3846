/**
 * The list of effects that one event brings about. Packets for the client and drops of one kind that follow each other are
 * put together, so that a whole event costs one message to the connection.
 */

import type { Message } from '../message.ts'
import type { OutPacket } from '../process-messages.ts'
import type { DropReason } from './delivery.ts'
import type { Effect, SessionState } from './session-state.ts'

/** Adds a packet for the client; only while the session has a connection. */
export function out(state: SessionState, effects: Effect[], packet: OutPacket): void {
  const last = effects.length === 0 ? undefined : effects[effects.length - 1]
  if (last !== undefined && last.tag === 'out') last.packets.push(packet)
  else effects.push({ tag: 'out', from: state.self, packets: [packet], waits: false })
}

/**
 * Adds a packet that must not be sent before a stored session is on disc as it is now: a promise, or a part of an exchange that both
 * sides must remember alike.
 */
export function outStored(state: SessionState, effects: Effect[], packet: OutPacket): void {
  const last = effects.length === 0 ? undefined : effects[effects.length - 1]
  if (last !== undefined && last.tag === 'out') {
    last.packets.push(packet)
    last.waits = true
  } else effects.push({ tag: 'out', from: state.self, packets: [packet], waits: true })
}

/** Counts a message that the client will not get, and reports it. */
export function drop(state: SessionState, effects: Effect[], reason: DropReason, message: Message): void {
  state.counters.dropped += 1
  const last = effects.length === 0 ? undefined : effects[effects.length - 1]
  if (last !== undefined && last.tag === 'dropped' && last.reason === reason) last.messages.push(message)
  else effects.push({ tag: 'dropped', reason, messages: [message] })
}
