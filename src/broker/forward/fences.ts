/**
 * Fences: what a session waits for that moves from one node to another. A fence is passed when all that other members have published for this node by now has
 * come, when they have nothing kept for it, and when filters are routed to another node everywhere, so that what follows goes there as well.
 *
 *     session ─ fence ─▶ forwarder ─ fence_ask ─▶ forwarders of all members ─ fence_answer ─▶ forwarder ─ fenced ─▶ session
 *
 * An answer comes behind what was published before, but for what is very large (forward/messages.ts), so it names what was not confirmed. A member that is not in
 * step yet is asked again. When a member comes or goes no fence is passed, nor when one is away: it may have something.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { Routing } from '../routing/routing.ts'
import type { Forwarding } from './forwarding.ts'
import { FORWARDER, type Ranges } from './messages.ts'
import type { Seen } from './seen.ts'

/** From a session of this node. */
export interface FenceRequest {
  readonly tag: 'fence'
  readonly from: Pid
  /** Returned with the answer. */
  readonly fence: number
  /** Without `$share/` and `$local/`. */
  readonly filters: readonly string[]
  /** The node to which they are to be routed. */
  readonly at: string
}

/** To the session. */
export interface Fenced {
  readonly tag: 'fenced'
  readonly fence: number
  readonly isPassed: boolean
}

/** For whom a member is asked what is still to come from it: a fence, or sessions that have given way (passing-on.ts). The ids are the asker's. */
export type Asker = 'fence' | 'passing_on'

export interface FenceAsk extends Pick<FenceRequest, 'filters' | 'at'> {
  readonly tag: 'fence_ask'
  /** The node that asks. */
  readonly node: string
  readonly asker: Asker
  readonly id: number
}

export interface FenceAnswer {
  readonly tag: 'fence_answer'
  readonly node: string
  readonly asker: Asker
  readonly id: number
  /** The filters are routed, and nothing is kept for the node that asks. */
  readonly isClear: boolean
  readonly stream: number
  /** What has been sent on this stream and not been confirmed. */
  readonly unconfirmed: Ranges
}

/** The fence looks again. */
export interface FenceCheck {
  readonly tag: '$fence'
  readonly id: number
}

export interface FencesOptions {
  readonly forwarding: Pick<Forwarding, 'underWayTo'>
  readonly routing: Pick<Routing, 'global'>
  readonly mnesia: Pick<Mnesia, 'status'>
  readonly seen: Pick<Seen, 'has'>
}

/** How long after an answer that was not clear a member is asked again, and how often: one that stands still is waited for no longer than by publishers. */
const RETRY_MS = 50
const MAX_TRIES = 20

interface Fence {
  readonly request: FenceRequest
  /** Members that have not said yet what is to be heard, and what they have said. */
  readonly waiting: Map<string, FenceAnswer | undefined>
  tries: number
}

export class Fences {
  readonly #self: ProcessContext
  readonly #options: FencesOptions
  readonly #fences = new Map<number, Fence>()
  #lastId = 0

  constructor(self: ProcessContext, options: FencesOptions) {
    this.#self = self
    this.#options = options
  }

  request(request: FenceRequest): void {
    const { node, running, stopped, partitioned } = this.#options.mnesia.status()
    if (stopped.length + partitioned.length > 0) {
      this.#say(request, false)
      return
    }
    this.#lastId += 1
    const others = running.filter((name) => name !== node)
    const fence: Fence = { request, waiting: new Map(others.map((name) => [name, undefined])), tries: 0 }
    this.#fences.set(this.#lastId, fence)
    for (const name of others) this.#ask(name, this.#lastId, request)
    this.#look(this.#lastId)
    this.#lookAgain(this.#lastId)
  }

  /** Another member asks. */
  asked({ node, asker, id, filters, at }: FenceAsk): void {
    const { isKept, stream, unconfirmed } = this.#options.forwarding.underWayTo(node)
    const isClear = !isKept && this.#areRouted(filters, at)
    const own = this.#self.pid.node
    const answer: FenceAnswer = { tag: 'fence_answer', node: own, asker, id, isClear, stream, unconfirmed }
    this.#self.send({ name: FORWARDER, node }, answer)
  }

  answered(answer: FenceAnswer): void {
    const fence = this.#fences.get(answer.id)
    if (fence?.waiting.has(answer.node) !== true) return
    fence.waiting.set(answer.node, answer)
    this.#look(answer.id)
  }

  check({ id }: FenceCheck): void {
    const fence = this.#fences.get(id)
    if (fence === undefined) return
    fence.tries += 1
    this.#look(id)
    if (!this.#fences.has(id)) return
    if (fence.tries > MAX_TRIES) {
      this.#end(id, fence, false)
      return
    }
    for (const [node, answer] of fence.waiting) {
      if (answer === undefined) continue
      fence.waiting.set(node, undefined)
      this.#ask(node, id, fence.request)
    }
    this.#lookAgain(id)
  }

  /** A member comes or goes. */
  fail(): void {
    for (const [id, fence] of [...this.#fences]) this.#end(id, fence, false)
  }

  #look(id: number): void {
    const fence = this.#fences.get(id)!
    const { filters, at } = fence.request
    for (const [node, answer] of fence.waiting) {
      if (answer !== undefined && this.hasCome(answer)) fence.waiting.delete(node)
    }
    if (fence.waiting.size === 0 && this.#areRouted(filters, at)) this.#end(id, fence, true)
  }

  /** Whether all has come that a member had when it answered, and the filters of the question are routed there. */
  hasCome({ node, stream, unconfirmed, isClear }: FenceAnswer): boolean {
    if (!isClear) return false
    for (let i = 0; i + 1 < unconfirmed.length; i += 2) {
      for (let seq = unconfirmed[i]!; seq <= unconfirmed[i + 1]!; seq += 1) {
        if (!this.#options.seen.has(node, stream, seq)) return false
      }
    }
    return true
  }

  #areRouted(filters: readonly string[], at: string): boolean {
    const { routes } = this.#options.routing.global
    return filters.every((filter) => routes.read(filter).some(({ node, group }) => node === at && !group))
  }

  #end(id: number, { request }: Fence, isPassed: boolean): void {
    this.#fences.delete(id)
    this.#say(request, isPassed)
  }

  #say({ from, fence }: FenceRequest, isPassed: boolean): void {
    this.#self.send(from, { tag: 'fenced', fence, isPassed } satisfies Fenced)
  }

  #ask(node: string, id: number, { filters, at }: FenceRequest): void {
    const ask: FenceAsk = { tag: 'fence_ask', node: this.#self.pid.node, asker: 'fence', id, filters, at }
    this.#self.send({ name: FORWARDER, node }, ask)
  }

  #lookAgain(id: number): void {
    if (this.#fences.has(id)) this.#self.sendAfter(RETRY_MS, this.#self.pid, { tag: '$fence', id } satisfies FenceCheck)
  }
}
