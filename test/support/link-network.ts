/**
 * Nodes that talk to each other through `Links`, in memory and under virtual time: the world of the tests of replication.
 *
 * The same seed gives the same run. Everything that happens to a node happens in a callback of this network: a message, a
 * timer, a link that comes up or goes down. Messages are in order from node to node and are copied on the way. A link that
 * is lost takes what was sent after that with it, and either all that is under way or nothing of it; each side notices at a
 * time of its own. Frozen nodes handle nothing until they thaw, and what arrives meanwhile waits. Nothing here is asynchronous.
 */
import type { ConnectedMember, LinkHandler, Links, Peer } from '../../src/mnesia/link.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { structuralCopy } from '../../src/testing/structural-copy.ts'
import { Trace } from '../../src/testing/trace.ts'
import { VirtualTime } from '../../src/testing/virtual-time.ts'

interface Range {
  readonly least: number
  readonly most: number
}

export interface LinkNetworkOptions {
  readonly seed: number
  /** ms that a message takes, and a connection to come about. @default 0.1 to 5 */
  readonly delayMs?: Range
  /** ms until a side notices that a link is lost. @default 0 to 20 */
  readonly noticeMs?: Range
  /** ms that a turn lasts, from its first callback to its end. @default 0 to 1 */
  readonly turnMs?: Range
  /** ms after which the peers of a frozen node take their links to it for lost. @default 8000 */
  readonly frozenMs?: number
}

/** Longer than any run that comes to rest. */
const MOST_STEPS = 2_000_000

export class LinkNetwork {
  readonly seed: number
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  /** Equal for two runs of a seed. */
  readonly trace = new Trace()
  readonly delayMs: Range
  readonly noticeMs: Range
  readonly turnMs: Range
  readonly frozenMs: number
  /** Most bytes that were under way from one node to another at any time. */
  mostBytesUnderWay = 0
  /** Messages and their bytes that have been sent, by tag. */
  readonly sent = new Map<string, { messages: number; bytes: number }>()
  readonly #nodes = new Map<string, LinkNode>()
  readonly #epochs = new Map<string, number>()
  #everStarted: readonly string[] = []
  readonly #cut = new Set<string>()
  /** By pair: the connection that at least one side still has. */
  readonly #connections = new Map<string, Connection>()
  readonly #connecting = new Set<string>()

  constructor(options: LinkNetworkOptions) {
    this.seed = options.seed
    this.random = new SeededRandom(options.seed)
    this.delayMs = options.delayMs ?? { least: 0.1, most: 5 }
    this.noticeMs = options.noticeMs ?? { least: 0, most: 20 }
    this.turnMs = options.turnMs ?? { least: 0, most: 1 }
    this.frozenMs = options.frozenMs ?? 8000
  }

  /**
   * Starts a node, in an epoch greater than its last unless one is given. Until `setMembers` is called every node that has
   * ever been started is a member.
   */
  start(name: string, options: { readonly epoch?: number; readonly skewMs?: number } = {}): LinkNode {
    if (this.#nodes.has(name)) throw new Error(`${name} is running`)
    const epoch = options.epoch ?? (this.#epochs.get(name) ?? 0) + 1
    this.#epochs.set(name, epoch)
    const node = new LinkNode(this, name, epoch, options.skewMs ?? 0)
    this.#nodes.set(name, node)
    this.#connectAll()
    return node
  }

  /** Ends a node at once. Its object is dead from then on: its timers never fire and what it sends is lost. */
  kill(name: string): void {
    const node = this.node(name)
    this.#nodes.delete(name)
    node.die()
    this.trace.note(`kill ${name}`)
    for (const connection of this.#connectionsOf(node)) {
      this.#leave(connection, node)
      this.#lose(connection)
    }
  }

  /** A running node; throws when it is not running. */
  node(name: string): LinkNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`${name} is not running`)
    return node
  }

  isRunning(name: string): boolean {
    return this.#nodes.has(name)
  }

