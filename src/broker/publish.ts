/**
 * Publishing with all that belongs to it: the hooks that may change or drop a message, routing, and the count of messages
 * that nobody gets. Sessions, wills and whoever else publishes on this node come through here.
 */
import type { GroupLog } from './group/group-log.ts'
import type { Hooks } from './hooks.ts'
import type { Message } from './message.ts'
import type { Metrics } from './monitor/metrics.ts'
import { RC } from './reason-codes.ts'
import type { Retainer } from './retained/retainer.ts'
import type { PubSub } from './routing/pubsub.ts'
import type { RouterPool } from './routing/router.ts'
import type { FormerSessions } from './session/former-sessions.ts'
import type { Homes } from './session/home.ts'
import type { MovingSettings } from './session/moving/messages.ts'
import type { SessionLimits } from './session/session-state.ts'
import type { StaticSubscriptions } from './session/static-subscriptions.ts'
import type { SessionStore } from './session/stored/session-store.ts'

/** What publishing needs. */
export interface PublishEnvironment {
  readonly hooks: Hooks
  readonly metrics: Metrics
  readonly pubsub: PubSub
}

/** What a session needs of its node. */
export interface SessionEnvironment extends PublishEnvironment {
  readonly limits: SessionLimits
  readonly routers: RouterPool
  readonly retainer: Pick<Retainer, 'open'>
  /** Undefined: there are none. */
  readonly staticSubscriptions?: Pick<StaticSubscriptions, 'subscribeOf'>
  /** Makes message ids; see guid.ts. */
  readonly nextMessageId: (nowMs: number) => string
  /** Tells whether the cluster has other members; undefined: there are none. */
  readonly homes?: Pick<Homes, 'hasOthers'>
  /**
   * When a message of QoS 2 was published on this node, by a client or another node, as a place in the order of the ids that the node makes; undefined when it
   * has not since the node started.
   */
  readonly arrivalOf?: (message: Message) => string | undefined
  /** Notes that messages of clients of this node are published now. */
  readonly noteArrivals?: (messages: readonly Message[]) => void
  /** Notes sessions that give way; undefined: what comes for them afterwards is lost. */
  readonly former?: Pick<FormerSessions, 'note' | 'forget'>
  /** Sessions move to the node where their client connects; undefined: they stay where they are. */
  readonly moving?: MovingSettings | undefined
  /** Where sessions that outlive their connection are stored; undefined: in memory only. */
  readonly sessionStore?: SessionStore | undefined
  /** What is kept for groups; there when sessions are stored. */
  readonly groupLog?: GroupLog | undefined
}

/**
 * Publishes messages of one publisher, in order. Returns a reason code for each, 0x10 for one that nobody gets
 * [MQTT5-3.4.2.1], or undefined when all are 0. When it returns, every session of this node that gets one has it in its mailbox.
 */
export function publishAll(environment: PublishEnvironment, messages: readonly Message[]): number[] | undefined {
  const { hooks, pubsub } = environment
  if (hooks.chains['message.publish'].length > 0) return publishHooked(environment, messages)
  if (messages.length === 1) {
    // The common case of a client with one message at a time needs no list of counts.
    if (pubsub.publish(messages) > 0) return undefined
    return unrouted(environment, messages, [0])
  }
  const counts = new Array<number>(messages.length).fill(0)
  pubsub.publish(messages, counts)
  return counts.includes(0) ? unrouted(environment, messages, counts) : undefined
}

function publishHooked(environment: PublishEnvironment, messages: readonly Message[]): number[] | undefined {
  const { hooks, metrics, pubsub } = environment
  const kept: Message[] = []
  /** For each kept message its place among all. */
  const places: number[] = []
  for (let i = 0; i < messages.length; i += 1) {
    const message = messages[i]!
    const decided = hooks.publish(message)
    if (decided === 'drop') {
      metrics['messages/dropped'] += 1
      metrics['messages/dropped/hook'] += 1
      hooks.notify('message.dropped', message, 'hook')
    } else {
      kept.push(decided)
      places.push(i)
    }
  }
  const counts = new Array<number>(kept.length).fill(0)
  pubsub.publish(kept, counts)
  const codes = unrouted(environment, kept, counts)
  if (codes === undefined || kept.length === messages.length) return codes
  // A dropped message is a success to its publisher: it is not to be sent again.
  const all = new Array<number>(messages.length).fill(0)
  for (let i = 0; i < codes.length; i += 1) all[places[i]!] = codes[i]!
  return all
}

/** Counts the messages that went to nobody; returns the codes of all, or undefined when there are none. */
function unrouted(
  { hooks, metrics }: PublishEnvironment,
  messages: readonly Message[],
  counts: readonly number[],
): number[] | undefined {
  let codes: number[] | undefined
  for (let i = 0; i < counts.length; i += 1) {
    if (counts[i] !== 0) continue
    codes ??= new Array<number>(counts.length).fill(0)
    codes[i] = RC.no_matching_subscribers
    // What the broker says of itself is for whoever listens: that nobody does is no loss [emqttd_pubsub].
    if (messages[i]!.topic.startsWith('$SYS/')) continue
    reportUnrouted({ hooks, metrics }, messages[i]!)
  }
  return codes
}

/** Counts a message for which nobody is there, and tells the hooks. */
export function reportUnrouted(
  { hooks, metrics }: Pick<PublishEnvironment, 'hooks' | 'metrics'>,
  message: Message,
): void {
  metrics['messages/dropped'] += 1
  metrics['messages/dropped/no_subscribers'] += 1
  hooks.notify('message.dropped', message, 'no_subscribers')
}
