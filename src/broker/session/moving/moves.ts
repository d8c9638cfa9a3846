/** A session process's part in moves from node to node (messages.ts), be it the one that leaves (departure.ts) or the one that comes (arrival.ts). */
import type { ExitReason } from '../../../actors/errors.ts'
import type { Pid } from '../../../actors/pid.ts'
import type { ProcessContext } from '../../../actors/process.ts'
import type { Ref } from '../../../actors/ref.ts'
import type { RemoteName } from '../../../actors/signal.ts'
import type { Fenced } from '../../forward/fences.ts'
import type { ClientInfo, ToSession } from '../../process-messages.ts'
import type { SessionEnvironment } from '../../publish.ts'
import type { Giver, GivingWay } from '../giving-way.ts'
import { remember } from '../hand-over.ts'
import type { SessionBacklog } from '../session-backlog.ts'
import type { SessionGroups } from '../session-groups.ts'
import type { SessionPublisher } from '../session-publisher.ts'
import type { RouterLink } from '../session-router.ts'
import type { SessionEvent, SessionState, Subscription } from '../session-state.ts'
import type { SessionStorage } from '../stored/session-storage.ts'
import { ARRIVED, Arrival, type ArrivalMark, type Arrived, type Comer, JOINED } from './arrival.ts'
import { Departure, type DepartureTimer, type Leaver, type MoveMark } from './departure.ts'
import type { Arrive, ToMoving, ToNewcomer } from './messages.ts'

/** The session of the process. */
export interface Mover extends Giver {
  /** Serves a client. */
  serve(home: RemoteName, client: ClientInfo): void
  /** Ends the process at once. */
  vanish(): void
}

/** What the process works with. */
export interface MovesOptions {
  readonly self: ProcessContext
  readonly environment: SessionEnvironment
  readonly manager: RemoteName
  readonly session: Mover
  readonly router: RouterLink
  readonly publisher: SessionPublisher
  readonly givingWay: GivingWay
  readonly backlog: SessionBacklog
  readonly groups: SessionGroups
  /** Undefined when nothing of the session has to do with a disc. */
  readonly storage: SessionStorage | undefined
  /** Given for a session that comes from another node. */
  readonly arrive?: Arrive
}

/** Messages that are for this part. */
export type MoveMessage = ToMoving | ToNewcomer | Fenced | DepartureTimer | { readonly tag: 'stay' }

export class Moves implements Leaver, Comer {
  readonly #options: MovesOptions
  readonly #departure: Departure
  readonly #arrival: Arrival | undefined

  constructor(options: MovesOptions) {
    this.#options = options
    const { self, environment, manager, arrive } = options
    this.#departure = new Departure(self, environment, manager, this)
    if (arrive !== undefined) this.#arrival = new Arrival(self, environment, this, arrive)
  }

  /** The session was stored, and is there again. */
  restored(): void {
    if (this.state.moved !== undefined) this.#departure.restored()
  }

  /** It is not settled where the session is. */
  get isUnderWay(): boolean {
    return this.#departure.isUnderWay || this.#arrival?.isComing === true
  }

  /** A connection wants the session. Returns whether that is seen to here. */
  open(home: RemoteName, client: ClientInfo): boolean {
    if (this.#arrival?.isComing === true) return true
    return this.#arrival?.isSettled !== false && this.#departure.open(home, client)
  }

  /** Something is published for the session. Returns whether it is kept here until the session is. */
  keeps(message: Extract<ToSession, { tag: 'deliver' }>): boolean {
    if (this.#arrival?.isComing !== true) return false
    if (!this.#arrival.deliver(message)) this.#options.backlog.taken(message)
    return true
  }

  take(message: MoveMessage): void {
    switch (message.tag) {
      case 'moving_part':
      case 'move_in':
      case 'move_off':
        this.#arrival?.take(message)
        break
      case 'fenced':
        // Fences of arrivals have numbers below 0.
        if (message.fence < 0) this.#arrival?.take(message)
        else this.#departure.take(message)
        break
      default:
        this.#departure.take(message)
    }
  }

  /** The router has answered. Returns whether that was asked here. */
  answered(ticket: number): boolean {
    if (ticket !== ARRIVED && ticket !== JOINED) return false
    this.#arrival?.answered(ticket)
    return true
  }

  marked(mark: MoveMark | ArrivalMark, isStored: boolean): void {
    if (mark.tag === 'move_mark') this.#departure.marked(mark, isStored)
    else this.#arrival?.marked(mark, isStored)
  }

  /** A message has been handled. */
  settle(): void {
    this.#departure.settle()
  }

  /** Takes a DOWN; returns whether it was of the process on the other node. */
  takeDown(ref: Ref, reason: ExitReason): boolean {
    return this.#departure.takeDown(ref, reason) || this.#arrival?.takeDown(ref) === true
  }

  /** Whether the session may give way to another one of its client id. */
  mayGiveWay(to: Pid): boolean {
    return this.#departure.mayGiveWay(to)
  }

  /** The session is over. */
  ended(): void {
    this.#departure.cancel()
    this.#arrival?.end()
  }

  // For either part

  get state(): SessionState {
    return this.#options.session.state
  }

  load(): void {
    this.#options.session.load()
  }

  handle(event: SessionEvent): void {
    this.#options.session.handle(event)
  }

  serve(home: RemoteName, client: ClientInfo): void {
    this.#options.session.serve(home, client)
  }

  whenStored(mark: MoveMark | ArrivalMark): void {
    const { storage } = this.#options
    if (storage === undefined) this.marked(mark, true)
    else storage.took(mark)
  }

  // For the departure

  get isGivingWay(): boolean {
    return this.#options.givingWay.isUnderWay
  }

  get isAtRest(): boolean {
    const { publisher, storage } = this.#options
    const { pendingAcks, pendingSubscribes } = this.state
    if (publisher.isWaiting || (storage?.unpublished ?? 0) > 0) return false
    return pendingAcks.length === 0 && pendingSubscribes === undefined
  }

  // For the arrival

  subscribe(ticket: number, subscriptions: readonly Subscription[]): void {
    this.#options.router.subscribe(ticket, this.state.clientId, true, subscriptions)
  }

  commit(): void {
    this.#options.storage?.commit()
  }

  moveIn({ contents, volatile, live, owed, homes, client }: Arrived): void {
    this.handle({ tag: 'contents', contents, volatile })
    for (const { runs } of live) {
      this.handle({ tag: 'deliver', runs })
      // What had come before the router answered is given to it once more when it is published again.
      remember(
        this.state,
        runs.filter(({ matched }) => matched.share === undefined),
      )
    }
    const { storage, groups } = this.#options
    if (storage === undefined) for (const { runs } of owed) groups.took(runs)
    // On disc together with the row that makes it a session.
    this.state.journal?.arrived()
    for (const home of homes) this.serve(home, client)
    for (const message of owed) storage?.took(message)
  }

  abandon(owed: Arrived['owed']): void {
    const { journal, subscriptions, clientId } = this.state
    for (const message of owed) this.#options.groups.passOn(clientId, message)
    journal?.arrived()
    journal?.ended(subscriptions.keys())
    this.commit()
    this.#options.session.vanish()
  }
}
