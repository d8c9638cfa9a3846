/**
 * Messages to the client: the part of the session machine that delivers, keeps the window, takes acknowledgements, drains the
 * queue and redelivers to a connection that resumes the session.
 *
 * A PUBLISH is sent again only to a new connection, never on a live one [MQTT5-4.4.0-1], so there is no retry timer. QoS 0 waits
 * for the socket alone; QoS 1 and 2 wait for the window too and for what a resumed connection must get again first.
 */

import { Batch, batchOf, type Matched, type Message, type Run } from '../message.ts'
import { ownBytes } from '../own-bytes.ts'
import type { AckPacket, QoS } from '../packet.ts'
import type { OutPublish } from '../process-messages.ts'
import { FIRST_FAILURE, RC } from '../reason-codes.ts'
import type { Delivery, DropReason, Share } from './delivery.ts'
import type { InFlight } from './inflight.ts'
import { MessageQueue } from './mqueue.ts'
import { drop, out, outStored } from './session-effects.ts'
import type { Effect, SessionEvent, SessionState } from './session-state.ts'
import type { Journal } from './stored/journal.ts'

/**
 * PUBLISHes that one event may take from the queue, and the bytes of their payloads; the last of them may go beyond. A long
 * queue goes in portions, so that the connection can say between two of them that its socket takes no more.
 */
const DRAIN_PACKETS = 128
const DRAIN_BYTES = 1_048_576

/** QoS 2 messages that are done and whose ids a stored session remembers. */
const REMEMBERED = 256

/** Retained messages that are read at a time, and the queue length below which more are read. */
const RETAINED_PORTION = 256
const RETAINED_LOW_WATER = 64

/** Takes the runs of one publisher's batches. */
export function deliver(state: SessionState, nowMs: number, runs: readonly Run[], effects: Effect[]): void {
  for (const { batch: sent, matched, isKept } of runs) {
    if (isKept === true) for (const { id } of sent.messages) state.journal?.taken(matched.share!, id)
    const batch = state.seam === undefined ? batchOf(sent) : unseen(state.seam, batchOf(sent))
    if (batch === undefined) continue
    if (matched.noLocal && batch.from === state.clientId) {
      // [MQTT5-3.8.3-3]
      for (const message of batch.messages) drop(state, effects, 'no_local', message)
    } else if (isWhole(state, nowMs, batch, matched)) {
      state.counters.deliverMsg += batch.messages.length
      out(state, effects, { cmd: 'batch', batch })
    } else {
      for (const message of batch.messages) {
        const qos = effectiveQoS(state, message, matched.qos)
        // RETAIN goes on only for retain as published [MQTT5-3.3.1-12, 13] [MQTT311-3.3.1-9].
        offer(state, nowMs, effects, message, qos, matched.rap && message.retain, matched.ids, matched.share)
      }
    }
  }
}

/** Leaves out what the session has brought from another node; undefined when that is all. */
function unseen(seam: Set<string>, batch: Batch): Batch | undefined {
  const messages = batch.messages.filter(({ id }) => !seam.delete(id))
  if (messages.length === batch.messages.length) return batch
  return messages.length === 0 ? undefined : new Batch(messages)
}

/** Takes part of the retained messages of a subscription [MQTT5-3.3.1-9..11] [MQTT311-3.3.1-6]. */
export function deliverRetained(
  state: SessionState,
  nowMs: number,
  effects: Effect[],
  ticket: number,
  messages: readonly Message[],
  done: boolean,
): void {
  const read = state.retainedReads.find((each) => each.ticket === ticket)
  if (read === undefined) return
  read.asked = false
  const { subscription } = read
  if (done) state.retainedReads = state.retainedReads.filter((each) => each !== read)
  const ids = subscription.id === undefined ? undefined : [subscription.id]
  for (const message of messages) {
    // [MQTT5-3.8.3-3] holds for retained messages as well.
    if (subscription.noLocal && message.from === state.clientId) continue
    const qos = effectiveQoS(state, message, subscription.qos)
    offer(state, nowMs, effects, message, qos, true, ids, undefined)
  }
  readRetained(state, effects)
}

/** Asks for the next part of retained messages when the queue has room for it, so that they cannot crowd out others. */
export function readRetained(state: SessionState, effects: Effect[]): void {
  const read = state.retainedReads[0]
  if (read === undefined || read.asked || !isReady(state)) return
  const length = state.queue?.length ?? 0
  if (length >= RETAINED_LOW_WATER || length * 2 > state.limits.queue.maxLength) return
  read.asked = true
  const max = Math.min(RETAINED_PORTION, Math.max(1, state.limits.queue.maxLength - length))
  effects.push({ tag: 'retained', ticket: read.ticket, filter: read.subscription.filter.filter, max })
}

