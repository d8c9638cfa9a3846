/**
 * Hooks: where code outside the broker looks at what happens, or decides about it.
 *
 * Each point has a chain of callbacks, run from the highest priority down, equal ones in the order in which they were
 * added. Two kinds:
 * - a *notification* tells what has happened; a callback returns nothing, or `stop()` to keep it from those after it;
 * - a *decision* has a value that each callback may replace by returning another: undefined leaves it, `stop(value)`
 *   replaces it and ends the chain, and so does the point's own last word ('drop' for message.publish).
 *
 * A callback that throws is logged and counted and never harms the process that ran it. A notification then goes on to
 * the next callback; a decision ends and fails closed: the message is dropped, the client or the filters are refused. For
 * a hook decides about access as a rule, and one that is broken must not open the door.
 *
 * Callbacks run within the process in which the thing happens and hold it up: they must be short. Only
 * client.authenticate and client.auth_step may return a promise. A point without callbacks costs its caller one
 * comparison: `hooks.chains['message.publish'].length`.
 */
import type { Logger } from 'pino'
import type { AuthOutcome, Credentials } from './access/access-control.ts'
import type { AclClient } from './access/acl.ts'
import type { AuthStep } from './connection/connection-environment.ts'
import type { AuthResult } from './connection/protocol-state.ts'
import type { Message } from './message.ts'
import type { Metrics } from './monitor/metrics.ts'
import type { SubscribeEntry } from './packet.ts'
import type { ClientInfo } from './process-messages.ts'
import { RC } from './reason-codes.ts'

/** A client of a session, as far as hooks see it. */
export type HookClient = Pick<ClientInfo, 'clientId' | 'username' | 'peer' | 'protocolVersion'>

/** What each notification tells. */
export interface Notifications {
  /** CONNECT has come; nobody has been authenticated. */
  'client.connect': (credentials: Credentials) => void
  /** CONNACK with a refusal has been sent; the code is that of its protocol version. */
  'client.refused': (credentials: Credentials, code: number) => void
  /** CONNACK with success has been sent. */
  'client.connected': (client: ClientInfo) => void
  /** The connection of an accepted client has ended. */
  'client.disconnected': (client: ClientInfo, reason: string) => void
  'session.created': (client: HookClient) => void
  /** A client has come back to its session. */
  'session.resumed': (client: HookClient) => void
  /** A session ends because its client asked for a clean start. */
  'session.discarded': (clientId: string) => void
  /** A client has connected while its session had a connection, which is closed. */
  'session.takenover': (clientId: string) => void
  'session.terminated': (clientId: string, reason: string) => void
  /** The subscription stands. */
  'session.subscribed': (clientId: string, subscription: SubscribeEntry) => void
  'session.unsubscribed': (clientId: string, filter: string) => void
  /** A message has been handed to a subscriber's connection. */
  'message.delivered': (clientId: string, message: Message) => void
  /** A subscriber has acknowledged a message of QoS 1 or 2. */
  'message.acked': (clientId: string, message: Message) => void
  /** A published message goes to nobody; the reason is the last part of a counter's name, `no_subscribers` … */
  'message.dropped': (message: Message, reason: string) => void
  /** One subscriber does not get a message; the reason likewise, `queue_full` … */
  'delivery.dropped': (clientId: string, message: Message, reason: string) => void
}

