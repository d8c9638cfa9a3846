/** What the tests of the session machine share: made-up pids, clients and messages, and a machine with its effects at hand. */
import { Pid } from '../../src/actors/pid.ts'
import { Batch, type Matched, type Message, type Run } from '../../src/broker/message.ts'
import type { AckPacket, QoS, SubscribeEntry } from '../../src/broker/packet.ts'
import type {
  AuthorizedPublish,
  ClientInfo,
  OutPacket,
  OutPublish,
  SessionPacket,
  Will,
} from '../../src/broker/process-messages.ts'
import { handle } from '../../src/broker/session/session-machine.ts'
import {
  type Effect,
  newSessionState,
  type SessionEvent,
  type SessionLimits,
  type SessionState,
} from '../../src/broker/session/session-state.ts'
import type { Journal } from '../../src/broker/session/stored/journal.ts'

const NODE = { name: 'n1@127.0.0.1', creation: 1 }

export function pid(id: number): Pid {
  return new Pid(NODE, id, 0)
}

export const LIMITS: SessionLimits = {
  maxInflight: 100,
  maxAwaitingRel: 100,
  maxSubscriptions: 1000,
  upgradeQoS: false,
  queue: { maxLength: 1000, maxBytes: 1_000_000, drop: 'oldest', storeQoS0: true, priorities: {} },
}

export function limits(
  changes: Omit<Partial<SessionLimits>, 'queue'> & { queue?: Partial<SessionLimits['queue']> } = {},
): SessionLimits {
  return { ...LIMITS, ...changes, queue: { ...LIMITS.queue, ...changes.queue } }
}

export function client(changes: Partial<ClientInfo> = {}): ClientInfo {
  return {
    clientId: 'c',
    username: undefined,
    peer: '127.0.0.1:1',
    connection: pid(100),
    protocolVersion: 5,
    cleanStart: false,
    expirySec: 3600,
    receiveMaximum: 65_535,
    keepAliveSec: 60,
    will: undefined,
    connectedAtMs: 0,
    ...changes,
  }
}

export function will(changes: Partial<Will> = {}): Will {
  return {
    topic: 'will/c',
    payload: Buffer.from('gone'),
    qos: 1,
    retain: false,
    delaySec: 0,
    expirySec: undefined,
    properties: undefined,
    ...changes,
  }
}

let messageNumber = 0

export function message(changes: Partial<Message> = {}): Message {
  messageNumber += 1
  return {
    id: String(messageNumber),
    from: 'other',
    topic: 't',
    payload: Buffer.from(`m${messageNumber}`),
    qos: 0,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Number.POSITIVE_INFINITY,
    properties: undefined,
    ...changes,
  }
}

export function matched(qos: QoS, changes: Partial<Matched> = {}): Matched {
  return { qos, noLocal: false, rap: false, ids: undefined, share: undefined, ...changes }
}

export function run(messages: readonly Message[], how: Matched): Run {
  return { batch: new Batch(messages), matched: how }
}

export function publish(qos: QoS, messageId: number, changes: Partial<AuthorizedPublish> = {}): AuthorizedPublish {
  return {
    cmd: 'publish',
    topic: 't',
    payload: Buffer.from('x'),
    qos,
    retain: false,
    dup: false,
    denied: 0,
    ...(qos === 0 ? {} : { messageId }),
    ...changes,
  }
}

export function ack(cmd: AckPacket['cmd'], messageId: number, reasonCode?: number): AckPacket {
  return reasonCode === undefined ? { cmd, messageId } : { cmd, messageId, reasonCode }
}

/** A machine that is stored: its journal, or its state when it was found, and what to do with the journal after an event. */
export interface MachineStorage {
  readonly state: SessionState | undefined
  readonly journal: Journal | undefined
  commit(journal: Journal): void
}

/** A machine whose immediate environment accepts everything at once, unless `manual`. */
export class Machine {
  readonly state: SessionState
  readonly effects: Effect[] = []
  nowMs = 1000
  manual = false
  readonly #storage: MachineStorage | undefined
  #ids = 0

  constructor(how: SessionLimits = LIMITS, info: ClientInfo = client(), storage?: MachineStorage) {
    this.#storage = storage
    if (storage?.state !== undefined) {
      this.state = storage.state
      return
    }
    this.state = newSessionState({
      self: pid(1),
      limits: how,
      nextMessageId: () => {
        this.#ids += 1
        return `own${this.#ids}`
      },
      client: info,
      nowMs: this.nowMs,
      journal: storage?.journal,
    })
    this.event({ tag: 'attach', client: info })
  }

  /** Feeds an event; returns the effects of it and, unless `manual`, of the answers to them. */
  event(event: SessionEvent): Effect[] {
    const all: Effect[] = []
    const queue = [event]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { journal } = this.state
      const effects = handle(this.state, this.nowMs, next)
      if (journal !== undefined) this.#storage?.commit(journal)
      for (const effect of effects) {
        all.push(effect)
        if (this.manual) continue
        if (effect.tag === 'publish' && effect.ticket !== 0) {
          queue.push({ tag: 'accepted', ticket: effect.ticket, codes: undefined })
        } else if (effect.tag === 'subscribe') {
          queue.push({ tag: 'subscribed', ticket: effect.ticket, codes: undefined })
        } else if (effect.tag === 'unsubscribe') queue.push({ tag: 'unsubscribed', ticket: effect.ticket })
        else if (effect.tag === 'drain') queue.push({ tag: 'drain' })
      }
    }
    this.effects.push(...all)
    return all
  }

  packets(packets: readonly SessionPacket[], sync = false): Effect[] {
    return this.event({ tag: 'packets', from: this.state.connection ?? pid(0), packets, sync })
  }

  deliver(...runs: Run[]): Effect[] {
    return this.event({ tag: 'deliver', runs })
  }

  detach(changes: { publishWill?: boolean; expirySec?: number } = {}): Effect[] {
    return this.event({
      tag: 'detach',
      from: this.state.connection!,
      publishWill: changes.publishWill ?? true,
      expirySec: changes.expirySec,
      reason: 'closed',
    })
  }

  attach(changes: Partial<ClientInfo> = {}): Effect[] {
    return this.event({ tag: 'attach', client: client({ ...this.state.client, cleanStart: false, ...changes }) })
  }

  subscribe(messageId: number, entries: SubscribeEntry[], subscriptionIdentifier?: number): Effect[] {
    return this.packets([
      {
        cmd: 'subscribe',
        messageId,
        subscriptions: entries,
        denied: entries.map(() => 0),
        ...(subscriptionIdentifier === undefined ? {} : { properties: { subscriptionIdentifier } }),
      },
    ])
  }
}

/** The packets for the client among effects, in order. */
export function sent(effects: readonly Effect[]): OutPacket[] {
  return effects.flatMap((effect) => (effect.tag === 'out' ? effect.packets : []))
}

export function publishes(effects: readonly Effect[]): OutPublish[] {
  return sent(effects).filter((packet): packet is OutPublish => packet.cmd === 'publish')
}

export function only<Tag extends Effect['tag']>(effects: readonly Effect[], tag: Tag): Extract<Effect, { tag: Tag }>[] {
  return effects.filter((effect): effect is Extract<Effect, { tag: Tag }> => effect.tag === tag)
}
