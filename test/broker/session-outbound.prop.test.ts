import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Message } from '../../src/broker/message.ts'
import type { AckPacket, QoS } from '../../src/broker/packet.ts'
import type { OutPacket } from '../../src/broker/process-messages.ts'
import { handle } from '../../src/broker/session/session-machine.ts'
import { newSessionState, type SessionEvent, type SessionState } from '../../src/broker/session/session-state.ts'
import { ack, client, limits, matched, message, pid, run } from './session-support.ts'

/**
 * A subscriber whose connection breaks at any point: what the server sent after it and what the client answered after it
 * are lost, what came before is not. The client is written from the standard, not from the machine.
 */
class Subscriber {
  readonly state: SessionState
  readonly #maxInflight: number
  receiveMaximum: number
  /** Packets on their way; the connection may break and lose a tail of either. */
  toClient: OutPacket[] = []
  toServer: AckPacket[] = []
  /** An answer that the client is slow to give. */
  #held: AckPacket | undefined
  connected = true
  readonly received: Message[] = []
  readonly qos2Ids = new Set<number>()
  readonly #sentHere = new Set<string>()
  readonly #inflight = new Map<number, { id: string; phase: 'publish' | 'pubrel' }>()
  #unacknowledged = new Set<number>()
  #connections = 0

  constructor(receiveMaximum: number, maxInflight: number) {
    this.#maxInflight = maxInflight
    this.receiveMaximum = Math.min(receiveMaximum, maxInflight)
    const info = client({ receiveMaximum })
    this.state = newSessionState({
      self: pid(1),
      limits: limits({
        maxInflight,
        queue: { maxLength: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY },
      }),
      nextMessageId: () => 'own',
      client: info,
      nowMs: 0,
    })
    this.#perform({ tag: 'attach', client: info })
  }

  deliver(qos: QoS, subscribed: QoS, topic: string): Message {
    const sent = message({ qos, topic })
    this.#perform({ tag: 'deliver', runs: [run([sent], matched(subscribed, { ids: [1] }))] })
    return sent
  }

  congested(on: boolean): void {
    if (this.connected) this.#perform({ tag: 'congested', from: this.state.connection!, on })
  }

  /** The connection breaks: the client got all but the last `lostDown` packets, the server all but the last `lostUp` answers. */
  drop(lostDown: number, lostUp: number): void {
    if (!this.connected) return
    this.clientReads(this.toClient.length - lostDown)
    this.serverReads(this.toServer.length - lostUp)
    this.toClient = []
    this.toServer = []
    this.#held = undefined
    this.connected = false
    this.#perform({
      tag: 'detach',
      from: this.state.connection!,
      publishWill: false,
      expirySec: undefined,
      reason: 'x',
    })
  }

  /** Holds one answer back until the next call, while those after it go. */
  hold(): void {
    const held = this.#held
    this.#held = this.toServer.shift()
    if (held !== undefined) this.toServer.push(held)
  }

  connect(receiveMaximum: number): void {
    if (this.connected) this.drop(this.toClient.length, this.toServer.length)
    this.connected = true
    this.#connections += 1
    this.#sentHere.clear()
    this.#unacknowledged = new Set()
    this.receiveMaximum = Math.min(receiveMaximum, this.#maxInflight)
    const connection = pid(100 + this.#connections)
    this.#perform({ tag: 'attach', client: client({ ...this.state.client, connection, receiveMaximum }) })
  }

  clientReads(count: number): void {
    for (const packet of this.toClient.splice(0, Math.max(0, count))) {
      if (packet.cmd === 'pubrel') {
        this.qos2Ids.delete(packet.messageId)
        this.toServer.push(ack('pubcomp', packet.messageId))
      } else if (packet.cmd === 'publish') {
        if (packet.qos === 2) {
          if (!this.qos2Ids.has(packet.messageId)) this.received.push(packet.message)
          this.qos2Ids.add(packet.messageId)
          this.toServer.push(ack('pubrec', packet.messageId))
        } else {
          this.received.push(packet.message)
          if (packet.qos === 1) this.toServer.push(ack('puback', packet.messageId))
        }
      } else throw new Error(`unexpected ${packet.cmd}`)
    }
  }

  serverReads(count: number): void {
    const packets = this.toServer.splice(0, Math.max(0, count))
    for (const { cmd, messageId } of packets) {
      if (cmd === 'pubrec') this.#inflight.set(messageId, { id: '', phase: 'pubrel' })
      else {
        this.#inflight.delete(messageId)
        this.#unacknowledged.delete(messageId)
      }
    }
    if (packets.length > 0) this.#perform({ tag: 'packets', from: this.state.connection!, packets, sync: false })
  }

  #perform(event: SessionEvent): void {
    for (const effect of handle(this.state, 0, event)) {
      if (effect.tag === 'drain') this.#perform({ tag: 'drain' })
      if (effect.tag !== 'out') continue
      expect(this.connected).toBe(true)
      for (const packet of effect.packets) {
        this.#check(packet)
        this.toClient.push(packet)
      }
    }
  }

  #check(packet: OutPacket): void {
    if (packet.cmd !== 'publish' || packet.qos === 0) return
    const { messageId, dup, message: sent } = packet
    // Never twice on one connection [MQTT5-4.4.0-1].
    expect(this.#sentHere.has(sent.id)).toBe(false)
    this.#sentHere.add(sent.id)
    const former = this.#inflight.get(messageId)
    // An identifier in flight is only ever used for the same message again, with DUP.
    expect(former === undefined ? dup : former.id === sent.id && dup).toBe(former !== undefined)
    this.#inflight.set(messageId, { id: sent.id, phase: 'publish' })
    this.#unacknowledged.add(messageId)
    expect(this.#unacknowledged.size).toBeLessThanOrEqual(this.receiveMaximum)
  }
}

type Step =
  | { do: 'deliver'; qos: QoS; subscribed: QoS; topic: string }
  | { do: 'client' | 'server'; count: number }
  | { do: 'congested'; on: boolean }
  | { do: 'drop'; down: number; up: number }
  | { do: 'hold' }
  | { do: 'connect'; receiveMaximum: number }

const qos = fc.constantFrom<QoS>(0, 1, 2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      qos,
      subscribed: qos,
      topic: fc.constantFrom('a', 'b'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('client' as const, 'server' as const), count: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('congested' as const), on: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), down: fc.nat(5), up: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('connect' as const), receiveMaximum: fc.integer({ min: 1, max: 9 }) }),
  },
)

