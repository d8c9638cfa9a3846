import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AckPacket, QoS } from '../../src/broker/packet.ts'
import type { SessionPacket } from '../../src/broker/process-messages.ts'
import { handle } from '../../src/broker/session/session-machine.ts'
import { newSessionState, type SessionEvent, type SessionState } from '../../src/broker/session/session-state.ts'
import { client, limits, pid, publish } from './session-support.ts'

interface Flow {
  readonly name: string
  readonly qos: 1 | 2
  messageId: number
  phase: 'publish' | 'pubrel' | 'done'
}

/**
 * A publisher written from the standard: it numbers its messages, keeps each until it is acknowledged and sends it again on a
 * new connection, where it had got neither what the server sent last nor through with what it sent last itself.
 */
class Publisher {
  readonly state: SessionState
  connected = true
  readonly flows: Flow[] = []
  readonly routed: string[] = []
  readonly #routes: { ticket: number; names: string[] }[] = []
  readonly #accepted = new Set<string>()
  toServer: SessionPacket[] = []
  toClient: AckPacket[] = []
  /** Publishes of this connection in the order in which the server got them, by kind of acknowledgement. */
  #order: { puback: number[]; pubrec: number[] } = { puback: [], pubrec: [] }
  #connections = 0
  #names = 0
  #lastId = 0

  constructor(version: 4 | 5) {
    const info = client({ protocolVersion: version })
    this.state = newSessionState({
      self: pid(1),
      limits: limits({ maxAwaitingRel: 65_535 }),
      nextMessageId: () => 'own',
      client: info,
      nowMs: 0,
    })
    this.#perform({ tag: 'attach', client: info })
  }

  publish(qos: QoS): void {
    if (!this.connected) return
    this.#names += 1
    const name = String(this.#names)
    if (qos === 0) {
      this.toServer.push(publish(0, 0, { payload: Buffer.from(name) }))
      return
    }
    this.#lastId += 1
    const flow: Flow = { name, qos, messageId: this.#lastId, phase: 'publish' }
    this.flows.push(flow)
    this.toServer.push(publish(qos, flow.messageId, { payload: Buffer.from(name) }))
  }

  serverReads(count: number): void {
    const packets = this.toServer.splice(0, Math.max(0, count))
    if (packets.length === 0) return
    for (const packet of packets) {
      if (packet.cmd !== 'publish' || packet.qos === 0) continue
      this.#order[packet.qos === 1 ? 'puback' : 'pubrec'].push(packet.messageId!)
    }
    this.#perform({ tag: 'packets', from: this.state.connection!, packets, sync: false })
  }

  clientReads(count: number): void {
    for (const { cmd, messageId } of this.toClient.splice(0, Math.max(0, count))) {
      const flow = this.flows.find((each) => each.messageId === messageId && each.phase !== 'done')
      if (flow === undefined) continue
      if (cmd === 'pubrec') {
        flow.phase = 'pubrel'
        this.toServer.push({ cmd: 'pubrel', messageId })
      } else flow.phase = 'done'
    }
  }

  /** The publishes that were routed in some earlier event are taken over, the newest first when `newest`. */
  accept(newest: boolean): void {
    const route = newest ? this.#routes.pop() : this.#routes.shift()
    if (route === undefined) return
    for (const name of route.names) this.#accepted.add(name)
    this.#perform({ tag: 'accepted', ticket: route.ticket, codes: undefined })
  }

  drop(lostUp: number, lostDown: number): void {
    if (!this.connected) return
    this.serverReads(this.toServer.length - lostUp)
    this.clientReads(this.toClient.length - lostDown)
    this.toServer = []
    this.toClient = []
    this.#order = { puback: [], pubrec: [] }
    this.connected = false
    this.#perform({
      tag: 'detach',
      from: this.state.connection!,
      publishWill: false,
      expirySec: undefined,
      reason: 'x',
    })
  }