  /** The running nodes, in the order of their start. */
  get nodes(): readonly LinkNode[] {
    return [...this.#nodes.values()]
  }

  /** Names of all nodes that have ever been started, sorted. */
  get everStarted(): readonly string[] {
    if (this.#everStarted.length !== this.#epochs.size) this.#everStarted = [...this.#epochs.keys()].sort()
    return this.#everStarted
  }

  /** Loses the link between two nodes, and all further attempts, until it is mended. */
  cut(a: string, b: string): void {
    if (a === b || this.#cut.has(pairOf(a, b))) return
    this.#cut.add(pairOf(a, b))
    const connection = this.#connections.get(pairOf(a, b))
    if (connection !== undefined) this.#lose(connection)
  }

  mend(a: string, b: string): void {
    if (this.#cut.delete(pairOf(a, b))) this.#connectAll()
  }

  mendAll(): void {
    this.#cut.clear()
    this.#connectAll()
  }

  isCut(a: string, b: string): boolean {
    return this.#cut.has(pairOf(a, b))
  }

  /** Loses a link once; it comes up again by itself. */
  drop(a: string, b: string): void {
    const connection = this.#connections.get(pairOf(a, b))
    if (connection !== undefined) this.#lose(connection)
  }

  freeze(name: string): void {
    const node = this.node(name)
    if (node.isFrozen) return
    node.isFrozen = true
    const freezes = ++node.freezes
    this.trace.note(`freeze ${name}`)
    this.time.set(this.frozenMs, () => {
      if (!node.isFrozen || node.freezes !== freezes) return
      for (const connection of this.#connectionsOf(node)) this.#lose(connection)
    })
  }

  /** The node handles, now, what has waited. */
  thaw(name: string): void {
    const node = this.node(name)
    if (!node.isFrozen) return
    this.trace.note(`thaw ${name}`)
    node.thaw()
    this.#connectAll()
  }

  /** Does what is due next; false when nothing is. */
  step(): boolean {
    if (this.time.nextInMs === undefined) return false
    this.time.fireNext()
    return true
  }

  /** Lets time pass. */
  advance(ms: number): void {
    const endMs = this.time.monotonic() + ms
    for (let steps = 0; ; steps++) {
      const nextInMs = this.time.nextInMs
      if (nextInMs === undefined || this.time.monotonic() + nextInMs > endMs) break
      if (steps > MOST_STEPS) throw new Error(`seed ${this.seed}: no rest after ${MOST_STEPS} steps`)
      this.time.fireNext()
    }
    this.time.skip(endMs - this.time.monotonic())
  }

  /** Goes on until nothing is due within `quietMs`. */
  settle(quietMs: number): void {
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const nextInMs = this.time.nextInMs
      if (nextInMs === undefined || nextInMs > quietMs) return
      this.time.fireNext()
    }
    throw new Error(`seed ${this.seed}: not settled after ${MOST_STEPS} steps`)
  }

  /** Looks again which nodes can connect; for a node whose list of members has changed. */
  membersChanged(): void {
    for (const connection of this.#connections.values()) {
      if (!connection.isLost && !canConnect(connection.left, connection.right)) this.#lose(connection)
    }
    this.#connectAll()
  }

  /** For `LinkNode`: one message over a connection. */
  transmit(connection: Connection, from: LinkNode, part: string, message: { readonly tag: string }): void {
    if (connection.isLost || from.isDead) return
    const copy = structuralCopy(message) as { readonly tag: string }
    const bytes = sizeOf(message)
    const count = this.sent.get(message.tag)
    if (count === undefined) this.sent.set(message.tag, { messages: 1, bytes })
    else {
      count.messages++
      count.bytes += bytes
    }
    const way = connection.from(from)
    way.bytes += bytes
    this.mostBytesUnderWay = Math.max(this.mostBytesUnderWay, way.bytes)
    this.#arrange(connection, from, () => {
      way.bytes -= bytes
      connection.other(from).receive(connection, part, copy)
    })
  }

  /** A time in a range. */
  within({ least, most }: Range): number {
    return least + this.random.next() * (most - least)
  }

  /** Has `arrive` happen to the other side, after all that was sent before. */
  #arrange(connection: Connection, from: LinkNode, arrive: () => void): void {
    const way = connection.from(from)
    const arrivalMs = Math.max(this.time.monotonic() + this.within(this.delayMs), way.lastArrivalMs)
    way.lastArrivalMs = arrivalMs
    this.trace.note(arrivalMs)
    const to = connection.other(from)
    this.time.set(arrivalMs - this.time.monotonic(), () => {
      // What waits at a frozen node has arrived: it is in the buffers of its system.
      if (!connection.isLost || way.survivesLoss) to.happen(arrive)
    })
  }

  #connectAll(): void {
    const names = [...this.#nodes.keys()].sort()
    for (const a of names) for (const b of names) if (a < b) this.#connect(a, b)
  }

  #connect(a: string, b: string): void {
    const pair = pairOf(a, b)
    if (this.#connecting.has(pair) || !this.#isFree(a, b)) return
    this.#connecting.add(pair)
    this.time.set(this.within(this.delayMs), () => {
      this.#connecting.delete(pair)
      if (!this.#isFree(a, b)) return
      const connection = new Connection(this.node(a), this.node(b))
      this.#connections.set(pair, connection)
      this.trace.note(pair)
      for (const end of [connection.left, connection.right]) {
        this.#arrange(connection, end, () => connection.other(end).up(connection))
      }
    })
  }

  #isFree(a: string, b: string): boolean {
    const left = this.#nodes.get(a)
    const right = this.#nodes.get(b)
    if (left === undefined || right === undefined || left.isFrozen || right.isFrozen) return false
    return !this.#connections.has(pairOf(a, b)) && !this.#cut.has(pairOf(a, b)) && canConnect(left, right)
  }

  #connectionsOf(node: LinkNode): Connection[] {
    return [...this.#connections.values()].filter(({ left, right }) => left === node || right === node)
  }

  #lose(connection: Connection): void {
    if (connection.isLost) return
    connection.isLost = true
    this.trace.note(`lose ${pairOf(connection.left.node, connection.right.node)}`)
    for (const end of [connection.left, connection.right]) {
      connection.from(end).survivesLoss = this.random.below(2) === 0
      if (end.isDead) continue
      const notice = () => {
        end.down(connection)
        this.#leave(connection, end)
      }
      this.time.set(this.within(this.noticeMs), () => end.happen(notice))
    }
  }

