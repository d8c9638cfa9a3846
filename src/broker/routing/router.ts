/**
 * The router: the process that subscribes and unsubscribes for the sessions of this node.
 *
 *     session ─ { tag: 'subscribe', from, ticket, … }   ─▶ router ─ { tag: 'subscribed', ticket, codes }  ─▶ session
 *     session ─ { tag: 'unsubscribe', from, ticket, … } ─▶ router ─ { tag: 'unsubscribed', ticket }       ─▶ session
 *     session ─ { tag: 'availability', from, availability } ─▶ router      (shared subscriptions: who can take messages)
 *     session ─ { tag: 'durable', from, durable } ─▶ router                (it does or does not outlive its connection)
 *
 * Requests that wait together are handled together: the router applies what is in its mailbox and then writes the routes
 * as one list. The answer goes out when every connected member of the cluster has that list, at most as long as the
 * tables wait; so a publish on any node after SUBACK finds the subscription. A session that dies needs to do nothing: it
 * is monitored, once, and its subscriptions go, a bounded number at a time so that others are served in between.
 *
 * There may be several (`RouterPool`); a session always talks to the same one. They share the state of `Routing`, since on
 * one thread a worker of its own per filter would only mean several messages and monitors for one SUBSCRIBE. That state
 * outlives a router, as emqttd's ets tables do: a restarted one monitors the sessions again. Only answers are lost with
 * it; subscribing twice does no harm, so a session that waits for one asks again.
 */

import { genServer, ok } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { type DownMessage, isDownMessage } from '../../actors/signal.ts'
import type { WriteOutcome } from '../../mnesia/table.ts'
import type { Routing, SubscribeRequest } from './routing.ts'
import type { Availability, Subscriber } from './subscribers.ts'
import type { ParsedFilter } from './topic.ts'

/** What a router takes. `ticket` is returned with the answer; the filters of one message are applied in order. */
export type ToRouter =
  | {
      readonly tag: 'subscribe'
      readonly from: Pid
      readonly ticket: number
      readonly clientId: string
      /** The session outlives its connection. */
      readonly durable: boolean
      readonly subscriptions: readonly SubscribeRequest[]
    }
  | {
      readonly tag: 'unsubscribe'
      readonly from: Pid
      readonly ticket: number
      readonly filters: readonly ParsedFilter[]
    }
  | { readonly tag: 'availability'; readonly from: Pid; readonly availability: Exclude<Availability, 'down'> }
  | { readonly tag: 'durable'; readonly from: Pid; readonly durable: boolean }

/** What a router answers. `codes` is undefined: every route stands. */
export type FromRouter =
  | { readonly tag: 'subscribed'; readonly ticket: number; readonly codes: undefined }
  | { readonly tag: 'unsubscribed'; readonly ticket: number }

interface Answer {
  readonly to: Pid
  readonly message: FromRouter
}

/** Messages of a router to itself. */
type Own =
  /** Stands behind the requests that waited when the first of them was handled. */
  | { readonly tag: '$flush' }
  /** Remove more of the subscriptions of dead sessions. */
  | { readonly tag: '$sweep' }
  /** A write has reached the members, or the wait for it is over. */
  | { readonly tag: '$written'; readonly answers: readonly Answer[]; readonly outcomes: readonly WriteOutcome[] }

const FLUSH: Own = { tag: '$flush' }
const SWEEP: Own = { tag: '$sweep' }
/** Subscriptions of a dead session that are removed before others have their turn; a millisecond or two. */
const SWEEP_SIZE = 1000

export interface RouterOptions {
  readonly routing: Routing
  /** Which router of the pool this is. @default 0 */
  readonly index?: number
  /** Number of routers in the pool. @default 1 */
  readonly poolSize?: number
  /** Called for each request whose write some members had not confirmed in time, with their names. */
  readonly onUnconfirmed?: (nodes: readonly string[]) => void
}

/** What a router process does with its messages. */
class RouterState {
  readonly #self: ProcessContext
  readonly #routing: Routing
  readonly #onUnconfirmed: ((nodes: readonly string[]) => void) | undefined
  #answers: Answer[] = []
  #flushing = false
  /** Dead sessions that still have subscriptions. */
  readonly #dead: Subscriber[] = []
  #sweeping = false
  /** The last write that is still waited for; a later answer must not overtake it. */
  #writing: Promise<readonly WriteOutcome[]> | undefined