/** Whether packets for the client can be handed to its connection now. */
function isReady(state: SessionState): boolean {
  return state.connection !== undefined && !state.congested && !state.closing
}

/** The smaller of what was published and what was granted [MQTT5-3.8.4-8], unless `upgradeQoS` says otherwise. */
function effectiveQoS(state: SessionState, message: Message, granted: QoS): QoS {
  return state.limits.upgradeQoS || message.qos > granted ? granted : message.qos
}

/** Whether the batch can go as it is, its bytes shared with other subscribers. */
function isWhole(state: SessionState, nowMs: number, batch: Batch, matched: Matched): boolean {
  return (
    (matched.qos === 0 || (batch.maxQoS === 0 && !state.limits.upgradeQoS)) &&
    matched.ids === undefined &&
    !(matched.rap && batch.anyRetain) &&
    batch.expiresAtMs > nowMs &&
    isReady(state) &&
    (state.queue === undefined || state.queue.qos0Length === 0)
  )
}

function offer(
  state: SessionState,
  nowMs: number,
  effects: Effect[],
  message: Message,
  qos: QoS,
  retain: boolean,
  ids: readonly number[] | undefined,
  share: Share | undefined,
): void {
  if (message.expiresAtMs <= nowMs) {
    // [MQTT5-3.3.2-5]
    drop(state, effects, 'expired', message)
  } else if (qos === 0) {
    if (isReady(state) && (state.queue === undefined || state.queue.qos0Length === 0)) {
      sendQoS0(state, effects, message, retain, ids)
    } else if (state.connection === undefined && !state.limits.queue.storeQoS0) {
      drop(state, effects, 'qos0_offline', message)
    } else {
      enqueue(state, effects, { number: 0, message, qos, retain, ids, share })
    }
  } else if (message.qos === 2 && state.known?.delete(message.id) === true) {
    // A publisher that could not know published it again after a restart [MQTT5-4.3.3].
    if (state.known.size === 0) state.known = undefined
  } else if (isWindowOpen(state) && isReady(state) && (state.queue === undefined || state.queue.ackedLength === 0)) {
    const number = nextArrival(state)
    const delivery = { number, message, qos, retain, ids, share }
    const { messageId } = send(state, effects, delivery, number)
    state.journal?.sent(delivery, messageId)
  } else {
    const delivery = { number: nextArrival(state), message, qos, retain, ids, share }
    // Before the queue may drop it again.
    state.journal?.queued(delivery)
    enqueue(state, effects, delivery)
  }
}

function nextArrival(state: SessionState): number {
  state.arrivals += 1
  return state.arrivals
}

/** Whether a further QoS 1 or 2 message may be sent for the first time [MQTT5-3.3.4-9]. */
function isWindowOpen(state: SessionState): boolean {
  return state.resend.length === 0 && state.inflight.size < state.window
}

function sendQoS0(
  state: SessionState,
  effects: Effect[],
  message: Message,
  retain: boolean,
  ids: readonly number[] | undefined,
): void {
  state.counters.deliverMsg += 1
  out(state, effects, { cmd: 'publish', message, qos: 0, retain, dup: false, messageId: 0, ids })
}

function send(state: SessionState, effects: Effect[], delivery: Delivery, order: number): OutPublish {
  const { number, message, qos, retain, ids, share } = delivery
  const messageId = state.inflight.nextId()
  const packet: OutPublish = { cmd: 'publish', message, qos, retain, dup: false, messageId, ids }
  state.inflight.add(packet, share, order, number)
  state.counters.deliverMsg += 1
  // One that is on disc as queued would be sent a second time without DUP; one that is published at QoS 2 perhaps from anew.
  const isOnDisc = order !== number && state.journal?.isUntaken(number) !== true
  if (message.qos === 2 || qos === 2 || isOnDisc) outStored(state, effects, packet)
  else out(state, effects, packet)
  return packet
}

function enqueue(state: SessionState, effects: Effect[], delivery: Delivery): void {
  own(delivery.message)
  state.counters.enqueueMsg += 1
  state.queue ??= new MessageQueue(state.limits.queue)
  for (const victim of state.queue.enqueue(delivery)) shed(state, effects, 'queue_full', victim)
}

/** Drops a delivery that was queued. */
export function shed(state: SessionState, effects: Effect[], reason: DropReason, { number, message }: Delivery): void {
  if (number > 0) state.journal?.dropped(number)
  drop(state, effects, reason, message)
}