/** What each decision decides: its value, and what else callbacks are told. */
export interface Decisions {
  /** Who the client is; see access-control.ts. Undefined when no callback knows. May be a promise. */
  'client.authenticate': (outcome: AuthOutcome | undefined, credentials: Credentials) => AuthOutcome | undefined
  /**
   * One step of an enhanced authentication, 5.0 [MQTT5-4.12]: continue with data for the client, accept, or refuse.
   * Undefined when no callback knows the method. May be a promise.
   */
  'client.auth_step': (result: AuthResult | undefined, step: AuthStep) => AuthResult | undefined
  /** Whether the client may; asked before the access rules. Undefined leaves it to them. */
  'client.authorize': (
    verdict: 'allow' | 'deny' | undefined,
    client: AclClient,
    action: 'publish' | 'subscribe',
    topic: string,
  ) => 'allow' | 'deny' | undefined
  /** The filters of a SUBSCRIBE. A callback may change options; an entry of the same index set to 'deny' is refused. */
  'client.subscribe': (
    entries: readonly (SubscribeEntry | 'deny')[],
    client: HookClient,
  ) => readonly (SubscribeEntry | 'deny')[]
  /** The filters of an UNSUBSCRIBE. */
  'client.unsubscribe': (filters: readonly string[], client: HookClient) => readonly string[]
  /** A message on its way to its subscribers: another one in its place, or 'drop'. */
  'message.publish': (message: Message) => Message | 'drop'
}

type Points = Notifications & Decisions
/** The name of a hook point. */
export type HookName = keyof Points

/** Returned by a callback that ends the chain. */
export class Stop<T> {
  readonly value: T | undefined
  constructor(value: T | undefined) {
    this.value = value
  }
}

/** Ends the chain: with a value, in a decision, or leaving it as it is. */
export function stop(): Stop<never>
export function stop<T>(value: T): Stop<T>
export function stop<T>(value?: T): Stop<T> {
  return new Stop<T>(value)
}

type Value<N extends keyof Decisions> = ReturnType<Decisions[N]>
type MaybePromise<N extends HookName, T> = N extends 'client.authenticate' | 'client.auth_step' ? T | Promise<T> : T

// A callback that only looks has no return statement.
// biome-ignore lint/suspicious/noConfusingVoidType: such functions are typed void
type Nothing = undefined | void

/** A callback of a point; one that only looks returns nothing. */
export type HookCallback<N extends HookName> = N extends keyof Decisions
  ? (...args: Parameters<Decisions[N]>) => MaybePromise<N, Value<N> | Stop<Value<N>> | Nothing>
  : (...args: Parameters<Points[N]>) => Stop<never> | Nothing

interface Entry {
  readonly callback: (...args: never[]) => unknown
  readonly priority: number
}

/** The callbacks of a point, in the order in which they run. */
export type Chain = readonly Entry[]

/** The names of all points. */
export const HOOK_NAMES = [
  'client.connect',
  'client.authenticate',
  'client.auth_step',
  'client.authorize',
  'client.refused',
  'client.connected',
  'client.disconnected',
  'client.subscribe',
  'client.unsubscribe',
  'session.created',
  'session.resumed',
  'session.discarded',
  'session.takenover',
  'session.terminated',
  'session.subscribed',
  'session.unsubscribed',
  'message.publish',
  'message.delivered',
  'message.acked',
  'message.dropped',
  'delivery.dropped',
] as const satisfies readonly HookName[]

const FAILED: AuthOutcome = { outcome: 'refuse', reasonCode: RC.server_unavailable, reason: 'authentication failed' }

