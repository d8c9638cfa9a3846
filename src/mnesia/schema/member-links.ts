/**
 * The links of a node to the other members: greets whoever connects, and gives the parts that replicate a peer for each link.
 *
 * It knows nothing of processes and of the network: it is told what happens (`nodeUp`, `nodeDown`, `receive`), and sends through
 * `LinkOutside`. The process `mnesia` (link-process.ts) drives it; it outlives that process, whose end takes all links down. A
 * part that throws costs the link that it threw on, which is greeted anew, and nothing else.
 */
import type { ConnectedMember, LinkHandler, Links, Peer } from '../link.ts'
import {
  type Close,
  type CloseReason,
  type GreetingId,
  type Hello,
  isTrusted,
  type Judge,
  type Judgement,
  judge,
  type LinkMessage,
  linkMessageOf,
  type PartMessage,
  PROTOCOL,
} from './greeting.ts'
import { memberKey, membersIn, statusIn } from './members.ts'
import type { Departure } from './own-record.ts'
import type { Registry, RegistryRow } from './registry.ts'

/** Who the node is; changes when it joins or leaves a cluster. */
export interface Identity {
  readonly cluster: string
  readonly epoch: number
  readonly departures: readonly Departure[]
}

/** Why a link ended. `nodedown`: the connection was lost. */
export type LinkDownReason = 'nodedown' | 'process' | 'greeted_anew' | CloseReason

/** The world around the links. None of these may throw. */
export interface LinkOutside {
  /** To the `mnesia` process of a node. */
  send(node: string, message: LinkMessage): void
  /** In [0, 1). */
  random(): number
  now(): number
  setTimer(ms: number, callback: () => void): () => void
  atTurnEnd(flushable: { flush(): void }): void
  /** A link is up, and the parts know. */
  up(member: ConnectedMember): void
  down(member: ConnectedMember, reason: LinkDownReason): void
  /** A node that greeted is not linked, by its wish or ours; once for each reason. */
  refused(node: string, reason: CloseReason, text: string): void
  /** A member is back that ran on while it was out of reach; `isHeld`: it stays apart until `heal`. */
  partitioned(node: string, isHeld: boolean): void
  /** The schema has rows that are new. */
  learned(rows: readonly RegistryRow[]): void
  /** Members have seen a later epoch of this node: its data has been set back. `seen` has it. */
  setBack(): void
  /** Whether a node of this cluster may be linked now; when not, `greetAgain` is called later. */
  admits(node: string): boolean
  /** What a part threw. */
  failed(part: string, node: string, error: unknown): void
}

export interface MemberLinksOptions {
  readonly node: string
  readonly identity: Identity
  readonly registry: Registry
  readonly outside: LinkOutside
  /** What becomes of a partition that is over. @default autoheal */
  readonly policy?: 'autoheal' | 'manual'
  /** Greatest epochs seen, by node. */
  readonly seen: Readonly<Record<string, number>>
}

/** A connected node, member or not. */
interface Connected {
  readonly node: string
  ownId: GreetingId
  hello: Hello | undefined
  hasAccepted: boolean
  isAccepted: boolean
  link: Link | undefined
  /** Version of our schema that it was told. */
  toldVersion: number
}

/** How long a link on which a part has failed stays closed. */
const FAILED_PAUSE_MS = 5000

export class MemberLinks implements Links {
  readonly node: string
  readonly #registry: Registry
  readonly #outside: LinkOutside
  readonly #policy: 'autoheal' | 'manual'
  readonly #handlers = new Map<string, LinkHandler>()
  readonly #connected = new Map<string, Connected>()
  readonly #seen: Map<string, number>
  /** Epoch of members whose connection was lost while they ran, by name. */
  readonly #apart = new Map<string, number>()
  /** Members that may link although they ran apart, by name: the epoch in which they may. */
  readonly #healed = new Map<string, number>()
  /** Why a node is not linked, by name; told to the outside once. */
  readonly #refusals = new Map<string, CloseReason>()
  #identity: Identity
  #isOpen = false
  #isSuspended = false
  /** The node whose greeting is being judged. */
  #judging: Connected | undefined
  /** Asked for with each write; undefined when a link has come or gone since. */
  #linked: readonly ConnectedMember[] | undefined
  #members: { readonly version: number; readonly names: readonly string[] } | undefined

