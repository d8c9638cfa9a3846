/**
 * Messages from the client: the part of the session machine that takes PUBLISH and PUBREL.
 *
 * A QoS 2 message is published when its PUBLISH comes; only its identifier is remembered until PUBREL, so that a repeated
 * PUBLISH is not published again [MQTT5-4.3.3-10] [MQTT311-4.3.3-2]. Nothing that waits can be lost then, and
 * a client that never sends PUBREL costs a few bytes.
 *
 * PUBACK and PUBREC go out when the message is taken over by all who get it (event `accepted`), in the order in which the PUBLISHes
 * came [MQTT5-4.6.0-2, 3]. With everything in memory that is at once; nothing here changes when it takes a disc or another node.
 */

import type { Message } from '../message.ts'
import { ownBytes } from '../own-bytes.ts'
import type { AckPacket, ForwardedProperties, PublishProperties } from '../packet.ts'
import type { AuthorizedPublish } from '../process-messages.ts'
import { FIRST_FAILURE, RC } from '../reason-codes.ts'
import { out, outStored } from './session-effects.ts'
import type { Effect, PendingAcks, SessionState } from './session-state.ts'
import type { Journal } from './stored/journal.ts'

type PublishEffect = Extract<Effect, { tag: 'publish' }>

/** The publishes of one event that follow each other, and their acknowledgements. */
export interface Intake {
  publish: PublishEffect | undefined
  pending: PendingAcks | undefined
}

/** Takes one PUBLISH of the client. */
export function published(
  state: SessionState,
  nowMs: number,
  packet: AuthorizedPublish,
  intake: Intake,
  effects: Effect[],
): void {
  if (packet.qos === 0) {
    if (packet.denied === 0) enter(messageOf(state, nowMs, packet, state.nextMessageId(nowMs)), intake, effects)
    return
  }
  const messageId = packet.messageId!
  if (packet.qos === 2 && state.awaitingRel.has(messageId) && state.unfinished?.has(messageId) !== true) {
    // Repeated: acknowledged again, not published again [MQTT5-4.3.3-10].
    acknowledge(state, intake, { cmd: 'pubrec', messageId }, -1)
    return
  }
  if (state.awaitingRel.size + state.awaitingAccept >= state.receiveLimit) {
    // [MQTT5-3.3.4-7, 8]. Closing is the only refusal that 3.1.1 knows.
    state.closing = true
    effects.push({
      tag: 'close',
      to: state.connection!,
      reasonCode: RC.receive_maximum_exceeded,
      reason: 'receive_maximum_exceeded',
    })
    return
  }
  const cmd = packet.qos === 1 ? 'puback' : 'pubrec'
  if (packet.denied !== 0) {
    // 3.1.1 must acknowledge it all the same [MQTT311-3.3.5-2]; the QoS 2 exchange then runs to its end.
    if (state.version !== 5 && packet.qos === 2) {
      state.awaitingRel.add(messageId)
      state.journal?.published(messageId)
    }
    const ack: AckPacket = { cmd, messageId }
    if (state.version === 5) ack.reasonCode = packet.denied
    acknowledge(state, intake, ack, -1)
    return
  }
  const message = messageOf(state, nowMs, packet, idOf(state, nowMs, packet))
  if (packet.qos === 2) {
    state.awaitingRel.add(messageId)
    state.journal?.publishing(messageId, message.id)
  }
  const index = enter(message, intake, effects)
  acknowledge(state, intake, { cmd, messageId }, index)
}

/** The id of a message: the former one when it may have been published already, so that whoever has it knows it. */
function idOf(state: SessionState, nowMs: number, { messageId }: AuthorizedPublish): string {
  const former = state.unfinished?.get(messageId!)
  if (former === undefined) return state.nextMessageId(nowMs)
  forgetUnfinished(state, messageId!)
  return former
}

function forgetUnfinished(state: SessionState, messageId: number): void {
  if (state.unfinished?.delete(messageId) && state.unfinished.size === 0) state.unfinished = undefined
}

