/**
 * A simulated MQTT client that behaves as the standard demands of clients, and checks that the broker does.
 *
 * It keeps its half of the session over connections: what it has published and not seen acknowledged is sent again, with DUP,
 * in order; what it has received at QoS 2 is remembered until PUBREL. Acknowledgements go out in order, after random
 * delays. Packets are written and read by mqtt-packet alone, so the broker's own codec is checked by another.
 */
import mqttPacket from 'mqtt-packet'
import type { ConnectPacket, Packet, PublishPacket, QoS } from '../../../src/broker/packet.ts'
import type { Simulation } from '../../../src/testing/simulation.ts'
import type { Wire, WireOptions } from '../../../src/testing/wire.ts'
import {
  type ClientOptions,
  connectPacket,
  Link,
  propertiesFault,
  publishProperties,
  SUBSCRIPTION_ID,
} from './client-packets.ts'
import type { Interest, Ledger, Published, Receipts } from './ledger.ts'

/** What a client needs of its world. */
export interface ClientWorld {
  readonly sim: Simulation
  readonly ledger: Ledger
  readonly nowMs: number
  /** Nodes that take connections. */
  readonly doors: readonly string[]
  /** QoS 1 and 2 messages that a session has in flight. */
  readonly maxInflight: number
  readonly matches: (filter: string, topic: string) => boolean
  /** A new wire to a node; undefined when nobody listens there. */
  dial(node: string, options?: WireOptions): Wire | undefined
  /** Which session a connection has, where there may be several of one client id. */
  sessionOf?(wire: Wire): string
  /** CONNECT has been sent. */
  connecting?(client: SimClient, link: Link): void
  /** CONNACK with success has come; `former` is the session that the client takes for its own, '' when it has none. */
  connected?(client: SimClient, session: string, former: string): void
  /** CONNACK with another code has come. */
  refused?(client: SimClient, code: number): void
  /** A message has been sent for the first time. */
  sent?(link: Link, message: Published): void
  /** A subscription stands. */
  subscribed?(interest: Interest): void
}

/** A message of the client that is not acknowledged to its end. */
interface Outgoing {
  readonly message: Published
  phase: 'publish' | 'pubrel'
}

export class SimClient {
  readonly id: string
  readonly options: ClientOptions
  /** What the sessions of this client got, the present one last. */
  readonly receipts: Receipts[] = []
  link: Link | undefined
  /** The will of the next CONNECT. */
  will: ConnectPacket['will']
  /** Wants to be connected. */
  isWanted = false
  /** Number of CONNACKs. */
  connects = 0
  /** Reason code of the last DISCONNECT or refusal. */
  lastCode: number | undefined
  sessionPresent: boolean | undefined
  /** Asks for a clean start until it has connected. */
  comesClean = false
  /** The session whose state the client has; '' when it has none. */
  session = ''
  granted: { filter: string; qos: QoS }[] = []
  readonly #world: ClientWorld
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #waiting: Published[] = []
  /** QoS 2 messages received and not released. */
  readonly #unreleased = new Map<number, string>()
  #lastId = 0
  #seq = 0
  #disconnectedAtMs = 0
  /** CONNECTs sent. */
  #dialled = 0
  #awaitsConnack = false
  #subscribeId = 0
  #unsubscribeId = 0
  #subscribedAtMs = Number.POSITIVE_INFINITY

  constructor(world: ClientWorld, options: ClientOptions) {
    this.#world = world
    this.options = options
    this.id = options.id
  }

  get isUp(): boolean {
    return this.link?.isUp === true && !this.link.isOver
  }

  /** Nothing of its own is on its way. */
  get isIdle(): boolean {
    return this.#outgoing.size === 0 && this.#waiting.length === 0
  }

  /** True when every SUBSCRIBE has been answered. */
  get isSubscribed(): boolean {
    return this.isUp && this.granted.length === (this.options.subscriptions?.length ?? 0)
  }

