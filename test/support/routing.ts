/** Messages, pids and requests for the tests of routing. */
import { Pid } from '../../src/actors/pid.ts'
import type { Message, Run } from '../../src/broker/message.ts'
import type { QoS } from '../../src/broker/packet.ts'
import type { Routing, SubscribeRequest } from '../../src/broker/routing/routing.ts'
import { type ParsedFilter, parseFilter } from '../../src/broker/routing/topic.ts'

const NODE = { name: 'a@sim', creation: 1 }

/** A pid of no process in particular. */
export const pidOf = (id: number, node = NODE) => new Pid(node, id, 0)

/** A message of `topic` whose payload is its id unless told otherwise. */
export function message(topic: string, id = 'm', rest: Partial<Message> = {}): Message {
  return {
    id,
    from: 'publisher',
    topic,
    payload: Buffer.from(id),
    qos: 0,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Number.POSITIVE_INFINITY,
    properties: undefined,
    ...rest,
  }
}

/** The parts of a filter that is known to be valid. */
export function parsed(text: string): ParsedFilter {
  const result = parseFilter(text)
  if (!result.ok) throw new Error(`${text}: ${result.reason}`)
  return result.value
}

/** A subscription as a session asks for it. */
export function request(text: string, rest: Partial<Omit<SubscribeRequest, 'filter'>> = {}): SubscribeRequest {
  return { filter: parsed(text), qos: 0 as QoS, noLocal: false, rap: false, id: undefined, ...rest }
}

/** What a session gets. */
export interface Deliver {
  readonly tag: 'deliver'
  readonly runs: readonly Run[]
}

/** Collects what is sent, by the key of the receiver. */
export class Mailboxes {
  readonly all = new Map<string, Deliver[]>()

  readonly send = (to: Pid, sent: unknown): void => {
    const held = this.all.get(to.key)
    if (held === undefined) this.all.set(to.key, [sent as Deliver])
    else held.push(sent as Deliver)
  }

  /** What was sent to a pid. */
  of(pid: Pid): readonly Deliver[] {
    return this.all.get(pid.key) ?? []
  }

  /** Ids of the messages that a pid got, in order. */
  ids(pid: Pid): string[] {
    return this.of(pid).flatMap(({ runs }) => runs.flatMap(({ batch }) => batch.messages.map(({ id }) => id)))
  }
}

/** Writes the routes; local tables are done at once. */
export function flush(routing: Routing): void {
  if (routing.flush({}) !== undefined) throw new Error('local tables do not wait')
}
