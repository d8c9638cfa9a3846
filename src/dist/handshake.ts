/**
 * Handshake 6, for the node that connects (initiator) and the one that accepts (acceptor), as a pure state machine
 * [OTP dist_util, handshake_we_started, handshake_other_started].
 *
 *     initiator                      acceptor
 *     name                    →                        decide: ok, ok_simultaneous, nok, not_allowed, alive
 *                             ←      status
 *     true / false            →                        only after `alive`
 *                             ←      challenge
 *     reply (answer, own challenge) →                  the cookie is checked here
 *                             ←      ack (answer)      and here, by the initiator
 *
 * `handle` takes what happens and returns what to do; the caller owns the socket, the clock and the table of connections.
 * Until `connected` a peer is a string of at most 255 bytes and a few numbers, whatever it says it is: nothing of it may
 * become an atom or replace a connection before. It ends within
 * `HANDSHAKE_TIMEOUT_MS`, by the caller's timer.
 */
import { digestOf, isDigestOf } from './challenge.ts'
import { expandFlags, hasFlag, missingFlags } from './flags.ts'
import {
  encodeAck,
  encodeChallenge,
  encodeName,
  encodeReply,
  encodeStatus,
  HandshakeReader,
  type Introduction,
  MAX_HANDSHAKE_BYTES,
  parseAck,
  parseChallenge,
  parseName,
  parseReply,
  parseStatus,
} from './handshake-messages.ts'
import type {
  Decision,
  HandshakeEffect,
  HandshakeEvent,
  HandshakeFailure,
  HandshakeOptions,
} from './handshake-types.ts'
import { canTalk, parseNodeName } from './node-name.ts'

type Stage =
  // Acceptor
  | 'await_name'
  | 'await_decision'
  | 'await_alive_answer'
  | 'await_reply'
  // Initiator
  | 'await_status'
  | 'await_is_new'
  | 'await_challenge'
  | 'await_ack'
  | 'ended'

/** The state of one handshake; only `handle` changes it. */
export interface Handshake {
  readonly role: 'initiator' | 'acceptor'
  readonly options: HandshakeOptions
  readonly reader: HandshakeReader
  stage: Stage
  /** As it calls itself, from its name or challenge on; for the initiator, as it was called. */
  peer: Introduction | undefined
  /** The challenge that we have asked; given back when the handshake ends. */
  challenge: number | undefined
}

/** Begins the handshake with the node that was dialled; the second value is what to do first. */
export function initiate(options: HandshakeOptions, peer: string): [Handshake, readonly HandshakeEffect[]] {
  const handshake = begin('initiator', options, 'await_status')
  handshake.peer = { name: peer, creation: 0, flags: 0n }
  return [handshake, [{ tag: 'send', bytes: encodeName(options.own, options.headerBytes) }]]
}

/** Begins the handshake with whoever has connected to us. */
export function accept(options: HandshakeOptions): Handshake {
  return begin('acceptor', options, 'await_name')
}

function begin(role: Handshake['role'], options: HandshakeOptions, stage: Stage): Handshake {
  const reader = new HandshakeReader(options.headerBytes)
  return { role, options, reader, stage, peer: undefined, challenge: undefined }
}

/** Takes an event. After `connected` or `failed` every event is ignored. */
export function handle(handshake: Handshake, event: HandshakeEvent): readonly HandshakeEffect[] {
  if (handshake.stage === 'ended') return []
  const effects: HandshakeEffect[] = []
  switch (event.tag) {
    case 'bytes':
      handshake.reader.push(event.chunk)
      break
    case 'decision':
      if (handshake.stage === 'await_decision') decided(handshake, event.decision, effects)
      break
    case 'is_new':
      if (handshake.stage === 'await_is_new') answerIfNew(handshake, event.isNew, effects)
      break
    case 'timeout':
      fail(handshake, 'timeout', `in ${handshake.stage}`, effects)
      break
    case 'closed':
      fail(handshake, 'closed', `${event.reason} in ${handshake.stage}`, effects)
      break
  }
  readOn(handshake, effects)
  return effects
}

function isWaitingForCaller({ stage }: Handshake): boolean {
  return stage === 'await_decision' || stage === 'await_is_new' || stage === 'ended'
}