  constructor({ node, identity, registry, outside, policy = 'autoheal', seen }: MemberLinksOptions) {
    this.node = node
    this.#identity = identity
    this.#registry = registry
    this.#outside = outside
    this.#policy = policy
    this.#seen = new Map(Object.entries(seen))
  }

  // Links

  get epoch(): number {
    return this.#identity.epoch
  }

  members(): readonly string[] {
    const { version } = this.#registry
    if (this.#members?.version !== version) this.#members = { version, names: membersIn(this.#registry) }
    return this.#members.names
  }

  connected(): readonly ConnectedMember[] {
    this.#linked ??= [...this.#connected.values()]
      .flatMap(({ link }) => (link === undefined ? [] : [link.member]))
      .sort((a, b) => (a.node < b.node ? -1 : 1))
    return this.#linked
  }

  handle(part: string, handler: LinkHandler): void {
    this.#handlers.set(part, handler)
    for (const connected of this.#connected.values()) {
      const { link } = connected
      if (link !== undefined) this.#guard(part, connected, () => handler.up(link.peer(part)))
    }
  }

  atTurnEnd(flushable: { flush(): void }): void {
    this.#outside.atTurnEnd(flushable)
  }

  now(): number {
    return this.#outside.now()
  }

  setTimer(ms: number, callback: () => void): () => void {
    return this.#outside.setTimer(ms, callback)
  }

  // What the process tells

  /** The process is there: `nodes` are connected. */
  open(nodes: readonly string[]): void {
    this.#isOpen = true
    for (const node of nodes) this.nodeUp(node)
  }

  /** The process is gone: all links are down, though nodes stay connected. */
  close(): void {
    this.#isOpen = false
    for (const connected of [...this.#connected.values()]) this.#unlink(connected, 'process')
    this.#connected.clear()
  }

  /** Tells all members that the node stops on purpose. */
  farewell(): void {
    for (const connected of [...this.#connected.values()]) {
      if (connected.link !== undefined) this.#refuse(connected, 'stopped')
    }
  }

  nodeUp(node: string): void {
    if (!this.#isOpen || node === this.node || this.#connected.has(node)) return
    const connected: Connected = {
      node,
      ownId: this.#newId(),
      hello: undefined,
      hasAccepted: false,
      isAccepted: false,
      link: undefined,
      toldVersion: -1,
    }
    this.#connected.set(node, connected)
    this.#greet(connected)
  }

  nodeDown(node: string): void {
    const connected = this.#connected.get(node)
    if (connected === undefined) return
    this.#connected.delete(node)
    if (connected.link !== undefined) this.#apart.set(node, connected.link.member.epoch)
    this.#unlink(connected, 'nodedown')
  }

  /** Something that another node sent to the process. Returns false for what is no message between members. */
  receive(message: unknown): boolean {
    const parsed = linkMessageOf(message)
    if (parsed === undefined) return false
    if (!this.#isOpen) return true
    if (parsed.tag === 'hello') {
      this.#greeted(parsed)
      return true
    }
    const connected = this.#byId(parsed.re)
    if (connected?.hello === undefined || connected.hello.id !== parsed.id) return true
    switch (parsed.tag) {
      case 'accept':
        connected.isAccepted = true
        this.#linkIfAgreed(connected)
        break
      case 'close':
        this.#closed(connected, parsed)
        break
      case 'schema':
        if (connected.link !== undefined) this.learn(parsed.rows, connected.node)
        break
      case 'part':
        this.#receivePart(connected, parsed)
        break
    }
    return true
  }

  // What the schema tells

  /** Takes over rows that are newer, and passes them on. `from`: the node that told. */
  learn(rows: readonly RegistryRow[], from?: string): void {
    const newer = this.#registry.merge(rows)
    if (newer.length > 0) this.changed(newer, from)
  }

  /** The schema has changed: members are told, and links that are not to be any more end. */
  changed(rows: readonly RegistryRow[], from?: string): void {
    for (const connected of [...this.#connected.values()]) {
      const { link, hello, ownId } = connected
      if (link === undefined || hello === undefined || connected.node === from) continue
      this.#outside.send(connected.node, { tag: 'schema', id: ownId, re: hello.id, rows })
    }
    this.#outside.learned(rows)
    for (const connected of [...this.#connected.values()]) this.#reconsider(connected)
    if (!rows.some(({ key }) => key.startsWith(memberKey('')))) return
    for (const handler of this.#handlers.values()) handler.membersChanged?.()
  }

  /** The node is about to be something else: all links end, and none comes up until `resume`. */
  suspend(): void {
    this.#isSuspended = true
    for (const connected of [...this.#connected.values()]) {
      if (connected.hello?.cluster === this.#identity.cluster) this.#refuse(connected, 'busy')
    }
  }

  /** The node is somebody else from now on; only while it is suspended. */
  assume(identity: Identity): void {
    this.#identity = identity
  }

  /** The node is what it was to be: greets everybody anew. */
  resume(identity: Identity): void {
    this.#isSuspended = false
    this.#identity = identity
    this.#apart.clear()
    this.#healed.clear()
    for (const connected of [...this.#connected.values()]) this.#greetAnew(connected)
  }

  /** Ends a partition that is over but held, with one node or with all; returns the nodes that may link now. */
  heal(node?: string): string[] {
    const healed: string[] = []
    for (const connected of [...this.#connected.values()]) {
      if (!this.#isHeld(connected) || (node !== undefined && connected.node !== node)) continue
      this.#healed.set(connected.node, connected.hello!.epoch)
      healed.push(connected.node)
      this.#greetAnew(connected)
    }
    return healed.sort()
  }

  /** Members that are connected but held apart after a partition, sorted. */
  get held(): string[] {
    return [...this.#connected.values()]
      .filter((connected) => this.#isHeld(connected))
      .map(({ node }) => node)
      .sort()
  }

  /** Greatest epochs seen, by node. */
  get seen(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#seen)
  }

  /** Greets again the connected nodes that are not linked: something has changed that may let them. */
  greetAgain(): void {
    for (const connected of [...this.#connected.values()]) if (connected.link === undefined) this.#greetAnew(connected)
  }

  // Greeting

  #newId(): GreetingId {
    return 1 + Math.floor(this.#outside.random() * Number.MAX_SAFE_INTEGER)
  }

  #byId(id: GreetingId): Connected | undefined {
    for (const connected of this.#connected.values()) if (connected.ownId === id) return connected
    return undefined
  }

  #greet(connected: Connected): void {
    const { node, ownId, hello } = connected
    connected.toldVersion = this.#registry.version
    this.#outside.send(node, {
      tag: 'hello',
      node: this.node,
      id: ownId,
      re: hello?.id,
      protocol: PROTOCOL,
      cluster: this.#identity.cluster,
      epoch: this.#identity.epoch,
      seen: this.#seen.get(node) ?? 0,
      rows: this.#registry.rows(),
      departures: this.#identity.departures,
      heals: hello !== undefined && this.#healed.get(node) === hello.epoch,
    })
  }

  #greetAnew(connected: Connected): void {
    this.#unlink(connected, 'greeted_anew')
    connected.ownId = this.#newId()
    connected.hasAccepted = false
    connected.isAccepted = false
    this.#greet(connected)
    this.#judge(connected)
  }

  #greeted(hello: Hello): void {
    // A greeting may overtake the news that its node is connected, never the other way round.
    if (!this.#connected.has(hello.node)) this.nodeUp(hello.node)
    const connected = this.#connected.get(hello.node)
    if (connected === undefined) return
    if (connected.hello?.id !== hello.id) {
      this.#unlink(connected, 'greeted_anew')
      connected.hasAccepted = false
      connected.isAccepted = false
    }
    connected.hello = hello
    if (hello.cluster === this.#identity.cluster && hello.seen > this.#identity.epoch) {
      this.#seen.set(this.node, Math.max(hello.seen, this.#seen.get(this.node) ?? 0))
      this.#outside.setBack()
    }
    if (hello.re !== connected.ownId) this.#greet(connected)
    if (!connected.hasAccepted) this.#judge(connected)
    // A greeting that comes again may say what has changed since, and that this node was removed is said only there.
    else if (!this.#isSuspended) this.#learnFrom(hello)
  }

  #judge(connected: Connected): void {
    const { hello } = connected
    if (hello === undefined) return
    if (!this.#isSuspended) {
      const outer = this.#judging
      this.#judging = connected
      this.#learnFrom(hello)
      this.#judging = outer
    }
    const judgement = this.#judgement(connected, hello)
    if (!judgement.accepted) {
      // It was greeted before it was removed, and learns of that by a greeting alone.
      const isOutdated = connected.toldVersion !== this.#registry.version
      if (judgement.reason === 'removed' && isOutdated) this.#greet(connected)
      this.#tellRefusal(connected.node, judgement.reason, judgement.text)
      this.#refuse(connected, judgement.reason)
      return
    }
    connected.hasAccepted = true
    this.#outside.send(connected.node, { tag: 'accept', id: connected.ownId, re: hello.id })
    this.#linkIfAgreed(connected)
  }

  #learnFrom(hello: Hello): void {
    const isStranger = statusIn(this.#registry, hello.node) !== 'member'
    for (const { cluster, rows } of hello.departures) {
      if (cluster !== this.#identity.cluster) continue
      // Of a node that had been removed here only what it says of itself counts.
      this.learn(isStranger ? rows.filter(({ key }) => key === memberKey(hello.node)) : rows)
    }
    if (isTrusted(this.#judgeOf(hello), hello)) this.learn(hello.rows)
  }

  #judgeOf(hello: Hello): Judge {
    const { node, cluster } = { node: this.node, cluster: this.#identity.cluster }
    return { node, cluster, registry: this.#registry, seen: this.#seen.get(hello.node) ?? 0 }
  }

  #judgement(connected: Connected, hello: Hello): Judgement {
    if (this.#isSuspended) return { accepted: false, reason: 'busy', text: 'this node is changing its cluster' }
    const judgement = judge(this.#judgeOf(hello), hello)
    if (judgement.accepted && !this.#outside.admits(hello.node)) {
      return { accepted: false, reason: 'busy', text: 'this node waits for a master node' }
    }
    if (!judgement.accepted || this.#apart.get(hello.node) !== hello.epoch) return judgement
    if (hello.heals) this.#healed.set(hello.node, hello.epoch)
    if (!this.#isHeld(connected)) return judgement
    return {
      accepted: false,
      reason: 'partitioned',
      text: `${hello.node} and this node have run apart; heal() joins them`,
    }
  }

  #isHeld({ node, hello, link }: Connected): boolean {
    if (this.#policy !== 'manual' || hello === undefined || link !== undefined) return false
    return this.#apart.get(node) === hello.epoch && this.#healed.get(node) !== hello.epoch
  }

  #tellRefusal(node: string, reason: CloseReason, text: string): void {
    if (this.#refusals.get(node) === reason) return
    this.#refusals.set(node, reason)
    if (reason === 'partitioned') this.#outside.partitioned(node, true)
    else this.#outside.refused(node, reason, text)
  }

  #refuse(connected: Connected, reason: CloseReason): void {
    const { hello, node, ownId } = connected
    connected.hasAccepted = false
    if (hello !== undefined) {
      this.#outside.send(node, { tag: 'close', id: ownId, re: hello.id, reason })
    }
    this.#unlink(connected, reason)
  }

  #closed(connected: Connected, { reason }: Close): void {
    connected.isAccepted = false
    this.#unlink(connected, reason)
    if (reason !== 'partitioned')
      this.#tellRefusal(connected.node, reason, `${connected.node} does not link: ${reason}`)
  }

  /** The schema has changed: the link may have to end, or may be possible now. */
  #reconsider(connected: Connected): void {
    const { hello, link, node } = connected
    if (
      connected === this.#judging ||
      hello === undefined ||
      hello.cluster !== this.#identity.cluster ||
      this.#isSuspended
    )
      return
    const areMembers = statusIn(this.#registry, node) === 'member' && statusIn(this.#registry, this.node) === 'member'
    // A node that was removed is told so over its link or, where there is none, by the greeting.
    if (connected.hasAccepted && !areMembers) {
      if (link === undefined) this.#greet(connected)
      this.#refuse(connected, 'removed')
    } else if (link === undefined && !connected.hasAccepted) this.#greetAnew(connected)
  }

  // Linked

  #linkIfAgreed(connected: Connected): void {
    const { hello, node, link } = connected
    if (hello === undefined || link !== undefined || !connected.hasAccepted || !connected.isAccepted) return
    const { epoch } = hello
    const judgement = judge(this.#judgeOf(hello), hello)
    const protocol = judgement.accepted ? judgement.protocol : PROTOCOL.least
    const { ownId } = connected
    const send = (part: string, message: { readonly tag: string }) =>
      this.#outside.send(node, { tag: 'part', id: ownId, re: hello.id, part, message })
    connected.link = new Link({ node, epoch, protocol }, send)
    this.#linked = undefined
    this.#seen.set(node, Math.max(epoch, this.#seen.get(node) ?? 0))
    const wasApart = this.#apart.get(node) === epoch
    this.#apart.delete(node)
    this.#healed.delete(node)
    this.#refusals.delete(node)
    const current = connected.link
    for (const [part, handler] of [...this.#handlers]) {
      if (connected.link === current) this.#guard(part, connected, () => handler.up(current.peer(part)))
    }
    if (connected.link !== current) return
    this.#outside.up(current.member)
    if (wasApart) this.#outside.partitioned(node, false)
    if (connected.toldVersion === this.#registry.version) return
    this.#outside.send(node, { tag: 'schema', id: ownId, re: hello.id, rows: this.#registry.rows() })
  }

  #receivePart(connected: Connected, { part, message }: PartMessage): void {
    const handler = this.#handlers.get(part)
    const { link } = connected
    if (link !== undefined && handler !== undefined) {
      this.#guard(part, connected, () => handler.receive(link.peer(part), message))
    }
  }

  #unlink(connected: Connected, reason: LinkDownReason): void {
    const { link } = connected
    if (link === undefined) return
    connected.link = undefined
    this.#linked = undefined
    link.isUp = false
    for (const [part, handler] of [...this.#handlers]) {
      try {
        handler.down(link.peer(part))
      } catch (error) {
        this.#outside.failed(part, connected.node, error)
      }
    }
    this.#outside.down(link.member, reason)
  }

  #guard(part: string, connected: Connected, call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#outside.failed(part, connected.node, error)
      this.#refuse(connected, 'failed')
      this.#outside.setTimer(FAILED_PAUSE_MS, () => {
        if (this.#connected.get(connected.node) === connected && !connected.hasAccepted) this.#greetAnew(connected)
      })
    }
  }
}

/** A link that is up, until it is not. */
class Link {
  readonly member: ConnectedMember
  isUp = true
  readonly #peers = new Map<string, Peer>()
  readonly #send: (part: string, message: { readonly tag: string }) => void

  constructor(member: ConnectedMember, send: (part: string, message: { readonly tag: string }) => void) {
    this.member = member
    this.#send = send
  }

  peer(part: string): Peer {
    let peer = this.#peers.get(part)
    if (peer === undefined) {
      const send = (message: { readonly tag: string }) => {
        if (this.isUp) this.#send(part, message)
      }
      peer = { ...this.member, send }
      this.#peers.set(part, peer)
    }
    return peer
  }
}