/** The hooks of one broker. */
export class Hooks {
  /** Replaced as a whole when a callback comes or goes, so that a chain that is being run does not change under it. */
  readonly chains: Record<HookName, Chain>
  readonly #logger: Logger
  readonly #metrics: Metrics

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger
    this.#metrics = metrics
    this.chains = Object.fromEntries(HOOK_NAMES.map((name) => [name, []])) as unknown as Record<HookName, Chain>
  }

  /** Adds a callback; the greater its priority (0 unless told) the sooner it runs. Returns what removes it. */
  on<N extends HookName>(name: N, callback: HookCallback<N>, priority = 0): () => void {
    if (!Object.hasOwn(this.chains, name))
      throw new TypeError(`there is no hook ${name}; there are ${HOOK_NAMES.join(', ')}`)
    const entry: Entry = { callback, priority }
    const chain = this.chains[name]
    const at = chain.findIndex((other) => other.priority < priority)
    this.chains[name] = at < 0 ? [...chain, entry] : chain.toSpliced(at, 0, entry)
    return () => {
      this.chains[name] = this.chains[name].filter((other) => other !== entry)
    }
  }

  /** Runs a notification. */
  notify<N extends keyof Notifications>(name: N, ...args: Parameters<Notifications[N]>): void {
    const chain = this.chains[name]
    for (const { callback } of chain) {
      try {
        if ((callback as (...args: unknown[]) => unknown)(...args) instanceof Stop) return
      } catch (error) {
        this.#failed(name, error)
      }
    }
  }

  /** A message on its way: the message to route, or 'drop'. A callback that throws drops it. */
  publish(message: Message): Message | 'drop' {
    return this.#decide('message.publish', message, 'drop', []) as Message | 'drop'
  }

  /** What the hooks say of an access: undefined when they leave it to the rules. A callback that throws denies. */
  authorize(client: AclClient, action: 'publish' | 'subscribe', topic: string): 'allow' | 'deny' | undefined {
    return this.#decide('client.authorize', undefined, 'deny', [client, action, topic]) as 'allow' | 'deny' | undefined
  }

  /** The filters to subscribe, 'deny' for each that is refused. A callback that throws, or loses an entry, denies all. */
  subscribe(entries: readonly SubscribeEntry[], client: HookClient): readonly (SubscribeEntry | 'deny')[] {
    const denied = entries.map(() => 'deny' as const)
    const decided = this.#decide('client.subscribe', entries, denied, [client]) as readonly (SubscribeEntry | 'deny')[]
    return decided.length === entries.length ? decided : denied
  }

  /** The filters to unsubscribe. A callback that throws, or loses one, changes nothing: to unsubscribe is always allowed. */
  unsubscribe(filters: readonly string[], client: HookClient): readonly string[] {
    const decided = this.#decide('client.unsubscribe', filters, filters, [client]) as readonly string[]
    return decided.length === filters.length ? decided : filters
  }

  /** Who the hooks take the client for; undefined when they do not know it. A callback that throws refuses it. */
  authenticate(credentials: Credentials): Promise<AuthOutcome | undefined> {
    return this.#decideLater('client.authenticate', FAILED, credentials) as Promise<AuthOutcome | undefined>
  }

  /** How an enhanced authentication goes on. A method that no callback knows, and a callback that throws, refuse it. */
  async authStep(step: AuthStep): Promise<AuthResult> {
    const result = (await this.#decideLater('client.auth_step', FAILED, step)) as AuthResult | undefined
    return result ?? { outcome: 'refuse', reasonCode: RC.bad_authentication_method, reason: 'unknown method' }
  }

  async #decideLater(
    name: 'client.authenticate' | 'client.auth_step',
    onError: unknown,
    about: unknown,
  ): Promise<unknown> {
    let value: unknown
    for (const { callback } of this.chains[name]) {
      try {
        const result = await (callback as unknown as (...args: unknown[]) => unknown)(value, about)
        if (result instanceof Stop) return result.value ?? value
        if (result !== undefined) value = result
      } catch (error) {
        this.#failed(name, error)
        return onError
      }
    }
    return value
  }

  #decide(name: keyof Decisions, initial: unknown, onError: unknown, context: readonly unknown[]): unknown {
    let value = initial
    for (const { callback } of this.chains[name]) {
      try {
        const result = (callback as unknown as (...args: unknown[]) => unknown)(value, ...context)
        if (result instanceof Stop) return result.value ?? value
        if (result !== undefined) value = result
        if (value === 'drop') return value
      } catch (error) {
        this.#failed(name, error)
        return onError
      }
    }
    return value
  }

  #failed(name: HookName, error: unknown): void {
    this.#metrics['hooks/failed'] += 1
    this.#logger.error({ err: error, hook: name }, 'a hook failed')
  }
}