/** Takes a PUBREL of the client [MQTT5-4.3.3-11]. */
export function released(state: SessionState, messageId: number, effects: Effect[]): void {
  if (state.awaitingRel.delete(messageId)) {
    forgetUnfinished(state, messageId)
    state.journal?.released(messageId)
    outStored(state, effects, { cmd: 'pubcomp', messageId })
    return
  }
  state.counters.unknownAcks += 1
  // Normal after a crash of either side; 3.1.1 answers it like any other [MQTT311-4.3.3-2].
  out(state, effects, { cmd: 'pubcomp', messageId, reasonCode: RC.packet_identifier_not_found })
}

/** Ends a row of publishes: those that need no acceptance are acknowledged now, if none before them waits. */
export function closeIntake(state: SessionState, intake: Intake, effects: Effect[]): void {
  const { pending, publish } = intake
  intake.pending = undefined
  intake.publish = undefined
  if (pending === undefined) return
  if (publish !== undefined && publish.ticket === pending.ticket) return
  pending.accepted = true
  flush(state, effects)
}

/** All who get the messages of a `publish` effect have them. */
export function accepted(
  state: SessionState,
  ticket: number,
  codes: readonly number[] | undefined,
  effects: Effect[],
): void {
  const pending = state.pendingAcks.find((each) => each.ticket === ticket)
  if (pending === undefined || pending.accepted) return
  pending.accepted = true
  if (codes !== undefined) {
    for (let i = 0; i < pending.acks.length; i += 1) {
      const index = pending.indexes[i]!
      const code = index < 0 ? 0 : (codes[index] ?? 0)
      if (code !== 0) setCode(state, pending.acks[i]!, code)
    }
  }
  if (state.journal !== undefined) notePublished(state, state.journal, pending)
  flush(state, effects)
}

/**
 * A disc does not take the messages, so it would be untrue to acknowledge them. In 5.0 they are refused; 3.1.1 knows no refusal, and a client
 * whose connection closes keeps them.
 */
export function unsafe(state: SessionState, ticket: number, effects: Effect[]): void {
  const pending = state.pendingAcks.find((each) => each.ticket === ticket)
  if (pending === undefined || pending.accepted) return
  pending.accepted = true
  const { acks, indexes } = pending
  acks.forEach((ack, i) => {
    if (indexes[i]! < 0) return
    if (state.version === 5) setCode(state, ack, RC.unspecified_error)
    // What comes again is published again.
    else if (ack.cmd === 'pubrec') release(state, ack.messageId)
  })
  if (state.version !== 5) {
    acks.length = 0
    if (pending.attachment === state.attachment && state.connection !== undefined) {
      state.closing = true
      const reason = 'messages are not stored'
      effects.push({ tag: 'close', to: state.connection, reasonCode: RC.unspecified_error, reason })
    }
  }
  flush(state, effects)
}

function release(state: SessionState, messageId: number): void {
  if (state.awaitingRel.delete(messageId)) state.journal?.released(messageId)
}

/** The messages have been taken over: a repetition of one is not published again, even after a restart. */
function notePublished(state: SessionState, journal: Journal, { acks, indexes }: PendingAcks): void {
  for (let i = 0; i < acks.length; i += 1) {
    const { cmd, messageId } = acks[i]!
    if (cmd === 'pubrec' && indexes[i]! >= 0 && state.awaitingRel.has(messageId)) journal.published(messageId)
  }
}

/** Confirms to the connection what it gave, although not all of it is accepted. */
export function deferred(state: SessionState, effects: Effect[]): void {
  for (const pending of state.pendingAcks) {
    if (pending.attachment !== state.attachment || state.connection === undefined) continue
    for (; pending.syncs > 0; pending.syncs -= 1) effects.push({ tag: 'synced', from: state.self })
  }
}

/** Sets the code of an acknowledgement. A failure ends the QoS 2 exchange in 5.0 only: 3.1.1 knows no failure here. */
function setCode(state: SessionState, ack: AckPacket, code: number): void {
  if (state.version !== 5) return
  ack.reasonCode = code
  if (code < FIRST_FAILURE || ack.cmd !== 'pubrec') return
  release(state, ack.messageId)
  // A repetition that came meanwhile must get the same answer.
  for (const { acks } of state.pendingAcks) {
    for (const other of acks) {
      if (other.cmd === 'pubrec' && other.messageId === ack.messageId) other.reasonCode = code
    }
  }
}