function readOn(handshake: Handshake, effects: HandshakeEffect[]): void {
  while (!isWaitingForCaller(handshake)) {
    const body = handshake.reader.next()
    if (body === undefined) return
    if (typeof body === 'string') fail(handshake, body, `in ${handshake.stage}`, effects)
    else readMessage(handshake, body, effects)
  }
  // Nobody may send ahead more than the one message that is awaited.
  if (handshake.stage !== 'ended' && handshake.reader.rest.length > MAX_HANDSHAKE_BYTES) {
    fail(handshake, 'too_large', `in ${handshake.stage}`, effects)
  }
}

function readMessage(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  switch (handshake.stage) {
    case 'await_name':
      readName(handshake, body, effects)
      break
    case 'await_alive_answer':
      readAliveAnswer(handshake, body, effects)
      break
    case 'await_reply':
      readReply(handshake, body, effects)
      break
    case 'await_status':
      readStatus(handshake, body, effects)
      break
    case 'await_challenge':
      readChallenge(handshake, body, effects)
      break
    case 'await_ack':
      readAck(handshake, body, effects)
      break
    case 'await_decision':
    case 'await_is_new':
    case 'ended':
      break
  }
}

// Acceptor

function readName(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const { own } = handshake.options
  const said = parseName(body)
  if (typeof said === 'string') {
    fail(handshake, said, 'in its name message', effects)
    return
  }
  // A node that wants a name from us sends its host alone.
  if (hasFlag(said.flags, 'NAME_ME') || parseNodeName(said.name) === undefined) {
    refuse(handshake, 'bad_name', 'a node needs a name of its own', effects)
    return
  }
  handshake.peer = { ...said, flags: expandFlags(said.flags) }
  const missing = missingFlags(handshake.peer.flags)
  if (missing.length > 0) {
    refuse(handshake, 'missing_flags', missing.join(), effects)
  } else if (said.name === own.name) {
    refuse(handshake, 'refused', 'it has our name', effects)
    // C nodes such as erl_call have the short name of their host whatever ours is; nobody dials them.
  } else if (hasFlag(said.flags, 'PUBLISHED') && !canTalk(own.name, said.name)) {
    refuse(handshake, 'refused', 'long and short node names do not talk', effects)
  } else {
    handshake.stage = 'await_decision'
    effects.push({ tag: 'decide', peer: handshake.peer })
  }
}

function decided(handshake: Handshake, decision: Decision, effects: HandshakeEffect[]): void {
  switch (decision) {
    case 'ok':
    case 'ok_simultaneous':
      sendStatus(handshake, decision, effects)
      askChallenge(handshake, effects)
      return
    case 'alive':
      sendStatus(handshake, 'alive', effects)
      handshake.stage = 'await_alive_answer'
      return
    case 'nok':
      sendStatus(handshake, 'nok', effects)
      fail(handshake, 'nok', 'we are connecting to it ourselves', effects)
      return
    case 'not_allowed':
      refuse(handshake, 'refused', 'it is not allowed', effects)
  }
}

function readAliveAnswer(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const answer = parseStatus(body)
  if (answer === 'true') askChallenge(handshake, effects)
  else if (answer === 'false') fail(handshake, 'alive', 'it has a connection to us', effects)
  else fail(handshake, 'bad_status', 'in its answer to alive', effects)
}

function askChallenge(handshake: Handshake, effects: HandshakeEffect[]): void {
  const { options } = handshake
  handshake.challenge = options.challenges.issue()
  handshake.stage = 'await_reply'
  effects.push({ tag: 'send', bytes: encodeChallenge(options.own, handshake.challenge, options.headerBytes) })
}

function readReply(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const { options } = handshake
  const reply = parseReply(body)
  if (reply === undefined) {
    fail(handshake, 'bad_message', 'in its challenge reply', effects)
    return
  }
  const cookie = cookieFor(handshake)
  // The answer first: until it is right, nothing of ours is told.
  if (!isDigestOf(reply.digest, cookie, handshake.challenge!)) {
    fail(handshake, 'bad_cookie', 'in its challenge reply', effects)
  } else if (options.challenges.isOutstanding(reply.challenge)) {
    fail(handshake, 'reflected_challenge', 'in its challenge reply', effects)
  } else {
    effects.push({ tag: 'send', bytes: encodeAck(digestOf(cookie, reply.challenge), options.headerBytes) })
    connected(handshake, effects)
  }
}

