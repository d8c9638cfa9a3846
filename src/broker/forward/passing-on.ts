/**
 * What comes too late for a session that has given way to another one of its client (former-sessions.ts) goes to the session that the client has by then.
 *
 *     C ─ hints, forward ─▶ A, where the session was ─ hints with `heir` ─▶ B ─ handed_over ─▶ the session of the client
 *
 * A keeps it on disc for B before it tells C that it has it, so this is as safe as what is kept for a member that is away. The session takes it as what is handed over
 * (hand-over.ts). Where it is gone from B in the meantime B does with it as A did.
 *
 * Each second members are asked whether they may have something that they published when the session was at A; when they have given it all, what was known
 * of the session is forgotten.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { DownMessage } from '../../actors/signal.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import { Batch, type Message } from '../message.ts'
import type { PublishEnvironment } from '../publish.ts'
import type { Receipt } from '../routing/receipt.ts'
import type { FormerSession, FormerSessions } from '../session/former-sessions.ts'
import type { HandedOver, HandOverTaken } from '../session/hand-over.ts'
import { reportDropped } from '../session/session-reports.ts'
import type { Sessions } from '../session/sessions.ts'
import type { StoredPlaces } from '../session/stored/stored-places.ts'
import type { FenceAnswer, FenceAsk } from './fences.ts'
import type { Forwarding } from './forwarding.ts'
import type { Heir } from './hints.ts'
import { FORWARDER } from './messages.ts'

export interface PassingOnOptions {
  readonly former: FormerSessions
  readonly forwarding: Pick<Forwarding, 'keep'>
  readonly sessions: Pick<Sessions, 'lookup'>
  readonly places: Pick<StoredPlaces, 'of'>
  readonly environment: PublishEnvironment
  readonly mnesia: Pick<Mnesia, 'status'>
}

/** Messages of the forwarder to itself. */
export type PassingOnTimer =
  /** Ask the members. */
  | { readonly tag: '$ask_members' }
  /** The session of a client did not take something, or was not there. */
  | { readonly tag: '$bring_again'; readonly part: number }

/** What the session of a client is to take. */
interface Part {
  readonly heir: Heir
  readonly messages: readonly Message[]
  readonly receipt: Receipt
  /** Watches the session that has it. */
  monitor: Ref | undefined
}

const ASK_MS = 1000
const RETRY_MS = 1000

export class PassingOn {
  readonly #self: ProcessContext
  readonly #options: PassingOnOptions
  readonly #parts = new Map<number, Part>()
  #lastPart = 0
  #isAsking = false

  constructor(self: ProcessContext, options: PassingOnOptions) {
    this.#self = self
    this.#options = options
    this.askSoon()
  }

  /** Some session has given way for which something may come. */
  get isDue(): boolean {
    return this.#options.former.size > 0
  }

  /** A member has sent these, and sessions of this node have them. `receipt` waits until they are kept for those that were here. */
  passOn(from: string, batches: readonly Batch[], receipt: Receipt): void {
    const { former } = this.#options
    for (const { messages } of batches) {
      for (const each of former.match(messages[0]!.topic, from)) this.#passOn(each, messages, receipt)
    }
  }

  #passOn(former: FormerSession, messages: readonly Message[], receipt: Receipt): void {
    const { clientId, connectedAtMs, node } = former
    const row = this.#options.sessions.lookup(clientId)
    const isFormer = row !== undefined && this.#options.former.isFormer(clientId, row.pid)
    // One that is here has got them as all others have.
    if (row !== undefined && !isFormer && row.pid.node === this.#self.pid.node) return
    const to = isFormer ? node : (this.#otherPlaceOf(clientId) ?? node)
    this.#keep(to, { clientId, connectedAtMs }, messages, receipt)
  }

  /** Another node has passed these on to the session of a client. `receipt` waits until that has them. */
  take(heir: Heir, messages: readonly Message[], receipt: Receipt): void {
    if (messages.length === 0) return
    receipt.expect()
    this.#lastPart += 1
    const part: Part = { heir, messages, receipt, monitor: undefined }
    this.#parts.set(this.#lastPart, part)
    this.#bring(this.#lastPart, part)
  }

  #bring(number: number, part: Part): void {
    const { heir, messages, receipt } = part
    const { clientId, connectedAtMs } = heir
    const { environment, places, sessions } = this.#options
    const { node } = this.#self.pid
    const row = sessions.lookup(clientId)
    if (row?.pid.node === node) {
      this.#hand(number, part, row.pid)
      return
    }
    // It is being started.
    if (row === undefined && places.of(clientId).includes(node)) {
      this.#bringAgain(number)
      return
    }
    this.#parts.delete(number)
    const to = this.#otherPlaceOf(clientId)
    if (to === undefined) reportDropped(environment, clientId, 'session_ended', messages)
    else this.#keep(to, { clientId, connectedAtMs }, messages, receipt)
    receipt.taken()
  }