  /** An end has noticed that the connection is lost, or is dead. Only when both have can there be another. */
  #leave(connection: Connection, end: LinkNode): void {
    connection.hasLeft.add(end)
    if (connection.hasLeft.size < 2) return
    this.#connections.delete(pairOf(connection.left.node, connection.right.node))
    this.#connectAll()
  }
}

/** What is under way in one direction. */
interface Way {
  lastArrivalMs: number
  bytes: number
  /** When the link is lost: whether what is under way arrives still. */
  survivesLoss: boolean
}

class Connection {
  readonly left: LinkNode
  readonly right: LinkNode
  isLost = false
  /** Ends that know of the loss, or are dead. */
  readonly hasLeft = new Set<LinkNode>()
  readonly #ways: readonly [Way, Way] = [
    { lastArrivalMs: 0, bytes: 0, survivesLoss: false },
    { lastArrivalMs: 0, bytes: 0, survivesLoss: false },
  ]

  constructor(left: LinkNode, right: LinkNode) {
    this.left = left
    this.right = right
  }

  other(node: LinkNode): LinkNode {
    return node === this.left ? this.right : this.left
  }

  from(node: LinkNode): Way {
    return this.#ways[node === this.left ? 0 : 1]
  }
}

/** A node: what the parts under test are given as their `Links`. */
export class LinkNode implements Links {
  readonly node: string
  readonly epoch: number
  /** How far its wall clock is ahead. */
  skewMs: number
  isFrozen = false
  isDead = false
  freezes = 0
  readonly #network: LinkNetwork
  #members: readonly string[] | undefined
  readonly #handlers = new Map<string, LinkHandler>()
  /** Links that are up, with the peer of each part. */
  readonly #up = new Map<Connection, Map<string, Peer>>()
  #held: (() => void)[] = []
  #dirty: { flush(): void }[] = []
  #turnIsOpen = false