  /** Whether a session of the client has got a message. */
  hasGot(key: string, session: string): boolean {
    return this.receipts.some((receipts) => receipts.session === session && receipts.counts.has(key))
  }

  /** Connects, and again when the connection is lost. Over another node than before when there are several. */
  connect(node = this.#world.sim.random.pick(this.#world.doors), wireOptions?: WireOptions): void {
    this.isWanted = true
    const wire = this.#world.dial(node, wireOptions ?? { holdsBytes: this.#world.sim.random.pick([100, 16_384]) })
    if (wire === undefined) {
      this.#reconnectLater()
      return
    }
    const link = new Link(wire, this.#awaitsConnack, this.comesClean)
    this.#awaitsConnack = true
    // A former connection stays open until the broker closes it: it is taken over.
    if (this.link !== undefined) this.#over(this.link)
    this.link = link
    this.#dialled += 1
    const { version } = this.options
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (packet) => this.#take(link, packet as unknown as Packet))
    parser.on('error', (error: Error) => this.#violation(`the broker sent what is no packet: ${error.message}`))
    wire.far.start({
      onData: (chunk) => void parser.parse(chunk),
      onDrain: () => {},
      onEnd: () => {
        this.#ended(link)
        wire.far.end()
      },
      onClose: () => this.#ended(link),
    })
    this.#send(link, connectPacket(this.options, this.will ?? this.#leaveWill(link), this.comesClean))
    if (this.comesClean) this.#newSession('')
    this.#world.connecting?.(this, link)
  }

  /** Publishes when it can; returns the record of the message. */
  publish(topic: string, qos: QoS): Published {
    const seq = this.#seq++
    const message: Published = {
      key: `${this.id}/${seq}`,
      publisher: this.id,
      seq,
      topic,
      qos,
      attempts: 0,
      firstSentAtMs: 0,
      session: '',
      acceptedAtMs: undefined,
    }
    this.#world.ledger.published.set(message.key, message)
    this.#waiting.push(message)
    this.#sendWaiting()
    return message
  }

  /** The connection is lost. */
  lose(): void {
    this.link?.wire.lose()
  }

  /** Closes its half without DISCONNECT. */
  halfClose(): void {
    if (this.link === undefined) return
    this.link.wire.far.end()
    this.#ended(this.link)
  }

  /** Takes back all subscriptions and makes them anew. */
  resubscribe(): void {
    const { link } = this
    if (link === undefined || !this.isSubscribed || this.granted.length === 0) return
    this.#endInterests(this.#world.nowMs)
    this.#unsubscribeId = this.#nextId()
    const unsubscriptions = this.granted.map(({ filter }) => filter)
    this.granted = []
    this.#subscribedAtMs = Number.POSITIVE_INFINITY
    this.#send(link, { cmd: 'unsubscribe', messageId: this.#unsubscribeId, unsubscriptions })
  }

  /** Stops reading, and goes on. */
  stall(isOn: boolean): void {
    const end = this.link?.wire.far
    if (isOn) end?.pause()
    else end?.resume()
  }

  /** DISCONNECT and close; it stays away. */
  disconnect(reasonCode = 0, expirySec?: number): void {
    this.isWanted = false
    const { link } = this
    if (link === undefined || link.isOver) return
    const packet: Packet = { cmd: 'disconnect' }
    if (this.options.version === 5) {
      packet.reasonCode = reasonCode
      if (expirySec !== undefined) packet.properties = { sessionExpiryInterval: expirySec }
    }
    this.#send(link, packet)
    this.#ended(link)
    link.wire.far.end()
  }

  /** Goes away without a word. */
  vanish(): void {
    this.isWanted = false
    const { link } = this
    if (link === undefined) return
    this.#ended(link)
    link.wire.far.destroy()
  }

  #take(link: Link, packet: Packet): void {
    if (link.isOver) return
    if (!link.isUp && packet.cmd !== 'connack') {
      this.#violation(`${packet.cmd} before CONNACK`)
      return
    }
    switch (packet.cmd) {
      case 'connack':
        this.#connected(link, packet.sessionPresent, packet.returnCode ?? 0, packet.reasonCode ?? 0)
        break
      case 'publish':
        this.#published(link, packet)
        break
      case 'puback':
      case 'pubrec':
        this.#acknowledged(link, packet.cmd, packet.messageId, packet.reasonCode ?? 0)
        break
      case 'pubcomp':
        if (this.#outgoing.get(packet.messageId)?.phase !== 'pubrel') this.#violation('PUBCOMP for no PUBREL')
        this.#outgoing.delete(packet.messageId)
        this.#sendWaiting()
        break
      case 'pubrel': {
        const { messageId } = packet
        this.#unreleased.delete(messageId)
        this.#later(link, () => {
          link.unacknowledged.delete(messageId)
          this.#send(link, { cmd: 'pubcomp', messageId })
        })
        break
      }
      case 'suback':
        this.#subscribed(packet.messageId, packet.granted)
        break
      case 'unsuback':
        if (packet.messageId !== this.#unsubscribeId) this.#violation('UNSUBACK for no UNSUBSCRIBE')
        this.#subscribe(link)
        break
      case 'disconnect':
        this.lastCode = packet.reasonCode ?? 0
        break
      default:
        break
    }
  }

  #connected(link: Link, isPresent: boolean, returnCode: number, reasonCode: number): void {
    this.#awaitsConnack = false
    const code = this.options.version === 5 ? reasonCode : returnCode
    if (code !== 0) {
      this.lastCode = code
      if (!link.mayBeOvertaken) this.#world.refused?.(this, code)
      return
    }
    link.isUp = true
    this.comesClean = false
    this.connects += 1
    this.sessionPresent = isPresent
    if (isPresent && !this.options.isPersistent) this.#violation('a clean session is present')
    if (isPresent && this.#dialled === 1) this.#violation('a session is present that never was')
    const session = this.#world.sessionOf?.(link.wire) ?? this.session
    this.#world.connected?.(this, session, this.session)
    // After a partition the broker may have kept another one of two sessions than the client knows.
    if (!isPresent || session !== this.session) this.#newSession(session)
    for (const [messageId, { message, phase }] of this.#outgoing) {
      if (phase === 'pubrel') this.#send(link, { cmd: 'pubrel', messageId })
      else this.#sendPublish(link, message, messageId, true)
    }
    if (this.granted.length === 0) this.#subscribe(link)
    this.#ping(link)
    this.#sendWaiting()
  }

  #ping(link: Link): void {
    const { keepAliveSec = 0 } = this.options
    if (keepAliveSec === 0) return
    this.#world.sim.time.set(keepAliveSec * 500, () => {
      if (link.isOver) return
      this.#send(link, { cmd: 'pingreq' })
      this.#ping(link)
    })
  }

  /** The will of a CONNECT of a client that leaves one with each. */
  #leaveWill(link: Link): ConnectPacket['will'] {
    const { id, willDelaySec, version } = this.options
    if (willDelaySec === undefined) return undefined
    const topic = `will/${id}`
    link.will = `${topic}/${this.#dialled}`
    const message = { key: link.will, publisher: id, seq: this.#dialled, topic, qos: 2, session: topic } as const
    this.#world.ledger.published.set(link.will, { ...message, attempts: 1, firstSentAtMs: 0, acceptedAtMs: undefined })
    const will = { topic, payload: Buffer.from(link.will), qos: 2, retain: false } as const
    return version === 5 ? { ...will, properties: { willDelayInterval: willDelaySec } } : will
  }

  /** The broker knows nothing of a former session, so nor may the client [MQTT311-3.2.2-3]. */
  #newSession(session: string): void {
    this.session = session
    this.#endInterests(this.#disconnectedAtMs)
    this.granted = []
    this.#subscribedAtMs = Number.POSITIVE_INFINITY
    this.#outgoing.clear()
    this.#unreleased.clear()
    this.receipts.push({ clientId: this.id, session, counts: new Map(), firstAtMs: new Map(), greatest: new Map() })
  }

  #endInterests(atMs: number): void {
    for (const interest of this.#world.ledger.interests) {
      if (interest.clientId === this.id) interest.untilMs = Math.min(interest.untilMs, atMs)
    }
  }

  #subscribe(link: Link): void {
    const { subscriptions = [] } = this.options
    if (subscriptions.length === 0) return
    this.#subscribeId = this.#nextId()
    this.#send(link, {
      cmd: 'subscribe',
      messageId: this.#subscribeId,
      subscriptions: subscriptions.map(({ filter, qos }) => ({ topic: filter, qos })),
      ...(this.options.version === 5 && {
        properties: { subscriptionIdentifier: SUBSCRIPTION_ID, userProperties: { a: 'b' } },
      }),
    })
  }

  #subscribed(messageId: number, granted: readonly number[]): void {
    if (messageId !== this.#subscribeId) this.#violation('SUBACK for no SUBSCRIBE')
    if (granted.some((code) => code >= 0x80)) this.#violation(`SUBACK with ${granted}`)
    this.#subscribedAtMs = this.#world.nowMs
    this.granted = (this.options.subscriptions ?? []).map(({ filter }, i) => ({ filter, qos: granted[i] as QoS }))
    for (const { filter, qos } of this.granted) {
      const interest: Interest = {
        clientId: this.id,
        filter,
        qos,
        fromMs: this.#world.nowMs,
        untilMs: Number.POSITIVE_INFINITY,
        isPersistent: this.options.isPersistent,
        session: this.session,
      }
      this.#world.ledger.interests.push(interest)
      this.#world.subscribed?.(interest)
    }
  }

  #published(link: Link, packet: PublishPacket): void {
    const { qos, messageId = 0, dup, topic } = packet
    const key = packet.payload.toString()
    if (qos > 0) {
      const held = this.#unreleased.get(messageId)
      if (link.unacknowledged.has(messageId)) this.#violation(`packet id ${messageId} used again before its end`)
      if (qos === 2 && held !== undefined && held !== key) {
        this.#violation(`packet id ${messageId} used again for ${key} before ${held} was released`)
      }
      link.unacknowledged.add(messageId)
      const limit = Math.min(this.options.receiveMaximum ?? 65_535, this.#world.maxInflight)
      if (link.unacknowledged.size > limit) this.#violation(`${link.unacknowledged.size} messages in flight`)
    }
    const fault = this.options.version === 5 ? propertiesFault(packet, key) : undefined
    if (fault !== undefined) this.#violation(`${key} ${fault}`)
    const isRepeated = qos === 2 && this.#unreleased.has(messageId)
    if (isRepeated) {
      if (!dup) this.#violation(`${key} again without DUP`)
    } else {
      const granted = this.#grantedFor(topic)
      const isShared = this.options.subscriptions?.some(({ filter }) => filter.startsWith('$share/')) === true
      const received = { key, topic, qos, dup }
      this.#world.ledger.received(this.receipts.at(-1)!, received, granted, this.#subscribedAtMs, isShared)
    }
    if (qos === 1) {
      this.#later(link, () => {
        link.unacknowledged.delete(messageId)
        this.#send(link, { cmd: 'puback', messageId })
      })
    } else if (qos === 2) {
      this.#unreleased.set(messageId, key)
      this.#later(link, () => this.#send(link, { cmd: 'pubrec', messageId }))
    }
  }

  /** Messages may come before SUBACK [MQTT5-3.8.4-3]. */
  #grantedFor(topic: string): QoS {
    const list = this.granted.length > 0 ? this.granted : (this.options.subscriptions ?? [])
    const { matches } = this.#world
    return Math.max(
      0,
      ...list.filter(({ filter }) => matches(filter.replace(/^\$share\/[^/]+\//, ''), topic)).map(({ qos }) => qos),
    ) as QoS
  }

  #acknowledged(link: Link, cmd: 'puback' | 'pubrec', messageId: number, code: number): void {
    const outgoing = this.#outgoing.get(messageId)
    const next = link.expected.shift()
    // [MQTT5-4.6.0-2] [MQTT5-4.6.0-3]
    if (next?.id !== messageId || next.cmd !== cmd) this.#violation(`${cmd} ${messageId} instead of ${next?.id}`)
    if (outgoing === undefined) return
    if (code >= 0x80) {
      this.#violation(`${cmd} with ${code}`)
      return
    }
    if (outgoing.message.acceptedAtMs === undefined) {
      outgoing.message.acceptedAtMs = this.#world.nowMs
    }
    if (cmd === 'puback') {
      this.#outgoing.delete(messageId)
      this.#sendWaiting()
      return
    }
    outgoing.phase = 'pubrel'
    this.#later(link, () => this.#send(link, { cmd: 'pubrel', messageId }))
  }

  #sendWaiting(): void {
    const { link } = this
    const { window = 4 } = this.options
    while (link !== undefined && this.isUp && this.#waiting.length > 0) {
      const message = this.#waiting[0]!
      if (message.qos > 0 && this.#outgoing.size >= window) return
      this.#waiting.shift()
      if (message.qos === 0) this.#sendPublish(link, message, 0, false)
      else {
        const messageId = this.#nextId()
        this.#outgoing.set(messageId, { message, phase: 'publish' })
        this.#sendPublish(link, message, messageId, false)
      }
    }
  }

  #sendPublish(link: Link, message: Published, messageId: number, dup: boolean): void {
    const { topic, qos, key } = message
    if (message.attempts === 0) {
      message.firstSentAtMs = this.#world.nowMs
      message.session = this.session
    }
    message.attempts += 1
    const packet: PublishPacket = { cmd: 'publish', topic, payload: Buffer.from(key), qos, retain: false, dup }
    if (this.options.version === 5 && message.seq % 2 === 0) packet.properties = publishProperties(key)
    if (qos > 0) {
      packet.messageId = messageId
      link.expected.push({ id: messageId, cmd: qos === 1 ? 'puback' : 'pubrec' })
    }
    this.#send(link, packet)
    if (message.attempts === 1) this.#world.sent?.(link, message)
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1
    while (this.#outgoing.has(this.#lastId))
    return this.#lastId
  }

  /** Acknowledges after a while, in order, unless the connection is lost by then. */
  #later(link: Link, send: () => void): void {
    const { sim } = this.#world
    const delayMs = sim.random.next() * (this.options.ackDelayMs ?? 20)
    link.ackAtMs = Math.max(link.ackAtMs, sim.time.monotonic() + delayMs)
    sim.time.set(link.ackAtMs - sim.time.monotonic(), () => {
      if (!link.isOver) send()
    })
  }

  #send(link: Link, packet: Packet): void {
    const bytes = mqttPacket.generate(packet as mqttPacket.Packet, { protocolVersion: this.options.version })
    link.wire.far.write([bytes], bytes.length)
  }

  #ended(link: Link): void {
    if (link.isOver) return
    this.#over(link)
    if (link === this.link) this.#reconnectLater()
  }

  #over(link: Link): void {
    if (link.isUp && !link.isOver) this.#disconnectedAtMs = this.#world.nowMs
    link.isOver = true
  }

  #reconnectLater(): void {
    const { reconnectMs = 300 } = this.options
    const { sim } = this.#world
    if (!this.isWanted || reconnectMs === Number.POSITIVE_INFINITY) return
    const former = this.link
    sim.time.set(1 + sim.random.next() * reconnectMs, () => {
      if (this.isWanted && this.link === former) this.connect()
    })
  }

  #violation(what: string): void {
    this.#world.ledger.violation(this.id, what)
  }
}