/**
 * Frees a message from the socket's chunk in which it came. QoS 0 messages come here as views, since most never wait;
 * the first session that lets one wait makes the copy, and all who share the message have it: its value does not change.
 */
function own(message: Message): void {
  const payload = ownBytes(message.payload)
  if (payload !== message.payload) (message as { payload: Buffer }).payload = payload
}

/** Sends what may be sent: first what a resumed connection must get again, then the queue. */
export function drain(state: SessionState, nowMs: number, effects: Effect[]): void {
  if (!isReady(state)) return
  let left = DRAIN_PACKETS
  let room = DRAIN_BYTES
  const isOver = () => left === 0 || room <= 0
  while (state.resend.length > 0 && !isOver() && state.inflight.size - state.resend.length < state.window) {
    const packet = state.resend.pop()!
    out(state, effects, packet)
    left -= 1
    room -= packet.message.payload.length
  }
  const { queue } = state
  if (queue !== undefined) {
    while (!isOver()) {
      const next = queue.dequeue(isWindowOpen(state))
      if (next === undefined) break
      const { number, message, qos, retain, ids } = next
      if (message.expiresAtMs <= nowMs) {
        // [MQTT5-3.3.2-5]
        shed(state, effects, 'expired', next)
        continue
      }
      if (qos === 0) sendQoS0(state, effects, message, retain, ids)
      else {
        const order = nextArrival(state)
        const { messageId } = send(state, effects, next, order)
        state.journal?.dequeued(messageId, number, order)
      }
      left -= 1
      room -= message.payload.length
    }
    if (queue.length === 0) state.queue = undefined
  }
  if (isOver() && !state.draining) {
    state.draining = true
    effects.push({ tag: 'drain' })
  }
  if (state.retainedReads.length > 0) readRetained(state, effects)
}

/** Starts the redelivery to a connection that resumes the session [MQTT5-4.4.0-1] [MQTT311-4.4.0-1]. */
export function redeliver(state: SessionState, nowMs: number, effects: Effect[]): void {
  for (const messageId of state.inflight.pubrels()) outStored(state, effects, { cmd: 'pubrel', messageId })
  // [MQTT5-3.3.1-1]
  state.resend = state.inflight
    .publishes()
    .map((packet) => ({ ...packet, dup: true }))
    .reverse()
  drain(state, nowMs, effects)
}

/** Takes an acknowledgement of the client for one of our PUBLISHes or PUBRELs. */
export function acknowledged(state: SessionState, nowMs: number, ack: AckPacket, effects: Effect[]): void {
  const { unknownAcks } = state.counters
  switch (ack.cmd) {
    case 'puback': {
      const place = placeOf(state, ack.messageId)
      const packet = state.inflight.puback(ack.messageId)
      if (packet === undefined) state.counters.unknownAcks += 1
      else ended(state, effects, packet, ack.reasonCode ?? 0, place)
      break
    }
    case 'pubrec':
      received(state, effects, ack)
      break
    case 'pubcomp':
      if (!state.inflight.pubcomp(ack.messageId)) state.counters.unknownAcks += 1
      else if (state.journal !== undefined) noteDone(state, state.journal, ack.messageId)
      break
    case 'pubrel':
      return
  }
  if (state.counters.unknownAcks === unknownAcks) state.progress += 1
  if (state.queue !== undefined || state.resend.length > 0 || state.retainedReads.length > 0) {
    drain(state, nowMs, effects)
  }
}

/** Where a message in flight is in the store. */
function placeOf({ journal, inflight }: SessionState, messageId: number): InFlight | undefined {
  return journal === undefined ? undefined : inflight.find(messageId)
}

function received(state: SessionState, effects: Effect[], ack: AckPacket): void {
  const { messageId } = ack
  const place = placeOf(state, messageId)
  const code = ack.reasonCode ?? 0
  if (code >= FIRST_FAILURE) {
    // The flow ends here, without PUBREL [MQTT5-4.3.3].
    const packet = state.inflight.refused(messageId)
    if (packet === undefined) state.counters.unknownAcks += 1
    else ended(state, effects, packet, code, place)
    return
  }
  const order = nextArrival(state)
  const packet = state.inflight.pubrec(messageId, order)
  if (packet === undefined) {
    state.counters.unknownAcks += 1
    // 3.1.1 has no way to say it, and the client waits for PUBREL.
    outStored(state, effects, { cmd: 'pubrel', messageId, reasonCode: RC.packet_identifier_not_found })
    return
  }
  if (packet !== 'again') {
    if (place !== undefined) noteReceived(state, messageId, place, order, packet.message.id)
    reportAcked(state, effects, packet.message)
  }
  outStored(state, effects, { cmd: 'pubrel', messageId })
}