function play(receiveMaximum: number, maxInflight: number, steps: readonly Step[]): void {
  const subscriber = new Subscriber(receiveMaximum, maxInflight)
  const offered: { message: Message; qos: QoS }[] = []
  for (const each of steps) {
    switch (each.do) {
      case 'deliver':
        offered.push({
          message: subscriber.deliver(each.qos, each.subscribed, each.topic),
          qos: Math.min(each.qos, each.subscribed) as QoS,
        })
        break
      case 'client':
        subscriber.clientReads(each.count)
        break
      case 'server':
        subscriber.serverReads(each.count)
        break
      case 'congested':
        subscriber.congested(each.on)
        break
      case 'drop':
        subscriber.drop(each.down, each.up)
        break
      case 'connect':
        subscriber.connect(each.receiveMaximum)
        break
      case 'hold':
        subscriber.hold()
        break
    }
  }
  subscriber.connect(3)
  while (subscriber.toClient.length > 0 || subscriber.toServer.length > 0) {
    subscriber.clientReads(Number.MAX_SAFE_INTEGER)
    subscriber.serverReads(Number.MAX_SAFE_INTEGER)
  }
  const counts = new Map<string, number>()
  for (const { id } of subscriber.received) counts.set(id, (counts.get(id) ?? 0) + 1)
  for (const { message: sent, qos: effective } of offered) {
    const count = counts.get(sent.id) ?? 0
    if (effective === 0) expect(count).toBeLessThanOrEqual(1)
    if (effective === 1) expect(count).toBeGreaterThanOrEqual(1)
    if (effective === 2) expect(count).toBe(1)
  }
  // Order of first arrival, per topic and QoS [MQTT5-4.6.0-5].
  const first = [...new Set(subscriber.received.map(({ id }) => id))]
  for (const topic of ['a', 'b']) {
    for (const level of [0, 1, 2]) {
      const ids = offered
        .filter((each) => each.message.topic === topic && each.qos === level)
        .map((each) => each.message.id)
      const wanted = new Set(ids)
      const got = first.filter((id) => wanted.has(id))
      expect(got).toEqual(ids.filter((id) => counts.has(id)))
    }
  }
  expect(subscriber.state.inflight.size).toBe(0)
  expect(subscriber.state.queue).toBeUndefined()
}

test('a subscriber that reconnects at random gets QoS 1 at least once, QoS 2 exactly once, in order and within its window', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(step, { maxLength: 160, size: 'max' }),
      play,
    ),
    { numRuns: 400 },
  )
})
