/**
 * A session's side of its talk with the router (router.ts): requests with their answers, and what the router knows of it.
 *
 * A router that is restarted forgets what it was to answer; subscribing twice does no harm. So as long as an answer is
 * due the router is monitored, and asked again by the next one.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { RouterPool, ToRouter } from '../routing/router.ts'
import type { SubscribeRequest } from '../routing/routing.ts'
import type { Availability } from '../routing/subscribers.ts'
import type { ParsedFilter } from '../routing/topic.ts'
import type { SessionState } from './session-state.ts'

/** The session sends this to itself when no router was there; `askAgain` is to be called. */
export const ASK_ROUTER_AGAIN = { tag: 'ask_router_again' } as const

/** Ticket of the request that takes a session's shared subscriptions away before it ends; the machine's begin with 1. */
export const FAREWELL = 0
/** Ticket of the request that brings the subscriptions of a stored session back. */
export const RESTORED = -1

/** How long a session waits before it asks a router that was not there again. */
const RETRY_MS = 100

/** A request that is answered. */
export type RouterRequest = Extract<ToRouter, { readonly ticket: number }>

/** The link of one session to its router. */
export class RouterLink {
  readonly #self: ProcessContext
  readonly #routers: Pick<RouterPool, 'of'>
  /** Requests that have no answer yet, by ticket, in order. */
  #unanswered: Map<number, RouterRequest> | undefined
  #monitor: Ref | undefined
  #availability: Availability = 'online'
  #durable = false

  constructor(self: ProcessContext, routers: Pick<RouterPool, 'of'>) {
    this.#self = self
    this.#routers = routers
  }

  subscribe(ticket: number, clientId: string, durable: boolean, subscriptions: readonly SubscribeRequest[]): void {
    this.#durable = durable
    this.#ask({ tag: 'subscribe', from: this.#self.pid, ticket, clientId, durable, subscriptions })
  }

  unsubscribe(ticket: number, filters: readonly ParsedFilter[]): void {
    this.#ask({ tag: 'unsubscribe', from: this.#self.pid, ticket, filters })
  }

  /** Brings the subscriptions of a stored session back; `RESTORED` is answered. Returns false when there are none. */
  restore({ clientId, subscriptions }: SessionState): boolean {
    if (subscriptions.size === 0) return false
    this.subscribe(RESTORED, clientId, true, [...subscriptions.values()])
    return true
  }

  /** Takes the shared subscriptions away of a session that has ended; `FAREWELL` is answered. Returns false when nobody has to know. */
  farewell({ subscriptions }: SessionState): boolean {
    const shared: ParsedFilter[] = []
    for (const { filter } of subscriptions.values()) if (filter.group !== undefined) shared.push(filter)
    if (shared.length === 0 || this.#router() === undefined) return false
    this.unsubscribe(FAREWELL, shared)
    return true
  }

  /** Takes an answer; returns its request, or undefined when there is none (any more). */
  answered(ticket: number): RouterRequest | undefined {
    const request = this.#unanswered?.get(ticket)
    if (request === undefined) return undefined
    this.#unanswered!.delete(ticket)
    if (this.#unanswered!.size === 0) {
      this.#unanswered = undefined
      if (this.#monitor !== undefined) this.#self.demonitor(this.#monitor, { flush: true })
      this.#monitor = undefined
    }
    return request
  }

  /** Takes a DOWN; returns whether it was the router's. */
  takeDown(ref: Ref): boolean {
    if (this.#monitor?.equals(ref) !== true) return false
    this.#monitor = undefined
    this.#askSoon()
    return true
  }

  askAgain(): void {
    if (this.#unanswered === undefined) return
    const router = this.#router()
    if (router === undefined) {
      this.#askSoon()
      return
    }
    this.#monitor ??= this.#self.monitor(router)
    for (const request of this.#unanswered.values()) this.#self.send(router, request)
  }

  /** The router chooses among the members of a group by what they say of themselves. */
  tellAvailability({ connection, congested, sharedCount, ended }: SessionState): void {
    if (sharedCount === 0 || ended) return
    const availability = connection === undefined ? 'offline' : congested ? 'congested' : 'online'
    const router = this.#router()
    if (availability === this.#availability || router === undefined) return
    this.#availability = availability
    this.#self.send(router, { tag: 'availability', from: this.#self.pid, availability } satisfies ToRouter)
  }

  /** Says whether the session outlives its connection, if that has changed and the router knows the session. */
  tellDurable(durable: boolean, isKnown: boolean): void {
    if (durable === this.#durable) return
    this.#durable = durable
    const router = this.#router()
    if (!isKnown || router === undefined) return
    this.#self.send(router, { tag: 'durable', from: this.#self.pid, durable } satisfies ToRouter)
  }

  #router(): Pid | undefined {
    return this.#routers.of(this.#self.pid)
  }

  #ask(request: RouterRequest): void {
    this.#unanswered ??= new Map()
    this.#unanswered.set(request.ticket, request)
    const router = this.#router()
    if (router === undefined) {
      this.#askSoon()
      return
    }
    this.#monitor ??= this.#self.monitor(router)
    this.#self.send(router, request)
  }

  #askSoon(): void {
    this.#self.sendAfter(RETRY_MS, this.#self.pid, ASK_ROUTER_AGAIN)
  }
}
