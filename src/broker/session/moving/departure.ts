/**
 * A session's part in its move to the node on which its client has connected (messages.ts), as the one that is there already.
 *
 * It lets the former connection go, waits until all that the client has published is taken over, has another process made for it there, and waits until all that
 * has been published for it before that is known everywhere has come (forward/fences.ts). Then it gives what it holds; what comes to it later comes to
 * the newcomer as well. All the while it is the session. When the newcomer has everything on disc, the session notes on its own disc that it may be gone, and says so; from then on the newcomer
 * alone can tell which of the two counts. When that has said that it is the session, this one ends without a word.
 *
 * Before that word has been given, whatever fails or takes too long leaves all as it was, and the client is served from here. After it, when the newcomer cannot be heard, the
 * session is in doubt: it serves nobody, and asks its manager until that knows whether the other node has the session.
 */
import type { ExitReason } from '../../../actors/errors.ts'
import type { Pid } from '../../../actors/pid.ts'
import type { ProcessContext } from '../../../actors/process.ts'
import type { Ref } from '../../../actors/ref.ts'
import type { RemoteName } from '../../../actors/signal.ts'
import type { Fenced, FenceRequest } from '../../forward/fences.ts'
import { FORWARDER } from '../../forward/messages.ts'
import type { ClientInfo } from '../../process-messages.ts'
import type { SessionEnvironment } from '../../publish.ts'
import type { Giver } from '../giving-way.ts'
import type { ToManager } from '../session-messages.ts'
import type { SessionState } from '../session-state.ts'
import { Luggage } from './luggage.ts'
import type { Arrive, InDoubt, MovingSession, ToMoving, ToNewcomer } from './messages.ts'

/** Messages of this part to its own process. */
export type DepartureTimer =
  | { readonly tag: 'move_timeout'; readonly move: number }
  /** Ask again whether the other node has the session. */
  | { readonly tag: 'doubt_timer' }

/** What is to be on disc before the word is given. */
export interface MoveMark {
  readonly tag: 'move_mark'
  readonly move: number
}

/** The session of the process. */
export interface Leaver extends Giver {
  /** Nothing that the client has asked for is under way. */
  readonly isAtRest: boolean
  /** Another session is taking what waits here. */
  readonly isGivingWay: boolean
  /** Serves a client from here. */
  serve(home: RemoteName, client: ClientInfo): void
  /** Gives the mark back when all until now is on disc, or the disc refuses. */
  whenStored(mark: MoveMark): void
}

interface Claim {
  readonly client: ClientInfo
  /** Those who have asked for it, and wait: a home that has taken over from another asks again. */
  readonly homes: RemoteName[]
}

interface Attempt {
  readonly move: number
  claim: Claim
  phase: 'resting' | 'asked' | 'fencing' | 'giving' | 'marking' | 'decided'
  readonly timer: Ref
  readonly beganAtMs: number
  newcomer: Pid | undefined
  monitor: Ref | undefined
  luggage: Luggage | undefined
  part: number
  more: boolean
  /** Another connection that wants the session. */
  next: Claim | undefined
}

/** The other node may have the session. */
interface Doubt {
  readonly sinceMs: number
  claim: Claim | undefined
}

const TAKEN_OVER = 'session_taken_over'

/** How often the manager is asked. */
const DOUBT_MS = 500

export class Departure {
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #manager: RemoteName
  readonly #session: Leaver
  #lastMove = 0
  #attempt: Attempt | undefined
  #doubt: Doubt | undefined

  constructor(self: ProcessContext, environment: SessionEnvironment, manager: RemoteName, session: Leaver) {
    this.#self = self
    this.#environment = environment
    this.#manager = manager
    this.#session = session
  }

  /** The session is on its way to another node, or may be there. */
  get isUnderWay(): boolean {
    return this.#attempt !== undefined || this.#doubt !== undefined
  }

  /** The session is there again that had been given to another node, which may have it. */
  restored(): void {
    this.#beginDoubt(undefined)
  }