function noteReceived(state: SessionState, messageId: number, { number }: InFlight, order: number, id: string): void {
  state.releasing ??= new Map()
  state.releasing.set(messageId, id)
  state.journal?.received(messageId, number, order, id)
}

/**
 * A QoS 2 message is done. Its id stays stored for a while: its publisher may not have been acknowledged yet, since others take longer, and
 * publishes it again if the node ends before [MQTT5-4.3.3].
 */
function noteDone(state: SessionState, journal: Journal, messageId: number): void {
  const { releasing, done, inflight } = state
  const id = releasing!.get(messageId)!
  releasing!.delete(messageId)
  journal.completed(messageId, nextArrival(state), id)
  done.push(messageId)
  for (let left = done.length; left > REMEMBERED; left -= 1) {
    const oldest = done.shift()!
    // In use again: its row is that of the later message.
    if (inflight.find(oldest) === undefined) journal.forgotten(oldest)
    else done.push(oldest)
  }
}

/** A flow is over; whether the client took the message is in the code. */
function ended(
  state: SessionState,
  effects: Effect[],
  packet: OutPublish,
  code: number,
  place: InFlight | undefined,
): void {
  if (place !== undefined) state.journal?.acknowledged(packet.messageId, place)
  if (code < FIRST_FAILURE) reportAcked(state, effects, packet.message)
  // The connection answers for a client that cannot take a packet of that size [MQTT5-3.1.2-25].
  else drop(state, effects, code === RC.packet_too_large ? 'too_large' : 'rejected', packet.message)
}

function reportAcked(state: SessionState, effects: Effect[], message: Message): void {
  state.counters.acked += 1
  if (!state.reportAcked) return
  const last = effects[effects.length - 1]
  if (last?.tag === 'acked') last.messages.push(message)
  else effects.push({ tag: 'acked', messages: [message] })
}

/**
 * Offers what the session holds as a member of shared subscriptions, and has not delivered, to the other members. QoS 2
 * messages in flight stay: their delivery must be completed here or not at all [MQTT5-4.8.2-4, 5]. What a session that is over leaves is on disc for them
 * in the commit that removes the session.
 */
export function redispatch(state: SessionState, nowMs: number, effects: Effect[]): void {
  const { queue, journal, ended: isLast } = state
  // One that is over may hold something of a group that it has left before.
  if (state.sharedCount === 0 && !isLast) return
  const isShared = ({ share }: Delivery): boolean => share !== undefined
  const inflight = state.inflight.shared()
  // Those that nobody takes keep their places, unless the session is over.
  const queued = (isLast ? queue?.extract(isShared) : queue?.select(isShared)) ?? []
  if (inflight.length + queued.length === 0) return
  const isKept = isLast && journal !== undefined
  if (isKept) {
    for (const { message, share } of inflight) journal.left(share, message, nowMs)
    for (const { number, message, share } of queued) if (number > 0) journal.left(share!, message, nowMs)
  }
  effects.push({ tag: 'redispatch', inflight, queued, isKept })
}

/** Takes the answer: what others are to have is forgotten, and on disc for them, the rest waits for the client. */
export function redispatched(
  state: SessionState,
  nowMs: number,
  { taken, passed }: Extract<SessionEvent, { tag: 'redispatched' }>,
  effects: Effect[],
): void {
  const { journal } = state
  const gone = new Set(taken)
  // In the same turn as the question, so the client can have acknowledged nothing in between.
  for (const { messageId, message, share } of state.inflight.shared().filter(({ messageId: id }) => gone.has(id))) {
    const place = placeOf(state, messageId)
    if (place !== undefined) journal?.acknowledged(messageId, place)
    journal?.left(share, message, nowMs)
    state.inflight.puback(messageId)
  }
  if (passed.length > 0) {
    const others = new Set(passed)
    for (const { number, message, share } of state.queue?.extract((delivery) => others.has(delivery)) ?? []) {
      if (number === 0) continue
      journal?.dropped(number)
      journal?.left(share!, message, nowMs)
    }
  }
  drain(state, nowMs, effects)
}

/** Drops the QoS 0 messages that waited for the socket, when they may not wait for the client. */
export function dropQoS0Offline(state: SessionState, effects: Effect[]): void {
  const { queue } = state
  if (queue === undefined || queue.qos0Length === 0 || state.limits.queue.storeQoS0) return
  for (const { message } of queue.extract(({ qos }) => qos === 0)) drop(state, effects, 'qos0_offline', message)
}