  #hand(number: number, part: Part, to: Pid): void {
    const { heir, messages } = part
    part.monitor = this.#self.monitor(to)
    const { connectedAtMs } = heir
    const message: HandedOver = { tag: 'handed_over', from: this.#self.pid, part: number, connectedAtMs, messages }
    this.#self.send(to, message)
  }

  /** A session has a part, or cannot keep it now. */
  taken({ part: number, taken, unwanted, isRefused }: HandOverTaken): void {
    const part = this.#parts.get(number)
    if (part?.monitor === undefined) return
    this.#self.demonitor(part.monitor, { flush: true })
    part.monitor = undefined
    if (isRefused === true) {
      this.#bringAgain(number)
      return
    }
    this.#parts.delete(number)
    const { environment } = this.#options
    environment.metrics['messages/handed_over'] += taken
    const { reason, places } = unwanted
    if (places.length > 0) {
      const dropped = places.map((place) => part.messages[place]!)
      reportDropped(environment, part.heir.clientId, reason, dropped)
    }
    part.receipt.taken()
  }

  /** A session that was to take something has ended, perhaps to be started again. */
  down({ ref }: DownMessage): void {
    for (const [number, part] of this.#parts) {
      if (part.monitor?.equals(ref) !== true) continue
      part.monitor = undefined
      this.#bringAgain(number)
    }
  }

  /** A part is due that was not taken. */
  again(number: number): void {
    const part = this.#parts.get(number)
    if (part !== undefined) this.#bring(number, part)
  }

  /** Asks the members, as long as there is anything to be asked. */
  ask(): void {
    this.#isAsking = false
    const { former, mnesia } = this.#options
    const { running } = mnesia.status()
    const { question, nodes } = former.ask()
    const { node: own } = this.#self.pid
    for (const node of nodes) {
      if (!running.includes(node)) continue
      const ask: FenceAsk = { tag: 'fence_ask', node: own, asker: 'passing_on', id: question, filters: [], at: own }
      this.#self.send({ name: FORWARDER, node }, ask)
    }
    this.askSoon()
  }

  /** Takes the answer of a member that has nothing kept for this node, and of which all has come. */
  answered({ node, id }: FenceAnswer): void {
    this.#options.former.answered(node, id)
  }

  /** Has members asked if any session waits for them. */
  askSoon(): void {
    if (this.#isAsking || !this.isDue) return
    this.#isAsking = true
    this.#self.sendAfter(ASK_MS, this.#self.pid, { tag: '$ask_members' } satisfies PassingOnTimer)
  }

  #bringAgain(part: number): void {
    this.#self.sendAfter(RETRY_MS, this.#self.pid, { tag: '$bring_again', part } satisfies PassingOnTimer)
  }

  /** The other node that has the session of a client, as its row says, or when that is not seen, the discs. */
  #otherPlaceOf(clientId: string): string | undefined {
    const { places, sessions } = this.#options
    const row = sessions.lookup(clientId)
    const nodes = row === undefined ? places.of(clientId) : [row.pid.node]
    return nodes.find((node) => node !== this.#self.pid.node)
  }

  #keep(node: string, heir: Heir, messages: readonly Message[], receipt: Receipt): void {
    this.#options.forwarding.keep(node, [new Batch(messages)], receipt, { heir })
  }
}
