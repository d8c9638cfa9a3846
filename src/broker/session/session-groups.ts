/**
 * A session's part in shared subscriptions: what it holds as a member of groups goes to other members when its client goes, or it ends [MQTT5-4.8.2].
 *
 * Of a stored session that is on disc for the group as soon as it is not for the session any more, and the group keeper (group/group-keeper.ts) gives it to somebody. What is in
 * memory goes from there, to whoever is there at once.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { GROUP_KEEPER, type Left, type ToGroupKeeper } from '../group/group-keeper.ts'
import { groupSpace } from '../group/rows.ts'
import type { Message, Run } from '../message.ts'
import type { SessionEnvironment } from '../publish.ts'
import type { Deliver, Otherwise } from '../routing/pubsub.ts'
import { Receipt } from '../routing/receipt.ts'
import type { Delivery, Share } from './delivery.ts'
import { reportDropped } from './session-reports.ts'
import type { Effect, SessionEvent, SessionState } from './session-state.ts'

type Redispatch = Extract<Effect, { tag: 'redispatch' }>

/** What it needs of the node. */
type Environment = Pick<SessionEnvironment, 'hooks' | 'metrics' | 'pubsub' | 'groupLog'>

/** Something that is held for a group. */
interface Held {
  readonly message: Message
  readonly share: Share
}

export class SessionGroups {
  readonly #self: ProcessContext
  readonly #environment: Environment

  constructor(self: ProcessContext, environment: Environment) {
    this.#self = self
    this.#environment = environment
  }

  /** Offers what a session that has ended held for its groups. */
  leave({ clientId }: SessionState, { inflight, queued, isKept }: Redispatch): void {
    const held = [...inflight, ...queued.map(heldOf)]
    const volatile = isKept ? queued.filter(isVolatile).map(heldOf) : held
    const lost = volatile.filter((each) => !this.#pass(each, 'parked')).map(({ message }) => message)
    if (lost.length > 0) reportDropped(this.#environment, clientId, 'session_ended', lost)
    if (isKept) this.#tellKeeper(clientId, [...inflight, ...queued.filter((each) => !isVolatile(each)).map(heldOf)])
  }

  /** Offers what a session holds whose client has gone to members whose clients are there; `handle` takes what has become of it. */
  offer(state: SessionState, { inflight, queued }: Redispatch, handle: (event: SessionEvent) => void): void {
    const isStored = state.journal !== undefined
    const hasOther = ({ message, share }: Held): boolean => {
      return this.#environment.pubsub.memberFor(message, share, this.#self.pid, true) !== undefined
    }
    const goes = (each: Held, isOnDisc: boolean): boolean => (isOnDisc ? hasOther(each) : this.#pass(each, 'kept'))
    const taken = inflight.filter((each) => goes(each, isStored))
    const passed = queued.filter((each) => goes(heldOf(each), isStored && !isVolatile(each)))
    handle({ tag: 'redispatched', taken: taken.map(({ messageId }) => messageId), passed })
    if (!isStored) return
    this.#tellKeeper(state.clientId, [...taken, ...passed.filter((each) => !isVolatile(each)).map(heldOf)])
  }

  /** What comes to a session that has ended goes to other members. Who waits for it waits for them. */
  passOn(clientId: string, message: Deliver): void {
    const receipt = new Receipt()
    const lost: Message[] = []
    for (const { batch, matched, isKept } of message.runs) {
      const { share } = matched
      if (share === undefined) continue
      for (const each of batch.messages) {
        if (isKept === true && this.#environment.groupLog?.has(share, each.id) === true)
          this.#send({ tag: 'returned', from: this.#self.pid, share, id: each.id })
        else if (!this.#pass({ message: each, share }, 'parked', receipt)) lost.push(each)
      }
    }
    if (lost.length > 0) reportDropped(this.#environment, clientId, 'session_ended', lost)
    this.#environment.pubsub.subscriber(this.#self.pid)?.waitFor(message, receipt)
  }

  /** A session in memory has what was kept for its group. */
  took(runs: readonly Run[]): void {
    for (const { batch, matched, isKept } of runs) {
      if (isKept === true) for (const { id } of batch.messages) this.#environment.groupLog?.remove(matched.share!, id)
    }
  }

  /** Returns whether another member, or somebody for it, has the message; `receipt` then waits for that. */
  #pass({ message, share }: Held, otherwise: Otherwise, receipt?: Receipt): boolean {
    const { pubsub } = this.#environment
    const isGone = pubsub.redispatch([message], share, this.#self.pid, otherwise).length === 0
    const own = pubsub.takeReceipt()
    if (own !== undefined) receipt?.join(own)
    return isGone
  }

  #tellKeeper(clientId: string, held: readonly Held[]): void {
    const groups = new Map<string, { readonly share: Share; readonly ids: string[] }>()
    for (const { message, share } of held) {
      const space = groupSpace(share)
      const ids = groups.get(space)?.ids ?? []
      ids.push(message.id)
      groups.set(space, { share, ids })
    }
    const left: readonly Left[] = [...groups.values()]
    for (const { share, ids } of left) this.#environment.groupLog?.found(share, ids)
    if (left.length > 0) this.#send({ tag: 'left', from: this.#self.pid, clientId, left })
  }

  /** It finds by itself what has been left when there is none for a moment. */
  #send(message: ToGroupKeeper): void {
    const keeper: Pid | undefined = this.#self.runtime.whereis(GROUP_KEEPER)
    if (keeper !== undefined) this.#self.send(keeper, message)
  }
}

/** Whether a delivery is in memory only, as what goes at QoS 0 is. */
function isVolatile({ number }: Delivery): boolean {
  return number === 0
}

function heldOf({ message, share }: Delivery): Held {
  return { message, share: share! }
}