  constructor(network: LinkNetwork, name: string, epoch: number, skewMs: number) {
    this.#network = network
    this.node = name
    this.epoch = epoch
    this.skewMs = skewMs
  }

  members(): readonly string[] {
    return this.#members ?? this.#network.everStarted
  }

  /** The members as this node sees them. */
  setMembers(members: readonly string[]): void {
    this.#members = [...members].sort()
    this.#network.membersChanged()
  }

  connected(): readonly ConnectedMember[] {
    return [...this.#up.keys()].map((connection) => memberOf(connection.other(this)))
  }

  handle(part: string, handler: LinkHandler): void {
    this.#handlers.set(part, handler)
    for (const [connection, peers] of this.#up) {
      const peer = this.#peer(connection, part)
      peers.set(part, peer)
      handler.up(peer)
    }
  }

  atTurnEnd(flushable: { flush(): void }): void {
    if (this.isDead) return
    this.#dirty.push(flushable)
    if (this.#turnIsOpen) return
    this.#turnIsOpen = true
    this.#network.time.set(this.#network.within(this.#network.turnMs), () => this.happen(() => this.#endTurn()))
  }

  now(): number {
    return this.#network.time.now() + this.skewMs
  }

  setTimer(ms: number, callback: () => void): () => void {
    let isSet = true
    const handle = this.#network.time.set(ms, () =>
      this.happen(() => {
        if (isSet) callback()
      }),
    )
    return () => {
      isSet = false
      this.#network.time.clear(handle)
    }
  }

  /** Runs a callback of this node: now, when it thaws, or never when it is dead. */
  happen(callback: () => void): void {
    if (this.isDead) return
    if (this.isFrozen) this.#held.push(callback)
    else callback()
  }

  thaw(): void {
    this.isFrozen = false
    const held = this.#held
    this.#held = []
    for (const callback of held) this.happen(callback)
  }

  die(): void {
    this.isDead = true
    this.#held = []
    this.#dirty = []
  }

  /** For `LinkNetwork`. */
  up(connection: Connection): void {
    if (connection.hasLeft.has(this)) return
    const peers = new Map<string, Peer>()
    this.#up.set(connection, peers)
    for (const part of this.#handlers.keys()) peers.set(part, this.#peer(connection, part))
    for (const [part, handler] of this.#handlers) handler.up(peers.get(part)!)
  }

  /** For `LinkNetwork`. */
  receive(connection: Connection, part: string, message: { readonly tag: string }): void {
    const peer = this.#up.get(connection)?.get(part)
    this.#network.trace.note(message.tag)
    if (peer !== undefined) this.#handlers.get(part)!.receive(peer, message)
  }

  /** For `LinkNetwork`. */
  down(connection: Connection): void {
    const peers = this.#up.get(connection)
    if (peers === undefined) return
    this.#up.delete(connection)
    for (const [part, handler] of this.#handlers) handler.down(peers.get(part)!)
  }

  #endTurn(): void {
    this.#turnIsOpen = false
    const dirty = this.#dirty
    this.#dirty = []
    for (const flushable of dirty) flushable.flush()
  }

  #peer(connection: Connection, part: string): Peer {
    const send = (message: { readonly tag: string }) => this.#network.transmit(connection, this, part, message)
    return { ...memberOf(connection.other(this)), send }
  }
}

function memberOf({ node, epoch }: LinkNode): ConnectedMember {
  return { node, epoch, protocol: 1 }
}

/** Each lists the other. */
function canConnect(left: LinkNode, right: LinkNode): boolean {
  return left.members().includes(right.node) && right.members().includes(left.node)
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

/** About what a message weighs. */
function sizeOf(value: unknown): number {
  if (value instanceof Uint8Array || typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let bytes = 0
  if (Array.isArray(value)) for (const item of value) bytes += sizeOf(item)
  else for (const key in value) bytes += sizeOf((value as Record<string, unknown>)[key])
  return bytes
}