  /** A connection wants the session. Returns whether that is seen to here. */
  open(home: RemoteName, client: ClientInfo): boolean {
    const attempt = this.#attempt
    if (this.#doubt !== undefined) return this.#openInDoubt(this.#doubt, home, client)
    if (attempt !== undefined) {
      const { claim } = attempt
      if (isOf(claim, client)) {
        claim.homes.push(home)
        return true
      }
      if (attempt.phase === 'decided') {
        attempt.next = this.#instead(attempt.next, home, client)
        return true
      }
      this.cancel()
      this.#turnAway(claim, TAKEN_OVER)
    }
    if (!this.#canMove(client)) return false
    this.#begin({ client, homes: [home] })
    return true
  }

  /** The claim of a connection that wants the session now, in place of another one. */
  #instead(former: Claim | undefined, home: RemoteName, client: ClientInfo): Claim {
    if (former !== undefined && isOf(former, client)) {
      former.homes.push(home)
      return former
    }
    if (former !== undefined) this.#turnAway(former, TAKEN_OVER)
    return { client, homes: [home] }
  }

  #turnAway({ client, homes }: Claim, reason: string): void {
    for (const home of homes) this.#self.send(home, { tag: 'unavailable', client, reason } satisfies ToManager)
  }

  #serve({ client, homes }: Claim): void {
    for (const home of homes) this.#session.serve(home, client)
  }

  /** A message has been handled. */
  settle(): void {
    if (this.#attempt?.phase === 'resting' && this.#session.isAtRest) this.#ask(this.#attempt)
  }

  take(message: ToMoving | Fenced | DepartureTimer | { readonly tag: 'stay' }): void {
    const attempt = this.#attempt
    switch (message.tag) {
      case 'arrival_ready':
        if (attempt?.phase === 'asked' && attempt.move === message.move) this.#arrived(attempt, message.from)
        else this.#tell(message.from, { tag: 'move_off', from: this.#self.pid })
        break
      case 'fenced':
        if (attempt?.phase !== 'fencing' || attempt.move !== message.fence) break
        if (message.isPassed) this.#give(attempt)
        else this.#giveUp(attempt, 'not all members are in step')
        break
      case 'moving_part_taken':
        if (attempt?.phase !== 'giving' || attempt.part !== message.part) break
        if (attempt.more) this.#sendPart(attempt)
        else this.#mark(attempt)
        break
      case 'moved_in':
        this.#gone()
        break
      case 'move_refused':
        if (attempt !== undefined && attempt.move === message.move) this.#giveUp(attempt, message.reason)
        break
      case 'move_timeout':
        if (attempt?.move === message.move && attempt.phase !== 'decided') this.#giveUp(attempt, 'it takes too long')
        break
      case 'doubt_timer':
        if (this.#doubt !== undefined) this.#askManager(this.#doubt)
        break
      case 'stay':
        this.#stay()
        break
    }
  }

  /** The mark is on disc, or the disc refuses. */
  marked({ move }: MoveMark, isStored: boolean): void {
    const attempt = this.#attempt
    if (attempt?.phase !== 'marking' || attempt.move !== move) return
    if (!isStored) {
      this.#giveUp(attempt, 'the disc refuses')
      return
    }
    attempt.phase = 'decided'
    const { homes, client } = attempt.claim
    this.#tell(attempt.newcomer!, { tag: 'move_in', from: this.#self.pid, homes, client })
  }

  /** Takes a DOWN; returns whether it was of the newcomer. */
  takeDown(ref: Ref, reason: ExitReason): boolean {
    const attempt = this.#attempt
    if (attempt?.monitor?.equals(ref) !== true) return false
    attempt.monitor = undefined
    if (attempt.phase !== 'decided' || reason === 'normal') this.#giveUp(attempt, 'the newcomer has ended')
    else {
      this.#forget(attempt)
      this.#beginDoubt(attempt.claim)
      for (const home of attempt.next?.homes ?? []) this.open(home, attempt.next!.client)
    }
    return true
  }

  /**
   * Another session is to stay. Returns whether this one may give way to it: not while it will hear from the newcomer, and in doubt to none but
   * the one that may have all of it already.
   */
  mayGiveWay(to: Pid): boolean {
    if (this.#attempt?.phase === 'decided') return false
    this.cancel()
    return this.#doubt === undefined || to.node === this.#session.state.moved?.node
  }

  /** All stays as it is; the connection is answered by somebody else. */
  cancel(): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    this.#forget(attempt)
    if (attempt.phase === 'decided') return
    if (attempt.newcomer !== undefined) this.#tell(attempt.newcomer, { tag: 'move_off', from: this.#self.pid })
    if (this.#session.state.moved !== undefined) this.#session.handle({ tag: 'mark', moved: undefined })
  }

  #canMove({ connection, cleanStart, expirySec }: ClientInfo): boolean {
    const { state } = this.#session
    const { moving } = this.#environment
    if (moving === undefined || !this.#self.runtime.isForeign(connection)) return false
    if (cleanStart || expirySec === 0 || state.expirySec === 0 || state.attachment === 0) return false
    if (state.connection?.equals(connection) === true || this.#session.isGivingWay) return false
    if (state.retainedReads.length > 0 || !moving.canReach(connection.node, state.clientId)) return false
    this.#session.load()
    // What is published again after a restart is known to the nodes that have it only as long as it comes from here.
    return state.unfinished === undefined
  }

  #begin(claim: Claim): void {
    this.#lastMove += 1
    const move = this.#lastMove
    const { runtime, pid } = this.#self
    const timer = this.#self.sendAfter(this.#environment.moving!.waitMs, pid, { tag: 'move_timeout', move })
    const none = { newcomer: undefined, monitor: undefined, luggage: undefined, next: undefined }
    const beganAtMs = runtime.clock.monotonic()
    this.#attempt = { move, claim, phase: 'resting', timer, beganAtMs, ...none, part: 0, more: true }
    this.#session.handle({ tag: 'leave' })
  }

  #ask(attempt: Attempt): void {
    attempt.phase = 'asked'
    const { move, claim } = attempt
    const moving = movingOf(this.#session.state)
    const message: Arrive = { tag: 'arrive', from: this.#self.pid, move, moving }
    this.#self.send({ name: this.#manager.name, node: claim.client.connection.node }, message)
  }

  #arrived(attempt: Attempt, newcomer: Pid): void {
    attempt.phase = 'fencing'
    attempt.newcomer = newcomer
    attempt.monitor = this.#self.monitor(newcomer)
    requestFence(this.#self, attempt.move, this.#session.state, newcomer.node)
  }

  #give(attempt: Attempt): void {
    attempt.phase = 'giving'
    attempt.luggage = new Luggage(this.#session.state, this.#environment.sessionStore)
    this.#sendPart(attempt)
  }

  #sendPart(attempt: Attempt): void {
    const { rows, more } = attempt.luggage!.take()
    attempt.part += 1
    attempt.more = more
    const { part } = attempt
    this.#tell(attempt.newcomer!, { tag: 'moving_part', from: this.#self.pid, part, rows, more })
  }

  #mark(attempt: Attempt): void {
    attempt.phase = 'marking'
    const moved = { node: attempt.newcomer!.node, upTo: attempt.luggage!.upTo }
    this.#session.handle({ tag: 'mark', moved })
    this.#session.whenStored({ tag: 'move_mark', move: attempt.move })
  }

  #gone(): void {
    const { state } = this.#session
    const { moved, clientId } = state
    if (moved === undefined || state.ended) return
    const attempt = this.#attempt
    const { runtime } = this.#self
    const tookMs = attempt === undefined ? undefined : Math.round(runtime.clock.monotonic() - attempt.beganAtMs)
    const rows = attempt?.luggage?.count
    const report = { report: 'session_moved', clientId, to: moved.node, rows, tookMs }
    runtime.logger.info(report, `the session of ${clientId} has moved to ${moved.node}`)
    if (attempt !== undefined) this.#forget(attempt)
    this.#doubt = undefined
    this.#session.handle({ tag: 'gone', upTo: moved.upTo })
  }

  #giveUp(attempt: Attempt, why: string): void {
    const { claim, next } = attempt
    if (attempt.phase === 'decided') this.#session.handle({ tag: 'mark', moved: undefined })
    this.cancel()
    this.#reportGivenUp(claim.client.connection.node, why)
    this.#serve(claim)
    if (next !== undefined) this.#serve(next)
  }

  #reportGivenUp(to: string, why: string): void {
    const { clientId } = this.#session.state
    this.#environment.metrics['session/moved/given_up'] += 1
    const report = { report: 'session_move_given_up', clientId, to, why }
    this.#self.runtime.logger.warn(report, `the session of ${clientId} stays: ${why}`)
  }

  #forget(attempt: Attempt): void {
    this.#attempt = undefined
    this.#self.cancelTimer(attempt.timer)
    attempt.luggage?.close()
    if (attempt.monitor !== undefined) this.#self.demonitor(attempt.monitor, { flush: true })
  }

  // Doubt

  #beginDoubt(claim: Claim | undefined): void {
    this.#doubt = { sinceMs: this.#self.runtime.clock.monotonic(), claim }
    this.#lookAgain()
  }

  #lookAgain(): void {
    this.#self.sendAfter(DOUBT_MS, this.#self.pid, { tag: 'doubt_timer' } satisfies DepartureTimer)
  }

  #openInDoubt(doubt: Doubt, home: RemoteName, client: ClientInfo): boolean {
    if (client.cleanStart) {
      this.#endDoubt()
      if (doubt.claim !== undefined) this.#turnAway(doubt.claim, TAKEN_OVER)
      return false
    }
    doubt.claim = this.#instead(doubt.claim, home, client)
    this.#refuseLate(doubt)
    return true
  }

  #askManager(doubt: Doubt): void {
    const { clientId, moved } = this.#session.state
    const message: InDoubt = { tag: 'in_doubt', session: this.#self.pid, clientId, node: moved!.node }
    this.#self.send(this.#manager, message)
    this.#refuseLate(doubt)
    this.#lookAgain()
  }

  /** A client has waited for as long as for the session of a member that is away. */
  #refuseLate(doubt: Doubt): void {
    const { claim, sinceMs } = doubt
    const waitMs = this.#environment.moving?.homeWaitMs ?? 0
    if (claim === undefined || this.#self.runtime.clock.monotonic() - sinceMs < waitMs) return
    doubt.claim = undefined
    this.#turnAway(claim, `its session may be on ${this.#session.state.moved!.node}`)
  }

  #stay(): void {
    const doubt = this.#doubt
    if (doubt === undefined) return
    const { node } = this.#session.state.moved!
    this.#endDoubt()
    this.#reportGivenUp(node, 'the other node does not have it')
    if (doubt.claim !== undefined) this.#serve(doubt.claim)
  }

  #endDoubt(): void {
    this.#doubt = undefined
    this.#session.handle({ tag: 'mark', moved: undefined })
  }

  #tell(newcomer: Pid, message: ToNewcomer): void {
    this.#self.send(newcomer, message)
  }
}

