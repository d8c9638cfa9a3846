/**
 * The newcomer's part in the move of a session to this node (messages.ts): the process that will be the session here, if all goes well.
 *
 * It subscribes what the session subscribes, and keeps what is published from then on, behind what the session gives it. What has come both ways it has once, by the
 * ids of the messages. On disc it is no session until it is told to move in: then its row is written, and nothing of it is said to anybody before
 * that is on disc. A session that is lost before, or says so, leaves nothing here.
 */
import type { Pid } from '../../../actors/pid.ts'
import type { ProcessContext } from '../../../actors/process.ts'
import type { Ref } from '../../../actors/ref.ts'
import type { RemoteName } from '../../../actors/signal.ts'
import { Damaged } from '../../../mnesia/binary.ts'
import type { Fenced } from '../../forward/fences.ts'
import type { ClientInfo } from '../../process-messages.ts'
import type { SessionEnvironment } from '../../publish.ts'
import type { Deliver } from '../../routing/pubsub.ts'
import type { SessionState, Subscription } from '../session-state.ts'
import { requestFence } from './departure.ts'
import { idsOf, isLasting, type Unpacked, Unpacking } from './luggage.ts'
import type { Arrive, MovingPart, ToMoving, ToNewcomer } from './messages.ts'

/** Tickets of requests to the router. */
export const ARRIVED = -2
export const JOINED = -3

/** What is to be on disc before it is said. */
export interface ArrivalMark {
  readonly tag: 'arrival_mark'
  readonly say: ToMoving
}

/** The session of the process. */
export interface Comer {
  readonly state: SessionState
  subscribe(ticket: number, subscriptions: readonly Subscription[]): void
  /** Hands over to the disc what the journal has noted. */
  commit(): void
  whenStored(mark: ArrivalMark): void
  /** Takes in what it has been given, then what has come meanwhile, and opens. */
  moveIn(arrived: Arrived): void
  /** Ends without a trace; what came for groups goes to others. */
  abandon(owed: readonly Deliver[]): void
}

export interface Arrived extends Unpacked {
  readonly live: readonly Deliver[]
  /** Those of it that nobody has taken over: they came when the newcomer was joining the groups, for which it may be the only one to have them. */
  readonly owed: readonly Deliver[]
  readonly homes: readonly RemoteName[]
  readonly client: ClientInfo
}

/** Fences, whose numbers are less than those of departures: before it subscribes, so that what was published for this node long ago is not taken for new, and when nothing can come twice any more. */
const BEFORE = -1
const AFTER = -2

export class Arrival {
  readonly #self: ProcessContext
  readonly #session: Comer
  readonly #environment: Pick<SessionEnvironment, 'limits' | 'pubsub'>
  readonly #from: Pid
  readonly #move: number
  readonly #monitor: Ref
  #luggage = new Unpacking()
  #live: Deliver[] = []
  #owed: Deliver[] = []
  #liveMessages = 0
  #inTo: Pick<Extract<ToNewcomer, { tag: 'move_in' }>, 'homes' | 'client'> | undefined
  #phase: 'coming' | 'here' | 'said' = 'coming'

  constructor(
    self: ProcessContext,
    environment: Pick<SessionEnvironment, 'limits' | 'pubsub'>,
    session: Comer,
    { from, move, moving }: Arrive,
  ) {
    this.#self = self
    this.#environment = environment
    this.#session = session
    this.#from = from
    this.#move = move
    this.#monitor = self.monitor(from)
    const { journal } = session.state
    journal?.arriving()
    for (const subscription of moving.subscriptions) journal?.subscribed(subscription)
    session.commit()
    requestFence(self, BEFORE, undefined, self.pid.node)
  }

  /** It is no session yet. */
  get isComing(): boolean {
    return this.#phase === 'coming'
  }

  /** The session that was elsewhere knows that it is here. */
  get isSettled(): boolean {
    return this.#phase === 'said'
  }