  constructor(self: ProcessContext, options: RouterOptions) {
    this.#self = self
    this.#routing = options.routing
    this.#onUnconfirmed = options.onUnconfirmed
    const { index = 0, poolSize = 1 } = options
    for (const subscriber of this.#routing.subscribers.all()) {
      if (subscriber.pid.id % poolSize === index) self.monitor(subscriber.pid)
    }
    if (this.#routing.isDirty) this.#flushSoon()
  }

  describe(): unknown {
    return { ...this.#routing.stats(), unanswered: this.#answers.length, dying: this.#dead.length }
  }

  handle(message: unknown): void {
    if (isDownMessage(message)) {
      this.#down(message)
      return
    }
    const request = message as ToRouter | Own
    switch (request.tag) {
      case 'subscribe':
        this.#subscribe(request)
        break
      case 'unsubscribe':
        this.#unsubscribe(request)
        break
      case 'availability': {
        const subscriber = this.#routing.subscribers.subscriber(request.from)
        if (subscriber === undefined || subscriber.availability === 'down') break
        this.#routing.setAvailability(subscriber, request.availability)
        if (this.#routing.isDirty) this.#flushSoon()
        break
      }
      case 'durable': {
        const subscriber = this.#routing.subscribers.subscriber(request.from)
        if (subscriber !== undefined) this.#routing.setDurable(subscriber, request.durable)
        this.#flushSoon()
        break
      }
      case '$flush':
        this.#flush()
        break
      case '$sweep':
        this.#sweep()
        break
      case '$written':
        this.#written(request.answers, request.outcomes)
        break
    }
  }

  #subscribe({ from, ticket, clientId, durable, subscriptions }: Extract<ToRouter, { tag: 'subscribe' }>): void {
    const { subscriber, isNew } = this.#routing.admit(from, clientId, durable)
    // A session that is dead already answers the monitor at once, and is removed like any other.
    if (isNew) this.#self.monitor(from)
    if (subscriber.availability !== 'down') {
      for (const subscription of subscriptions) this.#routing.subscribe(subscriber, subscription)
    }
    this.#answer({ to: from, message: { tag: 'subscribed', ticket, codes: undefined } })
  }

  #unsubscribe({ from, ticket, filters }: Extract<ToRouter, { tag: 'unsubscribe' }>): void {
    const subscriber = this.#routing.subscribers.subscriber(from)
    if (subscriber !== undefined) for (const filter of filters) this.#routing.unsubscribe(subscriber, filter)
    this.#answer({ to: from, message: { tag: 'unsubscribed', ticket } })
  }

  #answer(answer: Answer): void {
    this.#answers.push(answer)
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#self.send(this.#self.pid, FLUSH)
  }

  #flush(): void {
    this.#flushing = false
    const answers = this.#answers
    this.#answers = []
    const written = this.#routing.flush({ wait: 'members' })
    if (written === undefined && this.#writing === undefined) {
      for (const { to, message } of answers) this.#self.send(to, message)
      return
    }
    // Also those who wait for nothing of their own: their filter's route may be under way for somebody else.
    const all = Promise.all([written ?? [], this.#writing]).then(([own]) => own)
    this.#writing = all
    const { runtime, pid } = this.#self
    all.then(
      (outcomes) => {
        if (this.#writing === all) this.#writing = undefined
        // From outside of the process: it may have ended, and then nobody waits for the message.
        runtime.send(pid, { tag: '$written', answers, outcomes } satisfies Own)
      },
      (error: unknown) => runtime.exit(pid, { error: String(error) }),
    )
  }

  #written(answers: readonly Answer[], outcomes: readonly WriteOutcome[]): void {
    const late = new Set(outcomes.flatMap((outcome) => outcome.unconfirmed))
    for (const { to, message } of answers) {
      if (late.size > 0) this.#onUnconfirmed?.([...late])
      this.#self.send(to, message)
    }
  }

  #down({ pid }: DownMessage): void {
    const subscriber = 'key' in pid ? this.#routing.subscribers.subscriber(pid) : undefined
    if (subscriber === undefined) return
    subscriber.availability = 'down'
    this.#dead.push(subscriber)
    if (!this.#sweeping) this.#sweep()
  }

  #sweep(): void {
    this.#sweeping = false
    let room = SWEEP_SIZE
    while (room > 0 && this.#dead.length > 0) {
      const subscriber = this.#dead[this.#dead.length - 1]!
      const before = subscriber.count
      if (this.#routing.drop(subscriber, room)) this.#dead.pop()
      room -= before - subscriber.count + 1
    }
    this.#flushSoon()
    if (this.#dead.length === 0) return
    this.#sweeping = true
    this.#self.send(this.#self.pid, SWEEP)
  }
}

/** The server; `ToRouter` messages are sent to it as they are. */
export const router = genServer<RouterState, Record<never, never>, Record<never, never>, RouterOptions>({
  label: 'router',
  init: (options, self) => ok(new RouterState(self, options)),
  info: ({ state }, message) => state.handle(message),
  formatState: (state) => state.describe(),
})

/** The routers of a node: how many there are, what they are called, and which of them a session talks to. */
export class RouterPool {
  /** Registered names; the supervisor starts `router` once under each, with its place as `index`. */
  readonly names: readonly string[]
  readonly #runtime: Runtime

  /** One router is enough unless tables make it wait; more give each session's requests a shorter line. */
  constructor(runtime: Runtime, size = 1) {
    this.#runtime = runtime
    this.names = size === 1 ? ['router'] : Array.from({ length: size }, (_, i) => `router_${i + 1}`)
  }

  /** The router of a session; undefined while it is being restarted. */
  of(session: Pid): Pid | undefined {
    return this.#runtime.whereis(this.names[session.id % this.names.length]!)
  }
}