// Initiator

function readStatus(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const status = parseStatus(body)
  switch (status) {
    case 'ok':
    case 'ok_simultaneous':
      handshake.stage = 'await_challenge'
      return
    case 'alive':
      handshake.stage = 'await_is_new'
      effects.push({ tag: 'asked_if_new' })
      return
    case 'nok':
    case 'not_allowed':
      fail(handshake, status, 'its status', effects)
      return
    default:
      fail(handshake, 'bad_status', printable(status ?? 'no status'), effects)
  }
}

function answerIfNew(handshake: Handshake, isNew: boolean, effects: HandshakeEffect[]): void {
  sendStatus(handshake, isNew ? 'true' : 'false', effects)
  if (isNew) handshake.stage = 'await_challenge'
  else fail(handshake, 'alive', 'we have a connection to it', effects)
}

function readChallenge(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const { options } = handshake
  const said = parseChallenge(body)
  if (typeof said === 'string') {
    fail(handshake, said, 'in its challenge', effects)
    return
  }
  const { from, challenge } = said
  const called = handshake.peer!.name
  if (from.name !== called) {
    fail(handshake, 'wrong_name', `it calls itself ${printable(from.name)}`, effects)
    return
  }
  const flags = expandFlags(from.flags)
  const missing = missingFlags(flags)
  if (missing.length > 0) {
    fail(handshake, 'missing_flags', missing.join(), effects)
  } else if (options.challenges.isOutstanding(challenge)) {
    fail(handshake, 'reflected_challenge', 'in its challenge', effects)
  } else {
    handshake.peer = { ...from, flags }
    handshake.challenge = options.challenges.issue()
    handshake.stage = 'await_ack'
    const digest = digestOf(cookieFor(handshake), challenge)
    effects.push({ tag: 'send', bytes: encodeReply(handshake.challenge, digest, options.headerBytes) })
  }
}

function readAck(handshake: Handshake, body: Buffer, effects: HandshakeEffect[]): void {
  const digest = parseAck(body)
  if (digest === undefined) fail(handshake, 'bad_message', 'in its challenge ack', effects)
  else if (isDigestOf(digest, cookieFor(handshake), handshake.challenge!)) connected(handshake, effects)
  else fail(handshake, 'bad_cookie', 'in its challenge ack', effects)
}

// Both

function cookieFor({ options, peer }: Handshake): string {
  return typeof options.cookie === 'string' ? options.cookie : options.cookie(peer!.name)
}

function connected(handshake: Handshake, effects: HandshakeEffect[]): void {
  const { options, reader } = handshake
  const { name, creation, flags } = handshake.peer!
  end(handshake)
  effects.push({
    tag: 'connected',
    peer: { name, creation, flags: flags & options.own.flags, isPublished: hasFlag(flags, 'PUBLISHED') },
    rest: reader.rest,
  })
}

/** Tells the peer before failing, as Erlang does. */
function refuse(handshake: Handshake, reason: HandshakeFailure, detail: string, effects: HandshakeEffect[]): void {
  sendStatus(handshake, 'not_allowed', effects)
  fail(handshake, reason, detail, effects)
}

function sendStatus({ options }: Handshake, status: string, effects: HandshakeEffect[]): void {
  effects.push({ tag: 'send', bytes: encodeStatus(status, options.headerBytes) })
}

function fail(handshake: Handshake, reason: HandshakeFailure, detail: string, effects: HandshakeEffect[]): void {
  const peer = handshake.peer?.name
  end(handshake)
  effects.push({ tag: 'failed', reason, peer, detail })
}

function end(handshake: Handshake): void {
  if (handshake.challenge !== undefined) handshake.options.challenges.retire(handshake.challenge)
  handshake.stage = 'ended'
}

/** What a stranger says, fit for a log. */
function printable(text: string): string {
  return text.slice(0, 255).replace(/[^\x20-\x7e]/g, '?')
}