/** Sends the acknowledgements that no earlier one holds up. */
function flush(state: SessionState, effects: Effect[]): void {
  const { pendingAcks } = state
  while (pendingAcks.length > 0 && pendingAcks[0]!.accepted) {
    const pending = pendingAcks.shift()!
    if (pending.attachment !== state.attachment || state.connection === undefined) continue
    state.awaitingAccept -= pending.pubacks
    if (pending.acks.length > 0) {
      sendAcks(state, effects, pending)
    }
    for (; pending.syncs > 0; pending.syncs -= 1) effects.push({ tag: 'synced', from: state.self })
  }
}

function sendAcks(state: SessionState, effects: Effect[], { acks, pubacks }: PendingAcks): void {
  // Whoever has got a PUBACK forgets the message; PUBREC is the half of an exchange.
  const waits = pubacks < acks.length
  if (effects.length === 0) effects.push({ tag: 'out', from: state.self, packets: acks, waits })
  else for (const ack of acks) waits ? outStored(state, effects, ack) : out(state, effects, ack)
}

function enter(message: Message, intake: Intake, effects: Effect[]): number {
  let effect = intake.publish
  if (effect === undefined) {
    effect = { tag: 'publish', ticket: 0, messages: [] }
    intake.publish = effect
    effects.push(effect)
  }
  effect.messages.push(message)
  return effect.messages.length - 1
}

function acknowledge(state: SessionState, intake: Intake, ack: AckPacket, index: number): void {
  let { pending } = intake
  if (pending === undefined) {
    const ticket = state.nextTicket
    state.nextTicket += 1
    pending = { ticket, attachment: state.attachment, acks: [], indexes: [], pubacks: 0, accepted: false, syncs: 0 }
    intake.pending = pending
    state.pendingAcks.push(pending)
  }
  if (index >= 0) intake.publish!.ticket = pending.ticket
  pending.acks.push(ack)
  pending.indexes.push(index)
  if (ack.cmd === 'puback') {
    pending.pubacks += 1
    state.awaitingAccept += 1
  }
}

/**
 * Makes the message of a PUBLISH. One that will surely be kept (QoS 1 and 2: in flight; retained) owns its payload from here on,
 * one copy for all subscribers; a QoS 0 message stays a view of the socket's chunk until a queue takes it.
 */
function messageOf(state: SessionState, nowMs: number, packet: AuthorizedPublish, id: string): Message {
  const { topic, payload, qos, retain, properties } = packet
  const expirySec = properties?.messageExpiryInterval
  return {
    id,
    from: state.clientId,
    topic,
    payload: qos === 0 && !retain ? payload : ownBytes(payload),
    qos,
    retain,
    publishedAtMs: nowMs,
    expiresAtMs: expirySec === undefined ? Number.POSITIVE_INFINITY : nowMs + expirySec * 1000,
    properties: properties === undefined ? undefined : forwarded(properties),
  }
}

/** Returns the properties that go on to subscribers, or undefined when there are none. */
function forwarded(properties: PublishProperties): ForwardedProperties | undefined {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties
  const kept: ForwardedProperties = {}
  let any = false
  if (payloadFormatIndicator !== undefined) {
    kept.payloadFormatIndicator = payloadFormatIndicator
    any = true
  }
  if (contentType !== undefined) {
    kept.contentType = contentType
    any = true
  }
  if (responseTopic !== undefined) {
    kept.responseTopic = responseTopic
    any = true
  }
  if (correlationData !== undefined) {
    kept.correlationData = correlationData
    any = true
  }
  if (userProperties !== undefined) {
    kept.userProperties = userProperties
    if (properties.userPropertyOrder !== undefined) kept.userPropertyOrder = properties.userPropertyOrder // [MQTT5-3.3.2-18]
    any = true
  }
  return any ? kept : undefined
}