  /** Something is published for the session, which it gets where it is as well, unless it is of a group. Returns whether it is to be taken over. */
  deliver(message: Deliver): boolean {
    const { runs } = message
    const isOwed = this.#inTo !== undefined
    this.#live.push(message)
    if (isOwed) this.#owed.push(message)
    for (const { batch } of runs) this.#liveMessages += batch.messages.length
    if (this.#liveMessages > this.#environment.limits.queue.maxLength && !isOwed)
      this.#refuse('too much is published meanwhile')
    return isOwed
  }

  take(message: ToNewcomer | Fenced): void {
    switch (message.tag) {
      case 'fenced':
        this.#fenced(message)
        break
      case 'moving_part':
        this.#unload(message)
        break
      case 'move_in':
        this.#moveIn(message)
        break
      case 'move_off':
        if (this.isComing) this.#session.abandon(this.#owed)
        break
    }
  }

  /** The router has answered. */
  answered(ticket: number): void {
    const { state } = this.#session
    // Not before its subscriptions stand: what comes to this node until then may not come to it.
    if (ticket === ARRIVED) state.subscribedAfter = state.nextMessageId(this.#self.runtime.clock.now())
    const subscriber = this.#environment.pubsub.subscriber(this.#self.pid)
    if (subscriber !== undefined) subscriber.arrivedAt = state.subscribedAfter
    if (ticket === ARRIVED) this.#say({ tag: 'arrival_ready', from: this.#self.pid, move: this.#move })
    else if (ticket === JOINED) this.#enter()
  }

  /** What was to be on disc is there, or the disc refuses. */
  marked(mark: ArrivalMark, isStored: boolean): void {
    if (isStored) this.#stored(mark)
    else if (this.isComing) this.#refuse('the disc refuses')
    // It is on no disc but that of the session where it was, which keeps it until it is.
    else this.#session.whenStored(mark)
  }

  /** The session here ends. */
  end(): void {
    if (this.#phase === 'here') this.#say({ tag: 'moved_in', from: this.#self.pid })
  }

  /** Takes a DOWN; returns whether it was of the session. */
  takeDown(ref: Ref): boolean {
    if (!this.#monitor.equals(ref)) return false
    if (this.isComing) this.#session.abandon(this.#owed)
    return true
  }

  #fenced({ fence, isPassed }: Fenced): void {
    const { state } = this.#session
    if (fence === AFTER) {
      if (isPassed) state.seam = undefined
    } else if (!isPassed) this.#refuse('not all members are in step')
    else {
      const plain = [...state.subscriptions.values()].filter(({ filter }) => filter.group === undefined)
      if (plain.length > 0) this.#session.subscribe(ARRIVED, plain)
      else this.answered(ARRIVED)
    }
  }

  #unload({ part, rows, more }: MovingPart): void {
    const { journal } = this.#session.state
    try {
      for (const row of rows) {
        this.#luggage.add(row)
        const [key, value] = row
        // What is a view of what was received from the node would keep that in memory.
        if (isLasting(key)) journal?.copied(key, Buffer.from(value))
      }
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      this.#refuse(`what it holds cannot be read: ${error.reason}`)
      return
    }
    this.#session.commit()
    const say: ToMoving = { tag: 'moving_part_taken', from: this.#self.pid, part }
    if (more) this.#say(say)
    else this.#session.whenStored({ tag: 'arrival_mark', say })
  }

  #moveIn({ homes, client }: Extract<ToNewcomer, { tag: 'move_in' }>): void {
    this.#inTo = { homes, client }
    const { state } = this.#session
    const shared = [...state.subscriptions.values()].filter(({ filter }) => filter.group !== undefined)
    if (shared.length > 0) this.#session.subscribe(JOINED, shared)
    else this.#enter()
  }

  #enter(): void {
    this.#phase = 'here'
    const live = this.#live
    const { contents, volatile } = this.#luggage.unpacked()
    // At QoS 0 one may have been lost on its way to where the session was, and others behind it not: what has come both ways keeps its place here.
    const here = new Set(live.flatMap(({ runs }) => runs).flatMap(({ batch }) => batch.messages.map(({ id }) => id)))
    const unpacked: Unpacked = { contents, volatile: volatile.filter(({ message }) => !here.has(message.id)) }
    this.#luggage = new Unpacking()
    this.#live = []
    const owed = this.#owed
    this.#owed = []
    this.#session.state.seam = idsOf(unpacked)
    this.#session.moveIn({ ...unpacked, live, owed, ...this.#inTo! })
    this.#session.whenStored({ tag: 'arrival_mark', say: { tag: 'moved_in', from: this.#self.pid } })
  }

  #stored({ say }: ArrivalMark): void {
    if (say.tag !== 'moved_in') {
      this.#say(say)
      return
    }
    if (this.#phase === 'said') return
    this.#say(say)
    this.#phase = 'said'
    this.#self.demonitor(this.#monitor, { flush: true })
    requestFence(this.#self, AFTER, undefined, this.#self.pid.node)
  }

  #refuse(reason: string): void {
    this.#say({ tag: 'move_refused', move: this.#move, reason })
    this.#session.abandon(this.#owed)
  }

  #say(message: ToMoving): void {
    this.#self.send(this.#from, message)
  }
}