  connect(): void {
    if (this.connected) this.drop(this.toServer.length, this.toClient.length)
    this.connected = true
    this.#connections += 1
    this.#perform({ tag: 'attach', client: client({ ...this.state.client, connection: pid(100 + this.#connections) }) })
    for (const { name, qos, messageId, phase } of this.flows) {
      if (phase === 'publish') this.toServer.push(publish(qos, messageId, { dup: true, payload: Buffer.from(name) }))
      else if (phase === 'pubrel') this.toServer.push({ cmd: 'pubrel', messageId })
    }
  }

  settle(): void {
    this.connect()
    while (this.toServer.length + this.toClient.length + this.#routes.length > 0) {
      this.serverReads(this.toServer.length)
      while (this.#routes.length > 0) this.accept(false)
      this.clientReads(this.toClient.length)
    }
  }

  #perform(event: SessionEvent): void {
    for (const effect of handle(this.state, 0, event)) {
      if (effect.tag === 'publish') {
        const names = effect.messages.map(({ payload }) => payload.toString())
        this.routed.push(...names)
        if (effect.ticket !== 0) this.#routes.push({ ticket: effect.ticket, names })
      } else if (effect.tag === 'out') {
        expect(this.connected).toBe(true)
        for (const packet of effect.packets) this.#acknowledged(packet as AckPacket)
      } else expect(['attached', 'detached', 'start_timer', 'cancel_timer']).toContain(effect.tag)
    }
  }

  #acknowledged(packet: AckPacket): void {
    if (packet.cmd === 'puback' || packet.cmd === 'pubrec') {
      // In the order in which the PUBLISHes came [MQTT5-4.6.0-2, 3], and not before the message was taken over.
      expect(packet.messageId).toBe(this.#order[packet.cmd].shift())
      expect(this.#accepted.has(this.flows.find(({ messageId }) => messageId === packet.messageId)!.name)).toBe(true)
    }
    this.toClient.push(packet)
  }
}

type Step =
  | { do: 'publish'; qos: QoS }
  | { do: 'server' | 'client'; count: number }
  | { do: 'accept'; newest: boolean }
  | { do: 'drop'; up: number; down: number }
  | { do: 'connect' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), qos: fc.constantFrom<QoS>(0, 1, 2) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('server' as const, 'client' as const), count: fc.nat(5) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('accept' as const), newest: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), up: fc.nat(4), down: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const) }) },
)

function play(version: 4 | 5, steps: readonly Step[]): void {
  const publisher = new Publisher(version)
  for (const each of steps) {
    switch (each.do) {
      case 'publish':
        publisher.publish(each.qos)
        break
      case 'server':
        publisher.serverReads(each.count)
        break
      case 'client':
        publisher.clientReads(each.count)
        break
      case 'accept':
        publisher.accept(each.newest)
        break
      case 'drop':
        publisher.drop(each.up, each.down)
        break
      case 'connect':
        publisher.connect()
        break
    }
  }
  publisher.settle()
  for (const { name, qos, phase } of publisher.flows) {
    const count = publisher.routed.filter((each) => each === name).length
    expect(phase).toBe('done')
    if (qos === 2) expect(count).toBe(1)
    else expect(count).toBeGreaterThanOrEqual(1)
  }
  // First arrivals keep the order of each QoS.
  for (const level of [1, 2]) {
    const names = publisher.flows.filter(({ qos }) => qos === level).map(({ name }) => name)
    const wanted = new Set(names)
    expect([...new Set(publisher.routed)].filter((name) => wanted.has(name))).toEqual(names)
  }
  expect(publisher.state.awaitingRel.size).toBe(0)
  expect(publisher.state.pendingAcks).toEqual([])
  expect(publisher.state.awaitingAccept).toBe(0)
}

test('a publisher that reconnects at random has QoS 1 routed at least once, QoS 2 exactly once, and acknowledgements in order', () => {
  fc.assert(fc.property(fc.constantFrom<4 | 5>(4, 5), fc.array(step, { maxLength: 160, size: 'max' }), play), {
    numRuns: 400,
  })
})
