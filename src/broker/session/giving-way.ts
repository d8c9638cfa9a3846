/**
 * A session process's part in a hand-over (hand-over.ts), on either side: as the one that gives way to a later session of its client id, and as
 * the one that stays.
 */
import type { ExitReason } from '../../actors/errors.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { Run } from '../message.ts'
import type { SessionEnvironment } from '../publish.ts'
import { RC } from '../reason-codes.ts'
import type { FormerSessions } from './former-sessions.ts'
import { type HandedOver, HandOver, type HandOverTaken, remember, takingOf } from './hand-over.ts'
import { reportDropped } from './session-reports.ts'
import type { SessionEvent, SessionState } from './session-state.ts'

/** The answer to a part that has been handed over, and the session that waits for it. */
export interface HandOverAnswer {
  readonly tag: 'hand_over_answer'
  readonly to: Pid
  readonly answer: HandOverTaken
}

/** The session sends this to itself when a part could not be kept, or it is noted that it gives way; `again` is to be called. */
export type HandOverAgain = typeof HAND_OVER_AGAIN | typeof NOTED

const HAND_OVER_AGAIN = { tag: 'hand_over_again', isNoted: false } as const
const NOTED = { tag: 'hand_over_again', isNoted: true } as const

/** After that a disc that refuses is tried again. */
const RETRY_MS = 1000

/** The answer to a part that the disc of the session refuses. */
export function refusalOf({ to, answer, ...rest }: HandOverAnswer): HandOverAnswer {
  return { ...rest, to, answer: { ...answer, taken: 0, unwanted: { ...answer.unwanted, places: [] }, isRefused: true } }
}

/** The answer to a part of which nothing is taken. */
export function noneOf(self: Pid, { from, part }: HandedOver): HandOverAnswer {
  const unwanted = { reason: 'not_subscribed', places: [] } as const
  return { tag: 'hand_over_answer', to: from, answer: { tag: 'hand_over_taken', from: self, part, taken: 0, unwanted } }
}

/** The session of the process. */
export interface Giver {
  readonly state: SessionState
  /** Reads its messages if that has not been done. */
  load(): void
  handle(event: SessionEvent): void
}

const TAKEN_OVER = { reasonCode: RC.session_taken_over, reason: 'session_taken_over' } as const

export class GivingWay {
  readonly #self: ProcessContext
  readonly #environment: SessionEnvironment
  readonly #session: Giver
  /** To a later session, while that takes what waits here. */
  #handOver: HandOver | undefined
  /** What comes for this session from other members is passed on, also after a restart. */
  #isNoted = false

  constructor(self: ProcessContext, environment: SessionEnvironment, session: Giver) {
    this.#self = self
    this.#environment = environment
    this.#session = session
  }

  /** Another session is taking what waits here. */
  get isUnderWay(): boolean {
    return this.#handOver !== undefined
  }

  /** Closes the connection, hands over what waits, and ends. */
  giveWay(to: Pid): void {
    const { state } = this.#session
    if (state.ended || this.#handOver?.to.equals(to)) return
    if (state.expirySec === 0) {
      this.#discard(false)
      return
    }
    this.#session.load()
    // The client is back [MQTT5-3.1.3-9].
    this.#session.handle({ tag: 'will_settled' })
    this.#session.handle({ tag: 'kick', ...TAKEN_OVER })
    this.#handOver?.close()
    this.#handOver = new HandOver(this.#self, to, state)
    this.#goOn(this.#handOver)
  }

  /** Something has come, perhaps while another session takes what waits here. */
  add(runs: readonly Run[]): void {
    this.#handOver?.add(runs)
  }

  /** The other session has a part, or cannot keep it. */
  taken(message: HandOverTaken): void {
    if (this.#handOver?.taken(message) !== true) return
    if (message.isRefused === true) this.#self.sendAfter(RETRY_MS, this.#self.pid, HAND_OVER_AGAIN)
    else this.#goOn(this.#handOver)
  }

  again({ isNoted }: HandOverAgain): void {
    this.#isNoted ||= isNoted
    if (this.#handOver !== undefined && !this.#handOver.isUnderWay) this.#goOn(this.#handOver)
  }

  /** Takes a DOWN; returns whether it was of the other session. */
  takeDown(ref: Ref, reason: ExitReason): boolean {
    if (this.#handOver?.monitor.equals(ref) !== true) return false
    this.#handOver = undefined
    this.#isNoted = false
    this.#environment.former?.forget(this.#session.state.clientId)
    // One that has ended has no use for it. Of others the manager sees in the table whether they are there again.
    if (reason === 'normal') this.#discard(false)
    return true
  }

  /** Takes what another session hands over; returns the answer, which is due when that is as safe as the session is. */
  take(message: HandedOver): HandOverAnswer | undefined {
    const { state } = this.#session
    // Its end tells the other one.
    if (state.ended) return undefined
    const none = noneOf(this.#self.pid, message)
    if (message.copyOf === state.createdAtMs) return { ...none, answer: { ...none.answer, hasAll: true } }
    this.#session.load()
    const { runs, unwanted } = takingOf(state, message, (each) => this.#environment.arrivalOf?.(each))
    if (runs.length > 0) this.#session.handle({ tag: 'deliver', runs })
    remember(state, runs)
    this.add(runs)
    return { ...none, answer: { ...none.answer, taken: runs.length, unwanted } }
  }

  #goOn(handOver: HandOver): void {
    if (handOver.next()) return
    const { moved } = this.#session.state
    const isCopy = handOver.hasAll && moved !== undefined
    if (!this.#isNoted && !isCopy && this.#environment.former !== undefined) {
      this.#note(this.#environment.former, handOver.to.node)
      return
    }
    handOver.close()
    this.#handOver = undefined
    if (isCopy) {
      this.#session.handle({ tag: 'gone', upTo: moved.upTo })
      return
    }
    this.#environment.metrics['messages/handed_over'] += handOver.count
    const { clientId } = this.#session.state
    for (const [reason, messages] of handOver.dropped) {
      reportDropped(this.#environment, clientId, reason, messages)
    }
    this.#discard(true)
  }

  /** What has come before that is in the mailbox before the answer, and is handed over too. */
  #note(former: Pick<FormerSessions, 'note'>, node: string): void {
    const { runtime, pid } = this.#self
    const noted = () => runtime.send(pid, NOTED)
    former.note(this.#session.state, node).then(noted, (error: unknown) => {
      runtime.logger.error({ err: error }, 'it is not on disc that a session has given way')
      noted()
    })
  }

  #discard(isHandedOver: boolean): void {
    this.#session.handle({ tag: 'discard', ...TAKEN_OVER, isHandedOver })
  }
}