function isOf({ client }: Claim, { connection }: ClientInfo): boolean {
  return client.connection.equals(connection)
}

/** Asks for a fence behind which the plain filters of a session are routed to a node; undefined: of no filters. */
export function requestFence(
  self: ProcessContext,
  fence: number,
  state: Pick<SessionState, 'subscriptions'> | undefined,
  at: string,
): void {
  const subscriptions = [...(state?.subscriptions.values() ?? [])]
  const filters = subscriptions.flatMap(({ filter: { filter, group, local } }) => {
    return group === undefined && !local ? [filter] : []
  })
  const request: FenceRequest = { tag: 'fence', from: self.pid, fence, filters, at }
  self.send({ name: FORWARDER, node: self.pid.node }, request)
}

/** A session without its messages, as it is. */
export function movingOf({ client, createdAtMs, detachedAtMs, expirySec, ...state }: SessionState): MovingSession {
  const { connection: _connection, cleanStart: _cleanStart, ...others } = client
  const { counters, subscriptions, beganCleanAtMs, journal } = state
  return {
    session: { client: { ...others, will: undefined }, createdAtMs, detachedAtMs, expirySec, will: undefined },
    subscriptions: [...subscriptions.values()],
    counters: { ...counters },
    beganCleanAtMs,
    isStored: journal !== undefined,
  }
}
